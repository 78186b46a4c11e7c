//! DescribeKey, ListKeys, EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion, UpdateKeyDescription.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::api::shapes::{grant_tokens, key_id};
use crate::api::{Input, KmsError, Members, PageRequest, Timestamp};
use crate::arn::in_region;
use crate::custom_key_store::CustomKeyStore;
use crate::key::{AdminState, Key, Origin};
use crate::key_material::KeyMaterialId;
use crate::key_spec::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, KeyUsage,
    MacAlgorithm, SigningAlgorithm,
};
use crate::key_state::KeyState;
use crate::multi_region::MultiRegion;
use crate::operation::Operation;
use crate::rotation::days;
use crate::simulator::{Caller, RegionState, Simulator};

/// `KeyMetadata`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyMetadata {
    #[serde(rename = "AWSAccountId")]
    account: String,
    key_id: Arc<str>,
    arn: Arc<str>,
    creation_date: Timestamp,
    enabled: bool,
    description: String,
    key_usage: KeyUsage,
    key_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_to: Option<Timestamp>,
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_key_store_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_hsm_cluster_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_model: Option<&'static str>,
    key_manager: &'static str,
    customer_master_key_spec: KeySpec,
    key_spec: KeySpec,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    encryption_algorithms: &'static [EncryptionAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    signing_algorithms: &'static [SigningAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    key_agreement_algorithms: &'static [KeyAgreementAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    encapsulation_algorithms: &'static [EncapsulationAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mac_algorithms: &'static [MacAlgorithm],
    multi_region: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_region_configuration: Option<MultiRegionConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_deletion_window_in_days: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xks_key_configuration: Option<XksKeyConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_key_material_id: Option<String>,
}

/// `XksKeyConfigurationType`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct XksKeyConfiguration {
    id: String,
}

/// `MultiRegionConfiguration`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MultiRegionConfiguration {
    multi_region_key_type: &'static str,
    primary_key: MultiRegionKey,
    replica_keys: Vec<MultiRegionKey>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MultiRegionKey {
    arn: String,
    region: String,
}

impl MultiRegionConfiguration {
    fn new(key: &Key, set: &MultiRegion, now: SystemTime) -> Self {
        let of = |region: String| MultiRegionKey {
            arn: in_region(key.arn(), &region),
            region,
        };
        Self {
            multi_region_key_type: match set.is_primary() {
                true => "PRIMARY",
                false => "REPLICA",
            },
            primary_key: of(set.primary_region()),
            replica_keys: set.replica_regions(now).into_iter().map(of).collect(),
        }
    }
}

impl KeyMetadata {
    /// What is told of a key, its state as it is seen.
    pub(crate) fn new(key: &Key, region: &RegionState, now: SystemTime) -> Self {
        let stores = &region.stores;
        let (state, kind) = (key.seen_state(stores, &region.past), key.kind());
        let store = key.origin().store().and_then(|id| stores.find(id.as_str()));
        let (xks_key_configuration, current_key_material_id) = match key.origin() {
            Origin::AwsKms(material) => (None, Some(material.current().id().to_hex())),
            Origin::ExternalKeyStore { external_key, .. } => {
                let id = external_key.as_str().to_owned();
                (Some(XksKeyConfiguration { id }), None)
            }
            Origin::External(imported) if kind.is_symmetric() => {
                (None, imported.current_id().map(KeyMaterialId::to_hex))
            }
            Origin::AwsKmsFixed(_) | Origin::External(_) | Origin::AwsCloudHsm { .. } => {
                (None, None)
            }
        };
        let complete = key.imported().filter(|imported| imported.is_complete());
        let valid_to = complete.and_then(|imported| imported.next_expiry(true));
        Self {
            account: region.home().account.clone(),
            key_id: Arc::clone(key.id()),
            arn: Arc::clone(key.arn()),
            creation_date: Timestamp(key.created()),
            enabled: state == KeyState::Enabled,
            description: key.description.clone(),
            key_usage: kind.usage,
            key_state: state.name(),
            deletion_date: match key.admin_state {
                AdminState::PendingDeletion(date) => Some(Timestamp(date)),
                AdminState::Enabled
                | AdminState::Disabled
                | AdminState::PendingReplicaDeletion(_) => None,
            },
            valid_to: valid_to.map(Timestamp),
            origin: key.origin().name(),
            custom_key_store_id: key.origin().store().map(|id| id.as_str().to_owned()),
            cloud_hsm_cluster_id: store
                .and_then(CustomKeyStore::cluster_id)
                .map(ToString::to_string),
            expiration_model: complete.map(|_| match valid_to {
                Some(_) => "KEY_MATERIAL_EXPIRES",
                None => "KEY_MATERIAL_DOES_NOT_EXPIRE",
            }),
            key_manager: "CUSTOMER",
            customer_master_key_spec: kind.spec,
            key_spec: kind.spec,
            encryption_algorithms: kind.encryption_algorithms(),
            signing_algorithms: kind.signing_algorithms(),
            key_agreement_algorithms: kind.key_agreement_algorithms(),
            encapsulation_algorithms: kind.encapsulation_algorithms(),
            mac_algorithms: kind.mac_algorithms(),
            multi_region: key.multi_region.is_some(),
            multi_region_configuration: key
                .multi_region
                .as_ref()
                .map(|set| MultiRegionConfiguration::new(key, set, now)),
            pending_deletion_window_in_days: match key.admin_state {
                AdminState::PendingReplicaDeletion(window) => Some(window),
                AdminState::Enabled | AdminState::Disabled | AdminState::PendingDeletion(_) => None,
            },
            xks_key_configuration,
            current_key_material_id,
        }
    }
}

/// Input of every operation that takes a `KeyId` and nothing else.
#[derive(Debug)]
pub(crate) struct KeyIdInput {
    pub(crate) key_id: String,
}

impl Input for KeyIdInput {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
        }
    }
}

/// Input of DescribeKey.
#[derive(Debug)]
pub(crate) struct DescribeKey {
    key_id: String,
}

impl Input for DescribeKey {
    fn read(m: &mut Members<'_>) -> Self {
        let key_id = key_id(m, "KeyId");
        grant_tokens(m);
        Self { key_id }
    }
}

/// Output of DescribeKey and CreateKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyMetadataOutput {
    pub(crate) key_metadata: KeyMetadata,
}

/// DescribeKey; never asks a proxy.
pub(crate) async fn describe(
    simulator: &Simulator,
    caller: &Caller,
    input: DescribeKey,
) -> Result<KeyMetadataOutput, KmsError> {
    let region = simulator.region_of_key(caller, Operation::DescribeKey, &input.key_id);
    let state = region.lock();
    let key = state.key(Operation::DescribeKey, caller, &input.key_id)?;
    Ok(KeyMetadataOutput {
        key_metadata: KeyMetadata::new(key, &state, region.now()),
    })
}

/// Input of ListKeys.
#[derive(Debug)]
pub(crate) struct ListKeys {
    page: PageRequest,
    /// The account's own keys; no other account shares any, since there are no resource shares.
    own: bool,
}

impl Input for ListKeys {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            page: PageRequest::read(m, 100, 1000),
            own: m
                .text_list("ResourceOwners", 1, 2, |owner| {
                    owner.one_of(&[SELF, "OTHER_ACCOUNTS_VIA_RAM"]).required()
                })
                .is_none_or(|owners| owners.iter().any(|owner| owner == SELF)),
        }
    }
}

/// Output of ListKeys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListKeysOutput {
    keys: Vec<KeyListEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyListEntry {
    key_id: Arc<str>,
    key_arn: Arc<str>,
}

/// ListKeys
pub(crate) async fn list(
    simulator: &Simulator,
    caller: &Caller,
    input: ListKeys,
) -> Result<ListKeysOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let page = input.page.page(
        |after| state.keys.after(after).filter(|_| input.own),
        |key| key.id(),
    )?;
    Ok(ListKeysOutput {
        truncated: page.truncated(),
        keys: page
            .items
            .into_iter()
            .map(|key| KeyListEntry {
                key_id: Arc::clone(key.id()),
                key_arn: Arc::clone(key.arn()),
            })
            .collect(),
        next_marker: page.next_marker,
    })
}

/// EnableKey; while the key is Unavailable this shows when its store is connected again.
pub(crate) async fn enable(
    simulator: &Simulator,
    caller: &Caller,
    input: KeyIdInput,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::EnableKey, caller, &input.key_id)?;
    key.admin_state = AdminState::Enabled;
    // A rotation that fell due while the key was disabled happens at once.
    if let Some(material) = key.rotating_material() {
        material.rotate_due(region.now())?;
    }
    let id = Arc::clone(key.id());
    state.keys.reschedule(&id);
    Ok(())
}

/// DisableKey
pub(crate) async fn disable(
    simulator: &Simulator,
    caller: &Caller,
    input: KeyIdInput,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::DisableKey, caller, &input.key_id)?;
    key.admin_state = AdminState::Disabled;
    Ok(())
}

/// Input of ScheduleKeyDeletion.
#[derive(Debug)]
pub(crate) struct ScheduleKeyDeletion {
    key_id: String,
    pending_window_in_days: Option<u16>,
}

impl Input for ScheduleKeyDeletion {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            pending_window_in_days: m.integer("PendingWindowInDays").range(1, 365),
        }
    }
}

/// Output of ScheduleKeyDeletion.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScheduleKeyDeletionOutput {
    key_id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_date: Option<Timestamp>,
    key_state: &'static str,
    pending_window_in_days: u16,
}

/// ScheduleKeyDeletion
pub(crate) async fn schedule_deletion(
    simulator: &Simulator,
    caller: &Caller,
    input: ScheduleKeyDeletion,
) -> Result<ScheduleKeyDeletionOutput, KmsError> {
    let window = input.pending_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&window) {
        return Err(KmsError::validation(format!(
            "PendingWindowInDays is {window}; it must be between 7 and 30 (inclusive)."
        )));
    }
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::ScheduleKeyDeletion, caller, &input.key_id)?;
    let now = region.now();
    // A primary is deleted after its replicas.
    let (date, state_of_key) = match key.alone_since(now) {
        Some(_) => (Some(now + days(window)), KeyState::PendingDeletion),
        None if key.is_replica() => (Some(now + days(window)), KeyState::PendingDeletion),
        None => (None, KeyState::PendingReplicaDeletion),
    };
    key.admin_state = match date {
        Some(date) => AdminState::PendingDeletion(date),
        None => AdminState::PendingReplicaDeletion(window),
    };
    if let Some(set) = &key.multi_region {
        set.schedule_deletion(date);
    }
    let (id, arn) = (Arc::clone(key.id()), Arc::clone(key.arn()));
    state.keys.reschedule(&id);
    Ok(ScheduleKeyDeletionOutput {
        key_id: arn,
        deletion_date: date.map(Timestamp),
        key_state: state_of_key.name(),
        pending_window_in_days: window,
    })
}

/// Output of CancelKeyDeletion.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CancelKeyDeletionOutput {
    key_id: Arc<str>,
}

/// CancelKeyDeletion: the key is disabled afterwards.
pub(crate) async fn cancel_deletion(
    simulator: &Simulator,
    caller: &Caller,
    input: KeyIdInput,
) -> Result<CancelKeyDeletionOutput, KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::CancelKeyDeletion, caller, &input.key_id)?;
    key.admin_state = AdminState::Disabled;
    if let Some(set) = &key.multi_region {
        set.schedule_deletion(None);
    }
    Ok(CancelKeyDeletionOutput {
        key_id: Arc::clone(key.arn()),
    })
}

/// Input of UpdateKeyDescription.
#[derive(Debug)]
pub(crate) struct UpdateKeyDescription {
    key_id: String,
    description: String,
}

impl Input for UpdateKeyDescription {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            description: m.text("Description").length(0, 8192).required(),
        }
    }
}

/// UpdateKeyDescription
pub(crate) async fn update_description(
    simulator: &Simulator,
    caller: &Caller,
    input: UpdateKeyDescription,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::UpdateKeyDescription, caller, &input.key_id)?;
    key.description = input.description;
    Ok(())
}

/// The account's own keys, among `ResourceOwners`.
const SELF: &str = "SELF";
