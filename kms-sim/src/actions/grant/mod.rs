//! CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant.

mod terms;

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::crypto::{check_dry_run, dry_run};
use crate::api::shapes::{grant_tokens, key_id, optional_key_id};
use crate::api::{Input, KmsError, Members, Page, PageRequest, Timestamp};
use crate::grant::{Grant, GrantConstraints, GrantPrincipal, MAX_GRANTS};
use crate::key::Key;
use crate::key_material::{KeyMaterialId, fill_random};
use crate::operation::Operation;
use crate::simulator::{Caller, RegionState, Simulator};
use terms::{GRANTEE, RETIRING, RequestedPrincipal, RequestedTerms};

/// Input of CreateGrant.
#[derive(Debug)]
pub(crate) struct CreateGrant {
    key_id: String,
    terms: RequestedTerms,
    dry_run: bool,
}

impl Input for CreateGrant {
    fn read(m: &mut Members<'_>) -> Self {
        let input = Self {
            key_id: key_id(m, "KeyId"),
            terms: RequestedTerms::read(m),
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        input
    }
}

/// Output of CreateGrant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateGrantOutput {
    grant_token: String,
    grant_id: Arc<str>,
}

/// CreateGrant
pub(crate) async fn create(
    simulator: &Simulator,
    caller: &Caller,
    input: CreateGrant,
) -> Result<CreateGrantOutput, KmsError> {
    let region = simulator.region_of_key(caller, Operation::CreateGrant, &input.key_id);
    let mut state = region.lock();
    let key = state.key(Operation::CreateGrant, caller, &input.key_id)?;
    let terms = input.terms.check(key.kind())?;
    terms.check_principals(simulator.config().accounts.as_ref())?;
    let key = Arc::clone(key.id());
    check_dry_run(input.dry_run)?;
    let issuing_account = (caller.account != state.home().account).then(|| caller.account.clone());
    let grants = &mut state.keys.grants;
    if terms.name.is_some()
        && let Some(grant) = grants
            .of_grantee_after(&key, &terms.grantee, Bound::Unbounded)
            .find(|grant| grant.terms == terms)
    {
        return Ok(CreateGrantOutput {
            grant_token: grant.token.clone(),
            grant_id: Arc::clone(&grant.id),
        });
    }
    if grants.count_of(&key) >= MAX_GRANTS {
        return Err(KmsError::new(
            "LimitExceededException",
            format!("The key has {MAX_GRANTS} grants, the most that a key can have."),
        ));
    }
    let (mut id, mut token) = ([0; 32], [0; 96]);
    fill_random(&mut id)?;
    fill_random(&mut token)?;
    let grant = Grant {
        id: KeyMaterialId(id).to_hex().into(),
        token: URL_SAFE_NO_PAD.encode(token),
        created: region.now(),
        issuing_account,
        terms,
    };
    let output = CreateGrantOutput {
        grant_token: grant.token.clone(),
        grant_id: Arc::clone(&grant.id),
    };
    let id = Arc::clone(&grant.id);
    grants.insert(&key, grant);
    state.past.grant_changed(&key, &id, None);
    Ok(output)
}

/// Input of ListGrants.
#[derive(Debug)]
pub(crate) struct ListGrants {
    key_id: String,
    grant_id: Option<String>,
    grantee: RequestedPrincipal,
    page: PageRequest,
}

impl Input for ListGrants {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            page: PageRequest::read(m, 50, 100),
            key_id: key_id(m, "KeyId"),
            grant_id: m.text("GrantId").length(1, 128).optional(),
            grantee: RequestedPrincipal::read(m, &GRANTEE),
        }
    }
}

/// Output of ListGrants and ListRetirableGrants.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListGrantsOutput {
    grants: Vec<GrantListEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GrantListEntry {
    key_id: Arc<str>,
    grant_id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    creation_date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    grantee_principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grantee_service_principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_service_principal: Option<String>,
    issuing_account: String,
    operations: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraints: Option<GrantConstraints>,
}

/// ListGrants
pub(crate) async fn list(
    simulator: &Simulator,
    caller: &Caller,
    input: ListGrants,
) -> Result<ListGrantsOutput, KmsError> {
    let grantee = input.grantee.at_most_one()?;
    let region = simulator.region_of_key(caller, Operation::ListGrants, &input.key_id);
    let state = region.lock();
    let key = state.key(Operation::ListGrants, caller, &input.key_id)?;
    let one = input.grant_id.as_deref();
    let grants = |after: Bound<&str>| {
        let after = match (one, after) {
            (Some(id), Bound::Unbounded) => Bound::Included(id),
            (_, after) => after,
        };
        let past = &state.past;
        let grants = past.grants_of_key_after(&state.keys, key, grantee.as_ref(), after);
        let grants = grants.take_while(|grant| one.is_none_or(|id| *id == *grant.id));
        grants.map(|grant| (key, grant))
    };
    let page = input.page.page(grants, |(_, grant)| &grant.id)?;
    Ok(output(page))
}

/// Input of ListRetirableGrants.
#[derive(Debug)]
pub(crate) struct ListRetirableGrants {
    retiring: RequestedPrincipal,
    page: PageRequest,
}

impl Input for ListRetirableGrants {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            page: PageRequest::read(m, 50, 100),
            retiring: RequestedPrincipal::read(m, &RETIRING),
        }
    }
}

/// ListRetirableGrants
pub(crate) async fn list_retirable(
    simulator: &Simulator,
    caller: &Caller,
    input: ListRetirableGrants,
) -> Result<ListGrantsOutput, KmsError> {
    let retiring = input.retiring.exactly_one()?;
    let region = simulator.region(caller);
    let state = region.lock();
    let keys = &state.keys;
    let grants = |after: Bound<&str>| {
        let grants = state.past.retirable_grants_after(keys, &retiring, after);
        grants.filter_map(|(key, grant)| Some((keys.get(key)?, grant)))
    };
    let page = input.page.page(grants, |(_, grant)| &grant.id)?;
    Ok(output(page))
}

/// Input of RetireGrant: a token, or a key and a grant.
#[derive(Debug)]
pub(crate) struct RetireGrant {
    grant_token: Option<String>,
    key_id: Option<String>,
    grant_id: Option<String>,
    dry_run: bool,
}

impl Input for RetireGrant {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            grant_token: m.text("GrantToken").length(1, 8192).optional(),
            key_id: optional_key_id(m, "KeyId"),
            grant_id: m.text("GrantId").length(1, 128).optional(),
            dry_run: dry_run(m),
        }
    }
}

/// RetireGrant
pub(crate) async fn retire(
    simulator: &Simulator,
    caller: &Caller,
    input: RetireGrant,
) -> Result<(), KmsError> {
    let (region, key_id, grant_id) = match (input.grant_token, input.key_id, input.grant_id) {
        (Some(token), None, None) => simulator.grant_of_token(caller, &token).ok_or_else(|| {
            KmsError::new(
                "InvalidGrantTokenException",
                "The grant token names no grant of this Region.",
            )
        })?,
        (None, Some(key_id), Some(grant_id)) => {
            let region = simulator.region_of_key(caller, Operation::RetireGrant, &key_id);
            (region, key_id, grant_id)
        }
        _ => {
            return Err(KmsError::validation(
                "Specify a GrantToken, or a KeyId and a GrantId, but not both.",
            ));
        }
    };
    let mut state = region.lock();
    let key = state.key(Operation::RetireGrant, caller, &key_id)?;
    let key = Arc::clone(key.id());
    remove(&mut state, &key, &grant_id, input.dry_run)
}

/// Input of RevokeGrant.
#[derive(Debug)]
pub(crate) struct RevokeGrant {
    key_id: String,
    grant_id: String,
    dry_run: bool,
}

impl Input for RevokeGrant {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            grant_id: m.text("GrantId").length(1, 128).required(),
            dry_run: dry_run(m),
        }
    }
}

/// RevokeGrant
pub(crate) async fn revoke(
    simulator: &Simulator,
    caller: &Caller,
    input: RevokeGrant,
) -> Result<(), KmsError> {
    let region = simulator.region_of_key(caller, Operation::RevokeGrant, &input.key_id);
    let mut state = region.lock();
    let key = state.key(Operation::RevokeGrant, caller, &input.key_id)?;
    let key = Arc::clone(key.id());
    remove(&mut state, &key, &input.grant_id, input.dry_run)
}

fn remove(
    state: &mut RegionState,
    key_id: &str,
    grant_id: &str,
    dry_run: bool,
) -> Result<(), KmsError> {
    let grants = &mut state.keys.grants;
    let not_found = || KmsError::not_found(format!("Grant ID {grant_id} not found"));
    grants.get(key_id, grant_id).ok_or_else(not_found)?;
    check_dry_run(dry_run)?;
    let grant = grants.remove(key_id, grant_id).ok_or_else(not_found)?;
    let id = Arc::clone(&grant.id);
    state.past.grant_changed(key_id, &id, Some(grant));
    Ok(())
}

/// The ARN of the account that created a grant.
fn issuing_account(key: &Key, grant: &Grant) -> String {
    let mut parts = key.arn().split(':');
    let partition = parts.nth(1).unwrap_or("aws");
    let owner = parts.nth(2).unwrap_or_default();
    let account = grant.issuing_account.as_deref().unwrap_or(owner);
    format!("arn:{partition}:iam::{account}:root")
}

fn output(page: Page<(&Key, &Grant)>) -> ListGrantsOutput {
    ListGrantsOutput {
        truncated: page.truncated(),
        grants: page
            .items
            .into_iter()
            .map(|(key, grant)| {
                let terms = &grant.terms;
                let retiring = terms.retiring.as_ref();
                GrantListEntry {
                    key_id: Arc::clone(key.arn()),
                    grant_id: Arc::clone(&grant.id),
                    name: terms.name.clone(),
                    creation_date: Timestamp(grant.created),
                    grantee_principal: terms.grantee.principal(),
                    grantee_service_principal: terms.grantee.service_principal(),
                    retiring_principal: retiring.and_then(GrantPrincipal::principal),
                    retiring_service_principal: retiring
                        .and_then(GrantPrincipal::service_principal),
                    issuing_account: issuing_account(key, grant),
                    operations: terms.operations.clone(),
                    constraints: terms.constraints.clone(),
                }
            })
            .collect(),
        next_marker: page.next_marker,
    }
}
