//! Encrypt: what it gives back, and what it does not take.

use super::super::case::Check::{Refused, Served, Story};
use super::super::case::{Case, Finding, INVALID, INVALID_OR_UNSUPPORTED, Outcome, must, should};
use super::super::kit::{AAD, Kit, PLAINTEXT};
use super::ENCRYPT;

pub(super) const CASES: &[Case] = &[
    must(
        "encrypt-and-decrypt",
        ENCRYPT,
        "what Encrypt gives, Decrypt turns back into the plaintext",
        Story(|kit| round_trip(kit, PLAINTEXT, Some(AAD))),
    ),
    must(
        "encrypt-without-aad",
        ENCRYPT,
        "additionalAuthenticatedData is optional, for Encrypt and for the Decrypt of its ciphertext",
        Story(|kit| round_trip(kit, PLAINTEXT, None)),
    ),
    must(
        "encrypt-without-asking-for-a-cdiv",
        ENCRYPT,
        "ciphertextDataIntegrityValueAlgorithm is optional",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .without("ciphertextDataIntegrityValueAlgorithm")
                .sign())
        }),
    ),
    must(
        "ciphertext-as-long-as-the-plaintext",
        ENCRYPT,
        "the ciphertext has the length of the plaintext, with the tag apart from it",
        Story(|kit| {
            for len in [1, 16, 31, 100] {
                let plaintext = vec![b'x'; len];
                let sealed = kit.seal(&plaintext, Some(AAD))?;
                if sealed.ciphertext.len() != len {
                    return Err(Finding::failed(format!(
                        "{} bytes of ciphertext for {len} of plaintext",
                        sealed.ciphertext.len()
                    )));
                }
            }
            Ok(())
        }),
    ),
    must(
        "ciphertext-is-not-the-plaintext",
        ENCRYPT,
        "the ciphertext is AES-GCM's, not the plaintext under another name",
        Story(
            |kit| match kit.seal(PLAINTEXT, None)?.ciphertext == PLAINTEXT {
                false => Ok(()),
                true => Err(Finding::failed("the ciphertext is the plaintext")),
            },
        ),
    ),
    must(
        "iv-of-12-or-16-bytes",
        ENCRYPT,
        "the initializationVector has 12 or 16 bytes",
        Served(|kit| Ok(kit.encrypt().sign())),
    ),
    must(
        "tag-of-16-bytes",
        ENCRYPT,
        "the authenticationTag has 16 bytes, whatever the length of the plaintext",
        Served(|kit| Ok(kit.encrypt_of(b"1", None).sign())),
    ),
    must(
        "ciphertext-metadata-of-at-most-20-bytes",
        ENCRYPT,
        "ciphertextMetadata, if there is any, has at most 20 bytes; KMS refuses more",
        Served(|kit| Ok(kit.encrypt_of(PLAINTEXT, None).sign())),
    ),
    must(
        "iv-is-not-repeated",
        ENCRYPT,
        "AES-GCM must not use an initialization vector twice with the same key",
        Story(|kit| {
            let mut seen: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
            for _ in 0..16 {
                let sealed = kit.seal(PLAINTEXT, Some(AAD))?;
                // Where the metadata names a message key, the two together count.
                let used = (sealed.iv, sealed.metadata);
                if seen.contains(&used) {
                    return Err(Finding::failed(
                        "two of 16 ciphertexts have the same initializationVector",
                    ));
                }
                seen.push(used);
            }
            Ok(())
        }),
    ),
    must(
        "same-plaintext-different-ciphertext",
        ENCRYPT,
        "the same plaintext gives another ciphertext each time",
        Story(|kit| {
            let (first, second) = (kit.seal(PLAINTEXT, None)?, kit.seal(PLAINTEXT, None)?);
            match first.ciphertext == second.ciphertext {
                false => Ok(()),
                true => Err(Finding::failed(
                    "two ciphertexts of one plaintext are equal",
                )),
            }
        }),
    ),
    must(
        "tag-depends-on-the-aad",
        ENCRYPT,
        "the AAD is the AAD of AES-GCM: a ciphertext made with one does not open with another of the same length",
        Story(|kit| {
            let mut sealed = kit.seal(PLAINTEXT, Some(b"purpose=one"))?;
            sealed.aad = Some(b"purpose=two".to_vec());
            kit.refuse(
                Ok(kit.decrypt(&sealed).sign()),
                super::super::case::CIPHERTEXT,
            )
        }),
    ),
    must(
        "plaintext-of-every-byte",
        ENCRYPT,
        "the plaintext is bytes, not text: every value from 0 to 255 comes back",
        Story(|kit| {
            let every: Vec<u8> = (0..=255).collect();
            round_trip(kit, &every, Some(AAD))
        }),
    ),
    must(
        "aad-of-every-byte",
        ENCRYPT,
        "the AAD is bytes, not text: every value from 0 to 255 is taken",
        Story(|kit| {
            let every: Vec<u8> = (0..=255).collect();
            round_trip(kit, PLAINTEXT, Some(&every))
        }),
    ),
    must(
        "plaintext-of-zeros",
        ENCRYPT,
        "a plaintext of zeros comes back as long as it was",
        Story(|kit| round_trip(kit, &[0; 48], None)),
    ),
    should(
        "aad-empty-is-aad-missing",
        ENCRYPT,
        "an empty AAD counts as none: its length is zero in both cases",
        Story(|kit| {
            let mut sealed = kit.seal(PLAINTEXT, Some(b""))?;
            sealed.aad = None;
            let opened = kit.open(&sealed)?;
            same(&opened, PLAINTEXT)
        }),
    ),
    must(
        "plaintext-missing",
        ENCRYPT,
        "plaintext is required",
        Refused(|kit| Ok(kit.encrypt().without("plaintext").sign()), INVALID),
    ),
    must(
        "plaintext-null",
        ENCRYPT,
        "plaintext is a string, and not null",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .set("plaintext", serde_json::Value::Null)
                    .sign())
            },
            INVALID,
        ),
    ),
    must(
        "plaintext-a-number",
        ENCRYPT,
        "plaintext is a string, and no number",
        Refused(
            |kit| Ok(kit.encrypt().set("plaintext", 1234).sign()),
            INVALID,
        ),
    ),
    must(
        "plaintext-a-list",
        ENCRYPT,
        "plaintext is a string, and no list of bytes",
        Refused(
            |kit| Ok(kit.encrypt().set("plaintext", vec![1, 2, 3, 4]).sign()),
            INVALID,
        ),
    ),
    must(
        "encryption-algorithm-missing",
        ENCRYPT,
        "encryptionAlgorithm is required",
        Refused(
            |kit| Ok(kit.encrypt().without("encryptionAlgorithm").sign()),
            INVALID,
        ),
    ),
    must(
        "encryption-algorithm-of-another-mode",
        ENCRYPT,
        "encryptionAlgorithm is AES_GCM and nothing else",
        Refused(
            |kit| Ok(kit.encrypt().set("encryptionAlgorithm", "AES_CBC").sign()),
            INVALID_OR_UNSUPPORTED,
        ),
    ),
    must(
        "encryption-algorithm-in-lower-case",
        ENCRYPT,
        "encryptionAlgorithm is AES_GCM in these letters",
        Refused(
            |kit| Ok(kit.encrypt().set("encryptionAlgorithm", "aes_gcm").sign()),
            INVALID_OR_UNSUPPORTED,
        ),
    ),
    must(
        "encryption-algorithm-empty",
        ENCRYPT,
        "encryptionAlgorithm is not empty",
        Refused(
            |kit| Ok(kit.encrypt().set("encryptionAlgorithm", "").sign()),
            INVALID_OR_UNSUPPORTED,
        ),
    ),
    must(
        "encryption-algorithm-a-number",
        ENCRYPT,
        "encryptionAlgorithm is a string",
        Refused(
            |kit| Ok(kit.encrypt().set("encryptionAlgorithm", 1).sign()),
            INVALID,
        ),
    ),
    must(
        "aad-a-number",
        ENCRYPT,
        "additionalAuthenticatedData is a string",
        Refused(
            |kit| Ok(kit.encrypt().set("additionalAuthenticatedData", 7).sign()),
            INVALID,
        ),
    ),
    must(
        "cdiv-algorithm-of-another-hash",
        ENCRYPT,
        "ciphertextDataIntegrityValueAlgorithm is SHA_256; a value with another hash is not made up",
        Refused(
            |kit| {
                let name = "ciphertextDataIntegrityValueAlgorithm";
                Ok(kit.encrypt().set(name, "SHA_512").sign())
            },
            INVALID_OR_UNSUPPORTED,
        ),
    ),
    must(
        "cdiv-algorithm-in-lower-case",
        ENCRYPT,
        "ciphertextDataIntegrityValueAlgorithm is SHA_256 in these letters",
        Refused(
            |kit| {
                let name = "ciphertextDataIntegrityValueAlgorithm";
                Ok(kit.encrypt().set(name, "sha_256").sign())
            },
            INVALID_OR_UNSUPPORTED,
        ),
    ),
    must(
        "cdiv-algorithm-a-boolean",
        ENCRYPT,
        "ciphertextDataIntegrityValueAlgorithm is a string",
        Refused(
            |kit| {
                let name = "ciphertextDataIntegrityValueAlgorithm";
                Ok(kit.encrypt().set(name, true).sign())
            },
            INVALID,
        ),
    ),
];

/// Encrypts and decrypts, and compares.
pub(super) fn round_trip(kit: &Kit<'_>, plaintext: &[u8], aad: Option<&[u8]>) -> Outcome {
    let sealed = kit.seal(plaintext, aad)?;
    same(&kit.open(&sealed)?, plaintext)
}

/// Fails unless Decrypt gave what Encrypt was given.
pub(super) fn same(opened: &[u8], plaintext: &[u8]) -> Outcome {
    match opened == plaintext {
        true => Ok(()),
        false => Err(Finding::failed(format!(
            "Decrypt gave another plaintext: {} bytes in place of {}, or other ones",
            opened.len(),
            plaintext.len()
        ))),
    }
}
