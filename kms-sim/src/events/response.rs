//! `responseElements`: what CloudTrail shows of the answer to an operation that changes something.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::macros::format_description;

use super::parameters::{nested, spelled};
use crate::operation::Operation;

/// The members of an answer that are shown; `None` for operations that only read or use keys.
///
/// CloudTrail adds the ARN of the key where the answer does not name it.
//= kms guide "Logging AWS KMS API calls with AWS CloudTrail"
pub(super) fn response_elements(
    operation: Operation,
    body: &[u8],
    key_arn: Option<&str>,
) -> Option<Map<String, Value>> {
    if read_only(operation) {
        return None;
    }
    // Answers of these operations hold no plaintext.
    let answer: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let mut elements: Map<String, Value> = answer
        .into_iter()
        .filter(|(name, _)| SHOWN.contains(&&**name))
        .map(|(name, value)| (spelled(&name), readable(&name, nested(&name, value))))
        .collect();
    if let Some(arn) = key_arn
        && !elements.contains_key("keyMetadata")
    {
        elements.insert("keyId".to_owned(), arn.into());
    }
    (!elements.is_empty()).then_some(elements)
}

/// `readOnly`: also of operations that use a key, since they change nothing in KMS.
//= kms guide "Decrypt", "GenerateDataKey", "ReEncrypt" (CloudTrail)
pub(super) const fn read_only(operation: Operation) -> bool {
    match operation {
        Operation::Decapsulate
        | Operation::Decrypt
        | Operation::DeriveSharedSecret
        | Operation::DescribeCustomKeyStores
        | Operation::DescribeKey
        | Operation::Encapsulate
        | Operation::Encrypt
        | Operation::GenerateDataKey
        | Operation::GenerateDataKeyPair
        | Operation::GenerateDataKeyPairWithoutPlaintext
        | Operation::GenerateDataKeyWithoutPlaintext
        | Operation::GenerateMac
        | Operation::GenerateRandom
        | Operation::GetKeyLastUsage
        | Operation::GetKeyPolicy
        | Operation::GetKeyRotationStatus
        | Operation::GetParametersForImport
        | Operation::GetPublicKey
        | Operation::ListAliases
        | Operation::ListGrants
        | Operation::ListKeyPolicies
        | Operation::ListKeyRotations
        | Operation::ListKeys
        | Operation::ListResourceTags
        | Operation::ListRetirableGrants
        | Operation::ReEncrypt
        | Operation::Sign
        | Operation::Verify
        | Operation::VerifyMac => true,
        Operation::CancelKeyDeletion
        | Operation::ConnectCustomKeyStore
        | Operation::CreateAlias
        | Operation::CreateCustomKeyStore
        | Operation::CreateGrant
        | Operation::CreateKey
        | Operation::DeleteAlias
        | Operation::DeleteCustomKeyStore
        | Operation::DeleteImportedKeyMaterial
        | Operation::DisableKey
        | Operation::DisableKeyRotation
        | Operation::DisconnectCustomKeyStore
        | Operation::EnableKey
        | Operation::EnableKeyRotation
        | Operation::ImportKeyMaterial
        | Operation::PutKeyPolicy
        | Operation::ReplicateKey
        | Operation::RetireGrant
        | Operation::RevokeGrant
        | Operation::RotateKeyOnDemand
        | Operation::ScheduleKeyDeletion
        | Operation::TagResource
        | Operation::UntagResource
        | Operation::UpdateAlias
        | Operation::UpdateCustomKeyStore
        | Operation::UpdateKeyDescription
        | Operation::UpdatePrimaryRegion => false,
    }
}

/// Dates as CloudTrail writes them, of the answer itself and of KeyMetadata.
fn readable(name: &str, value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| {
                let value = readable(&name, value);
                (name, value)
            });
            Value::Object(members.collect())
        }
        value if name.ends_with("Date") => match value.as_f64().and_then(date) {
            Some(date) => date.into(),
            None => value,
        },
        value => value,
    }
}

/// `Apr 12, 2021 6:58:30 PM`
fn date(seconds: f64) -> Option<String> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    let time = OffsetDateTime::from(SystemTime::UNIX_EPOCH.checked_add(since)?);
    let description = format_description!(
        "[month repr:short] [day padding:none], [year] [hour repr:12 padding:none]:[minute]:[second] [period]"
    );
    time.format(description).ok()
}

const SHOWN: [&str; 10] = [
    "CustomKeyStoreId",
    "DeletionDate",
    "GrantId",
    "KeyId",
    "KeyMaterialId",
    "KeyMetadata",
    "KeyState",
    "PendingWindowInDays",
    "ReplicaKeyMetadata",
    "ReplicaTags",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    //= kms guide "ScheduleKeyDeletion", "CreateGrant" (CloudTrail)
    #[test]
    fn an_answer_is_shown_without_tokens_and_with_the_arn_of_its_key() {
        let arn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let answer = json!({"KeyId": "1234abcd", "KeyState": "PendingDeletion", "DeletionDate": 1_618_253_910.5});
        let shown = response_elements(
            Operation::ScheduleKeyDeletion,
            answer.to_string().as_bytes(),
            Some(arn),
        );
        let expected = json!({"keyId": arn, "keyState": "PendingDeletion", "deletionDate": "Apr 12, 2021 6:58:30 PM"});
        assert_eq!(shown.map(Value::Object), Some(expected));
        let grant = json!({"GrantId": "abc", "GrantToken": "secret"}).to_string();
        let shown = response_elements(Operation::CreateGrant, grant.as_bytes(), Some(arn));
        assert_eq!(
            shown.map(Value::Object),
            Some(json!({"grantId": "abc", "keyId": arn}))
        );
        assert_eq!(
            response_elements(Operation::Encrypt, grant.as_bytes(), Some(arn)),
            None
        );
        assert_eq!(
            response_elements(Operation::DisconnectCustomKeyStore, b"{}", None),
            None
        );
    }
}
