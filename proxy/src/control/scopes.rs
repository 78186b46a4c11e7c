//! Which records govern which key managers and which prefixes.

use std::collections::BTreeMap;
use std::sync::Arc;

use xks_api::ids::UriPathPrefix;

use super::store::ControlStore;
use crate::key_manager::KeyManager;
use crate::key_manager::embedded::Administration;

/// Key managers that are governed together.
pub struct Scope {
    /// Their names in the configuration.
    pub key_managers: Vec<String>,
    /// Where their records are; `None` where there is no place for them.
    pub store: Option<Arc<dyn ControlStore>>,
    /// Their keyring, if it is one of ours.
    pub keyring: Option<Arc<Administration>>,
    /// What can be asked whether it has a key.
    pub open: Vec<Arc<dyn KeyManager>>,
}

impl Scope {
    /// For messages.
    pub fn name(&self) -> String {
        self.key_managers.join(", ")
    }
}

/// Everything that a proxy serves.
#[derive(Default)]
pub struct Scopes {
    /// Each key manager is in one.
    pub scopes: Vec<Scope>,
    /// The key manager of each prefix; `None` where there is no configuration that would say it.
    pub prefixes: Option<BTreeMap<UriPathPrefix, String>>,
}
