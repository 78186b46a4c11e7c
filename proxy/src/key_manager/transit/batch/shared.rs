//! Messages on their way: each by itself or with others, and how the servers were found to keep batches.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};
use xks_api::fields::Plaintext;

use super::super::failure::Refusal;
use super::super::keys::{Found, KnownKey};
use super::super::settings::TransitKeyName;
use super::super::{AskError, Shared, api};
use super::{Given, Line, Message, Operation, PATIENCE, Place, Text, Turn};
use crate::key_manager::KeyManagerError;

impl Shared {
    /// One message: encrypted, or decrypted. `body` is what a request of its own has.
    pub(in super::super) async fn message(
        self: &Arc<Self>,
        line: Line,
        body: Bytes,
    ) -> Result<Text, AskError> {
        let deadline = Instant::now() + self.settings.timeout;
        let _turn = match self.batches.enter(self, &line, &body) {
            Place::Alone => None,
            Place::Turn(turn) => Some(turn),
            Place::Waiting(number, mut given) => {
                let patience = deadline.min(Instant::now() + PATIENCE);
                let given = match timeout_at(patience, &mut given).await {
                    Ok(given) => given,
                    Err(_) => match self.batches.hurry(self, &line, number) {
                        Some(turn) => Ok(Given::Turn(turn)),
                        None => timeout_at(deadline, given)
                            .await
                            .map_err(|_| KeyManagerError::TimedOut)?,
                    },
                };
                match given {
                    Ok(Given::Done(text)) => return Ok(text),
                    Ok(Given::Turn(turn)) => Some(turn),
                    Ok(Given::Nothing) | Err(_) => None,
                }
            }
        };
        self.alone(&line, body, deadline).await
    }

    async fn alone(&self, line: &Line, body: Bytes, deadline: Instant) -> Result<Text, AskError> {
        let path = self.path_of(line);
        let answer = self.post(&path, body, deadline).await?;
        let text = match line.operation {
            Operation::Encrypt => api::ciphertext(&answer),
            Operation::Decrypt => api::plaintext(&answer),
        };
        let text = text.ok_or_else(|| AskError::Refused(api::not_as_documented(&path)))?;
        Ok(Text::new(text.to_owned()))
    }

    fn path_of(&self, line: &Line) -> String {
        let operation = match line.operation {
            Operation::Encrypt => "encrypt",
            Operation::Decrypt => "decrypt",
        };
        self.path(operation, &line.key)
    }

    /// The results of all that have one; nothing if a result may be another message's.
    async fn together(
        &self,
        line: &Line,
        bodies: &[&Bytes],
    ) -> Result<Option<Vec<Option<Text>>>, AskError> {
        let deadline = Instant::now() + self.settings.timeout;
        let body = api::batch_body(bodies);
        let answer = self.post(&self.path_of(line), body, deadline).await?;
        Ok(api::batch_results(&answer, bodies.len()))
    }

    /// Finds out whether there can be batches. No message waits for that.
    pub(in super::super) async fn try_batches(&self) {
        if self.settings.max_batch < 2 {
            return;
        }
        loop {
            // Each of its requests has a deadline of its own.
            if let Ok(sound) = self.look_at_batches().await {
                let _ = self.batches.sound.set(sound);
                return;
            }
            sleep(NEXT_LOOK).await;
        }
    }

    /// Whether a message of a batch is encrypted under its own version and with its own AAD, by the key of the health
    /// probes: a server that did without would give a ciphertext that nobody can decrypt.
    async fn look_at_batches(&self) -> Result<bool, NotNow> {
        let key = &self.settings.test_key;
        let known = self.known(key).await.ok_or(NotNow)?;
        let line = |operation| Line {
            operation,
            key: key.clone(),
        };
        let (encrypt, decrypt) = (line(Operation::Encrypt), line(Operation::Decrypt));
        let messages = [(&b"one"[..], &b"first"[..]), (b"two", b"second")];
        let bodies = messages.map(|(plaintext, aad)| {
            api::encrypt_body(&Plaintext::from(plaintext), aad, known.version)
        });
        let bodies: Vec<&Bytes> = bodies.iter().collect();
        let sealed = match self.together(&encrypt, &bodies).await {
            Ok(sealed) => sealed,
            // Refused where a single message is not: by a policy.
            Err(AskError::Refused(_)) if self.takes_single(&encrypt, &bodies).await => None,
            Err(_) => return Err(NotNow),
        };
        let Some([Some(one), Some(two)]) = sealed.as_deref() else {
            return Ok(self.unsound());
        };
        let open = async |text: &Text, aad: &[u8]| {
            let deadline = Instant::now() + self.settings.timeout;
            let body = api::decrypt_body(text, aad);
            self.alone(&decrypt, body, deadline).await
        };
        for (text, plaintext, aad) in [(one, "b25l", b"first".as_slice()), (two, "dHdv", b"second")]
        {
            match open(text, aad).await {
                Ok(opened) if *opened == plaintext => {}
                Ok(_) | Err(AskError::Refused(Refusal::InvalidCiphertext)) => {
                    return Ok(self.unsound());
                }
                Err(_) => return Err(NotNow),
            }
        }
        // The other one's AAD.
        match open(one, b"second").await {
            Err(AskError::Refused(Refusal::InvalidCiphertext)) => Ok(true),
            Ok(_) => Ok(self.unsound()),
            Err(_) => Err(NotNow),
        }
    }

    async fn takes_single(&self, line: &Line, bodies: &[&Bytes]) -> bool {
        let deadline = Instant::now() + self.settings.timeout;
        match bodies.first() {
            Some(body) => self.alone(line, (*body).clone(), deadline).await.is_ok(),
            None => false,
        }
    }

    fn unsound(&self) -> bool {
        tracing::warn!(
            "the server does not do batches of messages as this proxy needs them; each message is a request of its own"
        );
        false
    }

    async fn known(&self, name: &TransitKeyName) -> Option<KnownKey> {
        match self
            .keys
            .find(name, self.settings.key_max_age, Instant::now())
        {
            Found::Fresh(known) | Found::Aging(known) => Some(known),
            Found::Nothing => self.read(name).await.ok(),
        }
    }
}

/// Nothing is found out while the servers do not answer.
struct NotNow;

/// Sends messages in one request and gives each its result.
pub(super) async fn go(turn: Turn, messages: Vec<Message>) {
    let shared = Arc::clone(&turn.shared);
    let bodies: Vec<&Bytes> = messages.iter().map(|message| &message.body).collect();
    let results = shared.together(&turn.line, &bodies).await;
    let results = results.unwrap_or_else(|error| {
        tracing::debug!(?error, messages = bodies.len(), "a batch has no results");
        None
    });
    let mut results = results.unwrap_or_default().into_iter();
    for message in messages {
        let given = match results.next().flatten() {
            Some(text) => Given::Done(text),
            None => Given::Nothing,
        };
        // Nobody may wait any more.
        drop(message.to.send(given));
    }
}

const NEXT_LOOK: Duration = Duration::from_secs(1);
