//! The key material of a symmetric AWS_KMS key: its versions, and when the next one is made.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::api::KmsError;
use crate::key_material::{KeyMaterial, KeyMaterialId};
use crate::state_image::instant;

/// Every version that decrypts, of which the newest encrypts; and the schedule of automatic rotation.
pub(crate) struct RotatingMaterial {
    first: Arc<KeyMaterial>,
    rotations: Vec<Rotation>,
    automatic: Option<Automatic>,
}

/// A version after the first.
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
        Self {
            first: Arc::new(first),
            rotations: Vec::new(),
            automatic: None,
        }
    }

    /// Material as it was.
    pub(crate) const fn restored(
        first: Arc<KeyMaterial>,
        rotations: Vec<Rotation>,
        automatic: Option<Automatic>,
    ) -> Self {
        Self {
            first,
            rotations,
            automatic,
        }
    }

    /// The version that encrypts.
    pub(crate) fn current(&self) -> &Arc<KeyMaterial> {
        self.rotations.last().map_or(&self.first, |r| &r.material)
    }

    /// The version of that id.
    pub(crate) fn find(&self, id: KeyMaterialId) -> Option<&Arc<KeyMaterial>> {
        self.rotations
            .iter()
            .rev()
            .map(|r| &r.material)
            .chain([&self.first])
            .find(|material| material.id() == id)
    }

    /// The version that the key was created with.
    pub(crate) const fn first(&self) -> &Arc<KeyMaterial> {
        &self.first
    }

    /// The later versions, oldest first.
    pub(crate) fn rotations(&self) -> &[Rotation] {
        &self.rotations
    }

    /// The schedule, if automatic rotation is enabled.
    pub(crate) const fn automatic(&self) -> Option<Automatic> {
        self.automatic
    }

    /// Enables automatic rotation; a schedule of the same period goes on as it is.
    pub(crate) fn enable(&mut self, now: SystemTime, period_days: u16) {
        if self.automatic.is_some_and(|a| a.period_days == period_days) {
            return;
        }
        self.automatic = Some(Automatic {
            period_days,
            next: now + days(period_days),
        });
    }

    /// Disables automatic rotation.
    pub(crate) fn disable(&mut self) {
        self.automatic = None;
    }

    /// Makes the next version on demand.
    ///
    /// # Errors
    /// LimitExceededException after 25 of them, KMSInternalException without random bytes.
    pub(crate) fn rotate_on_demand(&mut self, now: SystemTime) -> Result<(), KmsError> {
        let on_demand = |r: &&Rotation| r.kind == RotationType::OnDemand;
        if self.rotations.iter().filter(on_demand).count() >= MAX_ON_DEMAND {
            return Err(KmsError::new(
                "LimitExceededException",
                format!("A key can be rotated on demand {MAX_ON_DEMAND} times; this one was."),
            ));
        }
        self.push(now, RotationType::OnDemand)
    }

    /// Makes the versions that fell due until `now`.
    ///
    /// # Errors
    /// KMSInternalException without random bytes.
    pub(crate) fn rotate_due(&mut self, now: SystemTime) -> Result<(), KmsError> {
        while let Some(due) = self.automatic.filter(|automatic| automatic.next <= now) {
            self.push(due.next, RotationType::Automatic)?;
            self.automatic = Some(Automatic {
                next: due.next + days(due.period_days),
                ..due
            });
        }
        Ok(())
    }

    fn push(&mut self, date: SystemTime, kind: RotationType) -> Result<(), KmsError> {
        self.rotations.push(Rotation {
            material: Arc::new(KeyMaterial::generate()?),
            date,
            kind,
        });
        Ok(())
    }
}

/// A number of days.
pub(crate) fn days(n: u16) -> Duration {
    Duration::from_hours(24) * u32::from(n)
}

const MAX_ON_DEMAND: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fall_due_one_period_apart_and_all_are_found() {
        let start = SystemTime::UNIX_EPOCH;
        let mut material = RotatingMaterial::new(KeyMaterial::generate().unwrap());
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
        let mut material = RotatingMaterial::new(KeyMaterial::generate().unwrap());
        for _ in 0..25 {
            material.rotate_on_demand(SystemTime::UNIX_EPOCH).unwrap();
        }
        let error = material
            .rotate_on_demand(SystemTime::UNIX_EPOCH)
            .unwrap_err();
        assert_eq!(error.name(), "LimitExceededException");
    }
}
