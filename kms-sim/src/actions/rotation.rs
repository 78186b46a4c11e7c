//! EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand, ListKeyRotations.

use std::sync::Arc;

use serde::Serialize;

use super::key::KeyIdInput;
use crate::api::shapes::key_id;
use crate::api::{Input, KmsError, Members, PageRequest, Timestamp};
use crate::key::{AdminState, Key, Origin};
use crate::key_state::wrong_origin;
use crate::operation::Operation;
use crate::rotation::{RotatingMaterial, RotationType};
use crate::simulator::{Caller, Simulator};

/// Input of EnableKeyRotation.
#[derive(Debug)]
pub(crate) struct EnableKeyRotation {
    key_id: String,
    rotation_period_in_days: Option<u16>,
}

impl Input for EnableKeyRotation {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            rotation_period_in_days: m.integer("RotationPeriodInDays").range(90, 2560),
        }
    }
}

/// EnableKeyRotation
pub(crate) async fn enable(
    simulator: &Simulator,
    caller: &Caller,
    input: EnableKeyRotation,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::EnableKeyRotation, caller, &input.key_id)?;
    let id = Arc::clone(key.id());
    let period = input.rotation_period_in_days.unwrap_or(365);
    material_mut(key)?.enable(region.now(), period);
    state.keys.reschedule(&id);
    Ok(())
}

/// DisableKeyRotation
pub(crate) async fn disable(
    simulator: &Simulator,
    caller: &Caller,
    input: KeyIdInput,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::DisableKeyRotation, caller, &input.key_id)?;
    material_mut(key)?.disable();
    Ok(())
}

/// Output of GetKeyRotationStatus.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetKeyRotationStatusOutput {
    key_rotation_enabled: bool,
    key_id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_period_in_days: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<Timestamp>,
}

/// GetKeyRotationStatus: a key that is pending deletion is not rotated.
pub(crate) async fn status(
    simulator: &Simulator,
    caller: &Caller,
    input: KeyIdInput,
) -> Result<GetKeyRotationStatusOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let key = state.key(Operation::GetKeyRotationStatus, caller, &input.key_id)?;
    let pending_deletion = matches!(key.admin_state, AdminState::PendingDeletion(_));
    let key_id = Arc::clone(key.id());
    let automatic = material(key)?.automatic().filter(|_| !pending_deletion);
    Ok(GetKeyRotationStatusOutput {
        key_rotation_enabled: automatic.is_some(),
        key_id,
        rotation_period_in_days: automatic.map(|a| a.period_days),
        next_rotation_date: automatic.map(|a| Timestamp(a.next)),
    })
}

/// Output of RotateKeyOnDemand.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RotateKeyOnDemandOutput {
    key_id: Arc<str>,
}

/// RotateKeyOnDemand: the schedule of automatic rotation stays as it is.
pub(crate) async fn on_demand(
    simulator: &Simulator,
    caller: &Caller,
    input: KeyIdInput,
) -> Result<RotateKeyOnDemandOutput, KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::RotateKeyOnDemand, caller, &input.key_id)?;
    let key_id = Arc::clone(key.id());
    let arn = Arc::clone(key.arn());
    material_mut(key)?.rotate_on_demand(region.now())?;
    region.rotated_on_demand(&arn);
    Ok(RotateKeyOnDemandOutput { key_id })
}

/// Input of ListKeyRotations.
#[derive(Debug)]
pub(crate) struct ListKeyRotations {
    key_id: String,
    include: Include,
    page: PageRequest,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Include {
    AllKeyMaterial,
    RotationsOnly,
}

impl Input for ListKeyRotations {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            include: m
                .choice("IncludeKeyMaterial", INCLUDE)
                .optional()
                .unwrap_or(Include::RotationsOnly),
            page: PageRequest::read(m, 100, 1000),
        }
    }
}

/// Output of ListKeyRotations.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListKeyRotationsOutput {
    rotations: Vec<RotationsListEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RotationsListEntry {
    key_id: Arc<str>,
    key_material_id: String,
    key_material_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_type: Option<&'static str>,
    /// The place in the list, for paging.
    #[serde(skip)]
    position: String,
}

/// ListKeyRotations, oldest first.
pub(crate) async fn list(
    simulator: &Simulator,
    caller: &Caller,
    input: ListKeyRotations,
) -> Result<ListKeyRotationsOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let key = state.key(Operation::ListKeyRotations, caller, &input.key_id)?;
    let key_id = Arc::clone(key.id());
    let material = material(key)?;
    let current = material.current().id();
    let first = (material.first(), None);
    let later = material.rotations().iter();
    let all = [first]
        .into_iter()
        .chain(later.map(|r| (&r.material, Some(r))));
    let entries = all
        .enumerate()
        .map(|(position, (material, rotation))| RotationsListEntry {
            key_id: Arc::clone(&key_id),
            key_material_id: material.id().to_hex(),
            key_material_state: if material.id() == current {
                "CURRENT"
            } else {
                "NON_CURRENT"
            },
            rotation_date: rotation.map(|r| Timestamp(r.date)),
            rotation_type: rotation.map(|r| match r.kind {
                RotationType::Automatic => "AUTOMATIC",
                RotationType::OnDemand => "ON_DEMAND",
            }),
            position: format!("{position:08}"),
        });
    let wanted = |entry: &RotationsListEntry| {
        input.include == Include::AllKeyMaterial || entry.rotation_date.is_some()
    };
    let page = input
        .page
        .page_of(entries.filter(wanted), |entry| &entry.position)?;
    Ok(ListKeyRotationsOutput {
        truncated: page.truncated(),
        rotations: page.items,
        next_marker: page.next_marker,
    })
}

/// The key-state table lets only keys through that have it.
fn material(key: &Key) -> Result<&RotatingMaterial, KmsError> {
    match key.origin() {
        Origin::AwsKms(material) => Ok(material),
        Origin::AwsKmsFixed(_) | Origin::ExternalKeyStore { .. } | Origin::AwsCloudHsm { .. } => {
            Err(wrong_origin(key))
        }
    }
}

/// As [`material`], to be changed.
fn material_mut(key: &mut Key) -> Result<&mut RotatingMaterial, KmsError> {
    let unsupported = wrong_origin(key);
    key.rotating_material().ok_or(unsupported)
}

const INCLUDE: &[(&str, Include)] = &[
    ("ALL_KEY_MATERIAL", Include::AllKeyMaterial),
    ("ROTATIONS_ONLY", Include::RotationsOnly),
];
