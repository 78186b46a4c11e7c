//! Bodies that are no JSON, are another JSON than the operation's, or are unusual and still right.

use serde_json::{Value, json};

use super::super::case::Check::{Refused, Served, Story};
use super::super::case::{CLIENT_ERROR, Case, Finding, INVALID, Outcome, Refusal, must, should};
use super::super::kit::Kit;
use super::{APPENDIX_B, CONTENT_TYPE, DECRYPT, ENCRYPT, GET_HEALTH_STATUS, GET_KEY_METADATA};

const NO_JSON: &str = "a body that is no JSON is invalid";
const NO_OBJECT: &str = "the body is a JSON object, and no other value";
/// The specification has no ValidationException for GetHealthStatus.
const HEALTH_CLIENT_ERROR: &[Refusal] = CLIENT_ERROR;

pub(super) const CASES: &[Case] = &[
    must(
        "encrypt-body-empty",
        ENCRYPT,
        NO_JSON,
        Refused(|kit| Ok(kit.encrypt().body("").sign()), INVALID),
    ),
    must(
        "encrypt-body-of-words",
        CONTENT_TYPE,
        NO_JSON,
        Refused(
            |kit| Ok(kit.encrypt().body("plaintext=SGVsbG8%3D").sign()),
            INVALID,
        ),
    ),
    must(
        "encrypt-body-of-xml",
        CONTENT_TYPE,
        NO_JSON,
        Refused(
            |kit| Ok(kit.encrypt().body("<plaintext>SGVsbG8=</plaintext>").sign()),
            INVALID,
        ),
    ),
    must(
        "encrypt-body-cut-short",
        CONTENT_TYPE,
        NO_JSON,
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .text(|text| text.chars().take(text.len() / 2).collect())
                    .sign())
            },
            INVALID,
        ),
    ),
    must(
        "encrypt-body-with-more-after-it",
        CONTENT_TYPE,
        "one JSON value and nothing after it",
        Refused(
            |kit| Ok(kit.encrypt().text(|text| text + "{}").sign()),
            INVALID,
        ),
    ),
    must(
        "encrypt-body-not-utf8",
        CONTENT_TYPE,
        "JSON is UTF-8",
        Refused(
            |kit| {
                let mut body = kit.encrypt().unsigned().body;
                body.insert(1, 0xff);
                Ok(kit.encrypt().body(body).sign())
            },
            INVALID,
        ),
    ),
    must(
        "encrypt-body-a-list",
        ENCRYPT,
        NO_OBJECT,
        Refused(
            |kit| Ok(kit.encrypt().text(|text| format!("[{text}]")).sign()),
            INVALID,
        ),
    ),
    must(
        "encrypt-body-a-string",
        ENCRYPT,
        NO_OBJECT,
        Refused(|kit| Ok(kit.encrypt().body("\"SGVsbG8=\"").sign()), INVALID),
    ),
    must(
        "encrypt-body-null",
        ENCRYPT,
        NO_OBJECT,
        Refused(|kit| Ok(kit.encrypt().body("null").sign()), INVALID),
    ),
    must(
        "encrypt-body-without-members",
        ENCRYPT,
        "an object without the required members is invalid",
        Refused(|kit| Ok(kit.encrypt().body("{}").sign()), INVALID),
    ),
    must(
        "decrypt-body-empty",
        DECRYPT,
        NO_JSON,
        Refused(
            |kit| Ok(kit.decrypt(&kit.sealed()?).body("").sign()),
            super::super::case::CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-body-of-words",
        DECRYPT,
        NO_JSON,
        Refused(
            |kit| Ok(kit.decrypt(&kit.sealed()?).body("decrypt, please").sign()),
            super::super::case::CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "decrypt-body-without-members",
        DECRYPT,
        "an object without the required members is invalid",
        Refused(
            |kit| Ok(kit.decrypt(&kit.sealed()?).body("{}").sign()),
            super::super::case::CIPHERTEXT_OR_INVALID,
        ),
    ),
    must(
        "metadata-body-of-words",
        GET_KEY_METADATA,
        NO_JSON,
        Refused(|kit| Ok(kit.metadata().body("which key?").sign()), INVALID),
    ),
    should(
        "metadata-body-empty",
        GET_KEY_METADATA,
        "a GetKeyMetadata has a body with requestMetadata",
        Refused(|kit| Ok(kit.metadata().body("").sign()), INVALID),
    ),
    should(
        "health-body-of-words",
        GET_HEALTH_STATUS,
        "a GetHealthStatus has a body of JSON",
        Refused(
            |kit| Ok(kit.health().body("how are you?").sign()),
            HEALTH_CLIENT_ERROR,
        ),
    ),
    should(
        "member-twice",
        ENCRYPT,
        "a member that stands twice in an object is ambiguous and refused",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .text(|text| text.replacen('{', "{\"plaintext\":\"b3RoZXI=\",", 1))
                    .sign())
            },
            INVALID,
        ),
    ),
    should(
        "member-in-other-letters",
        ENCRYPT,
        "the names of members are written as the specification writes them",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .text(|text| text.replace("\"plaintext\"", "\"Plaintext\""))
                    .sign())
            },
            INVALID,
        ),
    ),
    should(
        "nested-ten-thousand-times",
        CONTENT_TYPE,
        "a body that is nested very deeply is refused, and does not bring the proxy down",
        Story(nested),
    ),
    must(
        "unknown-member-of-the-body",
        APPENDIX_B,
        "members that the proxy does not know yet are ignored",
        Served(|kit| {
            let future = json!({"a": [1, 2, {"b": null}], "c": "d"});
            Ok(kit.encrypt().set("futureParameter", future).sign())
        }),
    ),
    must(
        "unknown-member-of-the-body-of-decrypt",
        APPENDIX_B,
        "members that the proxy does not know yet are ignored",
        Served(|kit| {
            let draft = kit.decrypt(&kit.sealed()?);
            Ok(draft.set("futureParameter", "value").sign())
        }),
    ),
    must(
        "body-with-white-space",
        CONTENT_TYPE,
        "white space between the parts of JSON means nothing",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .with(|draft| {
                    let text = serde_json::to_string_pretty(&draft.json).unwrap_or_default();
                    draft.raw = Some(format!("\r\n\t {text} \n").into_bytes());
                })
                .sign())
        }),
    ),
    must(
        "body-with-members-in-another-order",
        CONTENT_TYPE,
        "the order of the members means nothing",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .with(|draft| {
                    let Value::Object(fields) = &draft.json else {
                        return;
                    };
                    let fields: Vec<_> = fields
                        .iter()
                        .rev()
                        .map(|(name, value)| format!("\"{name}\": {value}"))
                        .collect();
                    draft.raw = Some(format!("{{{}}}", fields.join(", ")).into_bytes());
                })
                .sign())
        }),
    ),
    must(
        "body-with-escaped-member-names",
        CONTENT_TYPE,
        "a name of a member may have escapes, and means the same",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .text(|text| text.replace("\"plaintext\"", "\"pl\\u0061intext\""))
                .sign())
        }),
    ),
];

fn nested(kit: &Kit<'_>) -> Outcome {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let draft = kit
        .encrypt()
        .text(|text| text.replacen('{', &format!("{{\"deep\":{deep},"), 1));
    let answer = kit.send(&draft.sign())?;
    if !matches!(answer.status, 200 | 400..=499 | 501) {
        return Err(Finding::failed(format!(
            "expected an answer that is no failure of the proxy; got {}",
            answer.summary()
        )));
    }
    kit.serve(Ok(kit.encrypt().sign()))
}
