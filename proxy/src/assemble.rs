//! From a configuration to what a server runs with: opens the key managers, gives each key store its part of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::sigv4::DuplicateAccessKeyId;

use crate::authenticate::{CredentialSource, Credentials};
use crate::config::{Config, HealthConfig, KeyManagerConfig, KeyStoreConfig, WrappingKeyManager};
use crate::control::{Blocks, ControlError, ControlStore, Scope, StateDir};
use crate::health::{Monitored, ProxyIdentity};
use crate::key_manager::KeyManager;
use crate::key_manager::embedded::{self, Embedded, ListedKeys, OpenKeyManager, StoreError};
#[cfg(feature = "pkcs11")]
use crate::key_manager::pkcs11::{self, Pkcs11KeyManager};
#[cfg(feature = "transit")]
use crate::key_manager::transit::{self, Transit};
use crate::key_store::{ExternalKeyStore, KeyStores};
use crate::runtime::Snapshot;
use crate::throttle::Quota;
use crate::tls::{TlsError, TlsMaterial, server_config};

/// The key managers that are open, by the name that the configuration gives them.
///
/// They outlive a configuration: a store on disk belongs to one process and is opened once.
#[derive(Clone, Default)]
pub struct KeyManagers {
    open: BTreeMap<String, Open>,
    /// What governs those that keep no keyring of ours.
    state_dir: Option<Arc<StateDir>>,
}

#[derive(Clone)]
struct Open {
    config: KeyManagerConfig,
    opened: Opened,
    monitored: Arc<Monitored>,
}

/// A key manager as it was opened.
#[derive(Clone)]
pub(crate) enum Opened {
    /// It keeps credentials, too, and administrators change it through this process.
    Embedded(Arc<Embedded>),
    /// Its keys are made and changed elsewhere.
    #[cfg_attr(
        not(any(feature = "pkcs11", feature = "transit")),
        expect(dead_code, reason = "each kind but the embedded one is a feature")
    )]
    Other(Arc<dyn KeyManager>),
}

impl Opened {
    /// Opens a key manager: the one place that knows all kinds. `name` is for the log.
    ///
    /// # Errors
    /// For what only people can repair. One that others serve is opened without asking whether they do.
    #[cfg_attr(
        not(any(feature = "pkcs11", feature = "transit")),
        expect(unused_variables, reason = "an embedded one has no use for its name")
    )]
    pub(crate) fn open(name: &str, config: &KeyManagerConfig) -> Result<Self, OpenError> {
        match config {
            KeyManagerConfig::Embedded(place) => {
                let embedded = Embedded::open_at((**place).clone())?;
                Ok(Self::Embedded(Arc::new(embedded)))
            }
            #[cfg(feature = "pkcs11")]
            KeyManagerConfig::Pkcs11(settings) => {
                let pkcs11 = Pkcs11KeyManager::open(name, (**settings).clone())?;
                Ok(Self::Other(Arc::new(pkcs11)))
            }
            #[cfg(feature = "transit")]
            KeyManagerConfig::Transit(settings) => {
                let transit = Transit::open(name, (**settings).clone())?;
                Ok(Self::Other(Arc::new(transit)))
            }
        }
    }

    /// As the seam sees it.
    pub(crate) fn key_manager(&self) -> Arc<dyn KeyManager> {
        match self {
            Self::Embedded(embedded) => Arc::<Embedded>::clone(embedded),
            Self::Other(other) => Arc::clone(other),
        }
    }

    fn embedded(&self) -> Option<&Arc<Embedded>> {
        match self {
            Self::Embedded(embedded) => Some(embedded),
            Self::Other(_) => None,
        }
    }
}

impl OpenKeyManager for WrappingKeyManager {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<Arc<dyn KeyManager>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Opened::open(&self.name, &self.config)?.key_manager())
    }
}

impl KeyManagers {
    /// Opens what a configuration names and these do not have yet; others are kept as they are.
    ///
    /// # Errors
    /// [`AssembleError`]; then `self` is what goes on serving.
    pub fn with(&self, config: &Config) -> Result<Self, AssembleError> {
        self.opened(config, Patience::ForCommands)
    }

    /// [`with`](Self::with) that patience for stores that others have open.
    ///
    /// # Errors
    /// [`AssembleError`]; then `self` is what goes on serving.
    pub fn opened(&self, config: &Config, patience: Patience) -> Result<Self, AssembleError> {
        let state_dir = self.state_dir(config)?;
        let mut open = BTreeMap::new();
        for (name, wanted) in &config.key_managers {
            let opened = match self.open.values().find(|open| open.config == *wanted) {
                Some(open) => open.opened.clone(),
                None => {
                    self.refuse_held(name, wanted)?;
                    let opened = open_patiently(name, wanted, patience)?;
                    if let Some(embedded) = opened.embedded() {
                        embedded.administration().join_fleet();
                    }
                    opened
                }
            };
            let old = self.open.get(name).filter(|open| {
                open.config == *wanted && open.monitored.slow_after() == config.health.slow_after
            });
            let monitored = match old {
                Some(old) => Arc::clone(&old.monitored),
                None => {
                    let slow_after = config.health.slow_after;
                    Arc::new(Monitored::new(name, opened.key_manager(), slow_after))
                }
            };
            let config = wanted.clone();
            open.insert(
                name.clone(),
                Open {
                    config,
                    opened,
                    monitored,
                },
            );
        }
        Ok(Self { open, state_dir })
    }

    fn state_dir(&self, config: &Config) -> Result<Option<Arc<StateDir>>, AssembleError> {
        let needs_none = |(_, wanted): &(String, KeyManagerConfig)| wanted.embedded().is_some();
        let Some(folder) = &config.state_dir else {
            return Ok(None);
        };
        if config.key_managers.iter().all(needs_none) {
            return Ok(None);
        }
        match &self.state_dir {
            Some(open) if open.folder() == folder => Ok(Some(Arc::clone(open))),
            _ => Ok(Some(Arc::new(StateDir::open(folder)?))),
        }
    }

    /// The folder of the records of key managers without a keyring of ours.
    pub fn state_folder(&self) -> Option<&Path> {
        self.state_dir.as_ref().map(|state_dir| state_dir.folder())
    }

    /// Which records govern which key managers; without the prefixes.
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        let mut others = Scope {
            key_managers: Vec::new(),
            store: self.state_dir.clone().map(|state_dir| {
                let store: Arc<dyn ControlStore> = state_dir;
                store
            }),
            keyring: None,
            open: Vec::new(),
        };
        for (name, open) in &self.open {
            match open.opened.embedded() {
                Some(embedded) => scopes.push(Scope {
                    key_managers: vec![name.clone()],
                    store: Some(embedded.administration()),
                    keyring: Some(embedded.administration()),
                    open: vec![open.opened.key_manager()],
                }),
                None => {
                    others.key_managers.push(name.clone());
                    others.open.push(open.opened.key_manager());
                }
            }
        }
        if !others.key_managers.is_empty() {
            scopes.push(others);
        }
        scopes
    }

    fn blocks(&self, open: &Open) -> Arc<Blocks> {
        match (open.opened.embedded(), &self.state_dir) {
            (Some(embedded), _) => embedded.blocks(),
            (None, Some(state_dir)) => state_dir.control().blocks(),
            (None, None) => Arc::default(),
        }
    }

    /// A store is open once, so that it cannot be opened with other settings while requests are served from it.
    fn refuse_held(&self, name: &str, wanted: &KeyManagerConfig) -> Result<(), AssembleError> {
        let Some(place) = wanted.embedded() else {
            return Ok(());
        };
        let is_open = |open: &Open| {
            let place_of_open = open.config.embedded();
            place_of_open.is_some_and(|other| other.data_dir == place.data_dir)
        };
        match self.open.values().any(is_open) {
            false => Ok(()),
            true => Err(AssembleError::InUse {
                name: name.to_owned(),
                data_dir: place.data_dir.clone(),
            }),
        }
    }

    /// Every one that is open, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = OpenOne<'_>> {
        let open = self.open.iter();
        open.map(|(name, open)| OpenOne { name, open })
    }

    /// The embedded key managers, with their data folders.
    pub fn embedded(&self) -> impl Iterator<Item = (&PathBuf, &Arc<Embedded>)> {
        self.open.values().filter_map(|open| {
            let place = open.config.embedded()?;
            Some((&place.data_dir, open.opened.embedded()?))
        })
    }

    /// Ends what the key managers do in the background, at the end of a server; waits for the network for a moment.
    pub fn close(&self) {
        for (_, embedded) in self.embedded() {
            embedded.administration().close();
        }
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
            admin_tls: match config.admin_listen {
                None => None,
                Some(_) => Some(Arc::new(for_administrators(&config.tls)?)),
            },
            client_authentication: config.tls.client.clone(),
            key_stores: KeyStores::new(key_stores),
            key_managers: self
                .open
                .values()
                .map(|o| Arc::clone(&o.monitored))
                .collect(),
            identity: identity(&config.health),
            limits: config.limits.clone(),
        };
        self.tell_listed_keys(&config.key_stores);
        Ok(snapshot)
    }

    fn key_store(&self, store: &KeyStoreConfig) -> Result<ExternalKeyStore, AssembleError> {
        let open = self.open(&store.key_manager)?;
        let source = match &store.credential_store {
            None => None,
            Some(name) => self.open(name)?.opened.embedded().map(|embedded| {
                let source: Arc<dyn CredentialSource> =
                    Arc::new(StoredCredentials(embedded.credentials()));
                source
            }),
        };
        Ok(ExternalKeyStore {
            measures: Arc::default(),
            prefix: store.prefix.clone(),
            key_manager: Arc::clone(&open.monitored),
            keys: store.keys.clone(),
            blocks: self.blocks(open),
            policy: store.policy.clone(),
            quota: store.quota.map(Quota::new),
            credentials: Credentials::new(
                store.prefix.clone(),
                store.regions.clone(),
                store.credentials.clone(),
                source,
            )?,
        })
    }

    fn open(&self, name: &str) -> Result<&Open, AssembleError> {
        let open = self.open.get(name);
        open.ok_or_else(|| AssembleError::NoKeyManager(name.to_owned()))
    }

    /// An access key id names one secret, whichever prefix and whichever place it is for.
    //= xks §Appendix A R42
    fn require_unique_ids(&self, key_stores: &[KeyStoreConfig]) -> Result<(), AssembleError> {
        let mut stored = BTreeMap::new();
        for (name, open) in &self.open {
            let Some(embedded) = open.opened.embedded() else {
                continue;
            };
            for id in embedded.credentials().snapshot().keys() {
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
        for (name, open) in &self.open {
            let Some(embedded) = open.opened.embedded() else {
                continue;
            };
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
            embedded.administration().set_listed_keys(listed);
        }
    }
}

/// One of the open key managers.
#[derive(Clone, Copy)]
pub(crate) struct OpenOne<'k> {
    name: &'k str,
    open: &'k Open,
}

impl<'k> OpenOne<'k> {
    /// Its name in the configuration.
    pub(crate) fn name(&self) -> &'k str {
        self.name
    }

    /// Its `type` in the configuration.
    pub(crate) fn kind(&self) -> &'static str {
        self.open.config.kind()
    }

    /// The key manager, and what probes found.
    pub(crate) fn monitored(&self) -> &'k Monitored {
        &self.open.monitored
    }

    /// It, if it is one that the proxy keeps itself.
    pub(crate) fn embedded(&self) -> Option<&'k Arc<Embedded>> {
        self.open.opened.embedded()
    }
}

/// How long a store is waited for that another process has open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patience {
    /// A command has it for a moment.
    ForCommands,
    /// The server before this one has it until its last requests are answered, and this one is nothing without it.
    ForHandOver,
}

impl Patience {
    const fn limit(self) -> Duration {
        match self {
            Self::ForCommands => Duration::from_secs(2),
            Self::ForHandOver => Duration::from_secs(30),
        }
    }
}

fn open_patiently(
    name: &str,
    config: &KeyManagerConfig,
    patience: Patience,
) -> Result<Opened, AssembleError> {
    let start = Instant::now();
    loop {
        match Opened::open(name, config) {
            Ok(opened) => return Ok(opened),
            // A command, a server that leaves, or a request of this one that began under an earlier configuration has
            // it for a moment.
            Err(OpenError::Embedded(StoreError::Held { .. }))
                if start.elapsed() < patience.limit() =>
            {
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

const HELD_PAUSE: Duration = Duration::from_millis(5);

/// Administrators show a token and no certificate; their browsers speak HTTP/1.1.
fn for_administrators(tls: &TlsMaterial) -> Result<rustls::ServerConfig, TlsError> {
    let mut config = server_config(&TlsMaterial {
        chain: tls.chain.clone(),
        key: tls.key.clone_key(),
        client: None,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

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

/// Why a key manager does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store of an embedded one.
    #[error(transparent)]
    Embedded(#[from] StoreError),
    /// The library of a token, or the threads for it.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Pkcs11(#[from] pkcs11::OpenError),
    /// The CA certificates of Transit servers.
    #[cfg(feature = "transit")]
    #[error(transparent)]
    Transit(#[from] transit::OpenError),
}

/// Why a configuration cannot be put to work.
#[derive(Debug)]
pub enum AssembleError {
    /// A key manager does not open.
    KeyManager {
        /// Its name.
        name: String,
        /// Why.
        error: Box<OpenError>,
    },
    /// An embedded key manager has other settings than those that its store was opened with.
    InUse {
        /// Its name.
        name: String,
        /// Where the store is.
        data_dir: PathBuf,
    },
    /// A key store names a key manager that is not there.
    NoKeyManager(String),
    /// The folder for blocks.
    StateDir(ControlError),
    /// An id occurs in two places.
    Credentials(DuplicateAccessKeyId),
    /// Certificates.
    Tls(TlsError),
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyManager { name, error } => write!(f, "key manager {name}: {error}"),
            Self::InUse { name, data_dir } => write!(
                f,
                "key manager {name}: its settings, or those of the key manager that wraps its root key, have changed \
                 while requests are served from {}, which is opened once: restart the proxy to take them up, or put \
                 the old ones back to reload the rest",
                data_dir.display()
            ),
            Self::NoKeyManager(name) => write!(f, "there is no key manager {name}"),
            Self::StateDir(error) => write!(f, "state_dir: {error}"),
            Self::Credentials(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "tls: {error}"),
        }
    }
}

impl std::error::Error for AssembleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::KeyManager { error, .. } => error.source(),
            Self::InUse { .. }
            | Self::NoKeyManager(_)
            | Self::StateDir(_)
            | Self::Credentials(_) => None,
            Self::Tls(error) => error.source(),
        }
    }
}

impl From<DuplicateAccessKeyId> for AssembleError {
    fn from(e: DuplicateAccessKeyId) -> Self {
        Self::Credentials(e)
    }
}

impl From<ControlError> for AssembleError {
    fn from(e: ControlError) -> Self {
        Self::StateDir(e)
    }
}

impl From<TlsError> for AssembleError {
    fn from(e: TlsError) -> Self {
        Self::Tls(e)
    }
}
