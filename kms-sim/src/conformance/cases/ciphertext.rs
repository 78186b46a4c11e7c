//! Decrypt: a ciphertext opens as it was given, and in no other way.

use super::super::answer::Sealed;
use super::super::case::Check::{Refused, Story};
use super::super::case::{
    CIPHERTEXT, CIPHERTEXT_OR_INVALID, Case, Finding, INVALID_OR_UNSUPPORTED, Outcome, must, should,
};
use super::super::kit::{AAD, Kit, PLAINTEXT};
use super::encrypt::same;
use super::{DECRYPT, ENCRYPT, flip, flip_last, shorten};

const CHANGED_CIPHERTEXT: &str = "a ciphertext that was changed does not open";
const CHANGED_TAG: &str = "a tag that was changed opens nothing";
const CHANGED_IV: &str = "an initialization vector that was changed opens nothing";
const CHANGED_AAD: &str =
    "the AAD of Decrypt is that of Encrypt, else the ciphertext does not open";
const CHANGED_METADATA: &str = "ciphertextMetadata that was changed since Encrypt is noticed";
const REQUIRED: &str = "Decrypt needs ciphertext, initialization vector, tag and algorithm";

pub(super) const CASES: &[Case] = &[
    must(
        "decrypt-twice",
        DECRYPT,
        "a ciphertext opens as often as it is asked for",
        Story(|kit| {
            let sealed = kit.sealed()?;
            same(&kit.open(&sealed)?, PLAINTEXT)?;
            same(&kit.open(&sealed)?, PLAINTEXT)
        }),
    ),
    must(
        "ciphertext-first-bit-flipped",
        DECRYPT,
        CHANGED_CIPHERTEXT,
        Refused(
            |kit| kit.tampered(|sealed| flip(&mut sealed.ciphertext, 0)),
            CIPHERTEXT,
        ),
    ),
    must(
        "ciphertext-last-bit-flipped",
        DECRYPT,
        CHANGED_CIPHERTEXT,
        Refused(
            |kit| kit.tampered(|sealed| flip_last(&mut sealed.ciphertext)),
            CIPHERTEXT,
        ),
    ),
    must(
        "ciphertext-each-byte-changed",
        DECRYPT,
        CHANGED_CIPHERTEXT,
        Story(|kit| each_byte(kit, |sealed| &mut sealed.ciphertext)),
    ),
    must(
        "ciphertext-a-byte-too-short",
        DECRYPT,
        "a ciphertext without its last byte does not open",
        Refused(
            |kit| kit.tampered(|sealed| shorten(&mut sealed.ciphertext)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "ciphertext-a-byte-too-long",
        DECRYPT,
        "a ciphertext with a byte after it does not open",
        Refused(
            |kit| kit.tampered(|sealed| sealed.ciphertext.push(0)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "ciphertext-empty",
        DECRYPT,
        "a ciphertext that lost all its bytes does not open",
        Refused(
            |kit| kit.tampered(|sealed| sealed.ciphertext.clear()),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "ciphertext-with-its-halves-swapped",
        DECRYPT,
        CHANGED_CIPHERTEXT,
        Refused(
            |kit| kit.tampered(|sealed| sealed.ciphertext.rotate_left(16)),
            CIPHERTEXT,
        ),
    ),
    must(
        "ciphertext-with-the-tag-after-it",
        DECRYPT,
        "the tag does not belong to the ciphertext, also if it is the right one",
        Refused(
            |kit| {
                kit.tampered(|sealed| {
                    let tag = sealed.tag.clone();
                    sealed.ciphertext.extend(tag);
                })
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "ciphertext-that-nobody-made",
        DECRYPT,
        "bytes that no Encrypt gave do not open",
        Refused(
            |kit| {
                kit.tampered(|sealed| {
                    for byte in &mut sealed.ciphertext {
                        *byte = 0x5a;
                    }
                })
            },
            CIPHERTEXT,
        ),
    ),
    must(
        "tag-first-bit-flipped",
        DECRYPT,
        CHANGED_TAG,
        Refused(
            |kit| kit.tampered(|sealed| flip(&mut sealed.tag, 0)),
            CIPHERTEXT,
        ),
    ),
    must(
        "tag-last-bit-flipped",
        DECRYPT,
        "all 16 bytes of the tag count, to the last bit",
        Refused(
            |kit| kit.tampered(|sealed| flip_last(&mut sealed.tag)),
            CIPHERTEXT,
        ),
    ),
    must(
        "tag-each-byte-changed",
        DECRYPT,
        CHANGED_TAG,
        Story(|kit| each_byte(kit, |sealed| &mut sealed.tag)),
    ),
    must(
        "tag-of-zeros",
        DECRYPT,
        CHANGED_TAG,
        Refused(
            |kit| kit.tampered(|sealed| sealed.tag = vec![0; 16]),
            CIPHERTEXT,
        ),
    ),
    must(
        "tag-of-15-bytes",
        DECRYPT,
        "a tag has 16 bytes: the beginning of the right one is none",
        Refused(
            |kit| kit.tampered(|sealed| sealed.tag.truncate(15)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "tag-of-12-bytes",
        DECRYPT,
        "a tag has 16 bytes: one that AES-GCM knows but the specification does not is refused",
        Refused(
            |kit| kit.tampered(|sealed| sealed.tag.truncate(12)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "tag-of-4-bytes",
        DECRYPT,
        "a tag has 16 bytes: one that can be guessed is refused",
        Refused(
            |kit| kit.tampered(|sealed| sealed.tag.truncate(4)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "tag-empty",
        DECRYPT,
        "a tag has 16 bytes: an empty one is refused",
        Refused(
            |kit| kit.tampered(|sealed| sealed.tag.clear()),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "tag-of-17-bytes",
        DECRYPT,
        "a tag has 16 bytes, and none after them",
        Refused(
            |kit| kit.tampered(|sealed| sealed.tag.push(0)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "tag-of-another-ciphertext",
        DECRYPT,
        "the tag of one ciphertext does not open another one",
        Story(|kit| swapped(kit, |sealed, other| sealed.tag = other.tag.clone())),
    ),
    must(
        "iv-first-bit-flipped",
        DECRYPT,
        CHANGED_IV,
        Refused(
            |kit| kit.tampered(|sealed| flip(&mut sealed.iv, 0)),
            CIPHERTEXT,
        ),
    ),
    must(
        "iv-each-byte-changed",
        DECRYPT,
        CHANGED_IV,
        Story(|kit| each_byte(kit, |sealed| &mut sealed.iv)),
    ),
    must(
        "iv-of-zeros",
        DECRYPT,
        CHANGED_IV,
        Refused(
            |kit| {
                kit.tampered(|sealed| {
                    for byte in &mut sealed.iv {
                        *byte = 0;
                    }
                })
            },
            CIPHERTEXT,
        ),
    ),
    must(
        "iv-a-byte-too-short",
        DECRYPT,
        "an initialization vector has 12 or 16 bytes, and all of them count",
        Refused(
            |kit| kit.tampered(|sealed| shorten(&mut sealed.iv)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "iv-a-byte-too-long",
        DECRYPT,
        "an initialization vector has 12 or 16 bytes",
        Refused(
            |kit| kit.tampered(|sealed| sealed.iv.push(0)),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "iv-of-the-other-length",
        DECRYPT,
        "an initialization vector of the other permitted length is another one",
        Refused(
            |kit| {
                kit.tampered(|sealed| {
                    let other = if sealed.iv.len() == 12 { 16 } else { 12 };
                    sealed.iv.resize(other, 0);
                })
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "iv-empty",
        DECRYPT,
        "an initialization vector has 12 or 16 bytes, and not none",
        Refused(
            |kit| kit.tampered(|sealed| sealed.iv.clear()),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "iv-of-another-ciphertext",
        DECRYPT,
        "the initialization vector of one ciphertext does not open another one",
        Story(|kit| swapped(kit, |sealed, other| sealed.iv = other.iv.clone())),
    ),
    must(
        "aad-one-bit-flipped",
        DECRYPT,
        CHANGED_AAD,
        Refused(
            |kit| {
                kit.tampered(|sealed| {
                    if let Some(aad) = &mut sealed.aad {
                        flip(aad, 7);
                    }
                })
            },
            CIPHERTEXT,
        ),
    ),
    must(
        "aad-left-out",
        DECRYPT,
        CHANGED_AAD,
        Refused(|kit| kit.tampered(|sealed| sealed.aad = None), CIPHERTEXT),
    ),
    must(
        "aad-emptied",
        DECRYPT,
        CHANGED_AAD,
        Refused(
            |kit| kit.tampered(|sealed| sealed.aad = Some(Vec::new())),
            CIPHERTEXT,
        ),
    ),
    must(
        "aad-a-byte-too-short",
        DECRYPT,
        CHANGED_AAD,
        Refused(
            |kit| kit.tampered(|sealed| shorten(sealed.aad.get_or_insert_default())),
            CIPHERTEXT,
        ),
    ),
    must(
        "aad-a-byte-too-long",
        DECRYPT,
        CHANGED_AAD,
        Refused(
            |kit| {
                kit.tampered(|sealed| {
                    if let Some(aad) = &mut sealed.aad {
                        aad.push(0);
                    }
                })
            },
            CIPHERTEXT,
        ),
    ),
    must(
        "aad-added-to-a-ciphertext-without-one",
        DECRYPT,
        "a ciphertext that was made without an AAD does not open with one",
        Story(|kit| {
            let mut sealed = kit.seal(PLAINTEXT, None)?;
            sealed.aad = Some(AAD.to_vec());
            kit.refuse(Ok(kit.decrypt(&sealed).sign()), CIPHERTEXT)
        }),
    ),
    must(
        "aad-in-other-letters",
        DECRYPT,
        "the AAD is bytes: upper and lower case differ",
        Refused(
            |kit| kit.tampered(|sealed| sealed.aad = Some(AAD.to_ascii_uppercase())),
            CIPHERTEXT,
        ),
    ),
    must(
        "ciphertext-metadata-each-byte-changed",
        DECRYPT,
        CHANGED_METADATA,
        Story(|kit| {
            kit.ciphertext_metadata()?;
            each_byte(kit, |sealed| sealed.metadata.get_or_insert_default())
        }),
    ),
    must(
        "ciphertext-metadata-left-out",
        DECRYPT,
        CHANGED_METADATA,
        Story(|kit| {
            kit.ciphertext_metadata()?;
            let refused = kit.tampered(|sealed| sealed.metadata = None);
            kit.refuse(refused, CIPHERTEXT_OR_INVALID)
        }),
    ),
    must(
        "ciphertext-metadata-a-byte-too-short",
        DECRYPT,
        CHANGED_METADATA,
        Story(|kit| {
            kit.ciphertext_metadata()?;
            let refused = kit.tampered(|sealed| {
                shorten(sealed.metadata.get_or_insert_default());
            });
            kit.refuse(refused, CIPHERTEXT_OR_INVALID)
        }),
    ),
    must(
        "ciphertext-metadata-filled-up-to-20-bytes",
        DECRYPT,
        CHANGED_METADATA,
        Story(|kit| {
            if kit.ciphertext_metadata()?.len() == 20 {
                return Err(Finding::Skipped(
                    "the proxy's ciphertextMetadata has 20 bytes already".to_owned(),
                ));
            }
            let refused = kit.tampered(|sealed| {
                sealed.metadata.get_or_insert_default().resize(20, 0);
            });
            kit.refuse(refused, CIPHERTEXT_OR_INVALID)
        }),
    ),
    must(
        "ciphertext-metadata-of-21-bytes",
        DECRYPT,
        "ciphertextMetadata has at most 20 bytes",
        Refused(
            |kit| kit.tampered(|sealed| sealed.metadata = Some(vec![b'm'; 21])),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "ciphertext-metadata-of-another-kind",
        DECRYPT,
        "ciphertextMetadata that the proxy never gave is noticed, also if it gives none",
        Refused(
            |kit| {
                kit.tampered(|sealed| {
                    sealed.metadata = Some(match &sealed.metadata {
                        Some(given) if *given == b"conformance" => b"confirmation".to_vec(),
                        _ => b"conformance".to_vec(),
                    });
                })
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "border-of-aad-and-metadata-lost",
        ENCRYPT,
        "metadata that is passed as the AAD, and not as metadata, opens nothing: lengths are part of the AAD",
        Story(|kit| {
            kit.ciphertext_metadata()?;
            let mut sealed = kit.seal(PLAINTEXT, None)?;
            sealed.aad = sealed.metadata.take();
            kit.refuse(Ok(kit.decrypt(&sealed).sign()), CIPHERTEXT_OR_INVALID)
        }),
    ),
    must(
        "border-of-aad-and-metadata-moved",
        ENCRYPT,
        "a byte that moves from the metadata to the end of the AAD is noticed: lengths are part of the AAD",
        Story(|kit| {
            kit.ciphertext_metadata()?;
            let refused = kit.tampered(|sealed| {
                let metadata = sealed.metadata.get_or_insert_default();
                let first = metadata.remove(0);
                sealed.aad.get_or_insert_default().push(first);
            });
            kit.refuse(refused, CIPHERTEXT_OR_INVALID)
        }),
    ),
    must(
        "fields-of-two-ciphertexts-mixed",
        DECRYPT,
        "a ciphertext with the vector and tag of another one does not open",
        Story(|kit| {
            swapped(kit, |sealed, other| {
                sealed.iv = other.iv.clone();
                sealed.tag = other.tag.clone();
                sealed.metadata = other.metadata.clone();
            })
        }),
    ),
    must(
        "ciphertext-of-another-key",
        DECRYPT,
        "a ciphertext opens with the key that made it and with no other one",
        Story(|kit| match &kit.target.more.other_key {
            Some(other) => {
                let sealed = kit.sealed()?;
                kit.refuse(Ok(kit.decrypt_with(other, &sealed).sign()), CIPHERTEXT)
            }
            None => Err(Finding::needs("--other-key-id", "no second key is known")),
        }),
    ),
    must(
        "decrypt-without-ciphertext",
        DECRYPT,
        REQUIRED,
        Refused(
            |kit| Ok(kit.decrypt(&kit.sealed()?).without("ciphertext").sign()),
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-without-iv",
        DECRYPT,
        REQUIRED,
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft.without("initializationVector").sign())
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-without-tag",
        DECRYPT,
        REQUIRED,
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft.without("authenticationTag").sign())
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-without-algorithm",
        DECRYPT,
        REQUIRED,
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft.without("encryptionAlgorithm").sign())
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-with-another-algorithm",
        DECRYPT,
        "encryptionAlgorithm is AES_GCM and nothing else",
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft.set("encryptionAlgorithm", "AES_CTR").sign())
            },
            INVALID_OR_UNSUPPORTED,
        ),
    ),
    must(
        "decrypt-with-tag-null",
        DECRYPT,
        REQUIRED,
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft
                    .set("authenticationTag", serde_json::Value::Null)
                    .sign())
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-with-iv-a-number",
        DECRYPT,
        "an initialization vector is a string",
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft.set("initializationVector", 12).sign())
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-with-ciphertext-an-object",
        DECRYPT,
        "a ciphertext is a string",
        Refused(
            |kit| {
                let draft = kit.decrypt(&kit.sealed()?);
                Ok(draft.set("ciphertext", serde_json::json!({})).sign())
            },
            CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "ciphertext-opens-after-refusals",
        DECRYPT,
        "ciphertexts that do not open do no harm to the key: the genuine one opens after them",
        Story(|kit| {
            for _ in 0..3 {
                let refused = kit.tampered(|sealed| flip(&mut sealed.tag, 3));
                kit.refuse(refused, CIPHERTEXT)?;
            }
            same(&kit.open(&kit.sealed()?)?, PLAINTEXT)
        }),
    ),
    should(
        "refusals-do-not-tell-why",
        DECRYPT,
        "a changed ciphertext, tag and AAD get one and the same answer, so that nobody learns from it",
        Story(|kit| {
            let mut bodies = Vec::new();
            for wire in [
                kit.tampered(|sealed| flip(&mut sealed.ciphertext, 1)),
                kit.tampered(|sealed| flip(&mut sealed.tag, 1)),
                kit.tampered(|sealed| sealed.aad = Some(b"other".to_vec())),
            ] {
                let answer = kit.send(&wire?)?;
                answer.refused(CIPHERTEXT)?;
                bodies.push(answer.body);
            }
            match bodies.windows(2).all(|pair| pair.first() == pair.last()) {
                true => Ok(()),
                false => Err(Finding::failed("the bodies of the three refusals differ")),
            }
        }),
    ),
];

/// Each byte of a field changed in turn must be noticed.
fn each_byte(kit: &Kit<'_>, field: fn(&mut Sealed) -> &mut Vec<u8>) -> Outcome {
    let len = field(&mut kit.sealed()?).len();
    for at in 0..len {
        let changed = kit.tampered(|sealed| flip(field(sealed), at));
        kit.refuse(changed, CIPHERTEXT_OR_INVALID)?;
    }
    Ok(())
}

/// A ciphertext with a field of another one must not open.
fn swapped(kit: &Kit<'_>, swap: fn(&mut Sealed, &Sealed)) -> Outcome {
    let other = kit.seal(PLAINTEXT, Some(AAD))?;
    let refused = kit.tampered(|sealed| swap(sealed, &other));
    kit.refuse(refused, CIPHERTEXT)
}
