//! What is done with a session: find the versions of a key, encrypt, decrypt.

use std::collections::BTreeMap;
use std::sync::Arc;

use xks_api::fields::{CiphertextMetadata, InitializationVector, Plaintext};
use xks_api::sealed::Sealed;

use super::connection::{Connection, Encrypted};
use super::failure::Failure;
use super::key_map::{Locator, MAX_VERSION, Versions};
use super::messages::Count;
use super::token::Token;
use super::worker::Task;
use crate::key_manager::embedded::Usages;
use crate::key_manager::{KeyManagerError, Look};

/// Finds the versions of a key that are in the token, with what each may be used for.
pub(super) struct Find {
    pub(super) versions: Versions,
}

impl Task for Find {
    type Output = BTreeMap<u32, Usages>;

    fn run(&self, _: &Token, connection: &mut Connection) -> Result<Self::Output, Failure> {
        let mut found = BTreeMap::new();
        let mut missing = None;
        let mut look = |number| -> Result<bool, Failure> {
            let Some(version) = self.versions.version(number) else {
                return Ok(false);
            };
            match connection.usages(&version.locator) {
                Ok(usages) => {
                    found.insert(number, usages);
                    Ok(true)
                }
                Err(failure @ Failure::NoKey(_)) => {
                    missing.get_or_insert(failure);
                    Ok(false)
                }
                Err(failure) => Err(failure),
            }
        };
        match &self.versions {
            Versions::Listed(versions) => {
                for number in versions.keys() {
                    look(*number)?;
                }
            }
            Versions::Numbered(_) => {
                let mut gap = 0;
                for number in 1..=MAX_VERSION {
                    gap = if look(number)? { 0 } else { gap + 1 };
                    if gap > MAX_GAP {
                        break;
                    }
                }
            }
        }
        match (found.is_empty(), missing) {
            (true, Some(failure)) => Err(failure),
            _ => Ok(found),
        }
    }
}

/// Encrypts.
pub(super) struct Seal {
    pub(super) locator: Locator,
    pub(super) plaintext: Plaintext,
    pub(super) aad: Vec<u8>,
    pub(super) messages: Arc<Count>,
}

impl Task for Seal {
    type Output = Encrypted;

    fn run(&self, token: &Token, connection: &mut Connection) -> Result<Encrypted, Failure> {
        let source = token.settings.device.iv;
        let encrypted = connection.encrypt(&self.locator, source, &self.plaintext, &self.aad)?;
        // Whatever becomes of it: the initialization vector is used.
        self.messages.one_more();
        Ok(encrypted)
    }
}

/// Encrypts, and decrypts what came of it.
pub(super) struct SealAndOpen {
    pub(super) seal: Seal,
    pub(super) metadata: CiphertextMetadata,
    pub(super) look: Look,
}

impl Task for SealAndOpen {
    type Output = (Sealed, Plaintext);

    fn run(&self, token: &Token, connection: &mut Connection) -> Result<Self::Output, Failure> {
        let encrypted = self.seal.run(token, connection)?;
        let sealed = Sealed {
            ciphertext: encrypted.ciphertext,
            iv: InitializationVector::Bytes12(encrypted.iv),
            tag: encrypted.tag,
            metadata: self.metadata,
        };
        (self.look)(&sealed);
        let input = [&sealed.ciphertext[..], &sealed.tag.0].concat();
        let Seal { locator, aad, .. } = &self.seal;
        let opened = connection.decrypt(locator, sealed.iv.as_bytes(), &input, aad)?;
        Ok((sealed, opened))
    }
}

/// Decrypts.
pub(super) struct Open {
    pub(super) locator: Locator,
    pub(super) iv: InitializationVector,
    pub(super) ciphertext_and_tag: Vec<u8>,
    pub(super) aad: Vec<u8>,
}

impl Task for Open {
    type Output = Plaintext;

    fn run(&self, _: &Token, connection: &mut Connection) -> Result<Plaintext, Failure> {
        let iv = self.iv.as_bytes();
        connection.decrypt(&self.locator, iv, &self.ciphertext_and_tag, &self.aad)
    }

    /// The message names a version that is not there, as a made up one does.
    fn without_key(&self) -> KeyManagerError {
        KeyManagerError::InvalidCiphertext
    }
}

/// How many numbers in a row may be without a key before the rest of them are not looked for.
const MAX_GAP: u32 = 3;
