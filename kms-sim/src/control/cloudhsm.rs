//! `/control/v1/cloudhsm`: simulated clusters and backups, made and broken.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use super::visibility::visibility;
use crate::cloudhsm::{
    BackupId, CloudHsm, CloudHsmError, ClusterChange, ClusterDescription, ClusterId, ClusterState,
    HsmId, HsmState, KeyStorePassword, KmsuserChange, NewCluster, SubnetChange,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Create {
    #[serde(default)]
    hsms: Option<usize>,
    #[serde(default)]
    availability_zones: Option<Vec<String>>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    backup_id: Option<String>,
    #[serde(default)]
    key_store_password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Change {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    security_group_sound: Option<bool>,
    #[serde(default)]
    reachable: Option<bool>,
    #[serde(default)]
    sessions_left: Option<bool>,
    #[serde(default)]
    kmsuser: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct AddHsm {
    #[serde(default)]
    availability_zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ChangeHsm {
    state: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ChangeSubnet {
    #[serde(default)]
    deleted: Option<bool>,
    #[serde(default)]
    free_addresses: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SetPassword {
    #[serde(default)]
    key_store_password: Option<String>,
}

/// `region` is the one of clusters for which none is said.
pub(super) fn answer(hsm: &CloudHsm, region: &str, request: &ControlRequest<'_>) -> Answer {
    let (get, post) = (&Method::GET, &Method::POST);
    match (request.path, request.method) {
        (["clusters"], method) if method == get => {
            let clusters: Vec<_> = hsm.clusters().iter().map(describe).collect();
            Ok(json!({"Clusters": clusters}))
        }
        (["clusters"], method) if method == post => create(hsm, region, request.input()?),
        (["clusters"], _) => Err(ControlError::method("GET, POST")),
        (["clusters", id, rest @ ..], _) => {
            let id = ClusterId::from(*id);
            cluster(hsm, &id, rest, request)
        }
        (["backups"], method) if method == get => {
            let describe = |backup: crate::cloudhsm::BackupDescription| {
                json!({
                    "BackupId": backup.id.as_str(), "ClusterId": backup.cluster.as_str(),
                    "KeyIds": backup.key_ids,
                })
            };
            let backups: Vec<_> = hsm.backups().into_iter().map(describe).collect();
            Ok(json!({"Backups": backups}))
        }
        (["backups"], _) => Err(ControlError::method("GET")),
        _ => Err(super::unknown_path()),
    }
}

fn create(hsm: &CloudHsm, region: &str, input: Create) -> Answer {
    let zones = input.availability_zones;
    let mut new = NewCluster::in_region(input.region.as_deref().unwrap_or(region));
    new.visibility = visibility(input.account, input.region)?;
    if let Some(hsms) = input.hsms {
        new.hsms = hsms;
    }
    if let Some(zones) = zones {
        if let Some(zone) = zones.iter().find(|zone| !is_zone(zone)) {
            return Err(ControlError::invalid(format!(
                "'{}' is no Availability Zone; expected lowercase letters, digits and hyphens, such as us-east-1a.",
                zone.escape_default()
            )));
        }
        new.availability_zones = zones;
    }
    new.backup = input.backup_id.map(|id| BackupId::from(&*id));
    new.password = input.key_store_password.map(password).transpose()?;
    let created = hsm.create_cluster(new)?;
    let password = created.key_store_password.as_ref();
    Ok(json!({
        "ClusterId": created.id.as_str(),
        "TrustAnchorCertificate": created.trust_anchor_certificate,
        "KeyStorePassword": password.map(KeyStorePassword::expose),
    }))
}

fn cluster(hsm: &CloudHsm, id: &ClusterId, path: &[&str], request: &ControlRequest<'_>) -> Answer {
    let (post, patch, delete) = (&Method::POST, &Method::PATCH, &Method::DELETE);
    match (path, request.method) {
        ([], &Method::GET) => {}
        ([], method) if method == patch => {
            hsm.update_cluster(id, request.input::<Change>()?.read()?)?
        }
        ([], method) if method == delete => {
            request.no_input()?;
            let backup = hsm.delete_cluster(id)?;
            return Ok(json!({"BackupId": backup.as_str()}));
        }
        ([], _) => return Err(ControlError::method("GET, PATCH, DELETE")),
        (["hsms"], method) if method == post => {
            let AddHsm { availability_zone } = request.input()?;
            let added = hsm.add_hsm(id, availability_zone.as_deref())?;
            return Ok(json!({"HsmId": added.as_str()}));
        }
        (["hsms", name], method) if method == patch => {
            let ChangeHsm { state } = request.input()?;
            let state = word("State", &state, HsmState::from_word, HsmState::WORDS)?;
            hsm.set_hsm_state(id, &HsmId::from(*name), state)?;
        }
        (["hsms", name], method) if method == delete => {
            request.no_input()?;
            hsm.delete_hsm(id, &HsmId::from(*name))?;
        }
        (["subnets", zone], method) if method == patch => {
            let change: ChangeSubnet = request.input()?;
            let change = SubnetChange {
                deleted: change.deleted,
                free_addresses: change.free_addresses,
            };
            hsm.update_subnet(id, zone, change)?;
        }
        (["kmsuser", "password"], method) if method == post => {
            let SetPassword { key_store_password } = request.input()?;
            let wanted = key_store_password.map(password).transpose()?;
            let set = hsm.change_kmsuser_password(id, wanted)?;
            return Ok(json!({"KeyStorePassword": set.expose()}));
        }
        (["keys", key], method) if method == delete => {
            request.no_input()?;
            hsm.delete_key_material(id, key)?;
        }
        (["backups"], method) if method == post => {
            request.no_input()?;
            let backup = hsm.create_backup(id)?;
            return Ok(json!({"BackupId": backup.as_str()}));
        }
        (["hsms" | "backups"] | ["kmsuser", "password"], _) => {
            return Err(ControlError::method("POST"));
        }
        (["hsms", _], _) => return Err(ControlError::method("PATCH, DELETE")),
        (["subnets", _], _) => return Err(ControlError::method("PATCH")),
        (["keys", _], _) => return Err(ControlError::method("DELETE")),
        _ => return Err(super::unknown_path()),
    }
    Ok(describe(&hsm.cluster(id)?))
}

impl Change {
    fn read(self) -> Result<ClusterChange, ControlError> {
        let state = self.state.map(|state| {
            word(
                "State",
                &state,
                ClusterState::from_word,
                ClusterState::WORDS,
            )
        });
        let kmsuser = self.kmsuser.map(|change| {
            word(
                "Kmsuser",
                &change,
                KmsuserChange::from_word,
                KmsuserChange::WORDS,
            )
        });
        Ok(ClusterChange {
            state: state.transpose()?,
            security_group_sound: self.security_group_sound,
            reachable: self.reachable,
            sessions_left: self.sessions_left,
            kmsuser: kmsuser.transpose()?,
        })
    }
}

fn describe(cluster: &ClusterDescription) -> Value {
    let parts = &cluster.configuration;
    let hsms = parts.hsms.iter().map(|hsm| {
        json!({
            "HsmId": hsm.id.as_str(), "AvailabilityZone": hsm.availability_zone, "State": hsm.state.as_str(),
        })
    });
    let subnets = parts.subnets.iter().map(|subnet| {
        json!({
            "AvailabilityZone": subnet.availability_zone, "Deleted": subnet.deleted,
            "FreeAddresses": subnet.free_addresses,
        })
    });
    let kmsuser = cluster.kmsuser.as_ref().map(|user| {
        json!({
            "FailedLogins": user.failed_logins, "LockedOut": user.locked_out,
            "KmsLoggedIn": user.kms_logged_in, "LoggedInElsewhere": user.logged_in_elsewhere,
        })
    });
    json!({
        "ClusterId": cluster.id.as_str(),
        "Account": cluster.visibility.account,
        "Region": cluster.visibility.region,
        "State": parts.state.as_str(),
        "Hsms": hsms.collect::<Vec<_>>(),
        "Subnets": subnets.collect::<Vec<_>>(),
        "SecurityGroupSound": parts.security_group_sound,
        "Reachable": parts.reachable,
        "SessionsLeft": parts.sessions_left,
        "Kmsuser": kmsuser,
        "KeyIds": cluster.key_ids,
        "TrustAnchorCertificate": cluster.trust_anchor_certificate,
    })
}

fn word<T>(
    member: &str,
    text: &str,
    from_word: fn(&str) -> Option<T>,
    words: &[&str],
) -> Result<T, ControlError> {
    from_word(text).ok_or_else(|| {
        ControlError::invalid(format!(
            "{member} is '{}'; expected one of {}.",
            text.escape_default(),
            words.join(", ")
        ))
    })
}

fn password(text: String) -> Result<KeyStorePassword, ControlError> {
    KeyStorePassword::try_from(Zeroizing::new(text))
        .map_err(|error| ControlError::invalid(format!("KeyStorePassword: {error}.")))
}

/// So that it can be a segment of a path.
fn is_zone(zone: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&zone.len()) && zone.bytes().all(allowed)
}

impl From<CloudHsmError> for ControlError {
    fn from(error: CloudHsmError) -> Self {
        let message = error.to_string();
        match error {
            CloudHsmError::NoCluster(_)
            | CloudHsmError::NoHsm(_)
            | CloudHsmError::NoSubnet(_)
            | CloudHsmError::NoKey(_)
            | CloudHsmError::NoBackup(_) => Self::not_found(message),
            CloudHsmError::NoFreeAddress(_)
            | CloudHsmError::NoKmsuser(_)
            | CloudHsmError::TooManyHsms => Self::conflict(message),
            CloudHsmError::NoAvailabilityZone | CloudHsmError::Password(_) => {
                Self::invalid(message)
            }
            CloudHsmError::Random => Self::internal(message),
        }
    }
}
