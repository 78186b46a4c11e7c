//! Messages on their way: each by itself or with others, and how the servers were found to keep batches.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};
use xks_api::fields::Plaintext;

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

    /// The results of all that have one.
    async fn together(&self, line: &Line, bodies: &[&Bytes]) -> Option<Vec<Option<Text>>> {
        let deadline = Instant::now() + self.settings.timeout;
        let body = api::batch_body(bodies);
        match self.post(&self.path_of(line), body, deadline).await {
            Ok(answer) => api::batch_results(&answer, bodies.len()),
            Err(error) => {
                tracing::debug!(?error, messages = bodies.len(), "a batch has no results");
                None
            }
        }
    }

    async fn keeps_batches(&self) -> bool {
        let found = self.batches.sound.get_or_try_init(|| async {
            let looked = timeout(self.settings.timeout * 4, self.look_at_batches()).await;
            looked.unwrap_or(Err(NotNow))
        });
        // Where nothing can be found out now, the next batch looks again.
        found.await.is_ok_and(|sound| *sound)
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
        let plaintexts = [&b"one"[..], b"two"].map(Plaintext::from);
        let aads = [&b"first"[..], b"second"];
        let bodies = [0, 1].map(|i: usize| {
            let (plaintext, aad) = (plaintexts.get(i), aads.get(i).copied().unwrap_or_default());
            plaintext.map(|plaintext| api::encrypt_body(plaintext, aad, known.version))
        });
        let bodies: Vec<&Bytes> = bodies.iter().flatten().collect();
        let sealed = self.together(&encrypt, &bodies).await;
        let Some([Some(one), Some(two)]) = sealed.as_deref() else {
            // Refused, where single requests are not: by a policy or an old server.
            return match self.alone_too(&encrypt, &bodies).await {
                true => Ok(self.unsound()),
                false => Err(NotNow),
            };
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
                Ok(_) | Err(AskError::Refused(_)) => return Ok(self.unsound()),
                Err(AskError::Failed(_)) => return Err(NotNow),
            }
        }
        // The other one's AAD.
        match open(one, b"second").await {
            Err(AskError::Refused(_)) => Ok(true),
            Ok(_) => Ok(self.unsound()),
            Err(AskError::Failed(_)) => Err(NotNow),
        }
    }

    async fn alone_too(&self, line: &Line, bodies: &[&Bytes]) -> bool {
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
    let mut results = None;
    if shared.keeps_batches().await {
        let bodies: Vec<&Bytes> = messages.iter().map(|message| &message.body).collect();
        results = shared.together(&turn.line, &bodies).await;
    }
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
