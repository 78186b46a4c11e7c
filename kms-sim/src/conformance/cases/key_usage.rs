//! Keys that do not do everything: for one usage alone, or disabled.

use xks_api::error::ErrorName;

use super::super::case::Check::{Refused, Story};
use super::super::case::{Case, Finding, Outcome, Refusal, must, should};
use super::super::kit::{AAD, Kit, PLAINTEXT};
use super::key_metadata::holds;
use super::{ENCRYPT, ERROR_CODES, GET_KEY_METADATA};

const USAGE: &[Refusal] = &[Refusal::Named(ErrorName::InvalidKeyUsage)];
const STATE: &[Refusal] = &[Refusal::Named(ErrorName::InvalidState)];

pub(super) const CASES: &[Case] = &[
    must(
        "encrypt-only-key-decrypts-nothing",
        ERROR_CODES,
        "a key without the usage DECRYPT does not decrypt",
        Refused(
            |kit| {
                let key = encrypt_only(kit)?;
                let sealed = kit.sealed()?;
                Ok(kit.decrypt_with(key, &sealed).sign())
            },
            USAGE,
        ),
    ),
    must(
        "encrypt-only-key-tells-its-usage",
        GET_KEY_METADATA,
        "keyUsage of a key that only encrypts has ENCRYPT and not DECRYPT",
        Story(|kit| {
            let key = encrypt_only(kit)?;
            usage_is(kit, key, "ENCRYPT", "DECRYPT")
        }),
    ),
    must(
        "encrypt-only-key-promises-nothing",
        ENCRYPT,
        "a key that cannot decrypt gives no CDIV, which promises a Decrypt: it answers without being asked for one, or not",
        Story(|kit| {
            let key = encrypt_only(kit)?;
            let draft = kit.encrypt_with(key, PLAINTEXT, Some(AAD));
            let answer = kit.send(&draft.sign())?;
            match answer.status {
                200 => answer.sealed(Some(AAD)).map(drop),
                _ => answer.refused(USAGE),
            }
        }),
    ),
    must(
        "decrypt-only-key-encrypts-nothing",
        ERROR_CODES,
        "a key without the usage ENCRYPT does not encrypt",
        Refused(
            |kit| {
                let key = decrypt_only(kit)?;
                Ok(kit.encrypt_with(key, PLAINTEXT, Some(AAD)).sign())
            },
            USAGE,
        ),
    ),
    must(
        "decrypt-only-key-tells-its-usage",
        GET_KEY_METADATA,
        "keyUsage of a key that only decrypts has DECRYPT and not ENCRYPT",
        Story(|kit| {
            let key = decrypt_only(kit)?;
            usage_is(kit, key, "DECRYPT", "ENCRYPT")
        }),
    ),
    must(
        "disabled-key-encrypts-nothing",
        ERROR_CODES,
        "a key that is disabled does not encrypt",
        Refused(
            |kit| {
                let key = disabled(kit)?;
                Ok(kit.encrypt_with(key, PLAINTEXT, Some(AAD)).sign())
            },
            STATE,
        ),
    ),
    must(
        "disabled-key-decrypts-nothing",
        ERROR_CODES,
        "a key that is disabled does not decrypt",
        Refused(
            |kit| {
                let key = disabled(kit)?;
                let sealed = kit.sealed()?;
                Ok(kit.decrypt_with(key, &sealed).sign())
            },
            STATE,
        ),
    ),
    should(
        "disabled-key-tells-its-status",
        GET_KEY_METADATA,
        "GetKeyMetadata of a key that is disabled says DISABLED, as DescribeKey shows it",
        Story(|kit| {
            let key = disabled(kit)?;
            let answer = kit.send(&kit.metadata_of(key).sign())?;
            let status = answer.key_metadata()?.status;
            holds(status == "DISABLED", || format!("keyStatus is {status}"))
        }),
    ),
];

fn encrypt_only<'k>(kit: &'k Kit<'_>) -> Result<&'k str, Finding> {
    let key = kit.target.more.encrypt_only_key.as_deref();
    key.ok_or_else(|| Finding::needs("--encrypt-only-key", "no key for ENCRYPT alone is known"))
}

fn decrypt_only<'k>(kit: &'k Kit<'_>) -> Result<&'k str, Finding> {
    let key = kit.target.more.decrypt_only_key.as_deref();
    key.ok_or_else(|| Finding::needs("--decrypt-only-key", "no key for DECRYPT alone is known"))
}

fn disabled<'k>(kit: &'k Kit<'_>) -> Result<&'k str, Finding> {
    let key = kit.target.more.disabled_key.as_deref();
    key.ok_or_else(|| Finding::needs("--disabled-key", "no key that is disabled is known"))
}

fn usage_is(kit: &Kit<'_>, key: &str, has: &str, lacks: &str) -> Outcome {
    let answer = kit.send(&kit.metadata_of(key).sign())?;
    let usage = answer.key_metadata()?.usage;
    let named = |name: &str| usage.iter().any(|usage| usage == name);
    holds(named(has) && !named(lacks), || {
        format!("keyUsage is {usage:?}")
    })
}
