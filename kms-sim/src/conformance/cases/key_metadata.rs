//! GetKeyMetadata: what it tells of a key, and of one that is not there.

use super::super::answer::KeyMetadata;
use super::super::case::Check::{Refused, Story};
use super::super::case::{CLIENT_ERROR, Case, Finding, NO_KEY, Outcome, must, should};
use super::super::kit::Kit;
use super::{GET_KEY_METADATA, OPERATIONS};

pub(super) const CASES: &[Case] = &[
    must(
        "key-spec-is-aes-256",
        GET_KEY_METADATA,
        "keySpec of a 256-bit AES key is AES_256",
        Story(|kit| {
            let spec = metadata(kit)?.spec;
            holds(spec == "AES_256", || format!("keySpec is {spec}"))
        }),
    ),
    must(
        "key-usage-has-encrypt",
        GET_KEY_METADATA,
        "keyUsage of a key that encrypts has ENCRYPT, in upper case",
        Story(|kit| {
            let usage = metadata(kit)?.usage;
            let has = usage.iter().any(|usage| usage == "ENCRYPT");
            holds(has, || format!("keyUsage is {usage:?}"))
        }),
    ),
    must(
        "key-usage-has-decrypt",
        GET_KEY_METADATA,
        "keyUsage of a key that decrypts has DECRYPT, in upper case",
        Story(|kit| {
            let usage = metadata(kit)?.usage;
            let has = usage.iter().any(|usage| usage == "DECRYPT");
            holds(has, || format!("keyUsage is {usage:?}"))
        }),
    ),
    must(
        "key-usage-of-at-most-ten",
        GET_KEY_METADATA,
        "keyUsage has ten values at most",
        Story(|kit| {
            let count = metadata(kit)?.usage.len();
            holds(count <= 10, || format!("keyUsage has {count} values"))
        }),
    ),
    should(
        "key-usage-without-repetition",
        GET_KEY_METADATA,
        "keyUsage names each operation once",
        Story(|kit| {
            let usage = metadata(kit)?.usage;
            let unique: std::collections::BTreeSet<_> = usage.iter().collect();
            holds(unique.len() == usage.len(), || {
                format!("keyUsage is {usage:?}")
            })
        }),
    ),
    must(
        "key-status-is-enabled-or-disabled",
        GET_KEY_METADATA,
        "keyStatus is ENABLED or DISABLED, and of a key that works the former",
        Story(|kit| {
            let status = metadata(kit)?.status;
            holds(status == "ENABLED", || format!("keyStatus is {status}"))
        }),
    ),
    must(
        "key-metadata-is-stable",
        GET_KEY_METADATA,
        "a key is the same when it is asked for twice",
        Story(|kit| {
            let (first, second) = (metadata(kit)?, metadata(kit)?);
            let same = first.spec == second.spec && first.status == second.status;
            holds(same, || "two answers about one key differ".to_owned())
        }),
    ),
    must(
        "metadata-of-an-unknown-key",
        GET_KEY_METADATA,
        "a key that is not there is not found",
        Refused(
            |kit| Ok(kit.metadata_of(kit.target.unknown_key()).sign()),
            NO_KEY,
        ),
    ),
    must(
        "encrypt-with-an-unknown-key",
        OPERATIONS,
        "a key that is not there is not found, and not made",
        Story(|kit| {
            let unknown = kit.target.unknown_key();
            kit.refuse(Ok(kit.encrypt_with(unknown, b"x", None).sign()), NO_KEY)?;
            kit.refuse(Ok(kit.metadata_of(unknown).sign()), NO_KEY)
        }),
    ),
    must(
        "decrypt-with-an-unknown-key",
        OPERATIONS,
        "a key that is not there is not found",
        Refused(
            |kit| {
                let sealed = kit.sealed()?;
                Ok(kit.decrypt_with(kit.target.unknown_key(), &sealed).sign())
            },
            NO_KEY,
        ),
    ),
    must(
        "key-id-of-128-characters",
        OPERATIONS,
        "an external key id has up to 128 letters, digits, dashes, dots and underscores; one that is not there is not found",
        Refused(
            |kit| {
                let id = format!("no-such.key_{}", "K".repeat(116));
                Ok(kit.metadata_of(&id).sign())
            },
            NO_KEY,
        ),
    ),
    must(
        "key-id-of-129-characters",
        OPERATIONS,
        "an external key id has 128 characters at most",
        Refused(
            |kit| Ok(kit.metadata_of(&"k".repeat(129)).sign()),
            CLIENT_ERROR,
        ),
    ),
    must(
        "key-id-with-more-after-it",
        OPERATIONS,
        "an id names one key without ambiguity: the id of a key with a letter after it is another one",
        Refused(
            |kit| Ok(kit.metadata_of(&format!("{}x", kit.target.key_id)).sign()),
            NO_KEY,
        ),
    ),
    must(
        "key-id-cut-short",
        OPERATIONS,
        "an id names one key without ambiguity: its beginning is another one",
        Story(|kit| {
            let mut id = kit.target.key_id.clone();
            id.pop();
            if id.is_empty() {
                let why = "the key id has one character, and no id is shorter";
                return Err(Finding::Skipped(why.to_owned()));
            }
            kit.refuse(Ok(kit.metadata_of(&id).sign()), NO_KEY)
        }),
    ),
];

fn metadata(kit: &Kit<'_>) -> Result<KeyMetadata, Finding> {
    kit.send(&kit.metadata().sign())?.key_metadata()
}

/// Fails with what was found instead.
pub(super) fn holds(is_so: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    match is_so {
        true => Ok(()),
        false => Err(Finding::failed(otherwise())),
    }
}
