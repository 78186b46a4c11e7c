//! What policies and grants ask of a request, out of its body: the same members for every operation, so that a new
//! operation has them without a word of its own. Plaintexts and key material are not among them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::api::KmsError;

/// The members that condition keys and grants ask about; those of other operations are absent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Facts {
    pub(super) bypass_policy_lockout_safety_check: Option<bool>,
    pub(super) constraints: Option<Constraints>,
    pub(super) custom_key_store_id: Option<String>,
    pub(super) customer_master_key_spec: Option<String>,
    pub(super) destination_encryption_algorithm: Option<String>,
    pub(super) destination_encryption_context: Option<Pairs>,
    pub(super) destination_key_id: Option<String>,
    pub(super) encryption_algorithm: Option<String>,
    pub(super) encryption_context: Option<Pairs>,
    pub(super) expiration_model: Option<String>,
    pub(super) grant_id: Option<String>,
    pub(super) grant_token: Option<String>,
    pub(super) grant_tokens: Option<Vec<String>>,
    pub(super) grantee_principal: Option<String>,
    pub(super) grantee_service_principal: Option<String>,
    pub(super) key_agreement_algorithm: Option<String>,
    pub(super) key_pair_spec: Option<String>,
    pub(super) key_spec: Option<String>,
    pub(super) key_usage: Option<String>,
    pub(super) mac_algorithm: Option<String>,
    pub(super) message_type: Option<String>,
    pub(super) multi_region: Option<bool>,
    pub(super) operations: Option<Vec<String>>,
    pub(super) origin: Option<String>,
    pub(super) pending_window_in_days: Option<i64>,
    pub(super) primary_region: Option<String>,
    pub(super) replica_region: Option<String>,
    pub(super) retiring_principal: Option<String>,
    pub(super) retiring_service_principal: Option<String>,
    pub(super) rotation_period_in_days: Option<i64>,
    pub(super) signing_algorithm: Option<String>,
    pub(super) source_encryption_algorithm: Option<String>,
    pub(super) source_encryption_context: Option<Pairs>,
    pub(super) tag_keys: Option<Vec<String>>,
    pub(super) tags: Option<Vec<Tag>>,
    pub(super) valid_to: Option<f64>,
    pub(super) wrapping_algorithm: Option<String>,
    pub(super) wrapping_key_spec: Option<String>,
}

pub(super) type Pairs = BTreeMap<String, String>;

/// `Constraints`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Constraints {
    pub(super) encryption_context_equals: Option<Pairs>,
    pub(super) encryption_context_subset: Option<Pairs>,
    pub(super) source_arn: Option<String>,
}

/// One of `Tags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) tag_key: String,
    pub(super) tag_value: String,
}

impl Facts {
    /// Reads the body of a request that was found valid.
    ///
    /// # Errors
    /// SerializationException for a member that occurs twice: which of the two counts must not depend on who reads.
    pub(crate) fn read(body: &[u8]) -> Result<Self, KmsError> {
        match body {
            [] => Ok(Self::default()),
            _ => serde_json::from_slice(body).map_err(|_| {
                KmsError::new(
                    "SerializationException",
                    "A member of the request occurs twice or has the wrong type.",
                )
            }),
        }
    }

    /// Whether tags come with the request.
    pub(super) fn has_tags(&self) -> bool {
        self.tags.as_ref().is_some_and(|tags| !tags.is_empty())
    }
}
