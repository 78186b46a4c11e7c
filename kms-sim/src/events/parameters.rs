//! `requestParameters`: the members of a request that CloudTrail shows, and none of those that it keeps back.
//!
//! What is shown is a list, so that a new secret member stays out. Values that are not shown are skipped in the request's own
//! buffer, which is wiped later: no copy of them is made here.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::operation::Operation;

/// The members of the body that are shown, in CloudTrail's spelling; `None` for a body that is no JSON object or too long.
pub(crate) fn request_parameters(operation: Operation, body: &[u8]) -> Option<Map<String, Value>> {
    if body.len() > MAX_LEN {
        return None;
    }
    let mut parameters = match body {
        [] => Map::new(),
        body => {
            let mut json = serde_json::Deserializer::from_slice(body);
            let parameters = json.deserialize_map(Shown).ok()?;
            json.end().ok()?;
            parameters
        }
    };
    for (name, value) in defaults(operation) {
        parameters.entry(*name).or_insert_with(|| (*value).into());
    }
    Some(parameters)
}

/// What is shown though the request need not say it.
//= kms guide "Decrypt" (CloudTrail): always includes the encryptionAlgorithm
const fn defaults(operation: Operation) -> &'static [(&'static str, &'static str)] {
    match operation {
        Operation::Decrypt | Operation::Encrypt => &[("encryptionAlgorithm", "SYMMETRIC_DEFAULT")],
        Operation::ReEncrypt => &[
            ("sourceEncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
            ("destinationEncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
        ],
        Operation::CreateKey => &[
            ("description", ""),
            ("keyUsage", "ENCRYPT_DECRYPT"),
            ("origin", "AWS_KMS"),
        ],
        _ => &[],
    }
}

/// Takes the members that are shown.
struct Shown;

impl<'de> Visitor<'de> for Shown {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut parameters = Map::new();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            if SHOWN.contains(&&*name) {
                let value = members.next_value()?;
                parameters.insert(spelled(&name), nested(&name, value));
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(parameters)
    }
}

/// A member's name in CloudTrail.
//= kms guide "CreateCustomKeyStore" (CloudTrail): clusterId
pub(super) fn spelled(name: &str) -> String {
    match name {
        "CloudHsmClusterId" => "clusterId".to_owned(),
        name => {
            let mut letters = name.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

/// Structures have CloudTrail's spelling, too; the keys of maps are the caller's own.
pub(super) fn nested(name: &str, value: Value) -> Value {
    match value {
        Value::Object(members) if STRUCTURES.contains(&name) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (spelled(&name), nested(&name, value)));
            Value::Object(members.collect())
        }
        Value::Array(elements) if STRUCTURES.contains(&name) => {
            let elements = elements.into_iter();
            Value::Array(elements.map(|element| nested(name, element)).collect())
        }
        value => value,
    }
}

const STRUCTURES: [&str; 4] = ["Constraints", "KeyMetadata", "Tags", "XksKeyConfiguration"];

/// Not shown are plaintexts, ciphertexts, messages, signatures, tokens, passwords, credentials and key material.
const SHOWN: [&str; 60] = [
    "AliasName",
    "BypassPolicyLockoutSafetyCheck",
    "CloudHsmClusterId",
    "Constraints",
    "CustomKeyStoreId",
    "CustomKeyStoreName",
    "CustomKeyStoreType",
    "CustomerMasterKeySpec",
    "Description",
    "DestinationEncryptionAlgorithm",
    "DestinationEncryptionContext",
    "DestinationKeyId",
    "DryRun",
    "EncryptionAlgorithm",
    "EncryptionContext",
    "ExpirationModel",
    "GrantId",
    "GranteePrincipal",
    "ImportType",
    "IncludeKeyMaterial",
    "KeyAgreementAlgorithm",
    "KeyId",
    "KeyMaterialDescription",
    "KeyMaterialId",
    "KeyPairSpec",
    "KeySpec",
    "KeyUsage",
    "Limit",
    "MacAlgorithm",
    "Marker",
    "MessageType",
    "MultiRegion",
    "Name",
    "NewCustomKeyStoreName",
    "NumberOfBytes",
    "Operations",
    "Origin",
    "PendingWindowInDays",
    "Policy",
    "PolicyName",
    "PrimaryRegion",
    "ReplicaRegion",
    "RetiringPrincipal",
    "RotationPeriodInDays",
    "SigningAlgorithm",
    "SourceEncryptionAlgorithm",
    "SourceEncryptionContext",
    "SourceKeyId",
    "TagKeys",
    "Tags",
    "TargetKeyId",
    "ValidTo",
    "WrappingAlgorithm",
    "WrappingKeySpec",
    "XksKeyId",
    "XksProxyConnectivity",
    "XksProxyUriEndpoint",
    "XksProxyUriPath",
    "XksProxyVpcEndpointServiceName",
    "XksProxyVpcEndpointServiceOwner",
];

/// The largest policy, each character perhaps escaped.
const MAX_LEN: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(operation: Operation, request: &Value) -> Value {
        let body = request.to_string();
        request_parameters(operation, body.as_bytes()).map_or(Value::Null, Value::Object)
    }

    #[test]
    fn secrets_and_what_was_sealed_stay_out() {
        let request = json!({
            "KeyId": "alias/x", "Plaintext": "c2VjcmV0", "CiphertextBlob": "c2VjcmV0", "Message": "c2VjcmV0",
            "GrantTokens": ["secret"], "GrantToken": "secret", "KeyStorePassword": "secret",
            "XksProxyAuthenticationCredential": {"AccessKeyId": "secret", "RawSecretAccessKey": "secret"},
            "EncryptedKeyMaterial": "secret", "ImportToken": "secret", "Unknown": {"secret": ["secret"]},
            "Recipient": {"AttestationDocument": "secret"}, "Mac": "secret", "Signature": "secret", "PublicKey": "secret",
            "TrustAnchorCertificate": "secret",
        });
        assert_eq!(
            of(Operation::Encrypt, &request),
            json!({"keyId": "alias/x", "encryptionAlgorithm": "SYMMETRIC_DEFAULT"})
        );
    }

    #[test]
    fn names_are_cloudtrails_and_the_keys_of_maps_stay() {
        let request = json!({
            "CloudHsmClusterId": "cluster-1", "XksKeyId": "x", "EncryptionContext": {"Department": "Engineering"},
            "Tags": [{"TagKey": "Project", "TagValue": "Alpha"}],
            "Constraints": {"EncryptionContextSubset": {"Department": "Engineering"}},
        });
        assert_eq!(
            of(Operation::CreateGrant, &request),
            json!({
                "clusterId": "cluster-1", "xksKeyId": "x", "encryptionContext": {"Department": "Engineering"},
                "tags": [{"tagKey": "Project", "tagValue": "Alpha"}],
                "constraints": {"encryptionContextSubset": {"Department": "Engineering"}},
            })
        );
    }

    #[test]
    fn what_is_no_request_has_no_parameters() {
        for body in ["[]", "{", "{} {}", "x", "\"KeyId\""] {
            assert_eq!(
                request_parameters(Operation::ListKeys, body.as_bytes()),
                None,
                "{body}"
            );
        }
        let long = format!("{{\"Description\": \"{}\"}}", "x".repeat(MAX_LEN));
        assert_eq!(
            request_parameters(Operation::CreateKey, long.as_bytes()),
            None
        );
        assert_eq!(
            request_parameters(Operation::ListKeys, b""),
            Some(Map::new())
        );
    }

    #[test]
    fn no_sensitive_member_of_kms_is_on_the_list() {
        // Of botocore's model, the members whose shape is marked sensitive, and all blobs.
        for secret in [
            "AccessKeyId",
            "AttestationDocument",
            "CiphertextBlob",
            "CiphertextForRecipient",
            "EncryptedKeyMaterial",
            "GrantToken",
            "GrantTokens",
            "ImportToken",
            "KeyStorePassword",
            "Mac",
            "Message",
            "Plaintext",
            "PrivateKeyPlaintext",
            "PublicKey",
            "RawSecretAccessKey",
            "SharedSecret",
            "Signature",
            "XksProxyAuthenticationCredential",
        ] {
            assert!(!SHOWN.contains(&secret), "{secret}");
        }
    }
}
