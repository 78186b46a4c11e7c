//! Why a block is not made or lifted, told to the person who asked.

use std::io;
use std::path::PathBuf;

use xks_api::ids::{ExternalKeyId, UriPathPrefix};

use super::block::BlockTarget;

/// Why a block is not made or lifted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum ControlError {
    /// A slip of the keyboard would leave the key that was meant in use.
    #[error(
        "no key manager has a key {0}, so nothing was blocked: `xks-proxy key list` shows the keys of an embedded one"
    )]
    NoSuchKey(ExternalKeyId),
    /// As for a key.
    #[error("no external key store has the prefix {0}, so nothing was blocked; there are: {1}")]
    NoSuchPrefix(UriPathPrefix, String),
    /// Nothing to lift.
    #[error("{0} is not blocked: `xks-proxy blocks` shows what is")]
    NotBlocked(BlockTarget),
    /// It would never have held.
    #[error("the block would end before it begins: give a time that is to come")]
    Over,
    /// A name stands for one person.
    #[error("there is an admin {0} already: remove it first, or take another name")]
    AdminExists(String),
    /// Nothing to remove.
    #[error("there is no admin {0}: `xks-proxy admin list` shows all")]
    NoSuchAdmin(String),
    /// Nothing to approve.
    #[error("no request {0} waits for approval: `xks-proxy approvals list` shows those that do")]
    NoSuchRequest(String),
    /// Two persons are needed.
    #[error("the request {0} is your own: another admin has to approve it")]
    OwnRequest(String),
    /// The operating system gives none.
    #[error("no random bytes")]
    NoRandomBytes,
    /// Blocks of other key managers need a place of their own.
    #[error(
        "there is no place for a block on what this key manager holds: set state_dir in the configuration to a folder \
         of this proxy, such as \"/var/lib/xks-proxy\", and reload"
    )]
    NoStateDir,
    /// The folder.
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    /// Nobody knows what is blocked.
    #[error(
        "{} is damaged, so it is not known what is blocked: bring the file back, or remove it, which lifts every block \
         in it", path.display()
    )]
    Damaged { path: PathBuf },
    /// Another process has the folder.
    #[error("another process has the state folder {}: stop it", path.display())]
    Held { path: PathBuf },
}
