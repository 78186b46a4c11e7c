//! Why a call to a token did not succeed, for people and for the request.

use std::sync::Arc;

use super::key_map::Locator;
use super::rv::{self, Again, Meaning, Verdict};
use super::settings::TokenSelector;
use crate::key_manager::KeyManagerError;

/// Why a call did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What the library returned.
    #[error("{0}")]
    Call(Arc<cryptoki::error::Error>),
    #[error("the library does not show {0}; what it shows: {1}")]
    NoToken(TokenSelector, String),
    #[error("the library shows {0} more than once: select one by its serial number or slot")]
    SeveralTokens(TokenSelector),
    #[error("the token has no CKM_AES_GCM: it cannot serve an external key store")]
    NoAesGcm,
    #[error("the token has no AES key with {0}")]
    NoKey(Locator),
    /// As a library does whose token is gone, but which has not noticed.
    #[error("the token shows no AES key with {0}, and no longer the test key, which it has shown")]
    LostKeys(Locator),
    #[error("the token has more than one AES key with {0}: give each a label or id of its own")]
    SeveralKeys(Locator),
    #[error("the AES key with {0} has {1} bits; expected 256")]
    KeySize(Locator, u64),
    #[error(
        "the token takes no login with this PIN ({0}), and it is not tried again, so as not to lock the token. It is \
             when pin_file holds another one, once after each `xks-proxy reload`, in case that it was mended in the token, \
             and after a restart, which a pin_env that is to change needs"
    )]
    Pin(String),
    /// The device gave something else than AES-GCM with 96-bit IV and 128-bit tag gives.
    #[error("{0}")]
    Output(&'static str),
    /// Not tried: an attempt has just failed.
    #[error("a moment ago: {0}")]
    JustNow(Arc<Self>),
    /// The ciphertext seems not to verify, but the token does not work either.
    #[error("the token fails to decrypt ({0}), and it fails with its test key, too: {1}")]
    Unproven(Arc<Self>, Arc<Self>),
    /// The ciphertext does not verify.
    #[error("the ciphertext does not verify")]
    InvalidCiphertext,
}

impl Failure {
    pub(super) fn verdict(&self) -> Verdict {
        let verdict = |meaning, again| Verdict { meaning, again };
        match self {
            Self::Call(error) => rv::judge(error),
            // Libraries list slots and tokens when they are initialized.
            Self::NoToken(..) | Self::LostKeys(_) => {
                verdict(Meaning::Unavailable, Again::NewLibrary)
            }
            Self::Pin(_) => verdict(Meaning::PinRefused, Again::Never),
            Self::InvalidCiphertext => verdict(Meaning::InvalidCiphertext, Again::Never),
            Self::SeveralTokens(_)
            | Self::NoAesGcm
            | Self::NoKey(_)
            | Self::SeveralKeys(_)
            | Self::KeySize(..)
            | Self::Output(_)
            | Self::JustNow(_)
            | Self::Unproven(..) => verdict(Meaning::Unavailable, Again::Never),
        }
    }

    /// Whether other keys of the token fail with it, too.
    pub(super) fn is_of_the_token(&self) -> bool {
        !matches!(
            self,
            Self::NoKey(_) | Self::SeveralKeys(_) | Self::KeySize(..) | Self::InvalidCiphertext
        )
    }

    pub(super) fn into_error(self) -> KeyManagerError {
        match self.verdict().meaning {
            Meaning::InvalidCiphertext => KeyManagerError::InvalidCiphertext,
            Meaning::InvalidState => KeyManagerError::InvalidState,
            Meaning::TooLong => KeyManagerError::TooLong,
            Meaning::NoSession => KeyManagerError::Overloaded,
            Meaning::PerhapsInvalidCiphertext | Meaning::PinRefused | Meaning::Unavailable => {
                KeyManagerError::Unavailable(Box::new(self))
            }
        }
    }
}

impl From<cryptoki::error::Error> for Failure {
    fn from(error: cryptoki::error::Error) -> Self {
        Self::Call(Arc::new(error))
    }
}
