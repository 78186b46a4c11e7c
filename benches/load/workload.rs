//! What is sent, and what a good answer to it looks like.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};

/// An operation of the XKS proxy API or of KMS.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Operation {
    Encrypt,
    Decrypt,
    GetKeyMetadata,
    GetHealthStatus,
    DescribeKey,
    GenerateDataKey,
}

impl Operation {
    const ALL: [Self; 6] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::GetKeyMetadata,
        Self::GetHealthStatus,
        Self::DescribeKey,
        Self::GenerateDataKey,
    ];

    /// As it is given on the command line and named in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::GetKeyMetadata => "get-key-metadata",
            Self::GetHealthStatus => "health",
            Self::DescribeKey => "describe-key",
            Self::GenerateDataKey => "generate-data-key",
        }
    }

    /// Whether KMS alone has it; Encrypt and Decrypt are in both APIs.
    pub(crate) const fn is_of_kms(self) -> bool {
        matches!(self, Self::DescribeKey | Self::GenerateDataKey)
    }

    const fn kms_name(self) -> &'static str {
        match self {
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::GetKeyMetadata => "GetKeyMetadata",
            Self::GetHealthStatus => "GetHealthStatus",
            Self::DescribeKey => "DescribeKey",
            Self::GenerateDataKey => "GenerateDataKey",
        }
    }
}

/// Operations, each as often as its weight says.
#[derive(Clone, Debug)]
pub(crate) struct Mix(Vec<(Operation, u32)>);

impl Mix {
    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation> {
        self.0.iter().map(|(operation, _)| *operation)
    }

    /// The operations of one round, spread evenly: `encrypt=2,decrypt=1` is E D E.
    pub(crate) fn round(&self) -> Vec<Operation> {
        let total: u32 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut credit = vec![0_i64; self.0.len()];
        let mut round = Vec::new();
        for _ in 0..total {
            for (credit, (_, weight)) in credit.iter_mut().zip(&self.0) {
                *credit += i64::from(*weight);
            }
            let Some(next) =
                (0..credit.len()).max_by_key(|index| (credit[*index], usize::MAX - index))
            else {
                break;
            };
            credit[next] -= i64::from(total);
            round.push(self.0[next].0);
        }
        round
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut mix = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let operation = Operation::ALL
                .into_iter()
                .find(|operation| operation.name() == name);
            let operation = operation.ok_or_else(|| {
                let names: Vec<_> = Operation::ALL
                    .iter()
                    .map(|operation| operation.name())
                    .collect();
                format!("{name:?} is none of {}", names.join(", "))
            })?;
            let weight = weight
                .parse()
                .ok()
                .filter(|weight| (1..=1_000).contains(weight));
            let weight =
                weight.ok_or_else(|| format!("the weight of {name} is not from 1 to 1000"))?;
            mix.push((operation, weight));
        }
        Ok(Self(mix))
    }
}

/// One kind of request, ready to be sent but for its signature.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) operation: Operation,
    /// Which of the credentials signs it.
    pub(crate) credential: usize,
    pub(crate) path: String,
    /// `X-Amz-Target`, for KMS.
    pub(crate) target: Option<String>,
    pub(crate) body: Bytes,
    /// Where in the body the request's id is, which differs from one to the next.
    pub(crate) request_id_at: Option<usize>,
    expected: Expected,
}

/// What must be in an answer.
#[derive(Clone, Debug)]
enum Expected {
    /// A member of that name, not empty.
    Member(&'static str),
    /// A member of that name with that text.
    Text(&'static str, String),
    /// All the members of a proxy's Encrypt.
    Encrypted,
}

impl Template {
    /// Whether an answer with status 200 is the right one; else what is wrong with it.
    pub(crate) fn check(&self, body: &[u8]) -> Result<(), &'static str> {
        let answer: Value = serde_json::from_slice(body).map_err(|_| "no JSON")?;
        let text = |name: &str| {
            answer
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        match &self.expected {
            Expected::Member(name) => match answer.get(*name) {
                Some(Value::Null) | None => Err("a member is missing"),
                Some(_) => Ok(()),
            },
            Expected::Text(name, expected) if text(name) == Some(expected) => Ok(()),
            Expected::Text(..) => Err("the wrong plaintext"),
            Expected::Encrypted => {
                let members = [
                    "ciphertext",
                    "initializationVector",
                    "authenticationTag",
                    "ciphertextDataIntegrityValue",
                ];
                if members.iter().all(|name| text(name).is_some()) {
                    Ok(())
                } else {
                    Err("a member is missing")
                }
            }
        }
    }
}

/// Templates of requests to a proxy.
pub(crate) struct ProxyRequests<'a> {
    pub(crate) credential: usize,
    pub(crate) uri_path: &'a str,
    pub(crate) key_id: &'a str,
    pub(crate) region: &'a str,
    pub(crate) plaintext_bytes: usize,
    pub(crate) aad_bytes: usize,
}

impl ProxyRequests<'_> {
    /// A request other than Decrypt.
    pub(crate) fn template(&self, operation: Operation) -> Template {
        let mut body = json!({"requestMetadata": self.metadata(operation)});
        let (path, expected) = match operation {
            Operation::GetKeyMetadata => (self.key_path("metadata"), Expected::Member("keySpec")),
            Operation::GetHealthStatus => {
                body["requestMetadata"] =
                    json!({"kmsRequestId": REQUEST_ID, "kmsOperation": "KmsHealthCheck"});
                (
                    format!("{}/health", self.uri_path),
                    Expected::Member("ekmFleetDetails"),
                )
            }
            _ => {
                body["plaintext"] = BASE64.encode(plaintext(self.plaintext_bytes)).into();
                body["encryptionAlgorithm"] = "AES_GCM".into();
                body["ciphertextDataIntegrityValueAlgorithm"] = "SHA_256".into();
                self.add_aad(&mut body);
                (self.key_path("encrypt"), Expected::Encrypted)
            }
        };
        self.finish(operation, path, &body, expected)
    }

    /// The Decrypt of what an Encrypt was answered with.
    ///
    /// # Errors
    /// The answer lacks a member.
    pub(crate) fn decrypt(&self, encrypted: &[u8]) -> Result<Template, String> {
        let answer: Value = serde_json::from_slice(encrypted).map_err(|error| error.to_string())?;
        let mut body = json!({
            "requestMetadata": self.metadata(Operation::Decrypt), "encryptionAlgorithm": "AES_GCM"
        });
        for name in ["ciphertext", "initializationVector", "authenticationTag"] {
            let value = answer.get(name).ok_or_else(|| format!("no {name}"))?;
            body[name] = value.clone();
        }
        if let Some(metadata) = answer.get("ciphertextMetadata") {
            body["ciphertextMetadata"] = metadata.clone();
        }
        self.add_aad(&mut body);
        let expected = Expected::Text("plaintext", BASE64.encode(plaintext(self.plaintext_bytes)));
        Ok(self.finish(
            Operation::Decrypt,
            self.key_path("decrypt"),
            &body,
            expected,
        ))
    }

    fn key_path(&self, verb: &str) -> String {
        format!("{}/keys/{}/{verb}", self.uri_path, self.key_id)
    }

    fn add_aad(&self, body: &mut Value) {
        if self.aad_bytes > 0 {
            body["additionalAuthenticatedData"] = BASE64.encode(vec![b'a'; self.aad_bytes]).into();
        }
    }

    fn metadata(&self, operation: Operation) -> Value {
        json!({
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/xks-load",
            "kmsKeyArn": format!("arn:aws:kms:{}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", self.region),
            "kmsOperation": if operation == Operation::GetKeyMetadata { "CreateKey" } else { operation.kms_name() },
            "kmsRequestId": REQUEST_ID,
        })
    }

    fn finish(
        &self,
        operation: Operation,
        path: String,
        body: &Value,
        expected: Expected,
    ) -> Template {
        let body = body.to_string();
        Template {
            operation,
            credential: self.credential,
            path,
            target: None,
            request_id_at: body.find(REQUEST_ID),
            body: body.into(),
            expected,
        }
    }
}

/// Templates of requests to a KMS API.
pub(crate) struct KmsRequests<'a> {
    pub(crate) key_id: &'a str,
    pub(crate) plaintext_bytes: usize,
    pub(crate) aad_bytes: usize,
}

impl KmsRequests<'_> {
    /// A request other than Decrypt.
    pub(crate) fn template(&self, operation: Operation) -> Template {
        let (body, expected) = match operation {
            Operation::GenerateDataKey => (
                json!({"KeyId": self.key_id, "KeySpec": "AES_256", "EncryptionContext": self.context()}),
                "CiphertextBlob",
            ),
            Operation::DescribeKey => (json!({"KeyId": self.key_id}), "KeyMetadata"),
            _ => {
                let plaintext = BASE64.encode(plaintext(self.plaintext_bytes));
                let context = self.context();
                (
                    json!({"KeyId": self.key_id, "Plaintext": plaintext, "EncryptionContext": context}),
                    "CiphertextBlob",
                )
            }
        };
        Self::finish(operation, &body, Expected::Member(expected))
    }

    /// The Decrypt of what an Encrypt was answered with.
    ///
    /// # Errors
    /// The answer has no ciphertext.
    pub(crate) fn decrypt(&self, encrypted: &[u8]) -> Result<Template, String> {
        let answer: Value = serde_json::from_slice(encrypted).map_err(|error| error.to_string())?;
        let blob = answer.get("CiphertextBlob").ok_or("no CiphertextBlob")?;
        let body = json!({"CiphertextBlob": blob, "EncryptionContext": self.context()});
        let expected = Expected::Text("Plaintext", BASE64.encode(plaintext(self.plaintext_bytes)));
        Ok(Self::finish(Operation::Decrypt, &body, expected))
    }

    /// An encryption context of about as many bytes as were asked for.
    fn context(&self) -> Value {
        match self.aad_bytes.checked_sub("load".len()) {
            None => json!({}),
            Some(rest) => json!({"load": "a".repeat(rest)}),
        }
    }

    fn finish(operation: Operation, body: &Value, expected: Expected) -> Template {
        Template {
            operation,
            credential: 0,
            path: "/".into(),
            target: Some(format!("TrentService.{}", operation.kms_name())),
            body: body.to_string().into(),
            request_id_at: None,
            expected,
        }
    }
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len)
        .map(|index| b'a' + u8::try_from(index % 26).unwrap_or_default())
        .collect()
}

/// Stands in templates where each request has an id of its own.
const REQUEST_ID: &str = "4112f4d6-db54-4af4-ae30-c55a22a8dfae";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_each_operation_as_often_as_its_weight_and_spreads_them() {
        let mix: Mix = "encrypt=3,decrypt=1".parse().unwrap();
        let names: Vec<_> = mix
            .round()
            .iter()
            .map(|operation| operation.name())
            .collect();
        assert_eq!(names.iter().filter(|name| **name == "encrypt").count(), 3);
        assert_eq!(names.len(), 4);
        assert_ne!(names[3], "decrypt", "{names:?}");
        for wrong in ["", "encrypt=0", "encrypt=x", "sign", "encrypt,,decrypt"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_answer_is_told_from_a_right_one() {
        let requests = KmsRequests {
            key_id: "k",
            plaintext_bytes: 3,
            aad_bytes: 0,
        };
        let decrypt = requests.decrypt(br#"{"CiphertextBlob": "AAAA"}"#).unwrap();
        assert_eq!(decrypt.check(br#"{"Plaintext": "YWJj"}"#), Ok(()));
        assert!(decrypt.check(br#"{"Plaintext": "YWJk"}"#).is_err());
        assert!(decrypt.check(b"{}").is_err());
        assert!(requests.template(Operation::Encrypt).check(b"{}").is_err());
    }
}
