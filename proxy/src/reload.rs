//! Takes up a changed configuration while requests are served: everything is read and tried first, and if anything is
//! wrong, everything stays as it was.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::sleep;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use xks_api::ids::AccessKeyId;

use crate::admin::{ApprovalPolicy, Probed, Server};
use crate::assemble::{AssembleError, KeyManagers};
use crate::audit::{AdminEvent, AuditLog};
use crate::check;
use crate::config::{Config, ConfigError};
use crate::control::Scopes;
use crate::key_store::ExternalKeyStore;
use crate::runtime::Runtime;
use crate::status::{Status, Wanted, gather};

/// Reloads the configuration of a running proxy.
pub struct Reloader {
    file: PathBuf,
    runtime: Arc<Runtime>,
    /// The configuration that is in use; held for the whole of a reload, so that there is one at a time.
    current: Mutex<Config>,
    key_managers: watch::Sender<KeyManagers>,
}

impl Reloader {
    /// Begins with what the proxy was started with.
    pub fn new(
        file: PathBuf,
        config: Config,
        runtime: Arc<Runtime>,
        key_managers: KeyManagers,
    ) -> Self {
        Self {
            file,
            runtime,
            current: Mutex::new(config),
            key_managers: watch::Sender::new(key_managers),
        }
    }

    /// The key managers that are open.
    pub fn key_managers(&self) -> watch::Receiver<KeyManagers> {
        self.key_managers.subscribe()
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Reads the configuration that is in use; a reload is waited for.
    pub(crate) fn with_config<T>(&self, read: impl FnOnce(&Config) -> T) -> T {
        read(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When the listener's certificate expires; a reload is waited for.
    pub(crate) fn certificate_end(&self) -> Option<SystemTime> {
        self.with_config(|config| {
            let (_, leaf) = X509Certificate::from_der(config.tls.chain.first()?).ok()?;
            let end = u64::try_from(leaf.validity().not_after.timestamp()).ok()?;
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(end))
        })
    }

    /// The credentials that key managers keep: prefix, access key id, and when each was made.
    pub(crate) fn credentials(&self) -> Vec<(String, String, SystemTime)> {
        let mut all = Vec::new();
        for (_, embedded) in self.key_managers.borrow().embedded() {
            let kept = embedded.credentials().snapshot();
            all.extend(kept.iter().map(|(id, credential)| {
                let prefix = credential.uri_path_prefix.as_str().to_owned();
                (prefix, id.as_str().to_owned(), credential.created.into())
            }));
        }
        all.sort();
        all
    }

    /// Reads everything again and takes it up. Waits for the disk.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    pub fn take_up(&self) -> Result<Reloaded, ReloadError> {
        let result = self.try_to_take_up();
        if let Some(metrics) = self.runtime.metrics() {
            metrics.reload(result.is_ok());
        }
        result
    }

    fn try_to_take_up(&self) -> Result<Reloaded, ReloadError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let config = Config::load(&self.file)?;
        let key_managers = self.key_managers.borrow().clone().with(&config)?;
        let snapshot = key_managers.snapshot(&config)?;
        self.runtime.replace(snapshot);
        self.key_managers.send_replace(key_managers);
        let reloaded = Reloaded {
            restart_needed: restart_needed(&current, &config),
            warnings: [
                config.warnings.clone(),
                check::dates(&config, SystemTime::now()),
            ]
            .concat(),
        };
        *current = config;
        Ok(reloaded)
    }

    /// Whether a file that the configuration names holds something else than it did when it was read.
    ///
    /// By content, since a mounted secret is another file behind the same link. The configuration itself, which comes
    /// first, is left out: people edit it, and say when they are done.
    fn files_changed(&self) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.sources.iter().skip(1).any(|s| s.changed())
    }

    /// Reloads, and logs what came of it.
    ///
    /// # Errors
    /// What the reload failed with, as text.
    pub fn reload_and_log(&self) -> Result<Reloaded, String> {
        match self.take_up() {
            Ok(reloaded) => {
                tracing::info!(config = %self.file.display(), "reloaded");
                for open in &self.runtime.snapshot().key_managers {
                    open.key_manager().reconsider();
                }
                for warning in &reloaded.warnings {
                    tracing::warn!("{warning}");
                }
                if !reloaded.restart_needed.is_empty() {
                    let fields = reloaded.restart_needed.join(", ");
                    tracing::warn!("changed, but only a restart takes it up: {fields}");
                }
                Ok(reloaded)
            }
            Err(error) => {
                tracing::error!("not reloaded, everything stays as it was: {error}");
                Err(error.to_string())
            }
        }
    }

    /// Reloads for somebody who left a signal and waits for nothing, and records it.
    pub fn reload_at_signal(&self) {
        if let Some(audit) = self.runtime.audit() {
            audit.look_for_move();
        }
        // What came of it is logged.
        let _ = self.recorded(|| self.reload_and_log());
    }

    /// Records a reload that no administrator asked for by name.
    fn recorded<T>(&self, reload: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let event = AdminEvent::requested("the proxy", "reload", "");
        AuditLog::administer(self.runtime.audit(), event, reload)
    }

    /// Looks at the files again and again, and reloads when one has changed. Ends when it is dropped.
    pub async fn poll(self: Arc<Self>, interval: Duration) {
        let mut last_error = None;
        loop {
            sleep(interval).await;
            let this = Arc::clone(&self);
            let already = last_error.take();
            let look = move || {
                if !this.files_changed() {
                    return None;
                }
                let reload = || this.take_up().map_err(|error| error.to_string());
                match this.recorded(reload) {
                    Ok(_) => {
                        tracing::info!("files have changed: reloaded");
                        None
                    }
                    Err(error) => {
                        if already.as_ref() != Some(&error) {
                            tracing::error!(
                                "files have changed, but everything stays as it was: {error}"
                            );
                        }
                        Some(error)
                    }
                }
            };
            // The disk is waited for on a thread that may block.
            match tokio::task::spawn_blocking(look).await {
                Ok(error) => last_error = error,
                Err(error) => tracing::error!(%error, "the files could not be looked at"),
            }
        }
    }
}

impl Server for Reloader {
    fn reload(&self) -> Result<Reloaded, String> {
        self.reload_and_log()
    }

    fn audit(&self) -> Option<&AuditLog> {
        self.runtime.audit()
    }

    fn probe(&self) -> Vec<Probed> {
        let key_managers = self.runtime.snapshot().key_managers.clone();
        let executor = tokio::runtime::Handle::current();
        key_managers
            .iter()
            .map(|open| Probed::new(open.name(), executor.block_on(open.probe(PROBE_LIMIT))))
            .collect()
    }

    fn approval(&self) -> ApprovalPolicy {
        self.with_config(|config| config.approval.clone())
    }

    fn status(&self, wanted: &Wanted) -> Status {
        gather(self, wanted)
    }

    fn scopes(&self) -> Scopes {
        let snapshot = self.runtime.snapshot();
        let stores = snapshot.key_stores.iter();
        let prefix = |store: &ExternalKeyStore| {
            let key_manager = store.key_manager.name().to_owned();
            (store.prefix.clone(), key_manager)
        };
        Scopes {
            scopes: self.key_managers.borrow().scopes(),
            prefixes: Some(stores.map(prefix).collect()),
        }
    }

    fn last_uses(&self) -> Vec<(AccessKeyId, OffsetDateTime)> {
        let snapshot = self.runtime.snapshot();
        let stores = snapshot.key_stores.iter();
        let uses = stores.flat_map(|store| store.credentials.last_uses());
        uses.filter_map(|(id, time)| Some((id, time?))).collect()
    }
}

/// What a reload did.
#[derive(Debug)]
pub struct Reloaded {
    /// Fields that have changed but are read at the start alone.
    pub restart_needed: Vec<&'static str>,
    /// What is allowed, but hardly wanted.
    pub warnings: Vec<String>,
}

impl Reloaded {
    /// For the person who asked for the reload.
    pub fn into_texts(self) -> Vec<String> {
        let restart = self
            .restart_needed
            .iter()
            .map(|field| format!("{field} has changed, but only a restart takes it up"));
        self.warnings.into_iter().chain(restart).collect()
    }
}

fn restart_needed(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("listen", old.listen != new.listen),
        ("health_listen", old.health_listen != new.health_listen),
        ("metrics_listen", old.metrics_listen != new.metrics_listen),
        ("admin.listen", old.admin_listen != new.admin_listen),
        (
            "limits.max_connections",
            old.limits.max_connections != new.limits.max_connections,
        ),
        ("drain", old.drain != new.drain),
        ("log", old.log != new.log),
        ("audit", old.audit != new.audit),
        ("traces", old.traces != new.traces),
        (
            "health.probe_interval",
            old.health.probe_interval != new.health.probe_interval,
        ),
        (
            "reload.poll_interval",
            old.poll_interval != new.poll_interval,
        ),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}

/// Why a configuration is not taken up.
#[derive(Debug)]
pub enum ReloadError {
    /// It has problems.
    Config(ConfigError),
    /// It cannot be put to work.
    Assemble(AssembleError),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::Assemble(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReloadError {}

impl From<ConfigError> for ReloadError {
    fn from(e: ConfigError) -> Self {
        Self::Config(e)
    }
}

impl From<AssembleError> for ReloadError {
    fn from(e: AssembleError) -> Self {
        Self::Assemble(e)
    }
}

const PROBE_LIMIT: Duration = Duration::from_secs(10);
