//! Corners of the canonical request: what is signed, how headers are folded, and what must not be normalised away.

use super::super::case::Check::{Refused, Served};
use super::super::case::{
    AUTHENTICATION as NOT_AUTHENTIC, CLIENT_ERROR, CLIENT_ERROR_OR_HANGUP, Case, must, should,
};
use super::super::signature::sha256_hex;
use super::CANONICAL_REQUEST;

pub(super) const CASES: &[Case] = &[
    must(
        "host-not-signed",
        CANONICAL_REQUEST,
        "Host is among the signed headers; a signature that leaves it out is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.signed_headers.retain(|name| name != "host"))
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "date-not-signed",
        CANONICAL_REQUEST,
        "X-Amz-Date is among the signed headers; a signature that leaves it out is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| {
                        let headers = &mut draft.signature.signed_headers;
                        headers.retain(|name| name != "x-amz-date");
                    })
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "nothing-signed",
        CANONICAL_REQUEST,
        "an empty list of signed headers is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.signature.signed_headers.clear())
                    .sign())
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signed-header-not-sent",
        CANONICAL_REQUEST,
        "a header that is signed and not there makes the request invalid",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .signed_header("X-Kms-Extra", "value")
                    .sign()
                    .without("x-kms-extra"))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signed-header-changed",
        CANONICAL_REQUEST,
        "every header that is signed is checked, not Host and X-Amz-Date alone",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .signed_header("X-Kms-Extra", "value")
                    .sign()
                    .set("x-kms-extra", "other"))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "signed-content-type-changed",
        CANONICAL_REQUEST,
        "a Content-Type that is signed is checked as it was sent",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| {
                        draft
                            .signature
                            .signed_headers
                            .insert(0, "content-type".into());
                    })
                    .sign()
                    .set("content-type", "application/json; charset=utf-8"))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "list-of-signed-headers-shortened",
        CANONICAL_REQUEST,
        "the list of signed headers is itself signed",
        Refused(
            |kit| {
                let wire = kit.encrypt().signed_header("X-Kms-Extra", "value").sign();
                Ok(wire.authorization(|text| text.replace(";x-kms-extra", "")))
            },
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "list-of-signed-headers-lengthened",
        CANONICAL_REQUEST,
        "the list of signed headers is itself signed",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .header("X-Kms-Extra", "value")
                    .sign()
                    .authorization(|text| text.replace("x-amz-date,", "x-amz-date;x-kms-extra,")))
            },
            NOT_AUTHENTIC,
        ),
    ),
    should(
        "host-twice",
        CANONICAL_REQUEST,
        "two Host headers are ambiguous and refused",
        Refused(
            |kit| Ok(kit.encrypt().sign().add("Host", "other.example.com")),
            CLIENT_ERROR_OR_HANGUP,
        ),
    ),
    should(
        "date-twice",
        CANONICAL_REQUEST,
        "two X-Amz-Date headers are ambiguous and refused",
        Refused(
            |kit| Ok(kit.encrypt().sign().add("X-Amz-Date", "20200101T000000Z")),
            CLIENT_ERROR,
        ),
    ),
    must(
        "another-header-signed",
        CANONICAL_REQUEST,
        "a signature may cover more headers than Host and X-Amz-Date",
        Served(|kit| Ok(kit.encrypt().signed_header("X-Kms-Extra", "value").sign())),
    ),
    must(
        "content-type-signed",
        CANONICAL_REQUEST,
        "a signature may cover Content-Type, which stands before Host in the list",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .with(|draft| {
                    draft
                        .signature
                        .signed_headers
                        .insert(0, "content-type".into());
                })
                .sign())
        }),
    ),
    must(
        "many-headers-signed",
        CANONICAL_REQUEST,
        "a signature may cover twenty headers and more",
        Served(|kit| {
            let mut draft = kit.encrypt();
            for number in 10..30 {
                draft = draft.signed_header(&format!("X-Kms-{number}"), &format!("value {number}"));
            }
            Ok(draft.sign())
        }),
    ),
    must(
        "body-hash-in-a-signed-header",
        CANONICAL_REQUEST,
        "x-amz-content-sha256 with the right hash, as many SDKs send it, is a header like any other",
        Served(|kit| {
            let draft = kit.encrypt();
            let hash = sha256_hex(&draft.unsigned().body);
            Ok(draft.signed_header("X-Amz-Content-Sha256", &hash).sign())
        }),
    ),
    must(
        "headers-that-are-not-signed",
        CANONICAL_REQUEST,
        "headers that are not signed, as proxies on the way add them, do not change the signature",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .sign()
                .add("User-Agent", "conformance")
                .add("X-Forwarded-For", "192.0.2.1")
                .add("Accept", "*/*"))
        }),
    ),
    must(
        "headers-in-another-order",
        CANONICAL_REQUEST,
        "the order of the headers on the wire does not matter",
        Served(|kit| Ok(kit.encrypt().sign().with(|wire| wire.headers.reverse()))),
    ),
    must(
        "header-names-in-upper-case",
        CANONICAL_REQUEST,
        "the case of header names on the wire does not matter",
        Served(|kit| {
            Ok(kit.encrypt().sign().with(|wire| {
                for (name, _) in &mut wire.headers {
                    name.make_ascii_uppercase();
                }
            }))
        }),
    ),
    must(
        "header-names-in-lower-case",
        CANONICAL_REQUEST,
        "the case of header names on the wire does not matter",
        Served(|kit| {
            Ok(kit.encrypt().sign().with(|wire| {
                for (name, _) in &mut wire.headers {
                    name.make_ascii_lowercase();
                }
            }))
        }),
    ),
    should(
        "spaces-around-a-signed-value",
        CANONICAL_REQUEST,
        "spaces before and after a header's value are not part of what is signed",
        Served(|kit| {
            let draft = kit.encrypt().signed_header("X-Kms-Extra", "   value   ");
            Ok(draft.sign())
        }),
    ),
    should(
        "spaces-within-a-signed-value",
        CANONICAL_REQUEST,
        "several spaces within a header's value count as one",
        Served(|kit| {
            let draft = kit.encrypt().signed_header("X-Kms-Extra", "two    words");
            Ok(draft.sign())
        }),
    ),
    should(
        "authorization-without-spaces-after-commas",
        CANONICAL_REQUEST,
        "the commas in Authorization need no spaces after them, as some signers leave them out",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .sign()
                .authorization(|text| text.replace(", ", ",")))
        }),
    ),
    must(
        "query-added-after-signing",
        CANONICAL_REQUEST,
        "the query is part of what is signed: one that comes later is refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .sign()
                    .with(|wire| wire.target.push_str("?admin=true")))
            },
            CLIENT_ERROR,
        ),
    ),
    must(
        "query-signed-and-taken-away",
        CANONICAL_REQUEST,
        "the query is part of what is signed: one that is taken away is missed",
        Refused(
            |kit| {
                let path = kit.encrypt().path;
                Ok(kit
                    .encrypt()
                    .with(|draft| draft.query = Some("admin=true".to_owned()))
                    .sign()
                    .with(|wire| wire.target = path))
            },
            NOT_AUTHENTIC,
        ),
    ),
    should(
        "path-escaped-after-signing",
        CANONICAL_REQUEST,
        "a path with an escape is not the one that was signed, even if it decodes to it",
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().with(|wire| {
                    wire.target = wire.target.replace("/encrypt", "/%65ncrypt");
                }))
            },
            CLIENT_ERROR,
        ),
    ),
    should(
        "path-with-a-dot-segment-after-signing",
        CANONICAL_REQUEST,
        "a path with a dot segment is not the one that was signed, even if it leads there",
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().with(|wire| {
                    wire.target = wire.target.replace("/keys/", "/keys/./");
                }))
            },
            CLIENT_ERROR,
        ),
    ),
    should(
        "path-with-two-slashes-after-signing",
        CANONICAL_REQUEST,
        "a path with two slashes in a row is not the one that was signed",
        Refused(
            |kit| {
                Ok(kit.encrypt().sign().with(|wire| {
                    wire.target = wire.target.replace("/keys/", "//keys/");
                }))
            },
            CLIENT_ERROR,
        ),
    ),
];
