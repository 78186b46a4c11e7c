//! Mutants that let the wrong requests in, or keep the right ones out.

use time::OffsetDateTime;

use super::super::signature::{Signature, Signed, sha256_hex};
use super::{Mutant, answers, down, error, unless, with_path};
use crate::stub_proxy::{Call, Incoming, Reply, SECRET_ACCESS_KEY};

pub(super) const MUTANTS: &[Mutant] = &[
    answers(
        "asks nobody who it is",
        |call| Some(call.trusting()),
        &[
            "health-without-authorization",
            "metadata-without-authorization",
            "encrypt-without-authorization",
            "decrypt-without-authorization",
            "health-signed-with-another-secret",
            "metadata-signed-with-another-secret",
            "encrypt-signed-with-another-secret",
            "decrypt-signed-with-another-secret",
            "access-key-id-unknown",
            "access-key-id-in-lower-case",
            "access-key-id-cut-short",
            "access-key-id-empty",
            "secret-empty",
            "signature-*",
            "authorization-empty",
            "authorization-basic",
            "authorization-bearer",
            "authorization-without-credential",
            "authorization-without-signed-headers",
            "authorization-without-signature",
            "authorization-twice-*",
            "algorithm-*",
            "body-one-character-changed",
            "body-with-a-space-after-it",
            "body-with-another-plaintext",
            "body-taken-away",
            "body-added-to-an-empty-one",
            "method-signed-as-get",
            "path-of-another-operation",
            "path-of-another-key",
            "host-changed-after-signing",
            "host-missing",
            "date-changed-after-signing",
            "date-missing",
            "date-header-in-place-of-amz-date",
            "scope-of-another-region-than-signed",
            "scope-of-another-day-than-signed",
            "scope-without-*",
            "scope-with-a-part-*",
            "signed-*",
            "list-of-signed-headers-*",
            "query-*",
            "genuine-after-forged",
            "genuine-and-forged-at-a-time",
            "errors-are-json-objects",
            "store-of-another-prefix",
        ],
    ),
    answers(
        "compares all but the last digit of a signature",
        |call| lenient(call, |given, right| given.get(..63) == right.get(..63)),
        &["signature-last-digit-changed"],
    ),
    answers(
        "compares all but the first digit of a signature",
        |call| lenient(call, |given, right| given.get(1..) == right.get(1..)),
        &["signature-first-digit-changed"],
    ),
    answers(
        "compares as much of a signature as there is",
        |call| lenient(call, |given, right| right.starts_with(given)),
        &["signature-cut-short", "signature-empty"],
    ),
    answers(
        "reads a signature up to its 64th digit",
        |call| lenient(call, |given, right| given.starts_with(right)),
        &["signature-with-more-after-it"],
    ),
    answers(
        "takes a signature that is not hexadecimal for none, and none for enough",
        |call| {
            lenient(call, |given, _| {
                given.bytes().any(|b| !b.is_ascii_hexdigit())
            })
        },
        &["signature-not-hexadecimal"],
    ),
    answers(
        "believes what x-amz-content-sha256 says",
        |call| {
            let claimed = call
                .request
                .header("x-amz-content-sha256")
                .map(str::to_owned);
            lenient_with(call, |signature| signature.payload_hash = claimed)
        },
        &["payload-hash-*"],
    ),
    answers(
        "does not look at the body",
        |call| {
            let found = WITHOUT_BODY.iter().any(|body| {
                let hash = sha256_hex(body.as_bytes());
                fits(call.request, |signature| {
                    signature.payload_hash = Some(hash)
                })
            });
            match found {
                true => Some(call.trusting()),
                false => Some(call.sound()),
            }
        },
        &["body-added-to-an-empty-one"],
    ),
    answers(
        "takes any date that is signed",
        |call| lenient_with(call, |_| {}),
        &[
            "date-six-minutes-ago",
            "date-in-six-minutes",
            "date-an-hour-ago",
            "date-in-an-hour",
            "date-exactly-*",
            "date-ten-years-ago",
            "date-of-*",
            "date-empty",
            "date-with*",
            "date-in-seconds-since-1970",
            "scope-of-yesterday",
            "scope-of-tomorrow",
        ],
    ),
    answers(
        "looks at the time of the day alone",
        |call| {
            let sent = call.request.header("x-amz-date").unwrap_or_default();
            let now = super::super::signature::amz_date(OffsetDateTime::now_utc());
            match sent.get(8..13) == now.get(8..13) && fits(call.request, |_| {}) {
                true => Some(call.trusting()),
                false => Some(call.sound()),
            }
        },
        &["date-exactly-a-day-ago", "date-exactly-a-day-ahead"],
    ),
    answers(
        "takes the service and the Region from the scope as they are",
        |call| lenient_with(call, |_| {}),
        &[
            "scope-of-service-kms",
            "scope-of-another-service",
            "scope-without-service",
            "scope-without-region",
            "scope-with-another-terminator",
        ],
    ),
    answers(
        "wants nothing to be signed in particular",
        |call| lenient_with(call, |_| {}),
        &["host-not-signed", "date-not-signed", "nothing-signed"],
    ),
    answers(
        "takes the first of two headers",
        |call| {
            let mut request = call.request.clone();
            let mut seen = Vec::new();
            request.headers.retain(|(name, _)| {
                let new = !seen.contains(name);
                seen.push(name.clone());
                new
            });
            Some(call.sound_to(&request))
        },
        &[
            "authorization-twice-genuine-first",
            "host-twice",
            "date-twice",
        ],
    ),
    answers(
        "takes the last of two headers",
        |call| {
            let mut request = call.request.clone();
            let headers: std::collections::BTreeMap<_, _> = request.headers.drain(..).collect();
            request.headers = headers.into_iter().collect();
            Some(call.sound_to(&request))
        },
        &["authorization-twice-genuine-last"],
    ),
    answers(
        "leaves queries out of what is signed",
        |call| {
            let path = call.request.path().to_owned();
            Some(call.sound_to(&with_path(call.request, path)))
        },
        &["query-added-after-signing"],
    ),
    answers(
        "normalises paths before it verifies",
        |call| {
            let path = call.request.path();
            let path = path
                .replace("/./", "/")
                .replace("//keys", "/keys")
                .replace("%65", "e");
            Some(call.sound_to(&with_path(call.request, path)))
        },
        &[
            "path-escaped-after-signing",
            "path-with-a-dot-segment-after-signing",
            "path-with-two-slashes-after-signing",
        ],
    ),
    answers(
        "tries every secret for every access key id",
        |call| lenient_with(call, |_| {}),
        &["credentials-are-not-mixed-up"],
    ),
    answers(
        "knows one credential alone",
        |call| {
            let authorization = call.request.header("authorization").unwrap_or_default();
            let known = authorization.contains(crate::stub_proxy::ACCESS_KEY_ID);
            unless(call, !known, not_authentic)
        },
        &["second-credential-of-the-store"],
    ),
    answers(
        "knows host and date alone as signed headers",
        |call| {
            let authorization = call.request.header("authorization").unwrap_or_default();
            let known = authorization.contains("SignedHeaders=host;x-amz-date,");
            unless(call, !known, not_authentic)
        },
        &[
            "another-header-signed",
            "content-type-signed",
            "many-headers-signed",
            "body-hash-in-a-signed-header",
            "spaces-around-a-signed-value",
            "spaces-within-a-signed-value",
        ],
    ),
    answers(
        "wants headers as KMS writes them",
        |call| {
            let names: Vec<_> = call.request.names.iter().map(|name| &**name).collect();
            let usual = [
                "Host",
                "Content-Type",
                "X-Amz-Date",
                "Authorization",
                "Content-Length",
            ];
            unless(call, names != usual, not_authentic)
        },
        &[
            "headers-that-are-not-signed",
            "headers-in-another-order",
            "header-names-in-upper-case",
            "header-names-in-lower-case",
        ],
    ),
    answers(
        "wants spaces after the commas of Authorization",
        |call| {
            let authorization = call.request.header("authorization").unwrap_or_default();
            unless(call, !authorization.contains(", "), not_authentic)
        },
        &["authorization-without-spaces-after-commas"],
    ),
    answers(
        "tolerates no clock but its own",
        |call| {
            let sent = call.request.header("x-amz-date").unwrap_or_default();
            let now = OffsetDateTime::now_utc();
            let near = (-60..=60).any(|seconds| {
                sent == super::super::signature::amz_date(now + time::Duration::seconds(seconds))
            });
            unless(call, !near, not_authentic)
        },
        &["date-four-minutes-ago", "date-in-four-minutes"],
    ),
    answers(
        "has a clock that is an hour late",
        |call| {
            let mut reply = call.sound();
            let date = "Thu, 01 Jan 2026 00:00:00 GMT".to_owned();
            reply.headers.push(("date".to_owned(), date));
            Some(reply)
        },
        &["clock-of-the-proxy"],
    ),
    answers(
        "tells who is unknown",
        |call| {
            let mut reply = call.sound();
            let authorization = call.request.header("authorization").unwrap_or_default();
            if reply.status == 401 && authorization.contains("ZZZZ") {
                let body = r#"{"errorName":"AuthenticationFailedException","errorMessage":"who?"}"#;
                reply.body = body.into();
            }
            Some(reply)
        },
        &["errors-do-not-tell-credentials-apart"],
    ),
    answers(
        "is down",
        |_| down(),
        &[
            "genuine-health-request",
            "genuine-metadata-request",
            "genuine-encrypt-request",
            "genuine-decrypt-request",
            "health-again-and-again",
            "operations-succeed-after-health",
            "answers-say-that-they-are-json",
            "health-of-load-balancers",
            "encrypt-only-key-promises-nothing",
            "operations-after-unknown-paths",
        ],
    ),
];

/// Bodies that a proxy that does not look at them would find signed.
const WITHOUT_BODY: [&str; 1] = [""];

fn not_authentic() -> Option<Reply> {
    error(401, "AuthenticationFailedException")
}

/// Serves a request whose signature compares well enough with the right one.
fn lenient(call: &Call<'_>, compare: fn(&str, &str) -> bool) -> Option<Reply> {
    let authorization = call.request.header("authorization").unwrap_or_default();
    let given = authorization
        .rsplit_once("Signature=")
        .map(|(_, given)| given);
    let right = right(call.request, |_| {});
    match (given, right) {
        (Some(given), Some(right)) if compare(given, &right) => Some(call.trusting()),
        _ => Some(call.sound()),
    }
}

/// Serves a request that is signed after such a change, whatever else is wrong with it.
fn lenient_with(call: &Call<'_>, change: impl FnOnce(&mut Signature)) -> Option<Reply> {
    match fits(call.request, change) {
        true => Some(call.trusting()),
        false => Some(call.sound()),
    }
}

fn fits(request: &Incoming, change: impl FnOnce(&mut Signature)) -> bool {
    let authorization = request.header("authorization").unwrap_or_default();
    let given = authorization
        .rsplit_once("Signature=")
        .map(|(_, given)| given);
    given.is_some() && given == right(request, change).as_deref()
}

/// The signature that goes with what the request says of itself and with the stub's secret.
fn right(request: &Incoming, change: impl FnOnce(&mut Signature)) -> Option<String> {
    let authorization = request.header("authorization")?;
    let (_, rest) = authorization.split_once("Credential=")?;
    let (credential, rest) = rest.split_once(',')?;
    let (_, rest) = rest.split_once("SignedHeaders=")?;
    let (signed, _) = rest.split_once(',')?;
    let parts: Vec<_> = credential.split('/').collect();
    let &[id, date, region, service, terminator] = parts.as_slice() else {
        return None;
    };
    let mut signature = Signature {
        algorithm: "AWS4-HMAC-SHA256".to_owned(),
        access_key_id: id.to_owned(),
        secret: SECRET_ACCESS_KEY.to_owned(),
        date: request.header("x-amz-date").unwrap_or_default().to_owned(),
        scope_date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        terminator: terminator.to_owned(),
        signed_headers: signed
            .split(';')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        payload_hash: None,
    };
    change(&mut signature);
    Some(signature.value(&Signed {
        method: &request.method,
        path: request.path(),
        query: request.query().unwrap_or_default(),
        headers: &request.headers,
        body: &request.body,
    }))
}
