//! HTTP/2, for proxies that offer it.

use super::super::case::Check::Story;
use super::super::case::{AUTHENTICATION as NOT_AUTHENTIC, Case, Finding, Outcome, must, should};
use super::super::http2::exchange;
use super::super::kit::{AAD, Kit, PLAINTEXT};
use super::super::wire::Wire;
use super::encrypt::same;
use super::{CANONICAL_REQUEST, CONTENT_TYPE};

pub(super) const CASES: &[Case] = &[
    should(
        "http2-operations",
        CONTENT_TYPE,
        "a proxy that offers HTTP/2 serves the four operations over it, in streams of one connection",
        Story(|kit| {
            let wires: Result<Vec<_>, _> = xks_api::route::OperationName::ALL
                .into_iter()
                .map(|name| Ok(kit.request(name)?.sign()))
                .collect();
            let wires = wires?;
            let answers = over_http2(kit, &wires)?;
            for (wire, answer) in wires.iter().zip(answers) {
                answer.served(wire.operation)?;
            }
            Ok(())
        }),
    ),
    should(
        "http2-decrypts-what-http1-encrypted",
        CONTENT_TYPE,
        "a ciphertext that was made over HTTP/1.1 opens over HTTP/2",
        Story(|kit| {
            let wire = kit.decrypt(&kit.sealed()?).sign();
            let answer = one(kit, &wire)?;
            same(&answer.plaintext()?, PLAINTEXT)
        }),
    ),
    must(
        "http2-signed-with-another-secret",
        CANONICAL_REQUEST,
        "a proxy that offers HTTP/2 verifies signatures over it, too",
        Story(|kit| {
            let draft = kit.encrypt().with(|draft| {
                draft.signature.secret = "another+Secret/another+Secret/another+Secret/x=".into();
            });
            one(kit, &draft.sign())?.refused(NOT_AUTHENTIC)
        }),
    ),
    must(
        "http2-body-changed-after-signing",
        CANONICAL_REQUEST,
        "a proxy that offers HTTP/2 hashes the body over it, too",
        Story(|kit| {
            let wire = kit.encrypt().sign().with(|wire| wire.body.push(b' '));
            one(kit, &wire)?.refused(NOT_AUTHENTIC)
        }),
    ),
    should(
        "http2-largest-request",
        CONTENT_TYPE,
        "a proxy that offers HTTP/2 takes the largest request over it",
        Story(|kit| {
            let wire = kit.encrypt_of(&[1; 4300], Some(&[2; 8192])).sign();
            one(kit, &wire)?.sealed(Some(AAD)).map(drop)
        }),
    ),
];

fn one(kit: &Kit<'_>, wire: &Wire) -> Result<super::super::answer::Answer, Finding> {
    let mut answers = over_http2(kit, std::slice::from_ref(wire))?;
    answers.pop().ok_or_else(|| Finding::failed("no answer"))
}

fn over_http2(kit: &Kit<'_>, wires: &[Wire]) -> Result<Vec<super::super::answer::Answer>, Finding> {
    let result = exchange(kit, wires);
    let shown: Outcome = result.as_ref().map(drop).map_err(Clone::clone);
    for (at, wire) in wires.iter().enumerate() {
        let answer = match (&result, &shown) {
            (Ok(answers), _) => answers.get(at).map(|answer| answer.shown()),
            (_, Err(Finding::Failed(text))) => Some(text.clone()),
            _ => None,
        };
        kit.note_text(wire.redacted(), answer.unwrap_or_default());
    }
    result
}
