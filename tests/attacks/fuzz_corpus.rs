//! The fuzz targets without a fuzzer: the corpora of `proxy/fuzz`, and mutations of them that are the same in every run.
//!
//! `XKS_PROXY_FUZZ_INPUTS` says how many mutations of each target are tried; libFuzzer, where there is a nightly compiler, finds
//! better ones.

use std::path::PathBuf;

use harness::corpus::{corpus, fuzz};
use xks_proxy::fuzzing::{Door, SignatureDoor, request_line, transit_ciphertext};

/// What means something in an input of any target.
const TOKENS: [&str; 34] = [
    "\"plaintext\":\"AAAA\",",
    "\"requestMetadata\":{",
    "\"ciphertextMetadata\":\"\",",
    "null",
    "-1",
    "1e999",
    "[]",
    "{}",
    "\"\"",
    "\\u0000",
    "\\ud800",
    ",",
    "=",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "host:xks.test\n",
    ":authority:xks.test\n",
    "x-amz-date:20261124T123600Z\n",
    "authorization: ",
    ", ",
    ";",
    "SignedHeaders=",
    "/kms/xks/v1",
    "/keys/demo/encrypt",
    "/../",
    "%2F",
    "vault:v1:",
    "content-length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "0\r\n\r\n",
    "[key_managers.e]\n",
    "type = \"transit\"\n",
    "\"chain.pem\"",
];

fn run(target: &str, inputs: usize, one: impl Fn(&[u8])) {
    let proxy: PathBuf = harness::workspace().join("proxy");
    let inputs = ("XKS_PROXY_FUZZ_INPUTS", inputs);
    fuzz(&corpus(&proxy, target), &TOKENS, inputs, one);
}

fn through_the_door(target: &str, inputs: usize, one: impl Fn(&Door, &[u8])) {
    let folder = harness::temp_dir();
    let door = Door::new(folder.path());
    run(target, inputs, |input| one(&door, input));
}

#[test]
fn no_authorization_header_is_forged() {
    let door = SignatureDoor::new();
    run("authorization", 5_000, |input| door.authorization(input));
}

#[test]
fn what_is_signed_as_described_is_taken() {
    let door = SignatureDoor::new();
    run("canonical", 5_000, |input| door.canonical(input));
}

#[test]
fn what_the_oracle_signs_is_taken_and_no_change_of_it() {
    let door = SignatureDoor::new();
    run("oracle", 5_000, |input| door.oracle(input));
}

#[test]
fn what_is_encrypted_decrypts() {
    through_the_door("encrypt", 2_000, |door, input| drop(door.encrypt(input)));
}

#[test]
fn no_message_is_forged() {
    through_the_door("decrypt", 2_000, |door, input| drop(door.decrypt(input)));
}

#[test]
fn bodies_of_key_metadata_and_health_are_answered_or_refused() {
    through_the_door("key_metadata", 1_000, |door, input| {
        drop(door.key_metadata(input));
    });
    through_the_door("health", 1_000, |door, input| drop(door.health(input)));
}

#[test]
fn configurations_tell_their_problems_and_no_secret() {
    through_the_door("configuration", 300, |door, input| {
        door.configuration(input)
    });
}

#[test]
fn connections_end_and_serve_nobody_who_has_not_signed() {
    through_the_door("connection", 1_500, |door, input| {
        drop(door.connection(input));
    });
}

#[test]
fn a_route_is_the_path_that_it_was_found_in() {
    run("route", 20_000, request_line);
}

#[test]
fn ciphertexts_of_transit_are_put_together_as_they_were() {
    run("transit_ciphertext", 20_000, transit_ciphertext);
}
