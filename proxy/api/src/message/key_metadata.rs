//! GetKeyMetadata: request and response.

use serde::{Deserialize, Serialize};

use super::{InvalidRequest, MalformedResponse, object, parse_request, parse_response};
use crate::metadata::RequestMetadata;

/// What KMS asks when it creates a key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetKeyMetadataRequest<'a> {
    /// Who asked; without `kms_key_arn` for CreateKey.
    #[serde(borrow, deserialize_with = "object::one")]
    pub request_metadata: RequestMetadata<'a>,
}

impl<'a> GetKeyMetadataRequest<'a> {
    /// Parses a request body.
    ///
    /// # Errors
    /// ValidationException for anything malformed.
    pub fn parse(body: &'a [u8]) -> Result<Self, InvalidRequest> {
        parse_request(body)
    }

    /// Encodes the request body, as KMS sends it.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always encode")
    }
}

/// What the proxy answers.
///
/// Open sets as text: a KMS must be able to name a foreign spec, usage or status in its error.
//= xks §GetKeyMetadata R13
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetKeyMetadataResponse {
    /// `AES_256` for the one spec that KMS accepts.
    pub key_spec: KeySpec,
    /// At most ten values.
    pub key_usage: Vec<KeyUsage>,
    /// `ENABLED` or `DISABLED`.
    pub key_status: KeyStatus,
}

impl GetKeyMetadataResponse {
    /// Encodes the response body.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always encode")
    }

    /// Parses a response body, as KMS does.
    ///
    /// # Errors
    /// [`MalformedResponse`] for a missing member, a status outside the specification, or more than ten usages.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedResponse> {
        let response: Self = parse_response(body)?;
        if response.key_usage.len() > 10 {
            return Err(MalformedResponse("more than ten keyUsage values"));
        }
        Ok(response)
    }
}

/// `keySpec`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum KeySpec {
    /// A 256-bit AES key.
    #[serde(rename = "AES_256")]
    Aes256,
    /// Whatever else a key manager holds.
    #[serde(untagged)]
    Other(String),
}

/// `keyUsage`: one operation that the key can do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum KeyUsage {
    /// `ENCRYPT`
    Encrypt,
    /// `DECRYPT`
    Decrypt,
    /// Whatever else a key manager can do with it.
    #[serde(untagged)]
    Other(String),
}

/// `keyStatus`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum KeyStatus {
    /// `ENABLED`
    Enabled,
    /// `DISABLED`
    Disabled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_examples_are_read_and_survive_encoding() {
        let request = r#"{"requestMetadata": {
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "DescribeKey",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
            "kmsViaService": "ebs"}}"#;
        let parsed = GetKeyMetadataRequest::parse(request.as_bytes()).unwrap();
        let ours: serde_json::Value = serde_json::from_slice(&parsed.encode()).unwrap();
        assert_eq!(
            ours,
            serde_json::from_str::<serde_json::Value>(request).unwrap()
        );

        let response =
            br#"{"keySpec":"AES_256","keyUsage":["ENCRYPT","DECRYPT"],"keyStatus":"ENABLED"}"#;
        let parsed = GetKeyMetadataResponse::parse(response).unwrap();
        assert_eq!(parsed.key_usage, [KeyUsage::Encrypt, KeyUsage::Decrypt]);
        assert_eq!(parsed.encode(), response);
    }

    #[test]
    fn foreign_specs_and_usages_are_kept_and_defects_are_malformed() {
        let body = r#"{"keySpec":"RSA_0","keyUsage":["WRAP"],"keyStatus":"DISABLED"}"#;
        let parsed = GetKeyMetadataResponse::parse(body.as_bytes()).unwrap();
        assert_eq!(parsed.key_spec, KeySpec::Other("RSA_0".into()));
        assert_eq!(parsed.key_usage, [KeyUsage::Other("WRAP".into())]);
        let [ten, many] = [10, 11].map(|n| format!("[{}]", vec!["\"WRAP\""; n].join(",")));
        let parsed = GetKeyMetadataResponse::parse(body.replace("[\"WRAP\"]", &ten).as_bytes());
        assert_eq!(parsed.unwrap().key_usage.len(), 10);
        for (from, to) in [
            ("DISABLED", "GONE"),
            ("\"keyUsage\":[\"WRAP\"],", ""),
            ("[\"WRAP\"]", &*many),
        ] {
            let body = body.replacen(from, to, 1);
            assert!(
                GetKeyMetadataResponse::parse(body.as_bytes()).is_err(),
                "{to}"
            );
        }
    }
}
