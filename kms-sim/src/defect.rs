//! What can be wrong with an answer of a proxy that is sound otherwise: for faults of a link and for scripts alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One defect. An answer that has no such field stays as it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// The body is a page of HTML.
    NotJson,
    /// There is no body.
    Empty,
    /// The body ends in its middle.
    Truncated,
    /// The body is longer than any answer can be.
    TooLong,
    /// The body is `{}`.
    NoFields,
    /// The ciphertext is a byte longer than the plaintext.
    CiphertextLength,
    /// The plaintext is a byte longer than the ciphertext.
    PlaintextLength,
    /// Another plaintext of the same length.
    OtherPlaintext,
    /// An initialization vector of 13 bytes.
    IvLength,
    /// An authentication tag of 15 bytes.
    TagLength,
    /// Ciphertext metadata of 21 bytes.
    OversizeMetadata,
    /// A CDIV of something else.
    WrongCdiv,
    /// No CDIV, though it was asked for.
    MissingCdiv,
    /// Base64 with a character that is none.
    BadBase64,
    /// A key of the spec AES_128.
    KeySpec,
    /// A key that is DISABLED.
    KeyDisabled,
    /// A key that only encrypts.
    KeyUsage,
    /// A key with eleven usages.
    KeyUsages,
    /// Every instance of the external key manager is UNAVAILABLE.
    AllUnavailable,
    /// Every instance is DEGRADED, which KMS bears.
    AllDegraded,
    /// No instance at all.
    NoInstances,
    /// An instance with a healthStatus that the specification does not know.
    UnknownStatus,
    /// A proxy fleet of no size.
    NoFleet,
}

impl Defect {
    /// Every defect's name.
    pub const NAMES: [&'static str; 23] = [
        "not-json",
        "empty",
        "truncated",
        "too-long",
        "no-fields",
        "ciphertext-length",
        "plaintext-length",
        "other-plaintext",
        "iv-length",
        "tag-length",
        "oversize-metadata",
        "wrong-cdiv",
        "missing-cdiv",
        "bad-base64",
        "key-spec",
        "key-disabled",
        "key-usage",
        "key-usages",
        "all-unavailable",
        "all-degraded",
        "no-instances",
        "unknown-status",
        "no-fleet",
    ];

    /// The body with the defect.
    pub(crate) fn apply(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::NotJson => b"<html><body>Bad gateway</body></html>".to_vec(),
            Self::Empty => Vec::new(),
            Self::Truncated => body.get(..body.len() / 2).unwrap_or_default().to_vec(),
            Self::TooLong => [body, &vec![b' '; LONGER_THAN_ANY]].concat(),
            Self::NoFields => b"{}".to_vec(),
            other => match serde_json::from_slice(body) {
                Ok(Value::Object(mut fields)) => {
                    other.change(&mut fields);
                    Value::Object(fields).to_string().into_bytes()
                }
                _ => body.to_vec(),
            },
        }
    }

    fn change(self, fields: &mut serde_json::Map<String, Value>) {
        let mut set = |name: &str, value: Value| {
            if let Some(field) = fields.get_mut(name) {
                *field = value;
            }
        };
        match self {
            // Without their JSON.
            Self::NotJson | Self::Empty | Self::Truncated | Self::TooLong | Self::NoFields => {}
            Self::CiphertextLength => bytes(fields, "ciphertext", |text| text.push(0)),
            Self::PlaintextLength => bytes(fields, "plaintext", |text| text.push(0)),
            Self::OtherPlaintext => bytes(fields, "plaintext", |text| {
                if let Some(first) = text.first_mut() {
                    *first ^= 1;
                }
            }),
            Self::IvLength => bytes(fields, "initializationVector", |iv| iv.resize(13, 0)),
            Self::TagLength => bytes(fields, "authenticationTag", |tag| tag.truncate(15)),
            Self::OversizeMetadata => {
                set("ciphertextMetadata", STANDARD.encode([b'm'; 21]).into());
            }
            Self::WrongCdiv => set(CDIV, STANDARD.encode([0; 32]).into()),
            Self::MissingCdiv => drop(fields.remove(CDIV)),
            Self::BadBase64 => {
                for field in fields.values_mut() {
                    if let Value::String(text) = field {
                        *text = format!("!{text}");
                    }
                }
            }
            Self::KeySpec => set("keySpec", "AES_128".into()),
            Self::KeyDisabled => set("keyStatus", "DISABLED".into()),
            Self::KeyUsage => set("keyUsage", json!(["ENCRYPT"])),
            Self::KeyUsages => set("keyUsage", vec!["ENCRYPT"; 11].into()),
            Self::AllUnavailable => instances(fields, "UNAVAILABLE"),
            Self::AllDegraded => instances(fields, "DEGRADED"),
            Self::UnknownStatus => instances(fields, "SLEEPY"),
            Self::NoInstances => set("ekmFleetDetails", json!([])),
            Self::NoFleet => set("xksProxyFleetSize", json!(0)),
        }
    }
}

fn bytes(fields: &mut serde_json::Map<String, Value>, name: &str, change: fn(&mut Vec<u8>)) {
    let Some(field) = fields.get_mut(name) else {
        return;
    };
    if let Some(mut bytes) = field.as_str().and_then(|text| STANDARD.decode(text).ok()) {
        change(&mut bytes);
        *field = STANDARD.encode(bytes).into();
    }
}

fn instances(fields: &mut serde_json::Map<String, Value>, status: &str) {
    let details = fields
        .get_mut("ekmFleetDetails")
        .and_then(Value::as_array_mut);
    for instance in details.into_iter().flatten() {
        if let Some(found) = instance.get_mut("healthStatus") {
            *found = status.into();
        }
    }
}

const CDIV: &str = "ciphertextDataIntegrityValue";

/// KMS reads 128 KiB.
const LONGER_THAN_ANY: usize = 200 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Defect {
        serde_json::from_value(name.into()).unwrap()
    }

    #[test]
    fn every_name_is_a_defect_that_changes_an_answer() {
        let sound = [
            json!({"ciphertext": "AAAA", "initializationVector": "AAAAAAAAAAAAAAAA",
                "authenticationTag": "AAAAAAAAAAAAAAAAAAAAAA==", "ciphertextMetadata": "AA==", CDIV: "AA=="}),
            json!({"plaintext": "AAAA"}),
            json!({"keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED"}),
            json!({"xksProxyFleetSize": 1, "ekmFleetDetails": [{"healthStatus": "ACTIVE"}]}),
        ];
        let mut seen = Vec::new();
        for name in Defect::NAMES {
            let defect = parse(name);
            assert!(!seen.contains(&defect), "{name}");
            seen.push(defect);
            let changed = sound.iter().filter(|body| {
                let body = body.to_string();
                defect.apply(body.as_bytes()) != body.as_bytes()
            });
            assert!(changed.count() >= 1, "{name}");
        }
    }

    #[test]
    fn what_is_no_json_object_stays_as_it_is() {
        for body in ["", "[]", "x"] {
            assert_eq!(parse("wrong-cdiv").apply(body.as_bytes()), body.as_bytes());
        }
    }

    #[test]
    fn lengths_are_what_their_names_say() {
        let body = json!({"ciphertext": "AAAA", "authenticationTag": STANDARD.encode([1; 16])});
        let changed = |name| -> Value {
            serde_json::from_slice(&parse(name).apply(body.to_string().as_bytes())).unwrap()
        };
        let len = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap().len();
        assert_eq!(len(&changed("ciphertext-length")["ciphertext"]), 4);
        assert_eq!(len(&changed("tag-length")["authenticationTag"]), 15);
    }
}
