//! From a configuration to what a server runs with: opens the key managers, gives each key store its part of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::sigv4::DuplicateAccessKeyId;

use crate::authenticate::{CredentialSource, Credentials};
use crate::config::{Config, HealthConfig, KeyManagerConfig, KeyStoreConfig};
use crate::health::{Monitored, ProxyIdentity};
use crate::key_manager::KeyManager;
use crate::key_manager::embedded::{self, Embedded, ListedKeys, StoreError};
use crate::key_store::{ExternalKeyStore, KeyStores};
use crate::runtime::Snapshot;
use crate::tls::{TlsError, server_config};

/// The key managers that are open, by the name that the configuration gives them.
///
/// They outlive a configuration: a store on disk belongs to one process and is opened once.
#[derive(Clone, Default)]
pub struct KeyManagers(BTreeMap<String, Open>);

#[derive(Clone)]
struct Open {
    config: KeyManagerConfig,
    embedded: Arc<Embedded>,
    monitored: Arc<Monitored>,
}

impl KeyManagers {
    /// Opens what a configuration names and these do not have yet; others are kept as they are.
    ///
    /// # Errors
    /// [`AssembleError`]; then `self` is what goes on serving.
    pub fn with(&self, config: &Config) -> Result<Self, AssembleError> {
        let mut open = BTreeMap::new();
        for (name, wanted) in &config.key_managers {
            let embedded = match self.0.values().find(|open| open.config == *wanted) {
                Some(open) => Arc::clone(&open.embedded),
                None => open_embedded(name, wanted)?,
            };
            let old = self.0.get(name).filter(|open| {
                Arc::ptr_eq(&open.embedded, &embedded)
                    && open.monitored.slow_after() == config.health.slow_after
            });
            let monitored = match old {
                Some(old) => Arc::clone(&old.monitored),
                None => {
                    let key_manager: Arc<dyn KeyManager> = Arc::<Embedded>::clone(&embedded);
                    let slow_after = config.health.slow_after;
                    Arc::new(Monitored::new(name, key_manager, slow_after))
                }
            };
            let config = wanted.clone();
            open.insert(
                name.clone(),
                Open {
                    config,
                    embedded,
                    monitored,
                },
            );
        }
        Ok(Self(open))
    }

    /// The embedded key managers, with their configuration.
    pub fn embedded(&self) -> impl Iterator<Item = (&KeyManagerConfig, &Arc<Embedded>)> {
        self.0.values().map(|open| (&open.config, &open.embedded))
    }

    /// Puts a configuration and these key managers together.
    ///
    /// # Errors
    /// [`AssembleError`] if they do not fit.
    pub fn snapshot(&self, config: &Config) -> Result<Snapshot, AssembleError> {
        let mut key_stores = Vec::new();
        for store in &config.key_stores {
            key_stores.push(self.key_store(store)?);
        }
        self.require_unique_ids(&config.key_stores)?;
        let snapshot = Snapshot {
            tls: Arc::new(server_config(&config.tls)?),
            client_authentication: config.tls.client.clone(),
            key_stores: KeyStores::new(key_stores),
            key_managers: self.0.values().map(|o| Arc::clone(&o.monitored)).collect(),
            identity: identity(&config.health),
            limits: config.limits.clone(),
        };
        self.tell_listed_keys(&config.key_stores);
        Ok(snapshot)
    }

    fn key_store(&self, store: &KeyStoreConfig) -> Result<ExternalKeyStore, AssembleError> {
        let open = self.open(&store.key_manager)?;
        let source = Arc::new(StoredCredentials(open.embedded.credentials()));
        Ok(ExternalKeyStore {
            prefix: store.prefix.clone(),
            key_manager: Arc::clone(&open.monitored),
            keys: store.keys.clone(),
            credentials: Credentials::new(
                store.prefix.clone(),
                store.regions.clone(),
                store.credentials.clone(),
                Some(source),
            )?,
        })
    }

    fn open(&self, name: &str) -> Result<&Open, AssembleError> {
        let open = self.0.get(name);
        open.ok_or_else(|| AssembleError::NoKeyManager(name.to_owned()))
    }

    /// An access key id names one secret, whichever prefix and whichever place it is for.
    //= xks §Appendix A R42
    fn require_unique_ids(&self, key_stores: &[KeyStoreConfig]) -> Result<(), AssembleError> {
        let mut stored = BTreeMap::new();
        for (name, open) in &self.0 {
            for id in open.embedded.credentials().snapshot().keys() {
                if let Some(other) = stored.insert(id.clone(), name) {
                    tracing::debug!(%id, other, name, "in two key managers");
                    return Err(DuplicateAccessKeyId(id.clone()).into());
                }
            }
        }
        for (id, _) in key_stores.iter().flat_map(|store| &store.credentials) {
            if stored.contains_key(id) {
                return Err(DuplicateAccessKeyId(id.clone()).into());
            }
        }
        Ok(())
    }

    /// So that a key which a configuration lists is not deleted by accident.
    fn tell_listed_keys(&self, key_stores: &[KeyStoreConfig]) {
        for (name, open) in &self.0 {
            let listed = key_stores
                .iter()
                .filter(|store| store.key_manager == *name)
                .flat_map(|store| {
                    store
                        .keys
                        .named()
                        .map(|id| (id.clone(), store.prefix.clone()))
                });
            let listed = ListedKeys::Known(listed.collect());
            open.embedded.administration().set_listed_keys(listed);
        }
    }
}

fn open_embedded(name: &str, config: &KeyManagerConfig) -> Result<Arc<Embedded>, AssembleError> {
    let KeyManagerConfig::Embedded { data_dir, root_key } = config;
    let mut attempts = 0..HELD_ATTEMPTS;
    loop {
        match Embedded::open(data_dir, root_key.clone()) {
            Ok(embedded) => return Ok(Arc::new(embedded)),
            // A command, a server that leaves, or a request of this one that began under an earlier configuration has
            // it for a moment.
            Err(StoreError::Held { .. }) if attempts.next().is_some() => {
                std::thread::sleep(HELD_PAUSE);
            }
            Err(error) => {
                return Err(AssembleError::KeyManager {
                    name: name.to_owned(),
                    error: Box::new(error),
                });
            }
        }
    }
}

const HELD_ATTEMPTS: u32 = 100;
const HELD_PAUSE: Duration = Duration::from_millis(20);

fn identity(health: &HealthConfig) -> ProxyIdentity {
    ProxyIdentity {
        fleet_size: health.fleet_size,
        vendor: "xks-proxy".to_owned(),
        //= xks §GetHealthStatus R28
        model: concat!("xks-proxy ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// The credentials that an embedded key manager keeps.
struct StoredCredentials(Arc<embedded::Credentials>);

impl CredentialSource for StoredCredentials {
    fn generation(&self) -> u64 {
        self.0.generation()
    }

    fn credentials(&self, prefix: &UriPathPrefix) -> Vec<(AccessKeyId, SecretAccessKey)> {
        let all = self.0.snapshot();
        all.iter()
            .filter(|(_, credential)| credential.uri_path_prefix == *prefix)
            .map(|(id, credential)| (id.clone(), credential.secret.clone()))
            .collect()
    }
}

/// Why a configuration cannot be put to work.
#[derive(Debug)]
pub enum AssembleError {
    /// A key manager does not open.
    KeyManager {
        /// Its name.
        name: String,
        /// Why.
        error: Box<StoreError>,
    },
    /// A key store names a key manager that is not there.
    NoKeyManager(String),
    /// An id occurs in two places.
    Credentials(DuplicateAccessKeyId),
    /// Certificates.
    Tls(TlsError),
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyManager { name, error } => write!(f, "key manager {name}: {error}"),
            Self::NoKeyManager(name) => write!(f, "there is no key manager {name}"),
            Self::Credentials(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "tls: {error}"),
        }
    }
}

impl std::error::Error for AssembleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::KeyManager { error, .. } => error.source(),
            Self::NoKeyManager(_) | Self::Credentials(_) => None,
            Self::Tls(error) => error.source(),
        }
    }
}

impl From<DuplicateAccessKeyId> for AssembleError {
    fn from(e: DuplicateAccessKeyId) -> Self {
        Self::Credentials(e)
    }
}

impl From<TlsError> for AssembleError {
    fn from(e: TlsError) -> Self {
        Self::Tls(e)
    }
}
