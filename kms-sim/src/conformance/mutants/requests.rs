//! Mutants that take requests which are wrong, or refuse some that are right.

use serde_json::Value;

use super::{
    Mutant, WHOLE, answers, changed, down, invalid, json, len_of, metadata_of, text_of, unless,
    verb, with_body, with_path,
};
use crate::stub_proxy::{Call, Reply};

pub(super) const MUTANTS: &[Mutant] = &[
    answers(
        "encrypts something, whatever is asked",
        |call| {
            let reply = call.sound();
            match verb(call.request) == "encrypt" && matches!(reply.status, 400 | 405 | 501) {
                true => Some(whole(call)),
                false => Some(reply),
            }
        },
        &[
            "plaintext-missing",
            "plaintext-null",
            "plaintext-a-*",
            "encryption-algorithm-*",
            "aad-a-number",
            "cdiv-algorithm-*",
            "plaintext-base64-*",
            "aad-base64-*",
            "encrypt-body-*",
            "member-*",
            "get-of-encrypt",
            "put-of-encrypt",
            "patch-of-encrypt",
            "method-in-lower-case",
        ],
    ),
    answers(
        "decrypts something, whatever is asked",
        |call| {
            let reply = call.sound();
            let refuses = matches!(reply.status, 400 | 405 | 501);
            match verb(call.request) == "decrypt" && refuses {
                true => Some(Reply::json(200, r#"{"plaintext":"AAAA"}"#)),
                false => Some(reply),
            }
        },
        &[
            "ciphertext-first-bit-flipped",
            "ciphertext-last-bit-flipped",
            "ciphertext-each-byte-changed",
            "ciphertext-a-byte-*",
            "ciphertext-empty",
            "ciphertext-with-*",
            "ciphertext-that-nobody-made",
            "tag-first-bit-flipped",
            "tag-last-bit-flipped",
            "tag-each-byte-changed",
            "tag-of-zeros",
            "tag-of-15-bytes",
            "tag-of-12-bytes",
            "tag-of-4-bytes",
            "tag-empty",
            "tag-of-17-bytes",
            "tag-of-another-ciphertext",
            "iv-first-bit-flipped",
            "iv-each-byte-changed",
            "iv-of-zeros",
            "iv-a-byte-*",
            "iv-of-the-other-length",
            "iv-empty",
            "iv-of-another-ciphertext",
            "aad-one-bit-flipped",
            "aad-left-out",
            "aad-emptied",
            "aad-a-byte-*",
            "aad-added-to-a-ciphertext-without-one",
            "aad-in-other-letters",
            "ciphertext-metadata-each-byte-changed",
            "ciphertext-metadata-left-out",
            "ciphertext-metadata-a-byte-too-short",
            "ciphertext-metadata-filled-up-to-20-bytes",
            "ciphertext-metadata-of-21-bytes",
            "ciphertext-metadata-of-another-kind",
            "border-of-aad-and-metadata-*",
            "fields-of-two-ciphertexts-mixed",
            "ciphertext-of-another-key",
            "decrypt-without-ciphertext",
            "decrypt-without-iv",
            "decrypt-without-tag",
            "decrypt-without-algorithm",
            "decrypt-with-another-algorithm",
            "decrypt-with-tag-null",
            "decrypt-with-iv-a-number",
            "decrypt-with-ciphertext-an-object",
            "decrypt-body-*",
            "ciphertext-opens-after-refusals",
            "refusals-do-not-tell-why",
            "errors-are-named-so-for-decrypt",
            "ciphertext-base64-*",
            "iv-base64-*",
            "tag-base64-*",
            "decrypt-aad-base64-*",
            "ciphertext-metadata-base64-*",
            "encrypt-only-key-decrypts-nothing",
            "disabled-key-decrypts-nothing",
            "get-of-decrypt",
            "tag-depends-on-the-aad",
        ],
    ),
    answers(
        "does not use the AAD",
        |call| {
            let mut body = json(&call.request.body);
            if let Some(fields) = body.as_object_mut() {
                fields.remove("additionalAuthenticatedData");
            }
            let sound = call.sound();
            match sound.status {
                401 | 404 => Some(sound),
                _ => Some(call.trusting_to(&with_body(call.request, body.to_string()))),
            }
        },
        &[
            "tag-depends-on-the-aad",
            "aad-one-bit-flipped",
            "aad-left-out",
            "aad-emptied",
            "aad-a-byte-*",
            "aad-added-to-a-ciphertext-without-one",
            "aad-in-other-letters",
            "cdiv-over-all-fields",
        ],
    ),
    answers(
        "ignores the metadata that comes with a ciphertext",
        |call| {
            let sound = call.sound();
            if verb(call.request) != "decrypt" || sound.status != 400 {
                return Some(sound);
            }
            let mut body = json(&call.request.body);
            if let Some(fields) = body.as_object_mut() {
                let metadata = "c3R1Yl9rZXlfdmVyc2lvbj0x";
                fields.insert("ciphertextMetadata".to_owned(), metadata.into());
            }
            Some(call.trusting_to(&with_body(call.request, body.to_string())))
        },
        &[
            "ciphertext-metadata-each-byte-changed",
            "ciphertext-metadata-left-out",
            "ciphertext-metadata-a-byte-too-short",
            "ciphertext-metadata-filled-up-to-20-bytes",
            "ciphertext-metadata-of-21-bytes",
            "ciphertext-metadata-of-another-kind",
        ],
    ),
    answers(
        "tells how a ciphertext was refused",
        |call| {
            let mut reply = call.sound();
            if reply.status == 400 {
                let text = text_of(call.request, "authenticationTag");
                let name = "InvalidCiphertextException";
                let body = format!("{{\"errorName\":\"{name}\",\"errorMessage\":\"{text}\"}}");
                reply.body = body.into_bytes();
            }
            Some(reply)
        },
        &["refusals-do-not-tell-why"],
    ),
    answers(
        "finds every key",
        |call| {
            let path = with_demo_key(call.request.path());
            let reply = call.sound();
            match reply.status {
                401 => Some(reply),
                _ => Some(call.trusting_to(&with_path(call.request, path))),
            }
        },
        &[
            "metadata-of-an-unknown-key",
            "encrypt-with-an-unknown-key",
            "decrypt-with-an-unknown-key",
            "key-id-of-128-characters",
            "key-id-of-129-characters",
            "key-id-with-more-after-it",
            "key-id-cut-short",
            "uri-of-256-characters",
            "encrypt-only-key-decrypts-nothing",
            "encrypt-only-key-tells-its-usage",
            "decrypt-only-key-encrypts-nothing",
            "decrypt-only-key-tells-its-usage",
            "disabled-key-encrypts-nothing",
            "disabled-key-decrypts-nothing",
            "disabled-key-tells-its-status",
            "ciphertext-of-another-key",
            "path-with-an-empty-key-id",
            "path-with-an-escaped-slash",
            "path-with-a-null",
        ],
    ),
    answers(
        "answers every path and method with something",
        |call| {
            let reply = call.sound();
            match reply.status {
                400 | 404 | 405 => Some(Reply::json(200, "{}")),
                _ => Some(reply),
            }
        },
        &[
            "get-of-*",
            "put-of-encrypt",
            "patch-of-encrypt",
            "delete-of-a-key",
            "path-of-no-operation",
            "path-of-no-operation-of-a-key",
            "path-of-a-key-without-operation",
            "path-of-the-api-itself",
            "path-below-an-operation",
            "path-of-another-version",
            "path-of-another-prefix",
            "path-in-upper-case",
            "path-with-a-slash-after-it",
            "path-with-an-empty-key-id",
            "path-with-dots-through-a-key",
            "path-with-an-escaped-slash",
            "path-with-a-null",
            "metadata-body-*",
            "health-body-of-words",
        ],
    ),
    answers(
        "refuses what has no AAD",
        |call| {
            let lacks = text_of(call.request, "additionalAuthenticatedData").is_empty();
            unless(call, lacks && verb(call.request) == "encrypt", invalid)
        },
        &[
            "encrypt-without-aad",
            "cdiv-without-aad",
            "cdiv-with-an-empty-aad",
            "aad-empty-is-aad-missing",
            "ciphertext-of-4300-bytes",
        ],
    ),
    answers(
        "refuses what asks for no CDIV",
        |call| {
            let name = "ciphertextDataIntegrityValueAlgorithm";
            let lacks = text_of(call.request, name).is_empty();
            unless(call, lacks && verb(call.request) == "encrypt", invalid)
        },
        &["encrypt-without-asking-for-a-cdiv"],
    ),
    answers(
        "encrypts 32 bytes alone",
        |call| {
            let len = len_of(call.request, "plaintext");
            unless(call, len != 32 && verb(call.request) == "encrypt", down)
        },
        &[
            "plaintext-of-1-byte",
            "plaintext-of-15-bytes",
            "plaintext-of-16-bytes",
            "plaintext-of-17-bytes",
            "plaintext-of-64-bytes",
            "plaintext-of-255-bytes",
            "plaintext-of-256-bytes",
            "plaintext-of-257-bytes",
            "plaintext-of-1024-bytes",
            "plaintext-of-4096-bytes",
            "plaintext-of-4097-bytes",
            "plaintext-of-4299-bytes",
            "plaintext-of-4300-bytes",
            "ciphertext-of-4300-bytes",
            "plaintext-empty",
            "plaintext-of-4301-bytes",
            "plaintext-of-16384-bytes",
            "plaintext-and-aad-at-their-limits",
            "plaintext-of-1-byte-with-the-longest-aad",
            "encrypt-with-the-largest-input",
            "cdiv-at-the-largest-sizes",
            "cdiv-of-one-byte",
            "tag-of-16-bytes",
            "answers-are-short",
        ],
    ),
    answers(
        "takes plaintexts of up to 4,096 bytes",
        |call| unless(call, len_of(call.request, "plaintext") > 4096, too_long),
        &[
            "plaintext-of-4097-bytes",
            "plaintext-of-4299-bytes",
            "plaintext-of-4300-bytes",
            "plaintext-and-aad-at-their-limits",
            "encrypt-with-the-largest-input",
        ],
    ),
    answers(
        "takes an AAD of 33 bytes alone",
        |call| {
            let len = len_of(call.request, "additionalAuthenticatedData");
            unless(call, !matches!(len, 0 | 33), down)
        },
        &["aad-of-*", "plaintext-of-1-byte-with-the-longest-aad"],
    ),
    answers(
        "takes an AAD of up to 8,191 bytes",
        |call| {
            let len = len_of(call.request, "additionalAuthenticatedData");
            unless(call, len > 8191, too_long)
        },
        &["aad-of-8192-bytes", "plaintext-and-aad-at-their-limits"],
    ),
    answers(
        "cuts a long AAD to 255 bytes",
        |call| {
            let mut body = json(&call.request.body);
            let text = text_of(call.request, "additionalAuthenticatedData");
            if text.len() > 340 && verb(call.request) == "encrypt" {
                body["additionalAuthenticatedData"] = text[..340].into();
                let cut = with_body(call.request, body.to_string());
                return Some(call.trusting_to(&cut));
            }
            Some(call.sound())
        },
        &["aad-of-256-bytes", "aad-of-257-bytes", "aad-of-4096-bytes"],
    ),
    answers(
        "wants text to encrypt and text for an AAD",
        |call| {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let binary = |name: &str| {
                let bytes = STANDARD.decode(text_of(call.request, name));
                bytes.is_ok_and(|bytes| std::str::from_utf8(&bytes).is_err())
            };
            let binary = binary("plaintext") || binary("additionalAuthenticatedData");
            unless(call, binary, invalid)
        },
        &[
            "plaintext-of-every-byte",
            "aad-of-every-byte",
            "base64-with-plus-and-slash",
        ],
    ),
    answers(
        "knows no padding with two signs",
        |call| {
            let padded = text_of(call.request, "plaintext").ends_with("==");
            unless(call, padded, invalid)
        },
        &["base64-with-one-and-two-equals-signs"],
    ),
    answers(
        "knows no escapes in JSON, no white space and one order",
        |call| {
            let text = String::from_utf8_lossy(&call.request.body).into_owned();
            let odd = text.contains('\\')
                || !text.starts_with('{')
                || verb(call.request) == "encrypt" && text.starts_with("{\"requestMetadata");
            unless(call, odd, invalid)
        },
        &[
            "base64-with-escapes-of-json",
            "body-with-white-space",
            "body-with-members-in-another-order",
            "body-with-escaped-member-names",
            "request-id-of-other-scripts-and-controls",
        ],
    ),
    answers(
        "fails at requests that are invalid",
        |call| {
            let reply = call.sound();
            match reply.status {
                400 => down(),
                _ => Some(reply),
            }
        },
        &[
            "nested-ten-thousand-times",
            "request-metadata-*",
            "request-id-missing",
            "principal-a-number",
            "plaintext-missing",
            "encrypt-body-*",
        ],
    ),
    answers(
        "knows the members that there are, and no other",
        |call| {
            let known = [
                "requestMetadata",
                "plaintext",
                "ciphertext",
                "ciphertextMetadata",
                "encryptionAlgorithm",
                "additionalAuthenticatedData",
                "initializationVector",
                "authenticationTag",
                "ciphertextDataIntegrityValueAlgorithm",
                "kmsOperation",
                "kmsRequestId",
                "kmsKeyArn",
                "awsPrincipalArn",
            ];
            let body = json(&call.request.body);
            let health = verb(call.request) == "health";
            let unknown =
                |name: &String| !known.contains(&&**name) || health && name == "awsPrincipalArn";
            let odd = |fields: Option<&Value>| {
                let fields = fields.and_then(Value::as_object);
                fields.is_some_and(|fields| fields.keys().any(unknown))
            };
            let odd = odd(Some(&body)) || odd(body.get("requestMetadata"));
            unless(call, odd, invalid)
        },
        &[
            "unknown-member-of-*",
            "call-through-a-vpc-endpoint",
            "call-through-a-service",
            "every-arn-of-2048-characters-and-every-option",
        ],
    ),
    answers(
        "knows four operations of KMS",
        |call| {
            let operation = metadata_of(call.request, "kmsOperation");
            let known = ["Encrypt", "Decrypt", "DescribeKey", "KmsHealthCheck"];
            unless(call, !known.contains(&&*operation), invalid)
        },
        &[
            "encrypt-for-*",
            "decrypt-for-*",
            "metadata-for-*",
            "health-for-*",
            "re-encrypt",
            "connect-custom-key-store",
        ],
    ),
    answers(
        "wants a UUID for a request id",
        |call| {
            let id = metadata_of(call.request, "kmsRequestId");
            let fits = id.len() == 36 && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
            unless(call, !fits && call.request.method == "POST", invalid)
        },
        &[
            "request-id-of-*",
            "request-id-that-is-no-uuid",
            "health-request-id-that-is-no-uuid",
        ],
    ),
    answers(
        "wants short ARNs, and nothing else, for callers and keys",
        |call| {
            let odd = ["awsPrincipalArn", "kmsKeyArn"].iter().any(|name| {
                let arn = metadata_of(call.request, name);
                !arn.is_empty() && (arn.len() > 512 || !arn.starts_with("arn:"))
            });
            unless(call, odd, invalid)
        },
        &[
            "principal-of-2048-characters",
            "key-arn-of-2048-characters",
            "every-arn-of-2048-characters-and-every-option",
            "principal-that-is-a-service",
            "principal-aws-internal",
        ],
    ),
    answers(
        "repeats the plaintext in its errors",
        |call| {
            let mut reply = call.sound();
            if reply.status == 400 {
                let text = text_of(call.request, "plaintext");
                let body = format!(
                    "{{\"errorName\":\"ValidationException\",\"errorMessage\":\"{text}\"}}"
                );
                reply.body = body.into_bytes();
            }
            Some(reply)
        },
        &["errors-do-not-repeat-the-plaintext"],
    ),
    answers(
        "makes the zeros at the end of a plaintext disappear",
        |call| {
            changed(call, "decrypt", |body| {
                let text = body["plaintext"].as_str().unwrap_or_default();
                let cut = text.trim_end_matches("AAAA").to_owned();
                body["plaintext"] = cut.into();
            })
        },
        &["plaintext-of-zeros"],
    ),
];

fn too_long() -> Option<Reply> {
    super::error(501, "UnsupportedOperationException")
}

/// A good answer of Encrypt.
fn whole(call: &Call<'_>) -> Reply {
    let mut request = with_body(call.request, WHOLE);
    request.method = "POST".to_owned();
    call.trusting_to(&request)
}

/// The path with the id of the key that works.
fn with_demo_key(path: &str) -> String {
    match path.split_once("/keys/") {
        Some((before, rest)) => {
            let verb = rest.rsplit('/').next().unwrap_or_default();
            format!("{before}/keys/demo/{verb}")
        }
        None => path.to_owned(),
    }
}
