//! The corpora of fuzz targets, and mutations of them that are the same in every run: fuzzing where there is no fuzzer.

use std::path::Path;
use std::time::{Duration, Instant};

/// What is in the corpus of a target, in the order of the names.
pub fn corpus(crate_folder: &Path, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = crate_folder.join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("the corpus is there");
    let mut entries: Vec<_> = files
        .map(|file| {
            let path = file.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let name = name.into_owned();
            (name, std::fs::read(path).expect("a file"))
        })
        // What a fuzzer has found on this machine has a hash for its name.
        .filter(|(name, _)| name.len() < 40)
        .collect();
    entries.sort();
    assert!(entries.len() > 4, "{}", folder.display());
    entries
}

/// Tries every entry of a corpus, and as many mutations of it as the variable says, or `inputs`.
///
/// `tokens` are what means something in an input. An input that makes `one` panic is told.
pub fn fuzz(
    corpus: &[(String, Vec<u8>)],
    tokens: &[&str],
    (variable, inputs): (&str, usize),
    one: impl Fn(&[u8]),
) {
    let inputs = match std::env::var(variable) {
        Ok(number) => number
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => inputs,
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mutations = (0..inputs).map(|_| mutation(corpus, tokens, &mut random));
    for input in corpus
        .iter()
        .map(|(_, input)| input.clone())
        .chain(mutations)
    {
        let _shown = Shown(&input);
        let start = Instant::now();
        one(&input);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(60), "it took {took:?}");
    }
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

/// A few changes to one entry.
fn mutation(corpus: &[(String, Vec<u8>)], tokens: &[&str], random: &mut Random) -> Vec<u8> {
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
            3 => drop(input.splice(at..at, tokens[random.below(tokens.len())].bytes())),
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
