//! Keys of the Transit secrets engine of OpenBao or HashiCorp Vault.
//!
//! The key material never leaves the server, which is sent every message. A key's latest version is read and
//! pinned before encryption, since the metadata that names the version is part of the AAD; the tag binds both.
//!
//! | module | owns |
//! |---|---|
//! | `settings` | what an operator decides |
//! | `cluster`, `node` | servers, connections, failing over |
//! | `session` | the token |
//! | `batch` | messages that travel together |
//! | `api`, `blob`, `failure` | Transit's JSON, its ciphertext, its refusals |
//! | `keys` | what is known of keys, and a key at work |

mod api;
mod batch;
pub(crate) mod blob;
mod cluster;
mod failure;
mod keys;
mod login;
mod node;
mod session;
mod settings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::Method;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{HealthStatus, KeyStatus};

pub use settings::{
    Address, ApiPath, InvalidAddress, InvalidPath, KeyMap, Login, MappedKey, Settings,
    TransitKeyName, Unlisted,
};

use self::batch::Batches;
use self::cluster::{Body, CallError, Cluster};
use self::failure::Refusal;
use self::keys::{Found, KeyCache, KnownKey, TransitKey};
use self::node::NodeState;
use self::session::Session;
use super::circuit::{Circuit, Outcome};
use super::embedded::Usages;
use super::{
    Answer, Description, ExternalKey, Instance, InstanceHealth, KeyManager, KeyManagerError, Load,
};

/// A key manager whose keys are in Transit.
pub struct Transit {
    shared: Arc<Shared>,
    tasks: OnceLock<Tasks>,
}

impl Transit {
    /// Makes ready to ask the servers; nothing is sent before the first request. `name` is for the log.
    ///
    /// # Errors
    /// [`OpenError`] for CA certificates that cannot be used.
    pub fn open(name: &str, settings: Settings) -> Result<Self, OpenError> {
        let tls = Arc::new(client_config(&settings)?);
        let cluster = Cluster::new(&settings.addresses, &tls, settings.namespace.as_ref());
        let shared = Shared {
            cluster,
            session: Session::new(settings.login.clone()),
            circuit: Circuit::new(name, &settings.circuit),
            keys: KeyCache::default(),
            batches: Batches::new(settings.max_batch),
            capabilities_hidden: AtomicBool::new(false),
            settings,
        };
        Ok(Self {
            shared: Arc::new(shared),
            tasks: OnceLock::new(),
        })
    }

    /// The tasks belong to the runtime that serves requests, so they start with the first one.
    fn start(&self) {
        self.tasks.get_or_init(|| {
            let session = Arc::clone(&self.shared);
            let watcher = Arc::clone(&self.shared);
            let batches = Arc::clone(&self.shared);
            Tasks([
                tokio::spawn(async move { session.session.keep(&session.cluster).await })
                    .abort_handle(),
                tokio::spawn(async move { watcher.cluster.watch().await }).abort_handle(),
                tokio::spawn(async move { batches.try_batches().await }).abort_handle(),
            ])
        });
    }

    fn resolve_mapped(&self, mapped: MappedKey) -> Answer<'_, Arc<dyn ExternalKey>> {
        self.start();
        let shared = &self.shared;
        let max_age = shared.settings.key_max_age;
        let known = match shared.keys.find(&mapped.name, max_age, Instant::now()) {
            Found::Fresh(known) => known,
            Found::Aging(known) => {
                let (shared, name) = (Arc::clone(shared), mapped.name.clone());
                // Ends with the deadline of its requests.
                tokio::spawn(async move {
                    if let Err(error) = shared.read(&name).await {
                        tracing::debug!(key = name.as_str(), %error, "a key is not read again");
                    }
                });
                known
            }
            Found::Nothing => {
                return Answer::Later(Box::pin(async move {
                    let known = shared.read(&mapped.name).await?;
                    Ok(external(shared, mapped, known))
                }));
            }
        };
        Answer::ready(Ok(external(shared, mapped, known)))
    }
}

fn external(shared: &Arc<Shared>, mapped: MappedKey, known: KnownKey) -> Arc<dyn ExternalKey> {
    Arc::new(TransitKey::new(Arc::clone(shared), mapped, known))
}

impl KeyManager for Transit {
    fn load(&self) -> Option<Load> {
        Some(self.shared.circuit.load())
    }

    fn resolve<'a>(&'a self, id: &'a ExternalKeyId) -> Answer<'a, Arc<dyn ExternalKey>> {
        let settings = &self.shared.settings;
        match settings.keys.find(id, &settings.test_key) {
            Some(mapped) => self.resolve_mapped(mapped),
            None => Answer::ready(Err(KeyManagerError::UnknownKey)),
        }
    }

    fn test_key(&self) -> Answer<'_, Arc<dyn ExternalKey>> {
        let name = self.shared.settings.test_key.clone();
        let path = self.shared.path("keys", &name);
        let found = self.resolve_mapped(MappedKey {
            name,
            usages: Usages::EncryptDecrypt,
            status: KeyStatus::Enabled,
        });
        match found {
            Answer::Later(found) => Answer::Later(Box::pin(async move {
                found.await.map_err(|error| match error {
                    KeyManagerError::UnknownKey => {
                        KeyManagerError::Unavailable(Box::new(NoTestKey { path }))
                    }
                    other => other,
                })
            })),
            Answer::Ready(known) => Answer::Ready(known),
        }
    }

    fn description(&self) -> Description {
        use InstanceHealth::{AtBest, Probed};
        let nodes = self.shared.cluster.nodes();
        Description {
            // What /sys/health tells does not say which of the two it is.
            vendor: "OpenBao or HashiCorp Vault".into(),
            instances: nodes
                .map(|(id, known)| {
                    let version = known.version.as_deref().unwrap_or("of unknown version");
                    let (state, health) = match known.state {
                        NodeState::Active => ("active", AtBest(HealthStatus::Active)),
                        NodeState::Standby => ("standby", AtBest(HealthStatus::Active)),
                        NodeState::Unknown => ("not seen yet", Probed),
                        NodeState::Suspect => ("not answering", AtBest(HealthStatus::Unavailable)),
                        NodeState::NotServing => (
                            "sealed or not initialized",
                            AtBest(HealthStatus::Unavailable),
                        ),
                    };
                    Instance {
                        id,
                        model: format!("Transit {version}, {state}"),
                        health,
                    }
                })
                .collect(),
        }
    }
}

/// Nothing to probe with.
#[derive(Debug, thiserror::Error)]
#[error(
    "Transit has no key {path} of type aes256-gcm96, which health probes encrypt and decrypt with: make it with \
     `bao write -f {path} type=aes256-gcm96`, or name the one that there is in test_key"
)]
struct NoTestKey {
    path: String,
}

/// Ends with the key manager.
struct Tasks([AbortHandle; 3]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// What requests, keys and tasks share.
struct Shared {
    settings: Settings,
    cluster: Cluster,
    session: Session,
    circuit: Circuit,
    keys: KeyCache,
    batches: Batches,
    /// The policy does not let the token ask for its own capabilities; said once.
    capabilities_hidden: AtomicBool,
}

impl Shared {
    fn path(&self, operation: &str, name: &TransitKeyName) -> String {
        let mount = self.settings.mount.as_str();
        format!("{mount}/{operation}/{}", name.as_str())
    }

    async fn post(&self, path: &str, body: Bytes, deadline: Instant) -> Result<Body, AskError> {
        self.ask(Method::POST, path, body, deadline).await
    }

    /// One request with everything that belongs to it: bulkhead, breaker, token, a new token.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Body, AskError> {
        let pass = self.circuit.enter(deadline).await?;
        let token = match self.session.token(deadline).await {
            Ok(token) => token,
            Err(error) => {
                pass.end(outcome_without_token(&error));
                return Err(error.into());
            }
        };
        let header = Some(token.header.clone());
        let mut request = self.cluster.request(method, path.to_owned(), header, body);
        let mut result = self.cluster.call(&request, deadline).await;
        if let Err(CallError::Refused(Refusal::PermissionDenied { .. })) = &result
            && let Some(token) = self.session.after_refusal(&token, deadline).await
        {
            request.token = Some(token.header);
            result = self.cluster.call(&request, deadline).await;
        }
        match result {
            Ok(body) => {
                pass.end(Outcome::Answered);
                Ok(body)
            }
            Err(error) => {
                pass.end(error.outcome());
                Err(error.into())
            }
        }
    }

    /// Reads a key, and takes note of what is found.
    async fn read(&self, name: &TransitKeyName) -> Result<KnownKey, KeyManagerError> {
        let began = Instant::now();
        let read = self.read_and_judge(name).await;
        match &read {
            Ok(known) => self.keys.put(name, *known, began),
            Err(KeyManagerError::UnknownKey) => self.keys.forget(name),
            Err(_) => {}
        }
        read
    }

    async fn read_and_judge(&self, name: &TransitKeyName) -> Result<KnownKey, KeyManagerError> {
        let path = self.path("keys", name);
        let deadline = Instant::now() + self.settings.timeout;
        let answer = self.ask(Method::GET, &path, Bytes::new(), deadline).await?;
        let info = api::KeyInfo::parse(&answer).ok_or_else(|| api::not_as_documented(&path))?;
        let version = info.version().map_err(|unsuitable| {
            tracing::warn!(key = name.as_str(), %unsuitable, "a Transit key is no external key");
            KeyManagerError::UnknownKey
        })?;
        if info.can_leave() && !self.keys.knows(name) {
            tracing::warn!(
                key = name.as_str(),
                "the key material of a Transit key may leave the server (exportable or allow_plaintext_backup)"
            );
        }
        self.require_no_create(name).await?;
        Ok(KnownKey {
            version,
            soft_deleted: info.soft_deleted,
        })
    }

    /// With `create`, an encryption after the deletion of a key would make another one of the same name, unnoticed.
    async fn require_no_create(&self, name: &TransitKeyName) -> Result<(), KeyManagerError> {
        let path = self.path("encrypt", name);
        let body = api::capabilities_body(&path);
        let deadline = Instant::now() + self.settings.timeout;
        let capabilities = match self.post(CAPABILITIES, body, deadline).await {
            Ok(answer) => api::capabilities(&answer, &path)
                .ok_or_else(|| api::not_as_documented(CAPABILITIES))?,
            Err(AskError::Refused(Refusal::PermissionDenied { .. })) => {
                if !self.capabilities_hidden.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "the policy does not allow `update` on {CAPABILITIES}; nothing tells whether the token may \
                         create keys"
                    );
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if api::may_create(&capabilities) {
            let problem = MayCreate { path };
            tracing::error!(%problem);
            return Err(KeyManagerError::Unavailable(Box::new(problem)));
        }
        Ok(())
    }
}

const CAPABILITIES: &str = "sys/capabilities-self";

fn outcome_without_token(error: &KeyManagerError) -> Outcome {
    use super::circuit::Failure;
    match error {
        KeyManagerError::TimedOut => Outcome::Failed(Failure::TimedOut),
        KeyManagerError::Unavailable(_) => Outcome::Failed(Failure::Broken),
        KeyManagerError::UnknownKey
        | KeyManagerError::InvalidState
        | KeyManagerError::InvalidCiphertext
        | KeyManagerError::TooLong
        | KeyManagerError::Overloaded => Outcome::Answered,
    }
}

/// The token may do more than it must be able to.
#[derive(Debug, thiserror::Error)]
#[error(
    "the token may create Transit keys: its policy has `create` on {path}, or is `root`; use the policy in \
         proxy/deploy/openbao, which has `update` alone"
)]
struct MayCreate {
    path: String,
}

/// Why a request has no good answer.
#[derive(Debug)]
enum AskError {
    /// A server said no, and what.
    Refused(Refusal),
    /// Anything else.
    Failed(KeyManagerError),
}

impl From<KeyManagerError> for AskError {
    fn from(error: KeyManagerError) -> Self {
        Self::Failed(error)
    }
}

impl From<CallError> for AskError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => Self::Refused(refusal),
            CallError::TimedOut => Self::Failed(KeyManagerError::TimedOut),
            CallError::Unreachable { .. } => {
                Self::Failed(KeyManagerError::Unavailable(Box::new(error)))
            }
        }
    }
}

impl From<AskError> for KeyManagerError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            AskError::Failed(error) => error,
        }
    }
}

fn client_config(settings: &Settings) -> Result<ClientConfig, OpenError> {
    let mut roots = RootCertStore::empty();
    for root in &settings.roots {
        roots.add(root.clone()).map_err(OpenError::Root)?;
    }
    if roots.is_empty() && settings.addresses.iter().any(Address::is_tls) {
        return Err(OpenError::NoRoot);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(OpenError::Protocol)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would not look at the certificate again, which may have expired. Connections are kept instead.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Why a Transit key manager cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A CA certificate.
    #[error("a CA certificate for the Transit servers cannot be used as a root: {0}")]
    Root(#[source] rustls::Error),
    /// None at all.
    #[error("there is no CA certificate that the Transit servers' certificates could come from")]
    NoRoot,
    /// Protocol versions.
    #[error("TLS cannot be set up: {0}")]
    Protocol(#[source] rustls::Error),
}
