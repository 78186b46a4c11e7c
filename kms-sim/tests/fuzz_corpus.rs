//! The fuzz targets without a fuzzer: the corpus of `kms-sim/fuzz`, and mutations of it that are the same in every run.
//!
//! `KMS_SIM_FUZZ_INPUTS` says how many mutations of each target are tried; libFuzzer, where there is a nightly compiler,
//! finds better ones.

#![expect(
    clippy::indexing_slicing,
    reason = "places are drawn below the lengths"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use kms_sim::fuzzing::{Door, Ended};

/// What is in the corpus of a target, in the order of the names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&folder).expect("the corpus is there");
    let mut entries: Vec<_> = files
        .map(|file| {
            let path = file.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read(path).expect("a file"))
        })
        .collect();
    entries.sort();
    assert!(entries.len() > 4, "{}", folder.display());
    entries
}

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).expect("64 bits").max(1);
        usize::try_from(self.0 % bound).expect("below the bound")
    }
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

/// A few changes to one entry.
fn mutation(corpus: &[(String, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut entry = || corpus[random.below(corpus.len())].1.clone();
    let (mut input, other) = (entry(), entry());
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = at + random.below(input.len() - at + 1).min(16);
        match random.below(6) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => drop(input.drain(at..end)),
            2 => input.insert(at, u8::try_from(random.below(256)).expect("a byte")),
            3 => drop(input.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
            4 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again));
            }
            _ => {
                input.truncate(at);
                input.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
        }
    }
    input
}

/// Says which input it was that panicked.
struct Shown<'i>(&'i [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: {:?}", String::from_utf8_lossy(self.0));
        }
    }
}

fn run(target: &str, inputs: usize, one: impl Fn(&Door, &[u8])) {
    let inputs = match std::env::var("KMS_SIM_FUZZ_INPUTS") {
        Ok(number) => number.parse().expect("KMS_SIM_FUZZ_INPUTS is a number"),
        Err(_) => inputs,
    };
    let door = Door::new();
    let corpus = corpus(target);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mutations = (0..inputs).map(|_| mutation(&corpus, &mut random));
    for input in corpus
        .iter()
        .map(|(_, input)| input.clone())
        .chain(mutations)
    {
        let _shown = Shown(&input);
        let start = Instant::now();
        one(&door, &input);
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it took {:?}",
            start.elapsed()
        );
    }
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
