//! The time that each stage of the hot path takes, without sockets: the protocol crate, the embedded key manager through the seam
//! that every key manager has, and whole requests between hyper's parsing and hyper's writing. What is inside the timed region
//! is said here or in `fixture/stage.rs`; `instructions` counts the same stages.

#[path = "fixture/cpu_time.rs"]
mod cpu_time;
#[path = "fixture/decrypt.rs"]
mod decrypt;
mod fixture;
#[path = "fixture/stage.rs"]
mod stage;

use std::hint::black_box;

use cpu_time::CpuTime;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fixture::request::{SIZES, encrypt_body};
use fixture::store::Crowd;
use stage::{Cipher, Pipeline, Request, Verification, aad, body, response, sealed};
use xks_api::fields::Plaintext;
use xks_api::message::EncryptRequest;
use xks_api::sealed::cdiv;

/// Timed: everything from the parsed HTTP request to the access key id, with the signing key cached.
fn sigv4(c: &mut Criterion<CpuTime>) {
    let verification = Verification::new();
    c.bench_function("sigv4/verify", |b| {
        b.iter(|| black_box(&verification).verify());
    });
}

/// Timed: JSON bytes to the typed request, its plaintext decoded and wiped again.
fn parse(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("encrypt/parse");
    for len in SIZES {
        let body = encrypt_body(len);
        group.throughput(Throughput::Bytes(body.len().try_into().unwrap()));
        group.bench_function(format!("{len} B plaintext"), |b| {
            b.iter(|| EncryptRequest::parse(black_box(&body)).unwrap());
        });
    }
    group.finish();
}

/// Timed: the typed response to JSON bytes.
fn encode(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("encrypt/encode");
    for len in SIZES {
        let response = response(len);
        group.bench_function(format!("{len} B ciphertext"), |b| {
            b.iter(|| black_box(&response).encode());
        });
    }
    group.finish();
}

/// Timed: the hash over AAD, metadata, IV, ciphertext and tag.
fn integrity(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("cdiv");
    for len in SIZES {
        let (aad, sealed) = (aad(), sealed(len));
        group.bench_function(format!("{len} B ciphertext"), |b| {
            b.iter(|| cdiv(black_box(&aad), black_box(&sealed)));
        });
    }
    group.finish();
}

fn cipher(c: &mut Criterion<CpuTime>) {
    let cipher = Cipher::new();
    for len in SIZES {
        let plaintext = Plaintext::from(&*vec![b'p'; len]);
        let sealed = cipher.seal(&plaintext);
        let mut group = c.benchmark_group("embedded");
        group.throughput(Throughput::Bytes(len.try_into().unwrap()));
        group.bench_function(format!("seal/{len} B"), |b| {
            b.iter(|| cipher.seal(black_box(&plaintext)));
        });
        group.bench_function(format!("open/{len} B"), |b| {
            b.iter(|| cipher.open(black_box(&sealed)));
        });
        group.finish();
    }
    c.bench_function("embedded/resolve", |b| {
        b.iter(|| black_box(&cipher).resolve());
    });
}

fn pipeline(c: &mut Criterion<CpuTime>) {
    let pipeline = Pipeline::new(Crowd::default());
    let mut bench = |name: &str, request: &Request| {
        c.bench_function(name, |b| {
            let timed = |body| pipeline.serve(black_box(request), body);
            b.iter_batched(|| body(request), timed, BatchSize::SmallInput);
        });
    };
    for len in SIZES {
        bench(&format!("pipeline/Encrypt {len} B"), &pipeline.encrypt(len));
        bench(&format!("pipeline/Decrypt {len} B"), &pipeline.decrypt(len));
    }
    let wrong = pipeline.wrong_signature();
    bench("pipeline/Encrypt 32 B, wrong signature", &wrong);
    bench("pipeline/no route", &pipeline.no_route());
    let audited = Pipeline::audited();
    let request = audited.encrypt(SIZES[0]);
    c.bench_function("pipeline/Encrypt 32 B, with an audit log", |b| {
        let timed = |body| audited.serve(black_box(&request), body);
        b.iter_batched(|| body(&request), timed, BatchSize::SmallInput);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = sigv4, parse, encode, integrity, cipher, pipeline
}
criterion_main!(benches);
