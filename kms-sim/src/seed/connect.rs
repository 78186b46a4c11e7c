//! Puts a seed in place, and connects the stores that are to be connected.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Seed;
use crate::actions::custom_key_store;
use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::custom_key_store::CustomKeyStoreId;
use crate::simulator::{Caller, Simulator};
use crate::visibility::Home;

/// A store that is to be connected and cannot be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the seed wants custom key store {id} connected, but {reason}. Start its proxy first and check --resolve and \
     --trust-ca, allow more time with --seed-connect-timeout, or leave `connected` out"
)]
pub struct NotConnected {
    id: String,
    reason: String,
}

impl Simulator {
    /// Brings the simulator into the state of the seed.
    ///
    /// # Errors
    /// A store cannot be connected in time.
    pub(crate) async fn plant(&self, seed: Seed) -> Result<(), NotConnected> {
        self.restore(seed.restored).await;
        let deadline = Instant::now() + seed.connect_timeout;
        for (home, id) in &seed.connected {
            self.connect_by(home, id, deadline).await?;
        }
        Ok(())
    }

    async fn connect_by(
        &self,
        home: &Home,
        id: &CustomKeyStoreId,
        deadline: Instant,
    ) -> Result<(), NotConnected> {
        let not_connected = |reason: String| NotConnected {
            id: id.to_string(),
            reason,
        };
        let caller = Caller::new(
            home.account.clone(),
            home.region.clone(),
            format!("arn:aws:iam::{}:root", home.account),
            Uuid::new_v4().to_string(),
        );
        let region = self.region(&caller);
        // However short the time is.
        let mut tried = false;
        let mut failure = None;
        loop {
            let found = {
                let state = region.lock();
                let store = state.stores.find(id.as_str());
                store.map(|store| (store.connection_state(), store.connection_error_code()))
            };
            let in_time = Instant::now() < deadline;
            let outcome = match found {
                Some((ConnectionState::Connected, _)) => return Ok(()),
                Some((ConnectionState::Failed, code)) if in_time => {
                    failure = code;
                    tracing::warn!(
                        custom_key_store_id = id.as_str(),
                        code = code.map(ConnectionErrorCode::as_str),
                        "the store of the seed is not connected yet"
                    );
                    sleep(PAUSE).await;
                    custom_key_store::disconnect_store(self, &caller, id.as_str()).await
                }
                Some((ConnectionState::Disconnected, _)) if in_time || !tried => {
                    tried = true;
                    custom_key_store::connect_store(self, &caller, id.as_str()).await
                }
                Some((ConnectionState::Failed, Some(code))) => {
                    return Err(not_connected(ended_with(code)));
                }
                // Nobody connects it any more: what the last attempt met is the reason.
                Some((ConnectionState::Disconnected, _)) if let Some(code) = failure => {
                    return Err(not_connected(ended_with(code)));
                }
                Some((state, _)) if Instant::now() > deadline + GRACE => {
                    return Err(not_connected(format!("it is still {state}")));
                }
                Some(_) => Ok(()),
                None => return Err(not_connected("it is not there any more".to_owned())),
            };
            if let Err(error) = outcome {
                let message = error.message().unwrap_or_default();
                return Err(not_connected(format!("{}: {message}", error.name())));
            }
            sleep(POLL).await;
        }
    }
}

fn ended_with(code: ConnectionErrorCode) -> String {
    format!("its attempt to connect ended with {}", code.as_str())
}

/// For an attempt that runs when the time is over.
const GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(250);
