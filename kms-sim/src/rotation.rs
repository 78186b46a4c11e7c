//! The key material of a symmetric AWS_KMS key: its versions, and when the next one is made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::api::KmsError;
use crate::journal::Serial;
use crate::key_material::{KeyMaterial, KeyMaterialId};
use crate::state_image::instant;

/// Every version that decrypts, of which the newest encrypts; and the schedule of automatic rotation. Clones share them:
/// the keys of a multi-Region key.
#[derive(Clone)]
pub(crate) struct RotatingMaterial(Arc<Mutex<Versions>>);

struct Versions {
    first: Arc<KeyMaterial>,
    rotations: Vec<Rotation>,
    automatic: Option<Automatic>,
    /// The last change of any key that shares it.
    changed: Serial,
}

/// A version after the first.
#[derive(Clone)]
pub(crate) struct Rotation {
    pub(crate) material: Arc<KeyMaterial>,
    pub(crate) date: SystemTime,
    pub(crate) kind: RotationType,
}

/// `RotationType`
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum RotationType {
    Automatic,
    OnDemand,
}

/// Automatic rotation that is enabled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Automatic {
    pub(crate) period_days: u16,
    #[serde(with = "instant")]
    pub(crate) next: SystemTime,
}

impl RotatingMaterial {
    /// Material of one version.
    pub(crate) fn new(first: KeyMaterial) -> Self {
        Self::restored(Arc::new(first), Vec::new(), None)
    }

    /// Material as it was.
    pub(crate) fn restored(
        first: Arc<KeyMaterial>,
        rotations: Vec<Rotation>,
        automatic: Option<Automatic>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Versions {
            first,
            rotations,
            automatic,
            changed: Serial::BEFORE_ALL,
        })))
    }

    /// Joins what was saved of the same key in another Region; whichever of both was saved later counts.
    pub(crate) fn join(&mut self, other: &Self) {
        let (own, automatic) = (self.rotations(), self.automatic());
        {
            let mut shared = other.lock();
            if own.len() > shared.rotations.len() {
                shared.rotations = own;
                shared.automatic = automatic;
            }
        }
        self.0 = Arc::clone(&other.0);
    }

    /// The last change of any key that shares the versions, made before what changed can be seen.
    pub(crate) fn changed(&self) -> Serial {
        self.lock().changed
    }

    /// A key that shares the versions changes now.
    pub(crate) fn changed_at(&self, serial: Serial) {
        let mut versions = self.lock();
        versions.changed = versions.changed.max(serial);
    }

    /// The version that encrypts.
    pub(crate) fn current(&self) -> Arc<KeyMaterial> {
        let versions = self.lock();
        let last = versions.rotations.last();
        Arc::clone(last.map_or(&versions.first, |r| &r.material))
    }

    /// The version of that id.
    pub(crate) fn find(&self, id: KeyMaterialId) -> Option<Arc<KeyMaterial>> {
        let versions = self.lock();
        let later = versions.rotations.iter().rev().map(|r| &r.material);
        let mut all = later.chain([&versions.first]);
        all.find(|material| material.id() == id).map(Arc::clone)
    }

    /// The version that the key was created with.
    pub(crate) fn first(&self) -> Arc<KeyMaterial> {
        Arc::clone(&self.lock().first)
    }

    /// The later versions, oldest first.
    pub(crate) fn rotations(&self) -> Vec<Rotation> {
        self.lock().rotations.clone()
    }

    /// The schedule, if automatic rotation is enabled.
    pub(crate) fn automatic(&self) -> Option<Automatic> {
        self.lock().automatic
    }

    /// Enables automatic rotation; a schedule of the same period goes on as it is.
    pub(crate) fn enable(&self, now: SystemTime, period_days: u16) {
        let automatic = &mut self.lock().automatic;
        if automatic.is_some_and(|a| a.period_days == period_days) {
            return;
        }
        *automatic = Some(Automatic {
            period_days,
            next: now + days(period_days),
        });
    }

    /// Disables automatic rotation.
    pub(crate) fn disable(&self) {
        self.lock().automatic = None;
    }

    /// Makes the next version on demand.
    ///
    /// # Errors
    /// LimitExceededException after 25 of them, KMSInternalException without random bytes.
    pub(crate) fn rotate_on_demand(&self, now: SystemTime) -> Result<(), KmsError> {
        let mut versions = self.lock();
        let on_demand = |r: &&Rotation| r.kind == RotationType::OnDemand;
        if versions.rotations.iter().filter(on_demand).count() >= MAX_ON_DEMAND {
            return Err(too_many_on_demand());
        }
        versions.push(now, RotationType::OnDemand)
    }

    /// Makes the versions that fell due until `now`; whether there were any.
    ///
    /// # Errors
    /// KMSInternalException without random bytes.
    pub(crate) fn rotate_due(&self, now: SystemTime) -> Result<bool, KmsError> {
        let mut versions = self.lock();
        let before = versions.rotations.len();
        while let Some(due) = versions.automatic.filter(|automatic| automatic.next <= now) {
            versions.push(due.next, RotationType::Automatic)?;
            versions.automatic = Some(Automatic {
                next: due.next + days(due.period_days),
                ..due
            });
        }
        Ok(versions.rotations.len() > before)
    }

    fn lock(&self) -> MutexGuard<'_, Versions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Versions {
    fn push(&mut self, date: SystemTime, kind: RotationType) -> Result<(), KmsError> {
        self.rotations.push(Rotation {
            material: Arc::new(KeyMaterial::generate()?),
            date,
            kind,
        });
        Ok(())
    }
}

/// What KMS says of one rotation more than it allows.
pub(crate) fn too_many_on_demand() -> KmsError {
    KmsError::new(
        "LimitExceededException",
        format!("A key can be rotated on demand {MAX_ON_DEMAND} times; this one was."),
    )
}

/// A number of days.
pub(crate) fn days(n: u16) -> Duration {
    Duration::from_hours(24) * u32::from(n)
}

/// How often a key can be rotated on demand.
pub(crate) const MAX_ON_DEMAND: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fall_due_one_period_apart_and_all_are_found() {
        let start = SystemTime::UNIX_EPOCH;
        let material = RotatingMaterial::new(KeyMaterial::generate().unwrap());
        let first = material.current().id();
        material.enable(start, 90);
        material.rotate_due(start + days(89)).unwrap();
        assert_eq!(material.current().id(), first);
        material.enable(start + days(50), 90);
        material.rotate_due(start + days(90)).unwrap();
        assert_ne!(material.current().id(), first);
        material.rotate_on_demand(start + days(100)).unwrap();
        material.rotate_due(start + days(359)).unwrap();
        let found: Vec<_> = material
            .rotations()
            .iter()
            .map(|r| (r.date, r.kind))
            .collect();
        let on = |n, kind| (start + days(n), kind);
        let expected = [
            on(90, RotationType::Automatic),
            on(100, RotationType::OnDemand),
            on(180, RotationType::Automatic),
            on(270, RotationType::Automatic),
        ];
        assert_eq!(found, expected);
        assert!(material.find(first).is_some());
        for rotation in material.rotations() {
            assert!(material.find(rotation.material.id()).is_some());
        }
        material.disable();
        material.rotate_due(start + days(3_600)).unwrap();
        assert_eq!(material.rotations().len(), 4);
    }

    #[test]
    fn the_26th_rotation_on_demand_is_refused() {
        let material = RotatingMaterial::new(KeyMaterial::generate().unwrap());
        for _ in 0..25 {
            material.rotate_on_demand(SystemTime::UNIX_EPOCH).unwrap();
        }
        let error = material
            .rotate_on_demand(SystemTime::UNIX_EPOCH)
            .unwrap_err();
        assert_eq!(error.name(), "LimitExceededException");
    }
}
