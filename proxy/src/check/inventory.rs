//! What a key manager has and how it does: found out here, or by the server that has its store open.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::{Client, Command, Probed, Reply};
use crate::assemble::{OpenError, Opened};
use crate::config::KeyManagerConfig;
use crate::health::Monitored;
use crate::key_manager::KeyManager;
use crate::key_manager::embedded::{Embedded, StoreError};

/// What is in a key manager.
pub(super) struct Inventory {
    pub(super) by: By,
    /// How long it took to encrypt and decrypt, or why it did not.
    pub(super) round_trip: Result<Duration, String>,
    pub(super) keys: Keys,
    /// Access key ids and prefixes.
    pub(super) credentials: Vec<(String, String)>,
}

/// Who found it out.
#[derive(Clone, Copy)]
pub(super) enum By {
    Us,
    Server,
}

/// Which keys there are.
pub(super) enum Keys {
    /// These ids.
    Listed(BTreeSet<String>),
    /// Whatever the key manager says of each.
    Asked(Arc<dyn KeyManager>),
}

/// Opens the key manager, or asks the server that has it open.
pub(super) async fn of(name: &str, config: &KeyManagerConfig) -> Result<Inventory, String> {
    match Opened::open(name, config) {
        Ok(Opened::Embedded(embedded)) => Ok(of_embedded(name, embedded).await),
        Ok(Opened::Other(key_manager)) => Ok(Inventory {
            by: By::Us,
            round_trip: round_trip(name, Arc::clone(&key_manager)).await,
            keys: Keys::Asked(key_manager),
            credentials: Vec::new(),
        }),
        Err(OpenError::Embedded(StoreError::Held { .. })) => {
            let place = config.embedded().expect("an embedded store was held");
            let data_dir = &place.data_dir;
            asked(name, data_dir)
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn of_embedded(name: &str, embedded: Arc<Embedded>) -> Inventory {
    let administration = embedded.administration();
    let keys = administration.keys().into_iter().map(|k| k.id).collect();
    Inventory {
        by: By::Us,
        round_trip: round_trip(name, embedded).await,
        keys: Keys::Listed(keys),
        credentials: administration
            .credentials()
            .into_iter()
            .map(|c| (c.access_key_id, c.uri_path_prefix))
            .collect(),
    }
}

async fn round_trip(name: &str, key_manager: Arc<dyn KeyManager>) -> Result<Duration, String> {
    let monitored = Monitored::new(name, key_manager, PATIENCE);
    // Twice: what is done once only is not what requests wait for.
    let mut round_trip = monitored.probe(PATIENCE).await;
    if round_trip.is_ok() {
        round_trip = monitored.probe(PATIENCE).await;
    }
    round_trip.map_err(|e| Probed::failure(&e))
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
        keys: Keys::Listed(keys.into_iter().map(|k| k.id).collect()),
        credentials: credentials
            .into_iter()
            .map(|c| (c.access_key_id, c.uri_path_prefix))
            .collect(),
    })
}

const PATIENCE: Duration = Duration::from_secs(10);
