//! Grants: what a key's owner lets others do. They are kept and listed; nothing is denied for lack of one.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

/// The most grants that a key can have.
pub(crate) const MAX_GRANTS: usize = 50_000;

/// One grant of one key.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// Names the grant to RetireGrant without its key.
    pub(crate) token: String,
    pub(crate) created: SystemTime,
    pub(crate) terms: GrantTerms,
}

/// What CreateGrant was given; a second request with the same name and terms makes no second grant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GrantTerms {
    pub(crate) name: Option<String>,
    pub(crate) grantee_principal: String,
    pub(crate) retiring_principal: Option<String>,
    pub(crate) operations: Vec<String>,
    pub(crate) constraints: Option<GrantConstraints>,
}

/// `GrantConstraints`
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GrantConstraints {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_context_subset: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_context_equals: Option<BTreeMap<String, String>>,
}
