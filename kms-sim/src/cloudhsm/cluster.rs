//! One simulated cluster: its parts, its `kmsuser`, who is logged in, and the key material that its HSMs share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::certificate::ClusterCertificate;
use super::configuration::Configuration;
use super::kmsuser::Kmsuser;
use super::password::KeyStorePassword;
use super::session::HsmFailure;
use crate::connection::ConnectionErrorCode;
use crate::key_material::KeyMaterial;
use crate::visibility::Visibility;

/// One cluster.
pub(super) struct Cluster {
    pub(super) visibility: Visibility,
    pub(super) configuration: Configuration,
    pub(super) contents: Contents,
    /// Of KMS, one for each key store that is CONNECTED to the cluster.
    sessions: BTreeSet<u64>,
}

/// What a backup of a cluster holds.
#[derive(Clone)]
pub(super) struct Contents {
    pub(super) certificate: Arc<ClusterCertificate>,
    /// Absent if nobody has created it.
    pub(super) kmsuser: Option<Kmsuser>,
    /// By the id of the KMS key.
    pub(super) keys: BTreeMap<Arc<str>, Arc<KeyMaterial>>,
}

impl Cluster {
    /// A cluster with nobody logged in.
    pub(super) const fn new(
        visibility: Visibility,
        configuration: Configuration,
        contents: Contents,
    ) -> Self {
        Self {
            visibility,
            configuration,
            contents,
            sessions: BTreeSet::new(),
        }
    }

    /// Keeps a session that KMS had when the state was saved.
    pub(super) fn resume(&mut self, session: u64) {
        self.sessions.insert(session);
    }

    /// Logs KMS in as `kmsuser` and sets a new password, which KMS alone knows.
    pub(super) fn log_in(
        &mut self,
        session: u64,
        password: &KeyStorePassword,
        next: KeyStorePassword,
    ) -> Result<(), ConnectionErrorCode> {
        self.configuration.check_way()?;
        let user = self
            .contents
            .kmsuser
            .as_mut()
            .ok_or(ConnectionErrorCode::UserNotFound)?;
        if !self.sessions.is_empty() && !user.is_locked_out() {
            // KMS of another account or Region is logged in.
            return Err(ConnectionErrorCode::UserLoggedIn);
        }
        user.log_in(password)?;
        user.change_password(next);
        self.sessions.insert(session);
        Ok(())
    }

    /// Ends a session; one that has ended does not matter.
    pub(super) fn log_out(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// Whether KMS is logged in.
    pub(super) fn serves_kms(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Whether the HSMs serve a session now. What becomes of `kmsuser` does not disturb it.
    pub(super) fn check_session(&self, session: u64) -> Result<(), HsmFailure> {
        if !self.sessions.contains(&session) {
            return Err(HsmFailure::LoggedOut);
        }
        if !self.configuration.has_active_hsm() {
            return Err(HsmFailure::NoActiveHsm);
        }
        if !self.configuration.reachable || !self.configuration.security_group_sound {
            return Err(HsmFailure::Unreachable);
        }
        if !self.configuration.sessions_left {
            return Err(HsmFailure::NoSessionsLeft);
        }
        Ok(())
    }
}
