//! What a key manager says of itself: who made it, and how each of its instances is.

use xks_api::message::HealthStatus;

/// What a key manager says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Description {
    /// `ekmVendor`
    pub vendor: String,
    /// Those that matter most first; GetHealthStatus tells of the first ten.
    pub instances: Vec<Instance>,
}

/// One of the servers, tokens or proxies that a key manager consists of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    /// Names it.
    pub id: String,
    /// Product and version.
    pub model: String,
    /// What is known of it.
    pub health: InstanceHealth,
}

/// What is known of one instance.
///
/// The probes of a key manager go through any of its instances, so that they cannot tell one from the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InstanceHealth {
    /// What the probes find.
    Probed,
    /// As it was last seen, or what the probes find, whichever is worse: one that answers nobody's requests is not well.
    AtBest(HealthStatus),
    /// As it says of itself; no probe of this proxy goes through it.
    Told(HealthStatus),
}

impl InstanceHealth {
    /// `healthStatus` with what the probes found.
    pub fn status(self, probed: HealthStatus) -> HealthStatus {
        match self {
            Self::Probed => probed,
            Self::Told(status) => status,
            Self::AtBest(seen) => match (seen, probed) {
                (HealthStatus::Unavailable, _) | (_, HealthStatus::Unavailable) => {
                    HealthStatus::Unavailable
                }
                (HealthStatus::Degraded, _) | (_, HealthStatus::Degraded) => HealthStatus::Degraded,
                (HealthStatus::Active, HealthStatus::Active) => HealthStatus::Active,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::InstanceHealth::{AtBest, Probed, Told};
    use super::*;

    #[test]
    fn an_instance_is_as_well_as_it_is_seen_and_probed() {
        use HealthStatus::{Active, Degraded, Unavailable};
        for probed in [Active, Degraded, Unavailable] {
            assert_eq!(Probed.status(probed), probed);
            assert_eq!(AtBest(Active).status(probed), probed);
            assert_eq!(AtBest(Unavailable).status(probed), Unavailable);
            assert_eq!(Told(Active).status(probed), Active);
        }
        assert_eq!(AtBest(Degraded).status(Active), Degraded);
        assert_eq!(AtBest(Degraded).status(Unavailable), Unavailable);
    }
}
