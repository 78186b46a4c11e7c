//! The stages whose instructions are counted: one call of each, after one that fills caches; of the pipeline several, whose
//! mean is taken: which of them finds the log's thread asleep is chance.
//!
//! What is prepared is not counted, nor is its end; what a call makes and wipes is.

use std::hint::black_box;

use gungraun::prelude::*;
use xks_api::fields::{Aad, Plaintext};
use xks_api::message::{EncryptRequest, EncryptResponse};
use xks_api::sealed::{Sealed, cdiv};
use zeroize::Zeroizing;

use crate::fixture::request::{SIZES, encrypt_body};
use crate::fixture::store::Crowd;
use crate::stage::{self, Cipher, Pipeline, Request, Verification};

/// Counts under valgrind if the runner of gungraun asks for it, else asks the runner.
pub(crate) fn run() {
    main();
}

#[library_benchmark]
#[bench::body(Box::new(Verification::new()))]
fn sigv4_verify(stage: Box<Verification>) -> Box<Verification> {
    assert!(black_box(&stage).verify());
    stage
}

#[library_benchmark]
#[bench::small(encrypt_body(SIZES[0]))]
#[bench::large(encrypt_body(SIZES[1]))]
fn encrypt_parse(body: Vec<u8>) -> Vec<u8> {
    drop(black_box(EncryptRequest::parse(black_box(&body))));
    body
}

#[library_benchmark]
#[bench::small(stage::response(SIZES[0]))]
#[bench::large(stage::response(SIZES[1]))]
fn encrypt_encode(response: EncryptResponse) -> EncryptResponse {
    drop(black_box(black_box(&response).encode()));
    response
}

#[library_benchmark]
#[bench::small((stage::aad(), stage::sealed(SIZES[0])))]
#[bench::large((stage::aad(), stage::sealed(SIZES[1])))]
fn integrity_value((aad, sealed): (Aad, Sealed)) -> (Aad, Sealed) {
    black_box(cdiv(black_box(&aad), black_box(&sealed)));
    (aad, sealed)
}

struct Sealing {
    cipher: Cipher,
    plaintext: Plaintext,
    sealed: Sealed,
}

fn sealing(len: usize) -> Box<Sealing> {
    let cipher = Cipher::new();
    let plaintext = Plaintext::from(&*vec![b'p'; len]);
    let sealed = cipher.seal(&plaintext);
    drop(cipher.open(&sealed));
    Box::new(Sealing {
        cipher,
        plaintext,
        sealed,
    })
}

#[library_benchmark]
#[bench::small(sealing(SIZES[0]))]
fn embedded_resolve(stage: Box<Sealing>) -> Box<Sealing> {
    drop(black_box(black_box(&stage.cipher).resolve()));
    stage
}

#[library_benchmark]
#[bench::small(sealing(SIZES[0]))]
#[bench::large(sealing(SIZES[1]))]
fn embedded_seal(stage: Box<Sealing>) -> Box<Sealing> {
    drop(black_box(stage.cipher.seal(black_box(&stage.plaintext))));
    stage
}

#[library_benchmark]
#[bench::small(sealing(SIZES[0]))]
#[bench::large(sealing(SIZES[1]))]
fn embedded_open(stage: Box<Sealing>) -> Box<Sealing> {
    drop(black_box(stage.cipher.open(black_box(&stage.sealed))));
    stage
}

/// A request, a buffer of its body for each call, and what answers it.
struct Call {
    pipeline: Pipeline,
    request: Request,
    bodies: Vec<Zeroizing<Vec<u8>>>,
}

fn call(crowd: Crowd, request: impl FnOnce(&Pipeline) -> Request) -> Box<Call> {
    of(Pipeline::new(crowd), request)
}

fn audited() -> Box<Call> {
    of(Pipeline::audited(), |pipeline| pipeline.encrypt(SIZES[0]))
}

fn of(pipeline: Pipeline, request: impl FnOnce(&Pipeline) -> Request) -> Box<Call> {
    let request = request(&pipeline);
    let bodies = (0..PIPELINE_CALLS).map(|_| stage::body(&request)).collect();
    Box::new(Call {
        pipeline,
        request,
        bodies,
    })
}

fn alone(request: impl FnOnce(&Pipeline) -> Request) -> Box<Call> {
    call(Crowd::default(), request)
}

fn among(keys: usize, prefixes: usize) -> Box<Call> {
    call(Crowd { keys, prefixes }, |pipeline| {
        pipeline.encrypt(SIZES[0])
    })
}

#[library_benchmark]
#[bench::encrypt_small(alone(|pipeline| pipeline.encrypt(SIZES[0])))]
#[bench::encrypt_large(alone(|pipeline| pipeline.encrypt(SIZES[1])))]
#[bench::decrypt_small(alone(|pipeline| pipeline.decrypt(SIZES[0])))]
#[bench::decrypt_large(alone(|pipeline| pipeline.decrypt(SIZES[1])))]
#[bench::wrong_signature(alone(Pipeline::wrong_signature))]
#[bench::routing_and_log_line(alone(Pipeline::no_route))]
#[bench::encrypt_small_audited(audited())]
#[bench::encrypt_small_among_100_000_keys(among(100_000, 0))]
#[bench::encrypt_small_among_1_000_prefixes(among(0, 1_000))]
fn pipeline(stage: Box<Call>) -> (Pipeline, Request) {
    let Call {
        pipeline,
        request,
        bodies,
    } = *stage;
    for body in bodies {
        drop(black_box(pipeline.serve(black_box(&request), body)));
    }
    (pipeline, request)
}

/// Calls in each count of the pipeline.
pub(crate) const PIPELINE_CALLS: u64 = 10;

library_benchmark_group!(
    name = stages,
    benchmarks = [
        sigv4_verify,
        encrypt_parse,
        encrypt_encode,
        integrity_value,
        embedded_resolve,
        embedded_seal,
        embedded_open,
        pipeline
    ]
);

gungraun::main!(library_benchmark_groups = stages);
