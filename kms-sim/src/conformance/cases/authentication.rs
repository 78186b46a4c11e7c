//! Who is let in: the signature itself, and everything in `Authorization` that it depends on.

use xks_api::route::OperationName::{self, Decrypt, Encrypt, GetHealthStatus, GetKeyMetadata};

use super::super::case::Check::{Refused, Served, Story};
use super::super::case::{
    AUTHENTICATION as NOT_AUTHENTIC, CLIENT_ERROR, CLIENT_ERROR_OR_HANGUP, Case, Finding, Sending,
    must, should,
};
use super::super::kit::Kit;
use super::super::signature::sha256_hex;
use super::super::target::Credential;
use super::{
    APPENDIX_A, AUTHENTICATION, CALCULATE, CANONICAL_REQUEST, CREDENTIALS_ROTATION, MATCH,
    OPERATIONS, STRING_TO_SIGN,
};

const UNSIGNED: &str = "a request without a signature is refused, whichever operation it asks for";
const WRONG_SECRET: &str =
    "a signature made with another secret is refused, whichever operation it asks for";
const SIGNATURE_DIFFERS: &str = "the signature has to be the one that the proxy computes";
const BODY_SIGNED: &str = "the hash of the body that was received is part of what is signed";

pub(super) const CASES: &[Case] = &[
    must(
        "health-without-authorization",
        AUTHENTICATION,
        UNSIGNED,
        Refused(|kit| unsigned(kit, GetHealthStatus), NOT_AUTHENTIC),
    ),
    must(
        "metadata-without-authorization",
        AUTHENTICATION,
        UNSIGNED,
        Refused(|kit| unsigned(kit, GetKeyMetadata), NOT_AUTHENTIC),
    ),
    must(
        "encrypt-without-authorization",
        AUTHENTICATION,
        UNSIGNED,
        Refused(|kit| unsigned(kit, Encrypt), NOT_AUTHENTIC),
    ),
    must(
        "decrypt-without-authorization",
        AUTHENTICATION,
        UNSIGNED,
        Refused(|kit| unsigned(kit, Decrypt), NOT_AUTHENTIC),
    ),
    must(
        "health-signed-with-another-secret",
        MATCH,
        WRONG_SECRET,
        Refused(|kit| by_another_secret(kit, GetHealthStatus), NOT_AUTHENTIC),
    ),
    must(
        "metadata-signed-with-another-secret",
        MATCH,
        WRONG_SECRET,
        Refused(|kit| by_another_secret(kit, GetKeyMetadata), NOT_AUTHENTIC),
    ),
    must(
        "encrypt-signed-with-another-secret",
        MATCH,
        WRONG_SECRET,
        Refused(|kit| by_another_secret(kit, Encrypt), NOT_AUTHENTIC),
    ),
    must(
        "decrypt-signed-with-another-secret",
        MATCH,
        WRONG_SECRET,
        Refused(|kit| by_another_secret(kit, Decrypt), NOT_AUTHENTIC),
    ),
    must(
        "access-key-id-unknown",
        CALCULATE,
        "an access key id that names no secret of this store is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.access_key_id = "ZZZZZZZZZZZZZZZZZZZZ".into())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "access-key-id-in-lower-case",
        APPENDIX_A,
        "an access key id is of upper-case letters and digits, and taken as it is written",
        Refused(
            |kit| {
                let lower = kit.target.credential.access_key_id.to_ascii_lowercase();
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.access_key_id = lower)
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "access-key-id-cut-short",
        APPENDIX_A,
        "the beginning of an access key id names no secret",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| {
                        draft.signature.access_key_id.pop();
                    })
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "access-key-id-empty",
        CALCULATE,
        "a credential without an access key id is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.access_key_id.clear())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "secret-empty",
        CALCULATE,
        "a signature made with an empty secret is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.secret.clear())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-first-digit-changed",
        MATCH,
        SIGNATURE_DIFFERS,
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().signature(|signature| {
                    let first = if signature.starts_with('0') { "1" } else { "0" };
                    format!("{first}{}", signature.get(1..).unwrap_or_default())
                }))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-last-digit-changed",
        MATCH,
        SIGNATURE_DIFFERS,
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().signature(|signature| {
                    let last = if signature.ends_with('0') { "1" } else { "0" };
                    format!("{}{last}", signature.get(..63).unwrap_or_default())
                }))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-cut-short",
        MATCH,
        "the beginning of a signature is no signature",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .sign()
                    .signature(|signature| signature.get(..62).unwrap_or_default().to_owned()))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-with-more-after-it",
        MATCH,
        "a signature with digits after it is no signature",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .sign()
                    .signature(|signature| format!("{signature}00")))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-empty",
        MATCH,
        "an empty signature is refused",
        Refused(
            |kit| Ok(kit.encrypt().sign().signature(|_| String::new())),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-of-zeros",
        MATCH,
        SIGNATURE_DIFFERS,
        Refused(
            |kit| Ok(kit.encrypt().sign().signature(|_| "0".repeat(64))),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-not-hexadecimal",
        MATCH,
        "a signature is hexadecimal; anything else is refused",
        Refused(
            |kit| Ok(kit.encrypt().sign().signature(|_| "g".repeat(64))),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signature-of-another-request",
        MATCH,
        "the signature of one request does not let another one in",
        Refused(
            |kit| {
                let other = kit.health().sign();
                let authorization = other.header("authorization").unwrap_or_default().to_owned();
                Ok(kit.encrypt().sign().set("authorization", &authorization))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "authorization-empty",
        AUTHENTICATION,
        "an empty Authorization is refused",
        Refused(
            |kit| Ok(kit.encrypt().sign().set("authorization", "")),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "authorization-basic",
        AUTHENTICATION,
        "nothing but SigV4 lets a request in, and name and password do not",
        Refused(
            |kit| {
                let basic = "Basic YWRtaW46YWRtaW4=";
                Ok(kit.encrypt().sign().set("authorization", basic))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "authorization-bearer",
        AUTHENTICATION,
        "nothing but SigV4 lets a request in, and a token does not",
        Refused(
            |kit| {
                let bearer = "Bearer eyJhbGciOiJub25lIn0.e30.";
                Ok(kit.encrypt().sign().set("authorization", bearer))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "algorithm-of-sigv4a",
        STRING_TO_SIGN,
        "the algorithm is AWS4-HMAC-SHA256, and SigV4a is another one",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.algorithm = "AWS4-ECDSA-P256-SHA256".into())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "algorithm-with-another-hash",
        STRING_TO_SIGN,
        "the algorithm is AWS4-HMAC-SHA256, whatever else a request names",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.algorithm = "AWS4-HMAC-SHA1".into())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "authorization-without-credential",
        CALCULATE,
        "an Authorization that names no credential is refused",
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().authorization(|text| {
                    let from = text.find("SignedHeaders=").unwrap_or_default();
                    format!("AWS4-HMAC-SHA256 {}", text.get(from..).unwrap_or_default())
                }))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "authorization-without-signed-headers",
        CANONICAL_REQUEST,
        "an Authorization that names no signed headers is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .sign()
                    .authorization(|text| text.replace("SignedHeaders=host;x-amz-date, ", "")))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "authorization-without-signature",
        MATCH,
        "an Authorization without a signature is refused",
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().authorization(|text| {
                    let end = text.find(", Signature=").unwrap_or(text.len());
                    text.get(..end).unwrap_or_default().to_owned()
                }))
            },
            NOT_AUTHENTIC,
        ),
    ),
    should(
        "authorization-twice-genuine-first",
        AUTHENTICATION,
        "two Authorization headers are ambiguous and refused, also if the first one is genuine",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .sign()
                    .add("Authorization", "AWS4-HMAC-SHA256 x"))
            },
            CLIENT_ERROR_OR_HANGUP,
        ),
    ),
    should(
        "authorization-twice-genuine-last",
        AUTHENTICATION,
        "two Authorization headers are ambiguous and refused, also if the last one is genuine",
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().with(|wire| {
                    let forged = ("Authorization".to_owned(), "AWS4-HMAC-SHA256 x".to_owned());
                    wire.headers.insert(0, forged);
                }))
            },
            CLIENT_ERROR_OR_HANGUP,
        ),
    ),
    must(
        "signature-in-the-query",
        CANONICAL_REQUEST,
        "the signature comes in Authorization; one in the query, as of a presigned URL, lets nobody in",
        Refused(
            |kit| {
                let wire = kit.encrypt().sign();
                let text = wire.header("authorization").unwrap_or_default();
                let signature = text.rsplit_once("Signature=").map(|(_, value)| value);
                let query = format!(
                    "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{}%2F{}%2Fkms-xks-proxy%2Faws4_request\
                     &X-Amz-SignedHeaders=host&X-Amz-Signature={}",
                    kit.target.credential.access_key_id,
                    wire.header("x-amz-date")
                        .and_then(|date| date.get(..8))
                        .unwrap_or_default(),
                    kit.target.region,
                    signature.unwrap_or_default()
                );
                Ok(wire
                    .without("authorization")
                    .with(|wire| wire.target.push_str(&query)))
            },
            CLIENT_ERROR,
        ),
    ),
    must(
        "body-one-character-changed",
        CANONICAL_REQUEST,
        BODY_SIGNED,
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().with(|wire| {
                    let text = String::from_utf8_lossy(&wire.body);
                    wire.body = text.replace("\"Encrypt\"", "\"Encrypu\"").into_bytes();
                }))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "body-with-a-space-after-it",
        CANONICAL_REQUEST,
        "a body that means the same but has other bytes is not the one that was signed",
        Refused(
            |kit| Ok(kit.encrypt().sign().with(|wire| wire.body.push(b' '))),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "body-with-another-plaintext",
        CANONICAL_REQUEST,
        BODY_SIGNED,
        Refused(
            |kit| {
                let other = kit.encrypt().set("plaintext", "b3RoZXI=").unsigned();
                Ok(kit.encrypt().sign().with(|wire| wire.body = other.body))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "body-taken-away",
        CANONICAL_REQUEST,
        BODY_SIGNED,
        Refused(
            |kit| Ok(kit.encrypt().sign().with(|wire| wire.body.clear())),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "body-added-to-an-empty-one",
        CANONICAL_REQUEST,
        BODY_SIGNED,
        Refused(
            |kit| {
                let body = kit.encrypt().unsigned().body;
                Ok(kit.encrypt().body("").sign().with(|wire| wire.body = body))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "payload-hash-unsigned",
        CANONICAL_REQUEST,
        "the body is always hashed; a signature over the word UNSIGNED-PAYLOAD, which other services take, is refused",
        Refused(
            |kit| payload_hash(kit, "UNSIGNED-PAYLOAD".to_owned()),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "payload-hash-of-a-stream",
        CANONICAL_REQUEST,
        "the body is always hashed as a whole; a signature over the word for streams, which other services take, is refused",
        Refused(
            |kit| payload_hash(kit, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned()),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "payload-hash-of-another-body",
        CANONICAL_REQUEST,
        "the proxy hashes the body itself; what x-amz-content-sha256 claims does not count",
        Refused(
            |kit| payload_hash(kit, sha256_hex(b"another body")),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "method-signed-as-get",
        CANONICAL_REQUEST,
        "the method is part of what is signed",
        Refused(
            |kit| {
                let draft = kit.encrypt().with(|draft| draft.method = "GET".to_owned());
                Ok(draft.sign().with(|wire| wire.method = "POST".to_owned()))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "path-of-another-operation",
        CANONICAL_REQUEST,
        "the path is part of what is signed: a Decrypt cannot be turned into an Encrypt",
        Refused(
            |kit| {
                let path = kit.encrypt().path;
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.path = draft.path.replace("/encrypt", "/decrypt"))
                    .sign()
                    .with(|wire| wire.target = path))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "path-of-another-key",
        CANONICAL_REQUEST,
        "the path is part of what is signed: a request for one key is none for another one",
        Refused(
            |kit| {
                let path = kit.metadata().path;
                let unknown = kit.target.unknown_key();
                Ok(kit
                    .metadata_of(unknown)
                    .sign()
                    .with(|wire| wire.target = path))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "host-changed-after-signing",
        CANONICAL_REQUEST,
        "Host is part of what is signed",
        Refused(
            |kit| Ok(kit.encrypt().sign().set("host", "other.example.com")),
            CLIENT_ERROR,
        ),
    ),
    must(
        "date-changed-after-signing",
        STRING_TO_SIGN,
        "X-Amz-Date is part of what is signed",
        Refused(
            |kit| {
                let draft = kit.encrypt();
                let earlier = super::super::kit::now() - time::Duration::seconds(2);
                let date = super::super::signature::amz_date(earlier);
                Ok(draft.sign().set("x-amz-date", &date))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "genuine-health-request",
        AUTHENTICATION,
        "a GetHealthStatus that is signed as KMS signs it is answered",
        Served(|kit| signed(kit, GetHealthStatus)),
    ),
    must(
        "genuine-metadata-request",
        AUTHENTICATION,
        "a GetKeyMetadata that is signed as KMS signs it is answered",
        Served(|kit| signed(kit, GetKeyMetadata)),
    ),
    must(
        "genuine-encrypt-request",
        AUTHENTICATION,
        "an Encrypt that is signed as KMS signs it is answered",
        Served(|kit| signed(kit, Encrypt)),
    ),
    must(
        "genuine-decrypt-request",
        AUTHENTICATION,
        "a Decrypt that is signed as KMS signs it is answered",
        Served(|kit| signed(kit, Decrypt)),
    ),
    must(
        "genuine-after-forged",
        AUTHENTICATION,
        "forged requests do not lock out the genuine one that follows",
        Story(|kit| {
            for _ in 0..5 {
                kit.refuse(by_another_secret(kit, Encrypt), NOT_AUTHENTIC)?;
            }
            kit.serve(signed(kit, Encrypt))
        }),
    ),
    should(
        "second-credential-of-the-store",
        CREDENTIALS_ROTATION,
        "a store has two credentials at a time, so that they can be rotated",
        Story(|kit| match &kit.target.more.second_credential {
            Some(credential) => kit.serve(Ok(kit.encrypt().by(credential).sign())),
            None => Err(Finding::needs(
                "--second-access-key-id",
                "no second credential of the store is known",
            )),
        }),
    ),
    must(
        "credentials-are-not-mixed-up",
        APPENDIX_A,
        "an access key id names one secret: that of another credential does not go with it",
        Story(|kit| match &kit.target.more.second_credential {
            Some(credential) => {
                let mixed = Credential {
                    access_key_id: credential.access_key_id.clone(),
                    ..kit.target.credential.clone()
                };
                kit.refuse(Ok(kit.encrypt().by(&mixed).sign()), NOT_AUTHENTIC)
            }
            None => Err(Finding::needs(
                "--second-access-key-id",
                "no second credential of the store is known",
            )),
        }),
    ),
    must(
        "store-of-another-prefix",
        OPERATIONS,
        "stores of one proxy are isolated: the credential of one does not open another one",
        Story(|kit| match &kit.target.more.other_uri_path {
            Some(path) => {
                let path = format!("{path}/health");
                let draft = kit.health().with(|draft| draft.path = path);
                kit.refuse(Ok(draft.sign()), NOT_AUTHENTIC)
            }
            None => Err(Finding::needs(
                "--other-uri-path",
                "no other store of the proxy is known",
            )),
        }),
    ),
];

fn signed(kit: &Kit<'_>, operation: OperationName) -> Sending {
    Ok(kit.request(operation)?.sign())
}

fn unsigned(kit: &Kit<'_>, operation: OperationName) -> Sending {
    Ok(kit.request(operation)?.unsigned())
}

fn by_another_secret(kit: &Kit<'_>, operation: OperationName) -> Sending {
    let draft = kit.request(operation)?;
    Ok(draft
        .with(|draft| {
            draft.signature.secret = "another+Secret/another+Secret/another+Secret/x=".into();
        })
        .sign())
}

/// Signed over a hash that is not that of the body, which a header repeats.
fn payload_hash(kit: &Kit<'_>, hash: String) -> Sending {
    Ok(kit
        .encrypt()
        .signed_header("X-Amz-Content-Sha256", &hash)
        .with(|draft| draft.signature.payload_hash = Some(hash))
        .sign())
}
