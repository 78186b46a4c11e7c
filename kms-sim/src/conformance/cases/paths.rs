//! Methods and paths: the four operations are POSTs to their paths, and there is nothing else.

use xks_api::error::ErrorName;
use xks_api::route::OperationName;

use super::super::case::Check::{Refused, Served, Story};
use super::super::case::{
    CLIENT_ERROR, Case, Finding, NO_PATH, Outcome, Refusal, Sending, must, should,
};
use super::super::kit::Kit;
use super::{LOAD_BALANCERS, OPERATIONS};

const NO_GET: &str = "a GET of a path of the API is refused as a method that is not allowed";
const POST_ALONE: &str = "the operations are POSTs; any other method is refused";
const NOT_THERE: &str = "a path that is none of the API's is not valid";
const NOT_ALLOWED: &[Refusal] = &[Refusal::Status(405)];
/// Of a prefix that no store has, no credential is known either.
const NO_STORE: &[Refusal] = &[
    Refusal::Named(ErrorName::InvalidUriPath),
    Refusal::Named(ErrorName::AuthenticationFailed),
];

pub(super) const CASES: &[Case] = &[
    must(
        "get-of-health",
        OPERATIONS,
        NO_GET,
        Refused(
            |kit| method(kit, OperationName::GetHealthStatus, "GET"),
            NOT_ALLOWED,
        ),
    ),
    must(
        "get-of-metadata",
        OPERATIONS,
        NO_GET,
        Refused(
            |kit| method(kit, OperationName::GetKeyMetadata, "GET"),
            NOT_ALLOWED,
        ),
    ),
    must(
        "get-of-encrypt",
        OPERATIONS,
        NO_GET,
        Refused(
            |kit| method(kit, OperationName::Encrypt, "GET"),
            NOT_ALLOWED,
        ),
    ),
    must(
        "get-of-decrypt",
        OPERATIONS,
        NO_GET,
        Refused(
            |kit| method(kit, OperationName::Decrypt, "GET"),
            NOT_ALLOWED,
        ),
    ),
    should(
        "put-of-encrypt",
        OPERATIONS,
        POST_ALONE,
        Refused(|kit| other_method(kit, "PUT"), CLIENT_ERROR),
    ),
    should(
        "patch-of-encrypt",
        OPERATIONS,
        POST_ALONE,
        Refused(|kit| other_method(kit, "PATCH"), CLIENT_ERROR),
    ),
    should(
        "delete-of-a-key",
        OPERATIONS,
        "the API deletes no keys",
        Refused(
            |kit| {
                let key = format!("{}/keys/{}", kit.target.uri_path, kit.target.key_id);
                let draft = kit.metadata().with(|draft| {
                    draft.method = "DELETE".to_owned();
                    draft.path = key;
                });
                Ok(draft.sign())
            },
            CLIENT_ERROR,
        ),
    ),
    should(
        "method-in-lower-case",
        OPERATIONS,
        "the names of methods are written in upper case; post is another one",
        Refused(
            |kit| other_method(kit, "post"),
            super::super::case::CLIENT_ERROR_OR_HANGUP,
        ),
    ),
    must(
        "path-of-no-operation",
        OPERATIONS,
        NOT_THERE,
        Refused(|kit| below(kit, "/nothing"), NO_PATH),
    ),
    must(
        "path-of-no-operation-of-a-key",
        OPERATIONS,
        NOT_THERE,
        Refused(
            |kit| below(kit, &format!("/keys/{}/sign", kit.target.key_id)),
            NO_PATH,
        ),
    ),
    must(
        "path-of-a-key-without-operation",
        OPERATIONS,
        NOT_THERE,
        Refused(
            |kit| below(kit, &format!("/keys/{}", kit.target.key_id)),
            NO_PATH,
        ),
    ),
    must(
        "path-of-the-api-itself",
        OPERATIONS,
        NOT_THERE,
        Refused(|kit| below(kit, ""), NO_PATH),
    ),
    must(
        "path-below-an-operation",
        OPERATIONS,
        NOT_THERE,
        Refused(|kit| below(kit, "/health/more"), NO_PATH),
    ),
    must(
        "path-of-another-version",
        OPERATIONS,
        "version 1 is the one that there is; a path of another one is not valid",
        Refused(
            |kit| {
                let path = kit.target.uri_path.replace("/kms/xks/v1", "/kms/xks/v2");
                let path = format!("{path}/health");
                Ok(kit.health().with(|draft| draft.path = path).sign())
            },
            NO_STORE,
        ),
    ),
    must(
        "path-of-another-prefix",
        OPERATIONS,
        "a prefix that no store has is not valid",
        Refused(
            |kit| {
                let path = "/kms-sim-conformance-no-such-store/kms/xks/v1/health".to_owned();
                Ok(kit.health().with(|draft| draft.path = path).sign())
            },
            NO_STORE,
        ),
    ),
    should(
        "path-in-upper-case",
        OPERATIONS,
        "paths are written as the specification writes them",
        Refused(|kit| below(kit, "/HEALTH"), CLIENT_ERROR),
    ),
    should(
        "path-with-a-slash-after-it",
        OPERATIONS,
        "a path with a slash after it is another one",
        Refused(|kit| below(kit, "/health/"), CLIENT_ERROR),
    ),
    should(
        "path-with-an-empty-key-id",
        OPERATIONS,
        "an external key id has a character at least",
        Refused(|kit| below(kit, "/keys//metadata"), CLIENT_ERROR),
    ),
    should(
        "path-with-dots-through-a-key",
        OPERATIONS,
        "a path is not resolved: dots in it lead nowhere",
        Refused(|kit| below(kit, "/keys/../health"), CLIENT_ERROR),
    ),
    should(
        "path-with-an-escaped-slash",
        OPERATIONS,
        "a key id has no slash, also not in disguise",
        Refused(
            |kit| below(kit, &format!("/keys/..%2F{}/metadata", kit.target.key_id)),
            CLIENT_ERROR,
        ),
    ),
    should(
        "path-with-a-null",
        OPERATIONS,
        "a key id has no control characters, also not in disguise",
        Refused(
            |kit| below(kit, &format!("/keys/{}%00/metadata", kit.target.key_id)),
            CLIENT_ERROR,
        ),
    ),
    must(
        "uri-of-256-characters",
        OPERATIONS,
        "a URI has up to 256 characters, and a proxy reads it to its end",
        Story(|kit| {
            let start = format!("https://{}", kit.target.authority());
            let rest = format!("{}/keys//metadata", kit.target.uri_path);
            let room = 256_usize
                .saturating_sub(start.len() + rest.len())
                .clamp(1, 128);
            let wire = kit.metadata_of(&"u".repeat(room)).sign();
            kit.refuse(Ok(wire), super::super::case::NO_KEY)
        }),
    ),
    must(
        "health-of-load-balancers",
        LOAD_BALANCERS,
        "load balancers have a health check of their own: a plain GET that is answered with 200",
        Story(|kit| match &kit.target.more.load_balancer_path {
            Some(path) => {
                let draft = kit.health().with(|draft| {
                    draft.method = "GET".to_owned();
                    draft.path = path.clone();
                    draft.raw = Some(Vec::new());
                });
                let wire = draft
                    .unsigned()
                    .without("content-type")
                    .without("x-amz-date");
                answered(kit.send(&wire)?.status)
            }
            None => Err(Finding::needs(
                "--load-balancer-path",
                "the path that load balancers ask is not known",
            )),
        }),
    ),
    must(
        "operations-after-unknown-paths",
        OPERATIONS,
        "requests that lead nowhere do no harm to those that follow on new connections",
        Served(|kit| {
            let _ = kit.send(&below(kit, "/nothing")?)?;
            Ok(kit.encrypt().sign())
        }),
    ),
];

fn answered(status: u16) -> Outcome {
    super::key_metadata::holds(status == 200, || format!("expected 200; got {status}"))
}

/// An operation's path with another method and no body, rightly signed.
fn method(kit: &Kit<'_>, operation: OperationName, method: &str) -> Sending {
    let draft = kit.request(operation)?;
    Ok(draft
        .with(|draft| {
            draft.method = method.to_owned();
            draft.raw = Some(Vec::new());
        })
        .sign())
}

/// An Encrypt that is whole but for its method.
fn other_method(kit: &Kit<'_>, method: &str) -> Sending {
    Ok(kit
        .encrypt()
        .with(|draft| draft.method = method.to_owned())
        .sign())
}

/// A POST to a path below the `XksProxyUriPath`, rightly signed.
fn below(kit: &Kit<'_>, path: &str) -> Sending {
    let path = format!("{}{path}", kit.target.uri_path);
    Ok(kit.metadata().with(|draft| draft.path = path).sign())
}
