//! Why an administrator's command was not carried out, told to the administrator.

use std::path::PathBuf;

use xks_api::ids::{AccessKeyId, ExternalKeyId, UriPathPrefix};

use super::root_key::{RootKeyError, RootKeyId};
use super::store::StoreError;
use crate::control::ControlError;

/// Why an administrator's command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nothing to change.
    #[error("there is no key {0}: `xks-proxy key list` shows all keys")]
    NoSuchKey(ExternalKeyId),
    /// Keys are never replaced.
    #[error("there is a key {0} already; it stays as it is")]
    KeyExists(ExternalKeyId),
    /// Deleting it would break an external key store.
    #[error(
        "the key {0} is listed by the external key store {1}: take it out of the configuration first, or use --force"
    )]
    KeyIsListed(ExternalKeyId, UriPathPrefix),
    /// Nobody knows whether deleting it would break an external key store.
    #[error(
        "without a configuration it is not known whether an external key store lists the key {0}: \
         give --config FILE, or use --force"
    )]
    ListsUnknown(ExternalKeyId),
    /// Nothing to change.
    #[error("the key {0} has no version {1}: `xks-proxy key show {0}` shows its versions")]
    NoSuchVersion(ExternalKeyId, u32),
    /// A key always has a version that encrypts.
    #[error("version {1} of the key {0} is the current one: run `xks-proxy key rotate {0}` first")]
    CurrentVersion(ExternalKeyId, u32),
    /// A version number has 24 bits.
    #[error("the key {0} has as many versions as a key can have")]
    VersionsExhausted(ExternalKeyId),
    /// Nothing to change.
    #[error(
        "there is no credential {0} in the store: `xks-proxy credential list` shows all; one from a file ends when \
         its file leaves credential_files and the server reloads"
    )]
    NoSuchCredential(AccessKeyId),
    /// Only whoever gave the root key can give another.
    #[error(
        "the root key comes from {}, which is not ours to replace: name the new one with \
         --new-root-key-credential, --new-root-key-passphrase-file or --new-root-key-file", .0.display()
    )]
    ForeignRootKey(PathBuf),
    /// Nothing would change.
    #[error("the new root key {0} is the one that the store is wrapped under")]
    SameRootKey(RootKeyId),
    /// A block is not made or lifted.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no root key to do it with.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
}
