//! The one seam between the proxy and whatever holds the keys.
//!
//! A key manager knows keys, versions, AES-GCM and its own failures. It knows no `ErrorName`, no `RequestMetadata`, no
//! JSON, no base64 and no CDIV. The embedded one answers at once ([`Answer::Ready`]); others answer later.

pub mod circuit;
mod description;
pub mod embedded;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
#[cfg(feature = "transit")]
pub mod transit;

use std::future::Future;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use xks_api::fields::{CiphertextMetadata, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::{KeyStatus, KeyUsage};
use xks_api::sealed::{FramedAad, Sealed};

pub use self::description::{Description, Instance, InstanceHealth};

/// Holds external keys.
pub trait KeyManager: Send + Sync {
    /// Finds a key and pins its current version for one request.
    ///
    /// # Errors
    /// [`KeyManagerError::UnknownKey`], never a created key.
    fn resolve<'a>(&'a self, id: &'a ExternalKeyId) -> Answer<'a, Arc<dyn ExternalKey>>;

    /// The key of the proxy's own that health probes encrypt and decrypt with; no key that KMS can name.
    //= xks §GetHealthStatus R25
    fn test_key(&self) -> Answer<'_, Arc<dyn ExternalKey>>;

    /// Who made the key manager and which instances it has, for GetHealthStatus.
    fn description(&self) -> Description;

    /// Somebody asked for a reload: what was given up until somebody mends it is tried once more.
    fn reconsider(&self) {}

    /// How much it has to do; `None` where nothing ever waits for it.
    fn load(&self) -> Option<Load> {
        None
    }

    /// How many proxies there are, where the key manager knows: those that share its keys count each other.
    fn fleet_size(&self) -> Option<NonZeroU32> {
        None
    }
}

/// How much a key manager has to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    /// Calls that wait for another one to end.
    pub waiting: usize,
    /// Calls that were not answered yet.
    pub running: usize,
    /// Whether it is left alone since it fails.
    pub circuit_open: bool,
}

/// One key, its version pinned.
pub trait ExternalKey: Send + Sync {
    /// What the key may be used for.
    fn usage(&self) -> &[KeyUsage];

    /// Whether the key may be used at all.
    fn status(&self) -> KeyStatus;

    /// One message to come with its metadata: made before [`seal`](Self::seal), since the metadata is part of the AAD.
    ///
    /// # Errors
    /// [`KeyManagerError::Unavailable`] without random bytes.
    fn metadata(&self) -> Result<NewMessage, KeyManagerError>;

    /// AES-256-GCM encryption under the pinned version of a message from [`metadata`](Self::metadata).
    ///
    /// # Errors
    /// [`KeyManagerError::TimedOut`], [`KeyManagerError::Unavailable`].
    fn seal<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
    ) -> Answer<'a, Sealed>;

    /// Decryption under the version that the metadata names.
    ///
    /// # Errors
    /// [`KeyManagerError::InvalidCiphertext`] for whatever does not verify, without a reason.
    fn open<'a>(&'a self, sealed: &'a Sealed, aad: &'a FramedAad) -> Answer<'a, Plaintext>;

    /// The same in one go, where handing over two pieces of work costs more than one.
    fn at_once(&self) -> Option<&dyn SealAndOpen> {
        None
    }
}

/// Seals a message and opens it again.
pub trait SealAndOpen: Send + Sync {
    /// [`seal`](ExternalKey::seal), a look at the message, [`open`](ExternalKey::open), in this order. Where the session fails
    /// in between, all of it is done anew.
    ///
    /// # Errors
    /// Those of both; [`KeyManagerError::InvalidCiphertext`] is of opening.
    fn seal_and_open<'a>(
        &'a self,
        plaintext: &'a Plaintext,
        message: NewMessage,
        aad: &'a FramedAad,
        look: Look,
    ) -> Answer<'a, (Sealed, Plaintext)>;
}

/// What looks at a message before it is opened.
pub type Look = Box<dyn Fn(&Sealed) + Send + Sync>;

/// What a key gives a message beforehand. Not [`Clone`]: a message is sealed once.
#[derive(Debug)]
pub struct NewMessage {
    /// Part of the AAD, and of the answer.
    pub metadata: CiphertextMetadata,
    /// Where the key draws it together with the metadata, since random bytes are dear.
    pub(crate) iv: Option<[u8; 12]>,
}

impl From<CiphertextMetadata> for NewMessage {
    fn from(metadata: CiphertextMetadata) -> Self {
        Self { metadata, iv: None }
    }
}

impl Deref for NewMessage {
    type Target = CiphertextMetadata;

    fn deref(&self) -> &CiphertextMetadata {
        &self.metadata
    }
}

/// Why a key manager did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyManagerError {
    /// It holds no such key.
    #[error("no such external key")]
    UnknownKey,
    /// The key version that the ciphertext needs is retired, or the key is blocked.
    #[error("the external key or its version may not be used")]
    InvalidState,
    /// The ciphertext does not verify.
    #[error("the ciphertext does not verify")]
    InvalidCiphertext,
    /// It takes no message of this size.
    #[error("the key manager takes no message of this size")]
    TooLong,
    /// It did not answer in time.
    #[error("the key manager did not answer in time")]
    TimedOut,
    /// It is overloaded.
    #[error("the key manager takes no more requests now")]
    Overloaded,
    /// It failed; the cause is for the log.
    #[error("the key manager failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A result that is there already, or a future of one; without allocation where it is there.
pub enum Answer<'a, T> {
    /// Given without waiting; taken at the first poll.
    Ready(Option<Result<T, KeyManagerError>>),
    /// To be waited for.
    Later(Pin<Box<dyn Future<Output = Result<T, KeyManagerError>> + Send + 'a>>),
}

impl<T> Answer<'_, T> {
    /// An answer that is there already.
    pub fn ready(result: Result<T, KeyManagerError>) -> Self {
        Self::Ready(Some(result))
    }
}

impl<T: Unpin> Future for Answer<'_, T> {
    type Output = Result<T, KeyManagerError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(result) => Poll::Ready(result.take().expect("not polled after completion")),
            Self::Later(future) => future.as_mut().poll(context),
        }
    }
}
