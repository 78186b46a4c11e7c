//! Mutants whose answers are wrong.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{Mutant, answers, changed, text_of, verb};
use crate::defect::Defect;
use crate::stub_proxy::{Call, Reply};

pub(super) const MUTANTS: &[Mutant] = &[
    answers(
        "gives an IV of 13 bytes",
        |call| defect(call, Defect::IvLength),
        &[
            "iv-of-12-or-16-bytes",
            "encrypt-and-decrypt",
            "cdiv-over-all-fields",
        ],
    ),
    answers(
        "gives a tag of 15 bytes",
        |call| defect(call, Defect::TagLength),
        &["tag-of-16-bytes"],
    ),
    answers(
        "gives metadata of 21 bytes",
        |call| defect(call, Defect::OversizeMetadata),
        &["ciphertext-metadata-of-at-most-20-bytes"],
    ),
    answers(
        "leaves the tag at the end of the ciphertext",
        |call| {
            changed(call, "encrypt", |body| {
                let field = |name: &str| {
                    STANDARD
                        .decode(body[name].as_str().unwrap_or_default())
                        .unwrap_or_default()
                };
                let joined = [field("ciphertext"), field("authenticationTag")].concat();
                body["ciphertext"] = STANDARD.encode(joined).into();
            })
        },
        &[
            "ciphertext-as-long-as-the-plaintext",
            "generate-data-key",
            "plaintext-of-32-bytes",
        ],
    ),
    answers(
        "encrypts nothing",
        |call| {
            let mut reply = call.sound();
            if verb(call.request) == "encrypt" && reply.status == 200 {
                let mut body = super::json(&reply.body);
                body["ciphertext"] = text_of(call.request, "plaintext").into();
                reply.body = body.to_string().into_bytes();
            }
            Some(reply)
        },
        &[
            "ciphertext-is-not-the-plaintext",
            "same-plaintext-different-ciphertext",
        ],
    ),
    answers(
        "gives one ciphertext again and again",
        |call| {
            static FIRST: OnceLock<Reply> = OnceLock::new();
            let reply = call.sound();
            match verb(call.request) == "encrypt" && reply.status == 200 {
                true => Some(FIRST.get_or_init(|| reply).clone()),
                false => Some(reply),
            }
        },
        &["iv-is-not-repeated", "same-plaintext-different-ciphertext"],
    ),
    answers(
        "gives another plaintext",
        |call| defect(call, Defect::OtherPlaintext),
        &[
            "encrypt-and-decrypt",
            "encrypt-without-aad",
            "plaintext-of-*",
            "aad-of-every-byte",
            "aad-empty-is-aad-missing",
            "decrypt-twice",
            "ciphertext-opens-after-refusals",
            "cdiv-promises-that-it-decrypts",
            "ciphertext-of-4300-bytes",
            "plaintext-empty",
            "many-requests-on-one-connection",
        ],
    ),
    answers(
        "gives no CDIV",
        |call| defect(call, Defect::MissingCdiv),
        &[
            "cdiv-is-there",
            "cdiv-of-32-bytes",
            "cdiv-over-all-fields",
            "generate-data-key",
            "encrypt-with-the-largest-input",
        ],
    ),
    answers(
        "gives a CDIV of something else",
        |call| defect(call, Defect::WrongCdiv),
        &[
            "cdiv-over-all-fields",
            "cdiv-without-aad",
            "cdiv-with-an-empty-aad",
            "cdiv-at-the-largest-sizes",
            "cdiv-of-one-byte",
            "cdiv-differs-each-time",
            "cdiv-promises-that-it-decrypts",
            "plaintext-of-32-bytes",
        ],
    ),
    answers(
        "leaves the AAD out of the CDIV",
        |call| {
            cdiv_of(
                call,
                &[
                    "ciphertextMetadata",
                    "initializationVector",
                    "ciphertext",
                    "authenticationTag",
                ],
            )
        },
        &["cdiv-over-all-fields", "cdiv-of-one-byte"],
    ),
    answers(
        "leaves the metadata out of the CDIV",
        |call| {
            cdiv_of(
                call,
                &["initializationVector", "ciphertext", "authenticationTag"],
            )
        },
        &["cdiv-without-aad", "cdiv-with-an-empty-aad"],
    ),
    answers(
        "gives a CDIV of 20 bytes",
        |call| {
            changed(call, "encrypt", |body| {
                body["ciphertextDataIntegrityValue"] = STANDARD.encode([7; 20]).into();
            })
        },
        &["cdiv-of-32-bytes"],
    ),
    answers(
        "writes base64 without padding",
        |call| {
            let mut reply = call.sound();
            let text = String::from_utf8_lossy(&reply.body).replace("=\"", "\"");
            reply.body = text.replace("=\"", "\"").into_bytes();
            Some(reply)
        },
        &[
            "base64-with-one-and-two-equals-signs",
            "encrypt-and-decrypt",
        ],
    ),
    answers(
        "holds AES-128 keys",
        |call| defect(call, Defect::KeySpec),
        &["key-spec-is-aes-256", "create-key"],
    ),
    answers(
        "writes usages in lower case",
        |call| {
            changed(call, "metadata", |body| {
                body["keyUsage"] = json!(["encrypt", "decrypt"])
            })
        },
        &[
            "key-usage-has-encrypt",
            "key-usage-has-decrypt",
            "create-key",
        ],
    ),
    answers(
        "gives eleven usages",
        |call| defect(call, Defect::KeyUsages),
        &["key-usage-of-at-most-ten", "key-usage-without-repetition"],
    ),
    answers(
        "calls every key disabled",
        |call| defect(call, Defect::KeyDisabled),
        &["key-status-is-enabled-or-disabled", "create-key"],
    ),
    answers(
        "calls keys enabled and disabled in turn",
        |call| {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            match COUNT.fetch_add(1, Ordering::Relaxed) % 2 {
                0 => Some(call.sound()),
                _ => defect(call, Defect::KeyDisabled),
            }
        },
        &["key-metadata-is-stable"],
    ),
    answers(
        "has a fleet of none",
        |call| defect(call, Defect::NoFleet),
        &["fleet-size-above-zero"],
    ),
    answers(
        "names no vendors and no models",
        |call| {
            changed(call, "health", |body| {
                for name in ["xksProxyVendor", "xksProxyModel", "ekmVendor"] {
                    body[name] = "".into();
                }
                body["ekmFleetDetails"][0]["model"] = "".into();
            })
        },
        &[
            "proxy-vendor-named",
            "proxy-model-named",
            "key-manager-vendor-named",
            "key-manager-models-named",
            "proxy-model-with-a-version",
            "key-manager-models-with-versions",
        ],
    ),
    answers(
        "has no key managers",
        |call| defect(call, Defect::NoInstances),
        &["one-to-ten-key-managers", "create-custom-key-store"],
    ),
    answers(
        "has two key managers with one id",
        |call| {
            changed(call, "health", |body| {
                let first = body["ekmFleetDetails"][0].clone();
                body["ekmFleetDetails"] = Value::Array(vec![first.clone(), first]);
            })
        },
        &["key-manager-ids-unique"],
    ),
    answers(
        "has a status of its own",
        |call| defect(call, Defect::UnknownStatus),
        &["key-manager-statuses-known", "create-custom-key-store"],
    ),
    answers(
        "has key managers that are all unavailable",
        |call| defect(call, Defect::AllUnavailable),
        &["create-custom-key-store", "connect-custom-key-store"],
    ),
    answers(
        "is long-winded",
        |call| defect(call, Defect::TooLong),
        &["answers-are-short"],
    ),
    answers(
        "writes errors as pages",
        |call| {
            errors(call, |reply| {
                reply.body = b"<html><body>Error</body></html>".to_vec();
                reply.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
            })
        },
        &[
            "errors-are-json-objects",
            "errors-have-a-name",
            "errors-say-that-they-are-json",
            "error-names-fit-their-statuses",
        ],
    ),
    answers(
        "has errors with names of its own",
        |call| {
            errors(call, |reply| {
                reply.body = br#"{"errorName":"Oops"}"#.to_vec()
            })
        },
        &["errors-have-a-name", "error-names-fit-their-statuses"],
    ),
    answers(
        "answers every error with 400",
        |call| errors(call, |reply| reply.status = 400),
        &[
            "error-names-fit-their-statuses",
            "metadata-of-an-unknown-key",
        ],
    ),
    answers(
        "answers what does not decrypt with 401",
        |call| {
            errors(call, |reply| {
                if reply
                    .body
                    .windows(17)
                    .any(|part| part == b"InvalidCiphertext")
                {
                    reply.status = 401;
                }
            })
        },
        &["errors-are-named-so-for-decrypt", "tag-first-bit-flipped"],
    ),
    answers(
        "has errors with long messages",
        |call| errors(call, |reply| say(reply, &"m".repeat(512))),
        &["error-messages-are-short"],
    ),
    answers(
        "has errors with messages in other letters",
        |call| errors(call, |reply| say(reply, "nicht m\u{f6}glich")),
        &["error-messages-are-printable-ascii"],
    ),
    answers(
        "says of no answer what it is",
        |call| {
            let mut reply = call.sound();
            reply.headers.clear();
            Some(reply)
        },
        &[
            "answers-say-that-they-are-json",
            "errors-say-that-they-are-json",
        ],
    ),
];

fn defect(call: &Call<'_>, defect: Defect) -> Option<Reply> {
    let mut reply = call.sound();
    reply.body = defect.apply(&reply.body);
    Some(reply)
}

fn errors(call: &Call<'_>, change: fn(&mut Reply)) -> Option<Reply> {
    let mut reply = call.sound();
    if reply.status >= 400 && reply.status != 405 {
        change(&mut reply);
    }
    Some(reply)
}

fn say(reply: &mut Reply, message: &str) {
    let mut body = super::json(&reply.body);
    body["errorMessage"] = message.into();
    reply.body = body.to_string().into_bytes();
}

/// With the hash of these fields of the answer for a CDIV.
fn cdiv_of(call: &Call<'_>, fields: &[&str]) -> Option<Reply> {
    let mut reply = call.sound();
    if verb(call.request) == "encrypt" && reply.status == 200 {
        let mut body = super::json(&reply.body);
        let bytes = fields.iter().map(|name| {
            let text = body[*name].as_str().unwrap_or_default();
            STANDARD.decode(text).unwrap_or_default()
        });
        let hash = digest(&SHA256, &bytes.collect::<Vec<_>>().concat());
        body["ciphertextDataIntegrityValue"] = STANDARD.encode(hash).into();
        reply.body = body.to_string().into_bytes();
    }
    Some(reply)
}
