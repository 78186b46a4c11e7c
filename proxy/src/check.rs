//! Tries what a configuration says, before KMS does: TLS, key managers, credentials, time.

mod audit;
mod inventory;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

use crate::admin::Probed;
use crate::authorize::lint;
use crate::config::{Config, ConfigError, KeyStoreConfig};
use crate::key_manager::KeyManagerError;
use inventory::{By, Inventory, Keys};

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

/// What is wrong with a configuration that cannot be tried.
pub fn problems(error: &ConfigError) -> Vec<Finding> {
    let problems = error.0.iter();
    problems
        .map(|problem| Finding::new(Severity::Failure, "configuration", problem.to_string()))
        .collect()
}

/// What is wrong, or soon will be, with the dates of certificates that are served already.
pub fn dates(config: &Config, now: SystemTime) -> Vec<String> {
    let findings = tls::dates_of_chain(&config.tls, now);
    let findings = findings.into_iter();
    let wanted = findings.filter(|finding| finding.severity != Severity::Good);
    wanted
        .map(|finding| format!("tls.certificate_file: {}", finding.text))
        .collect()
}

/// Tries everything. `host` is the name that KMS will connect to, if it is known.
pub async fn run(config: &Config, host: Option<&str>, now: SystemTime) -> Vec<Finding> {
    let mut findings: Vec<_> = config
        .warnings
        .iter()
        .map(|warning| Finding::new(Severity::Warning, "files", warning))
        .collect();
    findings.extend(tls::check(&config.tls, host, now));
    findings.extend(config.audit.as_ref().map(audit::check));
    let mut inventories = BTreeMap::new();
    for (name, key_manager) in &config.key_managers {
        match inventory::of(name, key_manager).await {
            Ok(inventory) => {
                findings.push(round_trip(name, &inventory, config));
                inventories.insert(name.as_str(), inventory);
            }
            Err(text) => {
                let subject = format!("key manager {name}");
                findings.push(Finding::new(Severity::Failure, subject, text));
            }
        }
    }
    findings.extend(duplicate_ids(config, &inventories));
    for store in &config.key_stores {
        findings.extend(credentials(store, &inventories));
        findings.extend(policy(store));
        if let Some(inventory) = inventories.get(store.key_manager.as_str()) {
            findings.extend(named_keys(store, inventory).await);
        }
    }
    findings
}

fn round_trip(name: &str, inventory: &Inventory, config: &Config) -> Finding {
    let (limit, slow) = (config.limits.key_manager_timeout, config.health.slow_after);
    let by = match inventory.by {
        By::Us => "",
        By::Server => " in the running server",
    };
    let (severity, text) = match &inventory.round_trip {
        Err(error) => (
            Severity::Failure,
            format!("it does not encrypt and decrypt{by}: {error}"),
        ),
        Ok(took) if *took > limit => (
            Severity::Failure,
            format!(
                "encrypts and decrypts{by}, but in {took:?}: more than limits.key_manager_timeout, {limit:?}, \
                 and KMS waits for 250 ms in all"
            ),
        ),
        Ok(took) if *took > slow => (
            Severity::Warning,
            format!(
                "encrypts and decrypts{by} in {took:?}, slower than health.slow_after, {slow:?}"
            ),
        ),
        Ok(took) => (
            Severity::Good,
            format!("encrypts and decrypts{by} in {took:?}, of the 250 ms that KMS waits"),
        ),
    };
    Finding::new(severity, format!("key manager {name}"), text)
}

/// An access key id names one secret, wherever it is kept.
fn duplicate_ids(config: &Config, inventories: &BTreeMap<&str, Inventory>) -> Vec<Finding> {
    let in_files = config
        .key_stores
        .iter()
        .flat_map(|store| store.credentials.iter().map(|(id, _)| id.as_str()));
    let in_key_managers = inventories
        .values()
        .flat_map(|inventory| inventory.credentials.iter().map(|(id, _)| id.as_str()));
    let mut seen = BTreeSet::new();
    in_files
        .chain(in_key_managers)
        .filter(|id| !seen.insert(*id))
        .map(|id| {
            let text = format!("the access key id {id} is in two places: remove one of them");
            Finding::new(Severity::Failure, "credentials", text)
        })
        .collect()
}

fn credentials(store: &KeyStoreConfig, inventories: &BTreeMap<&str, Inventory>) -> Option<Finding> {
    let prefix = store.prefix.as_str();
    let kept = match store.credential_store.as_deref() {
        None => 0,
        // What does not open is told of already.
        Some(name) => {
            let credentials = inventories.get(name)?.credentials.iter();
            credentials.filter(|(_, p)| p == prefix).count()
        }
    };
    let (severity, text) = match kept + store.credentials.len() {
        0 if store.credential_store.is_none() => (
            Severity::Failure,
            "it has no credential, so that nobody can call it: name one in credential_files, or a key manager of \
             type \"embedded\" in credential_store"
                .to_owned(),
        ),
        // As it is between `init --no-credential` and `kms link`, which is made with the server running.
        0 => (
            Severity::Warning,
            format!(
                "it has no credential yet, so that nobody can call it: `xks-proxy kms link` makes one, and so does \
                 `xks-proxy credential create --uri-path-prefix \"{prefix}\"`"
            ),
        ),
        1 => (Severity::Good, "it has one credential".to_owned()),
        n => (Severity::Good, format!("it has {n} credentials")),
    };
    Some(Finding::new(severity, subject(store), text))
}

/// What its policy is, and what of it is hardly meant so.
fn policy(store: &KeyStoreConfig) -> Vec<Finding> {
    let Some(policy) = &store.policy else {
        return Vec::new();
    };
    let finding = |severity, text| Finding::new(severity, subject(store), text);
    let lints = lint(policy, &store.keys).into_iter().map(|lint| {
        finding(
            Severity::Warning,
            format!("{}: {}", lint.subject, lint.text),
        )
    });
    [finding(Severity::Good, format!("its policy: {policy}"))]
        .into_iter()
        .chain(lints)
        .collect()
}

async fn named_keys(store: &KeyStoreConfig, inventory: &Inventory) -> Vec<Finding> {
    let mut findings = Vec::new();
    for id in store.keys.named() {
        let defect = match &inventory.keys {
            Keys::Listed(ids) if ids.contains(id.as_str()) => continue,
            Keys::Listed(_) => format!(
                "which is not there: make it with `xks-proxy key create {id}`, or take it from the list"
            ),
            Keys::Asked(key_manager) => match key_manager.resolve(id).await {
                Ok(_) => continue,
                Err(KeyManagerError::UnknownKey) => format!(
                    "which {} does not have: make it there, or take it from the list",
                    store.key_manager
                ),
                // One sentence for all keys was found already.
                Err(_) if inventory.round_trip.is_err() => continue,
                Err(error) => format!("and {}", Probed::failure(&error)),
            },
        };
        let text = format!("it lists the key {id}, {defect}");
        findings.push(Finding::new(Severity::Warning, subject(store), text));
    }
    findings
}

fn subject(store: &KeyStoreConfig) -> String {
    format!("key store {:?}", store.prefix.as_str())
}
