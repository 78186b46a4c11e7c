//! Tries what a configuration says, before KMS does: TLS, key managers, credentials, time.

mod tls;

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::assemble::{AssembleError, KeyManagers};
use crate::config::{Config, KeyStoreConfig};
use crate::health::Monitored;
use crate::key_manager::embedded::StoreError;

/// What one trial came to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was tried.
    pub subject: String,
    /// What was found and, where it is not good, what was expected and what to do.
    pub text: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Good,
    /// It works, but hardly as wanted.
    Warning,
    /// It does not work.
    Failure,
}

impl Finding {
    fn new(severity: Severity, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            severity,
            subject: subject.into(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Good => "ok     ",
            Severity::Warning => "warning",
            Severity::Failure => "FAILED ",
        };
        write!(f, "{word}  {}: {}", self.subject, self.text)
    }
}

/// Tries everything. `host` is the name that KMS will connect to, if it is known.
pub async fn run(config: &Config, host: Option<&str>, now: SystemTime) -> Vec<Finding> {
    let mut findings: Vec<_> = config
        .warnings
        .iter()
        .map(|warning| Finding::new(Severity::Warning, "files", warning))
        .collect();
    findings.extend(tls::check(&config.tls, host, now));
    match KeyManagers::default().with(config) {
        Ok(key_managers) => {
            findings.extend(opened(config, &key_managers).await);
        }
        Err(AssembleError::KeyManager { name, error })
            if matches!(*error, StoreError::Held { .. }) =>
        {
            let text = "a running server has it open, so that it was not tried here; ask that server \
                        for GetHealthStatus, or see its log";
            let subject = format!("key manager {name}");
            findings.push(Finding::new(Severity::Warning, subject, text));
        }
        Err(error) => findings.push(Finding::new(
            Severity::Failure,
            "key managers",
            error.to_string(),
        )),
    }
    findings
}

async fn opened(config: &Config, key_managers: &KeyManagers) -> Vec<Finding> {
    let mut findings = Vec::new();
    let snapshot = match key_managers.snapshot(config) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let text = error.to_string();
            return vec![Finding::new(Severity::Failure, "configuration", text)];
        }
    };
    for key_manager in &snapshot.key_managers {
        findings.push(round_trip(key_manager, config.limits.key_manager_timeout).await);
    }
    for store in &config.key_stores {
        findings.push(credentials(store, key_managers));
        let open = snapshot
            .key_managers
            .iter()
            .find(|open| open.name() == store.key_manager);
        if let Some(open) = open {
            findings.extend(keys(store, open).await);
        }
    }
    findings
}

/// Encrypts and decrypts, twice: what is done once only is not what requests wait for.
async fn round_trip(key_manager: &Monitored, limit: Duration) -> Finding {
    let subject = format!("key manager {}", key_manager.name());
    let first = key_manager.probe(PATIENCE).await;
    let second = match first {
        Ok(_) => key_manager.probe(PATIENCE).await,
        Err(e) => Err(e),
    };
    match second {
        Err(error) => {
            let mut text = format!("it does not encrypt and decrypt: {error}");
            if let Some(cause) = std::error::Error::source(&error) {
                text = format!("{text}: {cause}");
            }
            Finding::new(Severity::Failure, subject, text)
        }
        Ok(took) if took > limit => {
            let text = format!(
                "encrypts and decrypts, but in {took:?}: more than limits.key_manager_timeout, {limit:?}, \
                 and KMS waits for 250 ms in all"
            );
            Finding::new(Severity::Failure, subject, text)
        }
        Ok(took) if took > key_manager.slow_after() => {
            let text = format!(
                "encrypts and decrypts in {took:?}, slower than health.slow_after, {:?}",
                key_manager.slow_after()
            );
            Finding::new(Severity::Warning, subject, text)
        }
        Ok(took) => {
            let text = format!("encrypts and decrypts in {took:?}, of the 250 ms that KMS waits");
            Finding::new(Severity::Good, subject, text)
        }
    }
}

fn credentials(store: &KeyStoreConfig, key_managers: &KeyManagers) -> Finding {
    let subject = format!("key store {:?}", store.prefix.as_str());
    let stored = key_managers
        .stored_credentials(&store.key_manager)
        .map_or(0, |all| all.iter().filter(|p| **p == store.prefix).count());
    match stored + store.credentials.len() {
        0 => {
            let text = format!(
                "it has no credential, so that nobody can call it: make one with `xks-proxy credential \
                 create {}`",
                store.prefix
            );
            Finding::new(Severity::Failure, subject, text)
        }
        1 => Finding::new(Severity::Good, subject, "it has one credential"),
        n => Finding::new(Severity::Good, subject, format!("it has {n} credentials")),
    }
}

/// A key that is listed by its name should be there.
async fn keys(store: &KeyStoreConfig, key_manager: &Monitored) -> Vec<Finding> {
    let mut findings = Vec::new();
    for id in store.keys.named() {
        if let Err(error) = key_manager.key_manager().resolve(id).await {
            let subject = format!("key store {:?}", store.prefix.as_str());
            let text = format!(
                "the key {id} that it lists cannot be used: {error}; make it with `xks-proxy key create \
                 {id}`, or take it from the list"
            );
            findings.push(Finding::new(Severity::Warning, subject, text));
        }
    }
    findings
}

const PATIENCE: Duration = Duration::from_secs(10);
