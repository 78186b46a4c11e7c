//! What a key manager has and how it does: found out here, or by the server that has its store open.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::{Client, Command, Probed, Reply};
use crate::config::KeyManagerConfig;
use crate::health::Monitored;
use crate::key_manager::embedded::{Embedded, StoreError};

/// What is in a key manager.
pub(super) struct Inventory {
    pub(super) by: By,
    /// How long it took to encrypt and decrypt, or why it did not.
    pub(super) round_trip: Result<Duration, String>,
    /// Ids.
    pub(super) keys: BTreeSet<String>,
    /// Access key ids and prefixes.
    pub(super) credentials: Vec<(String, String)>,
}

/// Who found it out.
#[derive(Clone, Copy)]
pub(super) enum By {
    Us,
    Server,
}

/// Opens the key manager, or asks the server that has it open.
pub(super) async fn of(name: &str, config: &KeyManagerConfig) -> Result<Inventory, String> {
    let KeyManagerConfig::Embedded { data_dir, root_key } = config;
    match Embedded::open(data_dir, root_key.clone()) {
        Ok(embedded) => Ok(opened(name, embedded).await),
        Err(StoreError::Held { .. }) => asked(name, data_dir),
        Err(error) => Err(error.to_string()),
    }
}

async fn opened(name: &str, embedded: Embedded) -> Inventory {
    let administration = embedded.administration();
    let monitored = Monitored::new(name, Arc::new(embedded), PATIENCE);
    // Twice: what is done once only is not what requests wait for.
    let mut round_trip = monitored.probe(PATIENCE).await;
    if round_trip.is_ok() {
        round_trip = monitored.probe(PATIENCE).await;
    }
    Inventory {
        by: By::Us,
        round_trip: round_trip.map_err(|e| Probed::failure(&e)),
        keys: administration.keys().into_iter().map(|k| k.id).collect(),
        credentials: administration
            .credentials()
            .into_iter()
            .map(|c| (c.access_key_id, c.uri_path_prefix))
            .collect(),
    }
}

fn asked(name: &str, data_dir: &Path) -> Result<Inventory, String> {
    let ask = |command: &Command| match Client::connect(data_dir) {
        Err(error) => Err(format!("admin.sock: {error}")),
        Ok(None) => Err(format!(
            "another process has {} open, and does not answer on admin.sock",
            data_dir.display()
        )),
        Ok(Some(client)) => client.execute(command).map_err(|e| e.to_string()),
    };
    let other =
        || "the running server answers something else: is it of another version?".to_owned();
    let Reply::Probed(probed) = ask(&Command::Probe {})? else {
        return Err(other());
    };
    let Reply::Keys(keys) = ask(&Command::ListKeys {})? else {
        return Err(other());
    };
    let Reply::Credentials(credentials) = ask(&Command::ListCredentials {})? else {
        return Err(other());
    };
    let round_trip = match probed.into_iter().find(|probed| probed.key_manager == name) {
        Some(probed) => probed.result(),
        None => Err(format!(
            "the running server knows it by another name than {name}"
        )),
    };
    Ok(Inventory {
        by: By::Server,
        round_trip,
        keys: keys.into_iter().map(|k| k.id).collect(),
        credentials: credentials
            .into_iter()
            .map(|c| (c.access_key_id, c.uri_path_prefix))
            .collect(),
    })
}

const PATIENCE: Duration = Duration::from_secs(10);
