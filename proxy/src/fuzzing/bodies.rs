//! Bodies of each operation, signed by `aws-sigv4` and answered by the pipeline.
//!
//! What an answer has to be is read from the body as `serde_json` reads any JSON, and not as the protocol crate does.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that JSON lacks reads as null"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::{Value, json};
use xks_api::error::ErrorName;
use zeroize::Zeroizing;

use super::signatures::sign_elsewhere;
use super::text_request::TextRequest;
use super::{Door, KEY_ID};
use crate::pipeline::{Answer, Encoded, RequestHead, answer};

/// How a request ended.
#[derive(Debug)]
pub enum Ended {
    /// With an answer, which is JSON.
    Answer(Value),
    /// With that error.
    Error(ErrorName),
}

impl Door {
    /// A body of Encrypt.
    ///
    /// # Panics
    /// What is answered is not what Decrypt takes, or not of the plaintext.
    pub fn encrypt(&self, body: &[u8]) -> Ended {
        let ended = self.call("encrypt", body);
        let Ended::Answer(sealed) = &ended else {
            return ended;
        };
        // It has members that no JSON value can hold, such as a number beyond all measure.
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return ended;
        };
        let decrypt = json!({
            "requestMetadata": request["requestMetadata"],
            "additionalAuthenticatedData": request["additionalAuthenticatedData"],
            "encryptionAlgorithm": "AES_GCM",
            "ciphertext": sealed["ciphertext"],
            "ciphertextMetadata": sealed["ciphertextMetadata"],
            "initializationVector": sealed["initializationVector"],
            "authenticationTag": sealed["authenticationTag"],
        });
        match self.call("decrypt", decrypt.to_string().as_bytes()) {
            Ended::Answer(opened) => assert_eq!(opened["plaintext"], request["plaintext"]),
            Ended::Error(name) => panic!("what was encrypted is refused: {name:?}"),
        }
        let wanted = request["ciphertextDataIntegrityValueAlgorithm"].is_string();
        let expected = wanted.then(|| integrity_value(&decrypt));
        let value = &sealed["ciphertextDataIntegrityValue"];
        assert_eq!(value.as_str(), expected.as_deref());
        ended
    }

    /// A body of Decrypt.
    ///
    /// # Panics
    /// A message that nobody encrypted is decrypted.
    pub fn decrypt(&self, body: &[u8]) -> Ended {
        let ended = self.call("decrypt", body);
        if let (Ended::Answer(opened), Ok(request)) =
            (&ended, serde_json::from_slice::<Value>(body))
        {
            assert_eq!(opened["plaintext"], PLAINTEXT);
            for (member, genuine) in GENUINE {
                assert_eq!(request[member], genuine, "forged: {member}");
            }
        }
        ended
    }

    /// A body of GetKeyMetadata.
    pub fn key_metadata(&self, body: &[u8]) -> Ended {
        self.call("metadata", body)
    }

    /// A body of GetHealthStatus.
    pub fn health(&self, body: &[u8]) -> Ended {
        self.call("health", body)
    }

    /// Signs a body for an operation and has it answered.
    ///
    /// # Panics
    /// The answer is none of those that any body can get.
    pub fn call(&self, operation: &str, body: &[u8]) -> Ended {
        let path = match operation {
            "health" => "/kms/xks/v1/health".to_owned(),
            operation => format!("/kms/xks/v1/keys/{KEY_ID}/{operation}"),
        };
        let mut request = TextRequest {
            method: "POST".to_owned(),
            path,
            query: None,
            authority: None,
            headers: Vec::new(),
            body: body.to_owned(),
        };
        assert!(sign_elsewhere(&mut request), "aws-sigv4 signs it");
        let name = |name: &str| http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
        let value = |value: &[u8]| http::HeaderValue::from_bytes(value).expect("a value");
        let headers = request.headers.iter().map(|(n, v)| (name(n), value(v)));
        let headers: http::HeaderMap = headers.collect();
        let head = RequestHead {
            method: &request.method,
            path: &request.path,
            query: None,
            authority: None,
            client: None,
            headers: &headers,
        };
        let body = async { Ok(Zeroizing::new(body.to_owned())) };
        let answer = answer(&self.runtime, head, body);
        match self.executor.block_on(answer) {
            Answer::Ok(Encoded::Open(json)) => Ended::Answer(parse(&json)),
            Answer::Ok(Encoded::Secret(json)) => Ended::Answer(parse(&json)),
            Answer::MethodNotAllowed => panic!("a POST is not allowed"),
            Answer::Error(error) => {
                let expected = [
                    ErrorName::Validation,
                    ErrorName::UnsupportedOperation,
                    ErrorName::InvalidCiphertext,
                ];
                assert!(expected.contains(&error.name), "{error:?}");
                Ended::Error(error.name)
            }
        }
    }
}

fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("an answer is JSON")
}

/// SHA-256 over what the specification's Appendix C names, in its order.
fn integrity_value(decrypt: &Value) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for member in [
        "additionalAuthenticatedData",
        "ciphertextMetadata",
        "initializationVector",
        "ciphertext",
        "authenticationTag",
    ] {
        let text = decrypt[member].as_str().unwrap_or("");
        context.update(&STANDARD.decode(text).expect("base64"));
    }
    STANDARD.encode(context.finish())
}

/// What another implementation made of the plaintext with the key of the door.
const GENUINE: [(&str, &str); 5] = [
    (
        "additionalAuthenticatedData",
        "cHJvamVjdD1uaWxlLGRlcGFydG1lbnQ9bWFya2V0aW5n",
    ),
    ("ciphertext", "Bv0RHVbi+uYRR5Bx"),
    ("ciphertextMetadata", "AQAAAWRlZmdoaWprbG1ub3BxcnM="),
    ("initializationVector", "yMnKy8zNzs/Q0dLT"),
    ("authenticationTag", "9S8a6aMMbY8yQZahTl4tsg=="),
];
const PLAINTEXT: &str = "SGVsbG8gV29ybGQh";
