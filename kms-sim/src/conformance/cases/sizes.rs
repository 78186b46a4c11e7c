//! Sizes: at and around each limit, and where a length takes another block or another byte.

use super::super::case::Check::Story;
use super::super::case::{Case, Finding, Outcome, must, should};
use super::super::kit::Kit;
use super::cdiv::taken_by_kms;
use super::{DECRYPT, ENCRYPT};

const BLOCKS: &str = "plaintexts around the blocks of AES come back, none padded and none cut";
const DATA_KEYS: &str = "data keys of every length that KMS generates are wrapped and unwrapped";
const UP_TO_4300: &str = "plaintexts of up to 4,300 bytes are taken";
const AAD_BLOCKS: &str = "an AAD of any length around the blocks of AES is taken";
const AAD_LENGTH: &str =
    "an AAD whose length needs two bytes is taken, and framed in the right order";
const UP_TO_8192: &str = "an AAD of up to 8,192 bytes is taken";
const BEYOND: &str = "more than the specification asks for is either taken or refused with an error of its table, and harms nothing";

pub(super) const CASES: &[Case] = &[
    must(
        "plaintext-of-1-byte",
        ENCRYPT,
        BLOCKS,
        Story(|kit| size(kit, 1, 33)),
    ),
    must(
        "plaintext-of-15-bytes",
        ENCRYPT,
        BLOCKS,
        Story(|kit| size(kit, 15, 33)),
    ),
    must(
        "plaintext-of-16-bytes",
        ENCRYPT,
        DATA_KEYS,
        Story(|kit| size(kit, 16, 33)),
    ),
    must(
        "plaintext-of-17-bytes",
        ENCRYPT,
        BLOCKS,
        Story(|kit| size(kit, 17, 33)),
    ),
    must(
        "plaintext-of-32-bytes",
        ENCRYPT,
        DATA_KEYS,
        Story(|kit| size(kit, 32, 33)),
    ),
    must(
        "plaintext-of-64-bytes",
        ENCRYPT,
        DATA_KEYS,
        Story(|kit| size(kit, 64, 33)),
    ),
    must(
        "plaintext-of-255-bytes",
        ENCRYPT,
        BLOCKS,
        Story(|kit| size(kit, 255, 0)),
    ),
    must(
        "plaintext-of-256-bytes",
        ENCRYPT,
        BLOCKS,
        Story(|kit| size(kit, 256, 0)),
    ),
    must(
        "plaintext-of-257-bytes",
        ENCRYPT,
        BLOCKS,
        Story(|kit| size(kit, 257, 0)),
    ),
    must(
        "plaintext-of-1024-bytes",
        ENCRYPT,
        DATA_KEYS,
        Story(|kit| size(kit, 1024, 33)),
    ),
    must(
        "plaintext-of-4096-bytes",
        ENCRYPT,
        "the longest plaintext of KMS's Encrypt, of 4,096 bytes, is taken",
        Story(|kit| size(kit, 4096, 33)),
    ),
    must(
        "plaintext-of-4097-bytes",
        ENCRYPT,
        UP_TO_4300,
        Story(|kit| size(kit, 4097, 33)),
    ),
    must(
        "plaintext-of-4299-bytes",
        ENCRYPT,
        UP_TO_4300,
        Story(|kit| size(kit, 4299, 33)),
    ),
    must(
        "plaintext-of-4300-bytes",
        ENCRYPT,
        UP_TO_4300,
        Story(|kit| size(kit, 4300, 33)),
    ),
    must(
        "ciphertext-of-4300-bytes",
        DECRYPT,
        "a ciphertext of 4,300 bytes without an AAD opens",
        Story(|kit| size(kit, 4300, 0)),
    ),
    must(
        "aad-of-1-byte",
        ENCRYPT,
        AAD_BLOCKS,
        Story(|kit| size(kit, 32, 1)),
    ),
    must(
        "aad-of-15-bytes",
        ENCRYPT,
        AAD_BLOCKS,
        Story(|kit| size(kit, 32, 15)),
    ),
    must(
        "aad-of-16-bytes",
        ENCRYPT,
        AAD_BLOCKS,
        Story(|kit| size(kit, 32, 16)),
    ),
    must(
        "aad-of-17-bytes",
        ENCRYPT,
        AAD_BLOCKS,
        Story(|kit| size(kit, 32, 17)),
    ),
    must(
        "aad-of-255-bytes",
        ENCRYPT,
        AAD_LENGTH,
        Story(|kit| size(kit, 32, 255)),
    ),
    must(
        "aad-of-256-bytes",
        ENCRYPT,
        AAD_LENGTH,
        Story(|kit| size(kit, 32, 256)),
    ),
    must(
        "aad-of-257-bytes",
        ENCRYPT,
        AAD_LENGTH,
        Story(|kit| size(kit, 32, 257)),
    ),
    must(
        "aad-of-4096-bytes",
        ENCRYPT,
        UP_TO_8192,
        Story(|kit| size(kit, 32, 4096)),
    ),
    must(
        "aad-of-8191-bytes",
        ENCRYPT,
        UP_TO_8192,
        Story(|kit| size(kit, 32, 8191)),
    ),
    must(
        "aad-of-8192-bytes",
        ENCRYPT,
        UP_TO_8192,
        Story(|kit| size(kit, 32, 8192)),
    ),
    must(
        "plaintext-and-aad-at-their-limits",
        ENCRYPT,
        "4,300 bytes of plaintext with 8,192 of AAD are taken in one request",
        Story(|kit| size(kit, 4300, 8192)),
    ),
    must(
        "plaintext-of-1-byte-with-the-longest-aad",
        ENCRYPT,
        "the limits are independent of each other",
        Story(|kit| size(kit, 1, 8192)),
    ),
    should(
        "plaintext-empty",
        ENCRYPT,
        BEYOND,
        Story(|kit| beyond(kit, 0, 33)),
    ),
    should(
        "plaintext-of-4301-bytes",
        ENCRYPT,
        BEYOND,
        Story(|kit| beyond(kit, 4301, 33)),
    ),
    should(
        "plaintext-of-16384-bytes",
        ENCRYPT,
        BEYOND,
        Story(|kit| beyond(kit, 16_384, 33)),
    ),
    should(
        "aad-of-8193-bytes",
        ENCRYPT,
        BEYOND,
        Story(|kit| beyond(kit, 32, 8193)),
    ),
    should(
        "aad-of-65535-bytes",
        ENCRYPT,
        BEYOND,
        Story(|kit| beyond(kit, 32, 65_535)),
    ),
    should(
        "aad-of-65536-bytes",
        ENCRYPT,
        "an AAD whose length does not fit into the two bytes that frame it is refused, or else still told from another one",
        Story(|kit| beyond(kit, 32, 65_536)),
    ),
];

fn size(kit: &Kit<'_>, plaintext: usize, aad: usize) -> Outcome {
    let aad = (aad > 0).then(|| pattern(aad, 31));
    taken_by_kms(kit, &pattern(plaintext, 7), aad.as_deref())
}

/// Taken whole, or refused by name; and what KMS needs goes on working.
fn beyond(kit: &Kit<'_>, plaintext: usize, aad: usize) -> Outcome {
    let (plaintext, aad) = (pattern(plaintext, 7), pattern(aad, 31));
    let answer = kit.send(&kit.encrypt_of(&plaintext, Some(&aad)).sign())?;
    match answer.status {
        200 => taken_by_kms(kit, &plaintext, Some(&aad))?,
        400 | 413 | 501 => {}
        _ => {
            return Err(Finding::failed(format!(
                "expected 200, 400 ValidationException or 501 UnsupportedOperationException; got {}",
                answer.summary()
            )));
        }
    }
    size(kit, 32, 33)
}

/// Bytes of which no two neighbours are equal.
fn pattern(len: usize, factor: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from(at * factor % 251).unwrap_or_default();
    (0..len).map(byte).collect()
}
