//! Error answers: their JSON, and what must not stand in it.

use serde_json::Value;
use xks_api::error::ErrorName;

use super::super::answer::Answer;
use super::super::case::Check::Story;
use super::super::case::{Case, Finding, Outcome, Sending, must, should};
use super::super::kit::Kit;
use super::key_metadata::holds;
use super::{ERROR_CODES, flip};

/// One refusal of each kind that every proxy has.
const KINDS: [fn(&Kit<'_>) -> Sending; 5] = [
    |kit| Ok(kit.encrypt().unsigned()),
    |kit| Ok(kit.encrypt().without("plaintext").sign()),
    |kit| kit.tampered(|sealed| flip(&mut sealed.tag, 0)),
    |kit| Ok(kit.metadata_of(kit.target.unknown_key()).sign()),
    |kit| {
        let path = format!("{}/nothing", kit.target.uri_path);
        Ok(kit.health().with(|draft| draft.path = path).sign())
    },
];

pub(super) const CASES: &[Case] = &[
    must(
        "errors-are-json-objects",
        ERROR_CODES,
        "the body of an error is a JSON object",
        Story(|kit| {
            each(kit, |answer| {
                let body = serde_json::from_slice(&answer.body);
                holds(matches!(body, Ok(Value::Object(_))), || {
                    format!("the body of a {} is no JSON object", answer.status)
                })
            })
        }),
    ),
    must(
        "errors-have-a-name",
        ERROR_CODES,
        "the body of an error has errorName, one of the twelve of the specification",
        Story(|kit| {
            each(kit, |answer| {
                let name = answer.error_name().unwrap_or_default();
                holds(ErrorName::from_wire(&name).is_some(), || {
                    format!("errorName of a {} is {name:?}", answer.status)
                })
            })
        }),
    ),
    must(
        "error-names-fit-their-statuses",
        ERROR_CODES,
        "each errorName comes with the HTTP status of the specification's table",
        Story(|kit| {
            each(kit, |answer| {
                let name = answer.error_name().unwrap_or_default();
                let status = ErrorName::from_wire(&name).map(ErrorName::status);
                holds(status == Some(answer.status), || {
                    format!("{name} came with {}", answer.status)
                })
            })
        }),
    ),
    must(
        "error-messages-are-short",
        ERROR_CODES,
        "errorMessage, if there is one, is a string of fewer than 512 characters",
        Story(|kit| {
            each(kit, |answer| match message(answer) {
                None => Ok(()),
                Some(Value::String(text)) => holds(text.chars().count() < 512, || {
                    format!("an errorMessage of {} characters", text.chars().count())
                }),
                Some(other) => Err(Finding::failed(format!("errorMessage is {other}"))),
            })
        }),
    ),
    must(
        "error-messages-are-printable-ascii",
        ERROR_CODES,
        "errorMessage, if there is one, is printable ASCII",
        Story(|kit| {
            each(kit, |answer| {
                let text = message(answer).and_then(|text| text.as_str().map(str::to_owned));
                let printable = |text: String| text.bytes().all(|b| (b' '..=b'~').contains(&b));
                holds(text.is_none_or(printable), || {
                    "an errorMessage with other characters".to_owned()
                })
            })
        }),
    ),
    must(
        "errors-say-that-they-are-json",
        "API content type",
        "the Content-Type of an error is application/json, too",
        Story(|kit| each(kit, says_json)),
    ),
    must(
        "answers-say-that-they-are-json",
        "API content type",
        "the Content-Type of the four operations' answers is application/json",
        Story(|kit| {
            for name in xks_api::route::OperationName::ALL {
                let answer = kit.send(&kit.request(name)?.sign())?;
                answer.object()?;
                says_json(&answer)?;
            }
            Ok(())
        }),
    ),
    should(
        "errors-do-not-repeat-the-plaintext",
        ERROR_CODES,
        "an error does not repeat the plaintext, which must not get into logs, as errorMessage does",
        Story(|kit| {
            let secret = "UGxhaW50ZXh0IHRoYXQgbm9ib2R5IHNlZXM=";
            let draft = kit.encrypt().set("plaintext", secret);
            let wire = draft.set("encryptionAlgorithm", "AES_CBC").sign();
            let answer = kit.send(&wire)?;
            let text = String::from_utf8_lossy(&answer.body);
            let shown = [secret, "Plaintext that nobody sees"];
            holds(!shown.iter().any(|shown| text.contains(shown)), || {
                "the error repeats the plaintext".to_owned()
            })
        }),
    ),
    should(
        "errors-do-not-tell-credentials-apart",
        ERROR_CODES,
        "an unknown access key id and a wrong signature get one and the same answer",
        Story(|kit| {
            let unknown = kit
                .encrypt()
                .with(|draft| draft.signature.access_key_id = "ZZZZZZZZZZZZZZZZZZZZ".into());
            let unknown = kit.send(&unknown.sign())?;
            let wrong = kit.encrypt().sign().signature(|_| "0".repeat(64));
            let wrong = kit.send(&wrong)?;
            holds(unknown.body == wrong.body, || {
                "the bodies of the two refusals differ".to_owned()
            })
        }),
    ),
    must(
        "errors-are-named-so-for-decrypt",
        ERROR_CODES,
        "what does not decrypt is an InvalidCiphertextException with status 400, the one error from which KMS knows it",
        Story(|kit| {
            let wire = kit.tampered(|sealed| flip(&mut sealed.ciphertext, 4))?;
            let answer = kit.send(&wire)?;
            holds(
                answer.status == 400
                    && answer.error_name().as_deref() == Some("InvalidCiphertextException"),
                || format!("got {}", answer.summary()),
            )
        }),
    ),
];

/// Each kind of refusal, looked at.
fn each(kit: &Kit<'_>, look: fn(&Answer) -> Outcome) -> Outcome {
    for kind in KINDS {
        let answer = kit.send(&kind(kit)?)?;
        if answer.status == 200 {
            return Err(Finding::failed(
                "a request that is to be refused was answered with 200",
            ));
        }
        look(&answer)?;
    }
    Ok(())
}

fn message(answer: &Answer) -> Option<Value> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    body.get("errorMessage").filter(|m| !m.is_null()).cloned()
}

fn says_json(answer: &Answer) -> Outcome {
    let kind = answer.header("content-type").unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim();
    holds(media.eq_ignore_ascii_case("application/json"), || {
        format!("the Content-Type of a {} is {kind:?}", answer.status)
    })
}
