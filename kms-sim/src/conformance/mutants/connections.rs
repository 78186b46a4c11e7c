//! Mutants in TLS, in HTTP, in time and in their configuration.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Mutant, answers, configuration, connections, down, unless, verb};
use crate::stub_proxy::{Call, Handshake, Reply};

pub(super) const MUTANTS: &[Mutant] = &[
    connections(
        "has a certificate of another host",
        Handshake::OtherName,
        &["certificate-of-the-host"],
    ),
    connections(
        "has none of the cipher suites",
        Handshake::OtherSuites,
        &["suite-of-the-specification"],
    ),
    connections("speaks TLS 1.2 alone", Handshake::OnlyTls12, &["tls-1-3"]),
    connections("speaks TLS 1.3 alone", Handshake::OnlyTls13, &["tls-1-2"]),
    connections(
        "agrees to TLS 1.1",
        Handshake::AgreesToTls11,
        &["tls-1-1-refused"],
    ),
    connections(
        "speaks without TLS",
        Handshake::WithoutTls,
        &["no-plain-http"],
    ),
    connections(
        "insists on ALPN",
        Handshake::InsistsOnAlpn,
        &["http-1-1-without-asking-for-it"],
    ),
    connections(
        "asks for no client certificate",
        Handshake::Sound,
        &["mtls-no-*", "mtls-other-*", "mtls-self-*"],
    ),
    connections(
        "takes a client certificate of any subject",
        Handshake::ClientCertificateOfAnyone,
        &["mtls-other-subject-*"],
    ),
    connections(
        "takes no connection",
        Handshake::Hangup,
        &["mtls-certificate-of-kms"],
    ),
    connections(
        "does not wait for the rest of a request",
        Handshake::Impatient,
        &["request-byte-by-byte", "body-later-than-head"],
    ),
    connections(
        "fails at what is no request",
        Handshake::Fragile,
        &["content-length-*", "bytes-that-are-no-http"],
    ),
    connections(
        "serves one connection at a time",
        Handshake::OneAtATime,
        &[
            "idle-connections-disturb-nobody",
            "half-a-request-disturbs-nobody",
        ],
    ),
    answers(
        "closes after each answer without a word",
        |call| {
            let mut reply = call.sound();
            reply
                .headers
                .push(("connection".to_owned(), "close".to_owned()));
            Some(reply)
        },
        &[
            "many-requests-on-one-connection",
            "all-operations-on-one-connection",
            "requests-in-a-pipeline",
        ],
    ),
    answers(
        "hangs up instead of refusing",
        |call| {
            let reply = call.sound();
            (reply.status == 200).then_some(reply)
        },
        &["connection-kept-after-a-refusal", "errors-have-a-name"],
    ),
    answers(
        "keeps connections that are to be closed",
        |call| {
            let mut reply = call.sound();
            reply
                .headers
                .push(("connection".to_owned(), "keep-alive".to_owned()));
            Some(reply)
        },
        &["connection-closed-when-asked"],
    ),
    answers(
        "knows no chunks, no Expect, no long headers and one Content-Type",
        |call| {
            let headers = &call.request.headers;
            let odd = headers.iter().any(|(name, value)| {
                matches!(&**name, "transfer-encoding" | "expect")
                    || value.len() > 1024
                    || name == "content-type" && value != "application/json"
            });
            unless(call, odd, down)
        },
        &[
            "body-in-chunks",
            "expect-100-continue",
            "header-that-is-long",
            "content-type-with-charset",
        ],
    ),
    answers(
        "fails at bodies that are long",
        |call| unless(call, call.request.body.len() > 1024 * 1024, down),
        &["body-of-four-mebibytes"],
    ),
    answers(
        "mixes up the answers to requests",
        |call| {
            static LAST: Mutex<Option<Reply>> = Mutex::new(None);
            let reply = call.sound();
            if reply.status != 200 {
                return Some(reply);
            }
            let before = LAST.lock().ok()?.replace(reply.clone());
            Some(before.unwrap_or(reply))
        },
        &[
            "encrypts-at-a-time",
            "decrypts-at-a-time",
            "operations-at-a-time",
        ],
    ),
    answers(
        "fails for a while after a path that is none",
        |call| {
            static FAILING: AtomicUsize = AtomicUsize::new(0);
            if verb(call.request) == "nothing" {
                FAILING.store(1, Ordering::Relaxed);
            }
            let failing = FAILING.load(Ordering::Relaxed) == 1;
            unless(call, failing, down)
        },
        &["operations-after-unknown-paths"],
    ),
    answers(
        "is late with health",
        |call| late(call, "health"),
        &["health-in-time"],
    ),
    answers(
        "is late with metadata",
        |call| late(call, "metadata"),
        &["metadata-in-time"],
    ),
    answers(
        "is late with Encrypt",
        |call| late(call, "encrypt"),
        &["encrypt-in-time"],
    ),
    answers(
        "is late with Decrypt",
        |call| late(call, "decrypt"),
        &["decrypt-in-time"],
    ),
    answers(
        "is late with what is large",
        |call| match call.request.body.len() > 8192 {
            true => late(call, "encrypt"),
            false => Some(call.sound()),
        },
        &["largest-encrypt-in-time"],
    ),
    answers(
        "is late with whatever comes first on a connection",
        |call| late(call, "encrypt"),
        &["new-connection-in-time"],
    ),
    answers(
        "has no health check for load balancers",
        |call| unless(call, call.request.method == "GET", down),
        &["health-of-load-balancers", "get-of-*"],
    ),
    configuration(
        "is at an address",
        |target| target.host = "192.0.2.1".to_owned(),
        &["host-is-a-domain-name"],
    ),
    configuration(
        "has a path of other characters",
        |target| target.uri_path = "/a.b/kms/xks/v1".to_owned(),
        &["uri-path-of-kms"],
    ),
    configuration(
        "has a host of 245 characters",
        |target| target.host = format!("{}.test", "h".repeat(240)),
        &["uris-of-at-most-256-characters"],
    ),
    configuration(
        "has a key id with a slash",
        |target| target.key_id = "a/b".to_owned(),
        &["key-id-of-kms"],
    ),
    configuration(
        "has a short access key id",
        |target| target.credential.access_key_id = "SHORT".to_owned(),
        &["access-key-id-of-kms"],
    ),
    configuration(
        "has a short secret",
        |target| target.credential.secret_access_key = "short".to_owned(),
        &["secret-access-key-of-kms"],
    ),
    configuration(
        "has an access key id that is its secret",
        |target| {
            let credential = &mut target.credential;
            credential.secret_access_key = credential.access_key_id.to_ascii_lowercase();
        },
        &["access-key-id-tells-nothing-of-the-secret"],
    ),
];

/// Later than KMS waits.
fn late(call: &Call<'_>, of: &str) -> Option<Reply> {
    if verb(call.request) == of {
        std::thread::sleep(Duration::from_millis(260));
    }
    Some(call.sound())
}
