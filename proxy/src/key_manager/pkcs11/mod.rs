//! Keys of a token behind a PKCS#11 library: an HSM's, a smart card's, SoftHSM's. Keys are made elsewhere, never here.
//!
//! ```text
//! key  →  worker (queue, threads)  →  token (slot, login)  →  connection (session, AES-GCM)  →  library
//! framing: versions and AAD of messages    key_map: external key ids → keys    rv, failure: what errors mean
//! ```

mod connection;
mod failure;
mod framing;
mod key;
mod key_map;
mod library;
mod messages;
mod queue;
mod rv;
mod settings;
mod tasks;
mod token;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use xks_api::ids::ExternalKeyId;
use xks_api::message::HealthStatus;

pub use framing::is_ours;
pub use key_map::{KeyMap, Locator, MAX_VERSION, MappedKey, MappedVersion, Unlisted, Versions};
pub use settings::{AadMode, Device, IvSource, Pin, SessionKind, Settings, TokenSelector};

use self::key::Directory;
use self::library::Library;
use self::token::Token;
use self::worker::Workers;
use super::embedded::Usages;
use super::{Answer, Description, ExternalKey, InstanceHealth, KeyManager, KeyManagerError, Load};

/// The key manager of one token.
pub struct Pkcs11KeyManager {
    workers: Arc<Workers>,
    directory: Arc<Directory>,
}

impl Pkcs11KeyManager {
    /// Loads the library and starts the threads that use it. Whether the token answers is for the first call to find
    /// out, and for each one after that: a token that is away may come back.
    ///
    /// `name` is what the configuration calls it, for the log.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(name: &str, settings: Settings) -> Result<Self, OpenError> {
        let library = Library::load(&settings.library).map_err(|error| OpenError::Library {
            path: settings.library.clone(),
            error,
        })?;
        let workers =
            Workers::start(name, Token::new(library, settings)).map_err(OpenError::Threads)?;
        let workers = Arc::new(workers);
        Ok(Self {
            directory: Arc::new(Directory::new(Arc::clone(&workers))),
            workers,
        })
    }

    fn settings(&self) -> &Settings {
        &self.workers.token().settings
    }
}

impl KeyManager for Pkcs11KeyManager {
    fn resolve<'a>(&'a self, id: &'a ExternalKeyId) -> Answer<'a, Arc<dyn ExternalKey>> {
        let settings = self.settings();
        let mapped = settings.keys.get(id);
        match mapped.filter(|key| !key.versions.reach(&settings.test_key_label)) {
            Some(mapped) => self.directory.get(id, mapped.into_owned()),
            None => Answer::ready(Err(KeyManagerError::UnknownKey)),
        }
    }

    fn test_key(&self) -> Answer<'_, Arc<dyn ExternalKey>> {
        let label = &self.settings().test_key_label;
        let version = MappedVersion {
            locator: Locator::Label(label.clone()),
            retired: false,
        };
        let mapped = MappedKey {
            versions: Versions::Listed(BTreeMap::from([(1, version)])),
            usages: Usages::EncryptDecrypt,
            enabled: true,
        };
        Answer::Later(Box::pin(async move {
            match key::pin(&self.workers, mapped).await {
                Ok(key) => {
                    let key: Arc<dyn ExternalKey> = Arc::new(key);
                    Ok(key)
                }
                Err(KeyManagerError::UnknownKey) => Err(KeyManagerError::Unavailable(Box::new(
                    NoTestKey::of(self.settings()),
                ))),
                Err(error) => Err(error),
            }
        }))
    }

    fn description(&self) -> Description {
        let mut description = self.workers.token().description();
        if self.directory.uses_one_up() {
            for instance in &mut description.instances {
                if instance.health == InstanceHealth::Probed {
                    instance.health = InstanceHealth::AtBest(HealthStatus::Degraded);
                }
            }
        }
        description
    }

    fn load(&self) -> Option<Load> {
        Some(self.workers.load())
    }

    fn reconsider(&self) {
        self.workers.token().forget_refusal();
    }
}

/// Why a key manager cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The library does not load.
    #[error(
        "the PKCS#11 library {path} does not load: {error}; expected a library for this machine's architecture, with all \
         that it needs: `ldd {path}` tells what it lacks",
        path = path.display()
    )]
    Library {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        error: cryptoki::error::Error,
    },
    /// The system gives no threads.
    #[error("no threads for the sessions: {0}")]
    Threads(std::io::Error),
}

/// The token has no key to probe with.
#[derive(Debug, thiserror::Error)]
#[error(
    "the token has no AES key with the label {label:?}, which health probes encrypt and decrypt with: make it with the \
     device's own tools, or with `pkcs11-tool --module {library} {token} --login --keygen --key-type AES:32 \
     --label {label} --sensitive`",
    library = library.display()
)]
struct NoTestKey {
    label: String,
    library: PathBuf,
    token: String,
}

impl NoTestKey {
    fn of(settings: &Settings) -> Self {
        Self {
            label: settings.test_key_label.clone(),
            library: settings.library.clone(),
            token: match &settings.token {
                TokenSelector::Label(label) => format!("--token-label {label}"),
                TokenSelector::Serial(_) => "--slot …".to_owned(),
                TokenSelector::Slot(slot) => format!("--slot {slot}"),
            },
        }
    }
}
