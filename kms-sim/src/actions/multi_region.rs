//! ReplicateKey and UpdatePrimaryRegion.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::key::KeyMetadata;
use crate::access::{KeyPolicy, authorize_replica};
use crate::api::shapes::{key_id, merge_tags, policy, tags};
use crate::api::{Input, KmsError, Members};
use crate::arn::key_arn;
use crate::credentials::partition;
use crate::key::{Busy, Key, Origin};
use crate::key_material::internal;
use crate::operation::Operation;
use crate::simulator::{Caller, Region, Simulator};

/// Input of ReplicateKey.
#[derive(Debug)]
pub(crate) struct ReplicateKey {
    key_id: String,
    region: String,
    policy: Option<String>,
    description: String,
    tags: Vec<(String, String)>,
    bypass_policy_lockout_safety_check: bool,
}

impl Input for ReplicateKey {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            region: region(m, "ReplicaRegion"),
            policy: policy(m),
            description: m
                .text("Description")
                .length(0, 8192)
                .optional()
                .unwrap_or_default(),
            tags: tags(m).unwrap_or_default(),
            bypass_policy_lockout_safety_check: m
                .boolean("BypassPolicyLockoutSafetyCheck")
                .unwrap_or(false),
        }
    }
}

/// Output of ReplicateKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplicateKeyOutput {
    replica_key_metadata: KeyMetadata,
    replica_policy: String,
    replica_tags: Vec<Tag>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    tag_key: String,
    tag_value: String,
}

/// ReplicateKey: a key with the same id and material in another Region; imported material is imported there anew.
pub(crate) async fn replicate(
    simulator: &Simulator,
    caller: &Caller,
    input: ReplicateKey,
) -> Result<ReplicateKeyOutput, KmsError> {
    let tags = merge_tags(&BTreeMap::default(), input.tags)?;
    let policy = input.policy.map(KeyPolicy::parse).transpose()?;
    if let Some(policy) = &policy {
        let accounts = simulator.config().accounts.as_ref();
        policy.check(caller, accounts, input.bypass_policy_lockout_safety_check)?;
    }
    same_partition(caller, &input.region)?;
    let there = caller.in_region(&input.region);
    let (here, there_region) = (simulator.region(caller), simulator.region(&there));
    let now = here.now();
    let (state, replica_state) = Region::lock_both((caller, &here), (&there, &there_region));
    let key = state.key(Operation::ReplicateKey, caller, &input.key_id)?;
    authorize_replica(&there)?;
    check_primary(key)?;
    // The key itself is in its own Region.
    let Some(mut replica_state) = replica_state.filter(|state| state.keys.get(key.id()).is_none())
    else {
        return Err(KmsError::new(
            "AlreadyExistsException",
            format!(
                "The multi-Region key {} is in Region {} already.",
                key.id(),
                input.region
            ),
        ));
    };
    let set = key.multi_region.as_ref().ok_or_else(internal)?;
    let origin = match key.origin() {
        Origin::AwsKms(material) => Origin::AwsKms(material.clone()),
        Origin::AwsKmsFixed(material) => Origin::AwsKmsFixed(Arc::clone(material)),
        Origin::External(imported) => Origin::External(imported.replica(&input.region)?),
        Origin::ExternalKeyStore { .. } | Origin::AwsCloudHsm { .. } => return Err(internal()),
    };
    let arn = key_arn(&there, key.id());
    let mut replica = Key::of_kind(key.kind(), key.id(), &arn, now, origin);
    replica.description = input.description;
    replica.policy = policy.unwrap_or_default();
    replica.tags = tags;
    replica.busy = simulator.busy_until(now).map(Busy::Creating);
    // The place in the set is taken only if there is room for the key.
    simulator.quotas().admit_key(replica_state.keys.count())?;
    replica.multi_region = Some(set.replica(&input.region));
    let output = ReplicateKeyOutput {
        replica_key_metadata: KeyMetadata::new(&replica, &replica_state, now),
        replica_policy: replica.policy.text(replica.arn()).into_owned(),
        replica_tags: replica
            .tags
            .iter()
            .map(|(key, value)| Tag {
                tag_key: key.clone(),
                tag_value: value.clone(),
            })
            .collect(),
    };
    replica_state.keys.insert(replica);
    Ok(output)
}

/// Input of UpdatePrimaryRegion.
#[derive(Debug)]
pub(crate) struct UpdatePrimaryRegion {
    key_id: String,
    region: String,
}

impl Input for UpdatePrimaryRegion {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            region: region(m, "PrimaryRegion"),
        }
    }
}

/// UpdatePrimaryRegion: primary and replica change places.
pub(crate) async fn update_primary(
    simulator: &Simulator,
    caller: &Caller,
    input: UpdatePrimaryRegion,
) -> Result<(), KmsError> {
    let operation = Operation::UpdatePrimaryRegion;
    same_partition(caller, &input.region)?;
    let there = caller.in_region(&input.region);
    let (here, there_region) = (simulator.region(caller), simulator.region(&there));
    let busy = simulator.busy_until(here.now()).map(Busy::Updating);
    let (mut state, replica_state) = Region::lock_both((caller, &here), (&there, &there_region));
    let key = state.key(operation, caller, &input.key_id)?;
    check_primary(key)?;
    let id = Arc::clone(key.id());
    let Some(mut replica_state) = replica_state else {
        return Err(KmsError::unsupported(format!(
            "The primary key of {id} is in Region {} already.",
            input.region
        )));
    };
    replica_state.key(operation, &there, &id)?;
    let key = state.key_mut(operation, caller, &input.key_id)?;
    key.busy = busy;
    if let Some(set) = &key.multi_region {
        set.make_primary(&input.region);
    }
    state.keys.reschedule(&id);
    if let Some(replica) = replica_state.keys.get_mut(&id) {
        replica.busy = busy;
    }
    replica_state.keys.reschedule(&id);
    Ok(())
}

/// Whether the key is the primary of a multi-Region key.
///
/// # Errors
/// UnsupportedOperationException
pub(crate) fn check_primary(key: &Key) -> Result<(), KmsError> {
    match &key.multi_region {
        Some(set) if set.is_primary() => Ok(()),
        Some(_) | None => Err(not_primary(key)),
    }
}

/// What operations say that the primary key alone has.
pub(super) fn not_primary(key: &Key) -> KmsError {
    KmsError::unsupported(format!("{} is not a multi-region primary key.", key.arn()))
}

/// Keys stay in their partition.
fn same_partition(caller: &Caller, region: &str) -> Result<(), KmsError> {
    if partition(&caller.region) == partition(region) {
        return Ok(());
    }
    Err(KmsError::unsupported(format!(
        "Region {region} is not in the AWS partition of Region {}.",
        caller.region
    )))
}

/// `RegionType`
fn region(members: &mut Members<'_>, name: &str) -> String {
    members
        .text(name)
        .length(1, 32)
        .pattern("^([a-z]+-){2,3}\\d+$", |text| {
            let words: Vec<&str> = text.split('-').collect();
            let is_word =
                |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
            let Some((number, words)) = words.split_last() else {
                return false;
            };
            (2..=3).contains(&words.len())
                && words.iter().all(is_word)
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        })
        .required()
}
