//! GetKeyPolicy, PutKeyPolicy, ListKeyPolicies.

use serde::Serialize;

use crate::access::KeyPolicy;
use crate::api::shapes::{key_id, policy};
use crate::api::{Input, KmsError, Members, PageRequest};
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// Input of GetKeyPolicy.
#[derive(Debug)]
pub(crate) struct GetKeyPolicy {
    key_id: String,
    policy_name: Option<String>,
}

impl Input for GetKeyPolicy {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            policy_name: policy_name(m),
        }
    }
}

/// Output of GetKeyPolicy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetKeyPolicyOutput {
    policy: String,
    policy_name: &'static str,
}

/// GetKeyPolicy
pub(crate) async fn get(
    simulator: &Simulator,
    caller: &Caller,
    input: GetKeyPolicy,
) -> Result<GetKeyPolicyOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let key = state.key(Operation::GetKeyPolicy, caller, &input.key_id)?;
    check_name(input.policy_name.as_deref())?;
    Ok(GetKeyPolicyOutput {
        policy: key.policy.text(key.arn()).into_owned(),
        policy_name: DEFAULT,
    })
}

/// Input of PutKeyPolicy.
#[derive(Debug)]
pub(crate) struct PutKeyPolicy {
    key_id: String,
    policy_name: Option<String>,
    policy: String,
    bypass: bool,
}

impl Input for PutKeyPolicy {
    fn read(m: &mut Members<'_>) -> Self {
        let key_id = key_id(m, "KeyId");
        let policy_name = policy_name(m);
        let policy = policy(m);
        let policy = m.require("Policy", policy).unwrap_or_default();
        let bypass = m.boolean("BypassPolicyLockoutSafetyCheck").unwrap_or(false);
        Self {
            key_id,
            policy_name,
            policy,
            bypass,
        }
    }
}

/// PutKeyPolicy
pub(crate) async fn put(
    simulator: &Simulator,
    caller: &Caller,
    input: PutKeyPolicy,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::PutKeyPolicy, caller, &input.key_id)?;
    check_name(input.policy_name.as_deref())?;
    let policy = KeyPolicy::parse(input.policy)?;
    let accounts = simulator.config().accounts.as_ref();
    policy.check(caller, accounts, input.bypass)?;
    key.policy = policy;
    Ok(())
}

/// Input of ListKeyPolicies.
#[derive(Debug)]
pub(crate) struct ListKeyPolicies {
    key_id: String,
    page: PageRequest,
}

impl Input for ListKeyPolicies {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            page: PageRequest::read(m, 100, 1000),
        }
    }
}

/// Output of ListKeyPolicies.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListKeyPoliciesOutput {
    policy_names: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

/// ListKeyPolicies: every key has one policy, `default`.
pub(crate) async fn list(
    simulator: &Simulator,
    caller: &Caller,
    input: ListKeyPolicies,
) -> Result<ListKeyPoliciesOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    state.key(Operation::ListKeyPolicies, caller, &input.key_id)?;
    let page = input.page.page_of([DEFAULT].into_iter(), |name| name)?;
    Ok(ListKeyPoliciesOutput {
        truncated: page.truncated(),
        policy_names: page.items,
        next_marker: page.next_marker,
    })
}

fn policy_name(members: &mut Members<'_>) -> Option<String> {
    members
        .text("PolicyName")
        .length(1, 128)
        .pattern("[\\w]+", |name| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
        .optional()
}

fn check_name(name: Option<&str>) -> Result<(), KmsError> {
    if name.is_none_or(|name| name == DEFAULT) {
        return Ok(());
    }
    Err(KmsError::not_found("No such policy exists"))
}

const DEFAULT: &str = "default";
