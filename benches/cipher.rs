//! The embedded key manager through the seam that every key manager has.

#[path = "fixture/cpu_time.rs"]
mod cpu_time;

use std::hint::black_box;

use cpu_time::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xks_api::fields::{Aad, Plaintext};
use xks_api::sealed::FramedAad;
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource, Usages};
use xks_proxy::key_manager::{Answer, KeyManager};

/// Timed, for `seal`: metadata with a fresh salt, framing of 100 bytes of AAD, derivation of the message key, a random
/// IV, AES-256-GCM, and the wiping of what was allocated. For `open`: framing, derivation, AES-256-GCM, wiping.
fn cipher(c: &mut Criterion<CpuTime>) {
    let folder = harness::temp_dir();
    let root_key = RootKeySource::File(folder.path().join("root.key"));
    Embedded::init(folder.path(), &root_key).unwrap();
    let embedded = Embedded::open(folder.path(), root_key).unwrap();
    let id = "demo".try_into().unwrap();
    let administration = embedded.administration();
    administration
        .create_key(&id, Usages::EncryptDecrypt)
        .unwrap();
    let key = ready(embedded.resolve(&id));
    let aad = Aad::try_from(vec![b'a'; 100]).unwrap();
    let seal = |plaintext: &Plaintext| {
        let metadata = key.metadata().unwrap();
        let framed = FramedAad::new(&aad, &metadata);
        ready(key.seal(plaintext, metadata, &framed))
    };
    for len in [32, 4_096] {
        let plaintext = Plaintext::from(&*vec![b'p'; len]);
        let sealed = seal(&plaintext);
        let mut group = c.benchmark_group("embedded");
        group.throughput(Throughput::Bytes(len.try_into().unwrap()));
        group.bench_function(format!("seal/{len} B"), |b| {
            b.iter(|| seal(black_box(&plaintext)));
        });
        group.bench_function(format!("open/{len} B"), |b| {
            b.iter(|| {
                let framed = FramedAad::new(black_box(&aad), &sealed.metadata);
                ready(key.open(&sealed, &framed))
            });
        });
        group.finish();
    }
    // Timed: the look-up of a key by its id.
    c.bench_function("embedded/resolve", |b| {
        b.iter(|| ready(embedded.resolve(black_box(&id))));
    });
}

/// The embedded key manager never makes anyone wait.
fn ready<T>(answer: Answer<'_, T>) -> T {
    match answer {
        Answer::Ready(Some(Ok(value))) => value,
        Answer::Ready(_) => panic!("the key manager failed"),
        Answer::Later(_) => panic!("the answer is not there yet"),
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = cipher
}
criterion_main!(benches);
