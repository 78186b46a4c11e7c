//! `xks-proxy kms connect` and `disconnect`, and the waiting that others need, too.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::progress::Progress;
use super::{AwsArguments, KeyStoreArguments, advice, duration};
use crate::cli::Failure;
use crate::cli::output::{OutputArguments, note};
use crate::kms::{ConnectionState, CustomKeyStore, KmsClient};

/// Connect or disconnect the custom key store of an external key store, and wait until it is.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    key_store: KeyStoreArguments,
    #[command(flatten)]
    aws: AwsArguments,
    /// How long to wait for the new state
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    wait: Duration,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn connect(arguments: Arguments) -> Result<(), Failure> {
    let proxy = arguments.key_store.find()?;
    let kms = arguments.aws.client().await?;
    let store = proxy.find_linked(&kms).await?;
    let store = to_connected(&kms, store, arguments.wait).await?;
    done(&store, arguments.output)
}

pub(super) async fn disconnect(arguments: Arguments) -> Result<(), Failure> {
    let proxy = arguments.key_store.find()?;
    let kms = arguments.aws.client().await?;
    let store = proxy.find_linked(&kms).await?;
    note(&format!(
        "Until {} is connected again, nothing that its KMS keys encrypted can be decrypted.",
        store.custom_key_store_id
    ));
    let store = to_disconnected(&kms, store, arguments.wait).await?;
    done(&store, arguments.output)
}

fn done(store: &CustomKeyStore, output: OutputArguments) -> Result<(), Failure> {
    let (id, state) = (&store.custom_key_store_id, store.connection_state);
    let object = json!({ "custom_key_store_id": id, "connection_state": state });
    output.done(&format!("{id} is {state}"), &object)
}

/// Connects a store in whatever state it is; one that is FAILED is disconnected first, as KMS asks for.
pub(super) async fn to_connected(
    kms: &KmsClient,
    store: CustomKeyStore,
    limit: Duration,
) -> Result<CustomKeyStore, Failure> {
    let deadline = Instant::now() + limit;
    let progress = Progress::begin();
    let store = match store.connection_state {
        ConnectionState::Connected => return Ok(store),
        ConnectionState::Connecting => store,
        ConnectionState::Failed | ConnectionState::Disconnecting => {
            let store = disconnect_and_wait(kms, store, deadline, &progress).await?;
            ask_to_connect(kms, &store).await?;
            store
        }
        ConnectionState::Disconnected => {
            ask_to_connect(kms, &store).await?;
            store
        }
    };
    let id = &store.custom_key_store_id;
    let ends = [ConnectionState::Connected, ConnectionState::Failed];
    let store = wait_for(kms, id, &ends, deadline, &progress).await?;
    match store.connection_state {
        ConnectionState::Failed => Err(Failure::Failed(format!(
            "{}\nThen run this again: it disconnects the store and connects it anew.",
            advice::of_failed(&store)
        ))),
        _ => Ok(store),
    }
}

async fn ask_to_connect(kms: &KmsClient, store: &CustomKeyStore) -> Result<(), Failure> {
    let asked = kms.connect_custom_key_store(&store.custom_key_store_id);
    asked.await.map_err(|e| advice::failure(&e))
}

/// Disconnects a store in whatever state it is.
pub(super) async fn to_disconnected(
    kms: &KmsClient,
    store: CustomKeyStore,
    limit: Duration,
) -> Result<CustomKeyStore, Failure> {
    let deadline = Instant::now() + limit;
    disconnect_and_wait(kms, store, deadline, &Progress::begin()).await
}

async fn disconnect_and_wait(
    kms: &KmsClient,
    store: CustomKeyStore,
    deadline: Instant,
    progress: &Progress,
) -> Result<CustomKeyStore, Failure> {
    let id = &store.custom_key_store_id;
    match store.connection_state {
        ConnectionState::Disconnected => return Ok(store),
        ConnectionState::Disconnecting => {}
        ConnectionState::Connected | ConnectionState::Connecting | ConnectionState::Failed => {
            if let Err(error) = kms.disconnect_custom_key_store(id).await {
                // Its answer may have been lost, and another attempt then finds the store DISCONNECTING.
                let now = kms.custom_key_store(id).await;
                let on_its_way =
                    now.is_ok_and(|store| store.is_some_and(|store| is_leaving(&store)));
                if !on_its_way {
                    return Err(advice::failure(&error));
                }
            }
        }
    }
    wait_for(
        kms,
        id,
        &[ConnectionState::Disconnected],
        deadline,
        progress,
    )
    .await
}

fn is_leaving(store: &CustomKeyStore) -> bool {
    matches!(
        store.connection_state,
        ConnectionState::Disconnecting | ConnectionState::Disconnected
    )
}

/// Asks for the store's state until it is one of these.
async fn wait_for(
    kms: &KmsClient,
    id: &str,
    ends: &[ConnectionState],
    deadline: Instant,
    progress: &Progress,
) -> Result<CustomKeyStore, Failure> {
    let mut pause = FIRST_PAUSE;
    loop {
        let store = kms.custom_key_store(id).await;
        let store = store.map_err(|e| advice::failure(&e))?;
        let store = store.ok_or_else(|| Failure::Failed(format!("{id} is gone")))?;
        if ends.contains(&store.connection_state) {
            return Ok(store);
        }
        progress.say(&format!("{id} is {}", store.connection_state));
        if Instant::now() >= deadline {
            return Err(Failure::Failed(format!(
                "{id} is still {}: `xks-proxy kms status` shows what becomes of it, --wait waits longer",
                store.connection_state
            )));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Examples:
  xks-proxy kms disconnect --config FILE --prefix /tenant-a
  xks-proxy kms connect --config FILE --prefix /tenant-a --wait 15m";
