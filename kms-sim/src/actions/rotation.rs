//! EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand, ListKeyRotations.

use std::sync::Arc;

use serde::Serialize;

use super::key::KeyIdInput;
use super::multi_region::not_primary;
use crate::api::shapes::key_id;
use crate::api::{Input, KmsError, Members, PageRequest, Timestamp};
use crate::imported::{ImportedKey, Material, Place};
use crate::key::{AdminState, Key, Origin};
use crate::key_material::KeyMaterialId;
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
    check_not_replica(key)?;
    material(key)?.enable(region.now(), period);
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
    check_not_replica(key)?;
    material(key)?.disable();
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
    let operation = Operation::GetKeyRotationStatus;
    let region = simulator.region_of_key(caller, operation, &input.key_id);
    let state = region.lock();
    let key = state.key(Operation::GetKeyRotationStatus, caller, &input.key_id)?;
    let pending_deletion = !matches!(key.admin_state, AdminState::Enabled | AdminState::Disabled);
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
    check_not_replica(key)?;
    let now = region.now();
    match key.origin() {
        Origin::External(imported) => {
            let set = key.multi_region.as_ref();
            let regions = set.map_or_else(|| vec![caller.region.clone()], |set| set.regions(now));
            imported.rotate(key.arn(), &regions, now)?;
        }
        _ => material(key)?.rotate_on_demand(now)?,
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    import_state: Option<&'static str>,
    key_material_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_to: Option<Timestamp>,
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
    let entries = match key.origin() {
        Origin::External(imported) => {
            let set = key.multi_region.as_ref();
            let regions = set.map(|set| set.regions(region.now()));
            imported_entries(&key_id, imported, &regions.unwrap_or_default())
        }
        _ => entries(&key_id, material(key)?),
    };
    let wanted = |entry: &RotationsListEntry| {
        input.include == Include::AllKeyMaterial || entry.rotation_date.is_some()
    };
    let page = input
        .page
        .page_of(entries.into_iter().filter(wanted), |entry| &entry.position)?;
    Ok(ListKeyRotationsOutput {
        truncated: page.truncated(),
        rotations: page.items,
        next_marker: page.next_marker,
    })
}

/// Versions that KMS made.
fn entries(key_id: &Arc<str>, material: &RotatingMaterial) -> Vec<RotationsListEntry> {
    let current = material.current().id();
    let later = material.rotations();
    let later = later
        .into_iter()
        .map(|r| (r.material.id(), Some((r.date, r.kind))));
    let all = [(material.first().id(), None)].into_iter().chain(later);
    let entry =
        |(position, (id, rotation)): (usize, (KeyMaterialId, Option<_>))| RotationsListEntry {
            key_id: Arc::clone(key_id),
            key_material_id: id.to_hex(),
            key_material_description: None,
            import_state: None,
            key_material_state: match id == current {
                true => "CURRENT",
                false => "NON_CURRENT",
            },
            expiration_model: None,
            valid_to: None,
            rotation_date: rotation.map(|(date, _)| Timestamp(date)),
            rotation_type: rotation.map(|(_, kind)| match kind {
                RotationType::Automatic => "AUTOMATIC",
                RotationType::OnDemand => "ON_DEMAND",
            }),
            position: format!("{position:08}"),
        };
    all.enumerate().map(entry).collect()
}

/// Materials that were imported; `regions` are those of a multi-Region key.
fn imported_entries(
    key_id: &Arc<str>,
    imported: &ImportedKey,
    regions: &[String],
) -> Vec<RotationsListEntry> {
    let current = imported.current_id();
    let entry = |(position, material): (usize, Material)| {
        let import = imported.import(&material);
        let present = import.and_then(|import| import.present.as_ref());
        let rotated = match material.place {
            Place::Permanent(date) => date,
            Place::Pending => None,
        };
        RotationsListEntry {
            key_id: Arc::clone(key_id),
            key_material_id: material.id.to_hex(),
            key_material_description: import.and_then(|import| import.description.clone()),
            import_state: Some(match present {
                Some(_) => "IMPORTED",
                None => "PENDING_IMPORT",
            }),
            key_material_state: match material.place {
                Place::Pending if material.missing_in(regions).is_some() => {
                    "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
                }
                Place::Pending => "PENDING_ROTATION",
                Place::Permanent(_) if Some(material.id) == current => "CURRENT",
                Place::Permanent(_) => "NON_CURRENT",
            },
            expiration_model: present.map(|present| match present.valid_to {
                Some(_) => "KEY_MATERIAL_EXPIRES",
                None => "KEY_MATERIAL_DOES_NOT_EXPIRE",
            }),
            valid_to: present.and_then(|present| present.valid_to.map(Timestamp)),
            rotation_date: rotated.map(Timestamp),
            rotation_type: rotated.map(|_| "ON_DEMAND"),
            position: format!("{position:08}"),
        }
    };
    imported.all().into_iter().enumerate().map(entry).collect()
}

/// The key-state table lets only keys through that have it.
fn material(key: &Key) -> Result<&RotatingMaterial, KmsError> {
    match key.origin() {
        Origin::AwsKms(material) => Ok(material),
        Origin::AwsKmsFixed(_)
        | Origin::External(_)
        | Origin::ExternalKeyStore { .. }
        | Origin::AwsCloudHsm { .. } => Err(wrong_origin(key)),
    }
}

/// What the primary key of a multi-Region key has, its replicas share.
fn check_not_replica(key: &Key) -> Result<(), KmsError> {
    match key.is_replica() {
        true => Err(not_primary(key)),
        false => Ok(()),
    }
}

const INCLUDE: &[(&str, Include)] = &[
    ("ALL_KEY_MATERIAL", Include::AllKeyMaterial),
    ("ROTATIONS_ONLY", Include::RotationsOnly),
];
