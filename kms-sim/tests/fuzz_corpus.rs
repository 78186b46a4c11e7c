//! The fuzz targets without a fuzzer: the corpus of `kms-sim/fuzz`, and mutations of it that are the same in every run.
//!
//! `KMS_SIM_FUZZ_INPUTS` says how many mutations of each target are tried; libFuzzer, where there is a nightly compiler,
//! finds better ones.

use std::path::Path;

use kms_sim::fuzzing::{Door, Ended};

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    harness::corpus::corpus(Path::new(env!("CARGO_MANIFEST_DIR")), target)
}

/// What means something in a request.
const TOKENS: [&str; 20] = [
    "\"KeyId\":",
    "\"alias/app\"",
    "null",
    "-1",
    "1e9",
    "[]",
    "{}",
    "\"\"",
    ",",
    "\"Marker\":\"a\",",
    "\"Limit\":0,",
    "\\u0000",
    "\\ud800",
    "\"1234abcd-12ab-34cd-56ef-1234567890ad\"",
    "TrentService.",
    "\n",
    "true",
    "99999999999",
    "\"DryRun\":true,",
    "\"CustomKeyStoreId\":\"cks-0123456789abcdef0\",",
];

fn run(target: &str, inputs: usize, one: impl Fn(&Door, &[u8])) {
    let door = Door::new();
    let inputs = ("KMS_SIM_FUZZ_INPUTS", inputs);
    harness::corpus::fuzz(&corpus(target), &TOKENS, inputs, |input| one(&door, input));
}

#[test]
fn requests() {
    run("request", 2_000, |door, input| drop(door.request(input)));
}

#[test]
fn ciphertexts() {
    run("ciphertext", 2_000, |door, input| {
        drop(door.ciphertext(input))
    });
}

/// A corpus of which every entry fails at the first check would find nothing.
#[test]
fn most_of_the_corpus_gets_answers() {
    let door = Door::new();
    let corpus = corpus("request");
    let answered = corpus
        .iter()
        .filter(|(_, input)| matches!(door.request(input), Some(Ended::Answer(_))));
    let answered: Vec<_> = answered.map(|(name, _)| &**name).collect();
    for name in [
        "create-key",
        "decrypt",
        "encrypt",
        "re-encrypt",
        "create-grant",
        "schedule",
        "put-policy",
    ] {
        assert!(answered.contains(&name), "{name} is not among {answered:?}");
    }
}
