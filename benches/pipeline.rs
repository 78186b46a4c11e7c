//! Whole requests without sockets: what the proxy itself costs, between hyper's parsing and hyper's writing.

#[path = "fixture/cpu_time.rs"]
mod cpu_time;
mod fixture;

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use cpu_time::CpuTime;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fixture::request::{SIZES, encrypt_body, http1};
use fixture::{Fixture, HOST, KEYS_PATH};
use serde_json::{Value, json};
use xks_proxy::pipeline::{Answer, Encoded, RequestHead, answer};
use zeroize::Zeroizing;

/// Timed: routing, SigV4 with a cached signing key, JSON and base64, the operation (for Encrypt: seal, the integrity value,
/// the verifying open), encoding, the log line, and the wiping of all that, the body included.
/// Not timed: the buffer that the body comes in; TCP, TLS, HTTP.
fn pipeline(c: &mut Criterion<CpuTime>) {
    let fixture = Fixture::new();
    // For the deadlines' clock alone; no task runs on it.
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _context = executor.enter();
    let serve = |request: &http::Request<Bytes>, body: Zeroizing<Vec<u8>>| {
        let head = RequestHead {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: None,
            authority: None,
            headers: request.headers(),
        };
        now(answer(&fixture.runtime, head, async { Ok(body) }))
    };
    let mut bench = |name: &str, request: &http::Request<Bytes>, expected: u16| {
        let body = || Zeroizing::new(request.body().to_vec());
        assert_eq!(serve(request, body()).status(), expected, "{name}");
        c.bench_function(name, |b| {
            let timed = |body| serve(black_box(request), body);
            b.iter_batched(body, timed, BatchSize::SmallInput);
        });
    };
    for len in SIZES {
        let encrypt = http1(&fixture.encrypt(len));
        let body = Zeroizing::new(encrypt.body().to_vec());
        let Answer::Ok(Encoded::Open(sealed)) = serve(&encrypt, body) else {
            panic!("Encrypt fails");
        };
        bench(&format!("pipeline/Encrypt {len} B"), &encrypt, 200);
        let body = decrypt_body(len, &serde_json::from_slice(&sealed).unwrap());
        let path = format!("{KEYS_PATH}/demo/decrypt");
        let decrypt = http1(&fixture.signer.post(HOST, &path, body));
        bench(&format!("pipeline/Decrypt {len} B"), &decrypt, 200);
    }
    let mut forged = fixture.encrypt(32);
    forged.body.push(b' ');
    bench(
        "pipeline/Encrypt 32 B, wrong signature",
        &http1(&forged),
        401,
    );
}

fn decrypt_body(len: usize, sealed: &Value) -> String {
    let request: Value = serde_json::from_slice(&encrypt_body(len)).unwrap();
    json!({
        "requestMetadata": request["requestMetadata"],
        "additionalAuthenticatedData": request["additionalAuthenticatedData"],
        "encryptionAlgorithm": "AES_GCM",
        "ciphertext": sealed["ciphertext"],
        "ciphertextMetadata": sealed["ciphertextMetadata"],
        "initializationVector": sealed["initializationVector"],
        "authenticationTag": sealed["authenticationTag"],
    })
    .to_string()
}

/// The result of a future that waits for nothing.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the request waits for something"),
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = pipeline
}
criterion_main!(benches);
