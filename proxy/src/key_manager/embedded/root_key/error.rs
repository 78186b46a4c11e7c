//! Why there is no root key, told to the person who can do something about it.

use std::io;
use std::path::{Path, PathBuf};

use xks_api::ids::ExternalKeyId;

use crate::os_error::Advised;

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file is not there.
    #[error(
        "the root key file {} does not exist: bring it back from where you keep it; without it nothing \
         in the store can be read", path.display()
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Missing { path: PathBuf },
    /// The file can be read by others.
    #[error(
        "{} holds a secret and has mode {found:04o}, expected 0600: run `chmod 600 {}`, and replace the \
         secret if others may have read it", path.display(), path.display()
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Mode { path: PathBuf, found: u32 },
    /// The file is another user's.
    #[error(
        "{} belongs to user id {found}, expected {expected}, as whom this process runs: change the owner \
         or run as that user", path.display()
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Owner {
        path: PathBuf,
        found: u32,
        expected: u32,
    },
    /// The file is no key.
    #[error("{} does not hold exactly 32 bytes, so it is no key: bring the right file back", path.display())]
    #[expect(missing_docs, reason = "the message says it")]
    Length { path: PathBuf },
    /// The file is no passphrase.
    #[error("{} is empty or longer than 1,024 bytes, so it is no passphrase: expected one line of 16 to 1,024", path.display())]
    #[expect(missing_docs, reason = "the message says it")]
    PassphraseLength { path: PathBuf },
    /// The passphrase can be guessed.
    #[error("the passphrase in {} has fewer than 16 characters: choose a longer one", path.display())]
    #[expect(missing_docs, reason = "the message says it")]
    ShortPassphrase { path: PathBuf },
    /// The store wants a passphrase.
    #[error(
        "the store's root key comes from a passphrase, but a root key file is configured: configure the passphrase"
    )]
    StoreHasPassphrase,
    /// The store wants a key.
    #[error(
        "the store's root key is a file of 32 bytes, but a passphrase is configured: configure the file"
    )]
    StoreHasKeyFile,
    /// The parameters of argon2id are out of bounds.
    #[error("the store names parameters for argon2id that no store of ours has: it is damaged")]
    Argon2Parameters,
    /// The file is no wrapped key.
    #[error("{} holds no root key that `xks-proxy init` wrapped: bring the file back", path.display())]
    #[expect(missing_docs, reason = "the message says it")]
    NoWrappedKey { path: PathBuf },
    /// The other key manager did not do it.
    #[error(
        "the root key in {} is wrapped by the key manager {by} with its key {key}, which did not work: {cause}",
        path.display()
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Unwrapping {
        path: PathBuf,
        by: String,
        key: ExternalKeyId,
        cause: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomBytes,
    /// The file could not be read or written.
    #[error("{}: {}", path.display(), Advised(source))]
    #[expect(missing_docs, reason = "the message says it")]
    Io { path: PathBuf, source: io::Error },
}

impl RootKeyError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
