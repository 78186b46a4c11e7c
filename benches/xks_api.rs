//! The protocol crate alone: no socket, no key manager. Each bench says what is inside the timed region.

#[path = "fixture/cpu_time.rs"]
mod cpu_time;

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use cpu_time::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::signer::{SignedRequest as WireRequest, Signer};
use http::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;
use xks_api::fields::{Aad, AuthenticationTag, InitializationVector, Plaintext};
use xks_api::message::{CdivAlgorithm, EncryptRequest, EncryptResponse};
use xks_api::metadata::RequestMetadata;
use xks_api::sealed::{Sealed, cdiv};
use xks_api::sigv4::{Regions, SignedRequest, Verifier};

const ID: &str = "BETWEENAAAAANDBBBBBB";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY+AB=";
const PATH: &str = "/dev/tenant-a/kms/xks/v1/keys/demo/encrypt";
const SIGNED_AT: i64 = 1_796_000_000;

/// Timed: everything from the parsed HTTP request to the access key id, with the signing key cached.
fn sigv4(c: &mut Criterion<CpuTime>) {
    let mut wire = WireRequest::unsigned("POST", "xks.test", PATH, encrypt_request(32));
    let at = UNIX_EPOCH + Duration::from_secs(SIGNED_AT.unsigned_abs());
    Signer::new(ID, SECRET).sign(&mut wire, at);
    wire.set("content-length", wire.body.len().to_string());
    wire.set("user-agent", "aws-internal/3");
    let mut headers = HeaderMap::new();
    for (name, value) in &wire.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let credential = (ID.try_into().unwrap(), SECRET.try_into().unwrap());
    let verifier = Verifier::new([credential], Regions::Any).unwrap();
    let now = OffsetDateTime::from_unix_timestamp(SIGNED_AT).unwrap();
    let verify = || {
        let request = SignedRequest {
            method: "POST",
            path: PATH,
            query: None,
            authority: None,
            headers: &headers,
            body: &wire.body,
        };
        verifier.verify(black_box(&request), now).is_ok()
    };
    assert!(verify(), "the first call fills the cache");
    c.bench_function(&format!("sigv4/verify/{} B body", wire.body.len()), |b| {
        b.iter(verify);
    });
}

/// Timed: JSON bytes to the typed request, its plaintext decoded and wiped again.
fn parse(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("encrypt/parse");
    for len in [32, 4_096] {
        let body = encrypt_request(len);
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
    for len in [32, 4_096] {
        let sealed = sealed(len);
        let response = EncryptResponse {
            cdiv: Some(cdiv(&aad(), &sealed)),
            sealed,
        };
        group.bench_function(format!("{len} B ciphertext"), |b| {
            b.iter(|| black_box(&response).encode());
        });
    }
    group.finish();
}

/// Timed: the hash over AAD, metadata, IV, ciphertext and tag.
fn integrity(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("cdiv");
    for len in [32, 4_096] {
        let (aad, sealed) = (aad(), sealed(len));
        group.bench_function(format!("{len} B ciphertext"), |b| {
            b.iter(|| cdiv(black_box(&aad), black_box(&sealed)));
        });
    }
    group.finish();
}

fn encrypt_request(plaintext_len: usize) -> Vec<u8> {
    let metadata: RequestMetadata<'_> = serde_json::from_str(
        r#"{
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Encrypt",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae"
        }"#,
    )
    .unwrap();
    let request = EncryptRequest {
        metadata,
        plaintext: Plaintext::from(&*vec![b'p'; plaintext_len]),
        aad: aad(),
        cdiv: Some(CdivAlgorithm::Sha256),
    };
    request.encode().to_vec()
}

fn aad() -> Aad {
    b"project=nile,department=marketing"
        .to_vec()
        .try_into()
        .unwrap()
}

fn sealed(len: usize) -> Sealed {
    Sealed {
        ciphertext: vec![0xc5; len],
        iv: InitializationVector::Bytes12([7; 12]),
        tag: AuthenticationTag([9; 16]),
        metadata: (&[1; 20][..]).try_into().unwrap(),
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = sigv4, parse, encode, integrity
}
criterion_main!(benches);
