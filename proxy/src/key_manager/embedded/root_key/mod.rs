//! The root key that wraps everything in the store: where it comes from, and how it is checked and created.
//!
//! A file of ours has mode 0600 and this process's owner. What the platform mounts (a systemd credential, a mounted
//! secret) is protected by the platform. A passphrase becomes a key through argon2id.

mod derivation;
mod error;
mod wrapped;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use self::derivation::{Argon2id, Derivation};
pub use self::error::RootKeyError;
pub use self::wrapped::{OpenKeyManager, WrappedRootKey};
use super::durable;
use super::store::StoreError;

/// Where the root key comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootKeySource {
    /// A file of 32 bytes with mode 0600, which `init` creates and `root-key rotate` replaces.
    File(PathBuf),
    /// A file of 32 bytes that the platform gives, such as a systemd credential; never written.
    Credential(PathBuf),
    /// A file that holds the key wrapped by another key manager, which `init` creates and `root-key rotate` replaces. It
    /// depends on a configuration, so it is not told on the admin socket.
    #[serde(skip)]
    Wrapped(WrappedRootKey),
    /// A file whose text is a passphrase, itself given by the platform or with mode 0600; never written.
    Passphrase(PathBuf),
}

impl RootKeySource {
    /// The file that is read.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Credential(path) | Self::Passphrase(path) => path,
            Self::Wrapped(wrapped) => wrapped.path(),
        }
    }

    /// Reads the root key of a store that has this derivation, and was wrapped last under the key named `expected`.
    ///
    /// What an interrupted rotation left is put in order: the store says whether it came to pass.
    pub(crate) fn load(
        &self,
        derivation: &Derivation,
        expected: RootKeyId,
    ) -> Result<RootKey, RootKeyError> {
        match (self, derivation) {
            (Self::File(path), Derivation::Raw) => {
                let next = next_key_path(path);
                match read_key_file(&next) {
                    Ok(key) if key.id() == expected => {
                        durable::rename(&next, path).map_err(|e| RootKeyError::io(path, e))?;
                        return Ok(key);
                    }
                    Ok(_) | Err(RootKeyError::Missing { .. }) => {}
                    Err(error) => return Err(error),
                }
                let key = read_key_file(path)?;
                if key.id() == expected {
                    durable::remove(&next).map_err(|e| RootKeyError::io(&next, e))?;
                }
                Ok(key)
            }
            (Self::Credential(path), Derivation::Raw) => read_key(path, &Protection::Platform),
            (Self::Wrapped(wrapped), Derivation::Raw) => wrapped.load(expected),
            (Self::Passphrase(path), Derivation::Argon2id(argon2id)) => {
                argon2id.derive(&read_passphrase(path)?)
            }
            (Self::File(_) | Self::Credential(_) | Self::Wrapped(_), Derivation::Argon2id(_)) => {
                Err(RootKeyError::StoreHasPassphrase)
            }
            (Self::Passphrase(_), Derivation::Raw) => Err(RootKeyError::StoreHasKeyFile),
        }
    }

    /// The root key of a new store: created where that is possible, else what is there.
    ///
    /// A key file that is there already is used: somebody put it there, or an `init` was interrupted.
    pub(crate) fn create(&self) -> Result<(RootKey, Derivation), RootKeyError> {
        match self {
            Self::File(path) => {
                if !path.try_exists().map_err(|e| RootKeyError::io(path, e))? {
                    write_key_file(path, &RootKey::random()?)?;
                }
                Ok((read_key_file(path)?, Derivation::Raw))
            }
            Self::Credential(path) => Ok((read_key(path, &Protection::Platform)?, Derivation::Raw)),
            Self::Wrapped(wrapped) => Ok((wrapped.create()?, Derivation::Raw)),
            Self::Passphrase(path) => {
                let passphrase = read_passphrase(path)?;
                if passphrase.len() < MIN_PASSPHRASE_LEN {
                    return Err(RootKeyError::ShortPassphrase { path: path.clone() });
                }
                let argon2id = Argon2id::random()?;
                let key = argon2id.derive(&passphrase)?;
                Ok((key, Derivation::Argon2id(argon2id)))
            }
        }
    }
}

/// 32 bytes that wrap a store: wiped on drop, never printed.
pub(crate) struct RootKey(Zeroizing<[u8; KEY_LEN]>);

impl RootKey {
    pub(crate) fn random() -> Result<Self, RootKeyError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        SystemRandom::new()
            .fill(&mut *key)
            .map_err(|_| RootKeyError::NoRandomBytes)?;
        Ok(Self(key))
    }

    pub(crate) fn from_bytes(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self(bytes)
    }

    /// For another thread.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Tells root keys apart, and reveals nothing of them.
    pub(crate) fn id(&self) -> RootKeyId {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        let tag = hmac::sign(&key, b"xks-proxy root key id");
        let id = tag.as_ref().first_chunk().expect("32 bytes: HMAC-SHA-256");
        RootKeyId(*id)
    }
}

/// A name for a root key that anyone may see.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct RootKeyId(pub(crate) [u8; 8]);

impl fmt::Display for RootKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RootKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who vouches for a secret file.
enum Protection {
    /// Its mode is 0600 or 0400, its owner this process's.
    Owner,
    /// It is not for everyone, and its owner is root or this process's.
    Platform,
}

/// Writes a root key to a new file, whole or not at all.
fn write_key_file(path: &Path, key: &RootKey) -> Result<(), RootKeyError> {
    durable::create(path, key.expose()).map_err(|e| RootKeyError::io(path, e))
}

/// Replaces a key file by one with a new key, after `rewrap` has made everything depend on the new key.
///
/// Both keys are on disk until `rewrap` is done, and whichever the store names is found by [`RootKeySource::load`].
pub(crate) fn replace_key_file(
    path: &Path,
    rewrap: impl FnOnce(&RootKey) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    replace_by(path, write_key_file, rewrap)
}

/// The same for a key that is wrapped in its file.
pub(crate) fn replace_wrapped(
    wrapped: &WrappedRootKey,
    rewrap: impl FnOnce(&RootKey) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let write = |path: &Path, key: &RootKey| wrapped.write(path, key);
    replace_by(wrapped.path(), write, rewrap)
}

fn replace_by(
    path: &Path,
    write: impl FnOnce(&Path, &RootKey) -> Result<(), RootKeyError>,
    rewrap: impl FnOnce(&RootKey) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let next = next_key_path(path);
    let io = |e| RootKeyError::io(&next, e);
    durable::remove(&next).map_err(io)?;
    let key = RootKey::random()?;
    write(&next, &key)?;
    rewrap(&key)?;
    durable::rename(&next, path).map_err(io)?;
    Ok(())
}

/// Reads 32 bytes of key material from a file that has mode 0600 and this process's owner.
///
/// # Errors
/// [`RootKeyError`], as for a root key.
pub fn read_key_material(path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>, RootKeyError> {
    read_key_file(path).map(|key| key.0)
}

/// Where a rotation keeps the next key until the store is wrapped under it.
fn next_key_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

/// Reads a file of 32 bytes under our own rules for secret files.
fn read_key_file(path: &Path) -> Result<RootKey, RootKeyError> {
    read_key(path, &Protection::Owner)
}

fn read_key(path: &Path, protection: &Protection) -> Result<RootKey, RootKeyError> {
    let mut file = open_secret(path, protection)?;
    let mut bytes = Zeroizing::new([0; KEY_LEN + 1]);
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).map_err(|e| RootKeyError::io(path, e))? {
            0 => break,
            read => len += read,
        }
    }
    if len != KEY_LEN {
        return Err(RootKeyError::Length { path: path.into() });
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    key.copy_from_slice(bytes.get(..KEY_LEN).expect("one byte longer"));
    Ok(RootKey(key))
}

/// The text of a file without the line end that editors add.
pub(crate) fn read_passphrase(path: &Path) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_LEN + 1));
    let limit = u64::try_from(MAX_PASSPHRASE_LEN + 1).expect("small");
    open_secret(path, &Protection::Platform)?
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|e| RootKeyError::io(path, e))?;
    while text
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        text.pop();
    }
    if text.is_empty() || text.len() > MAX_PASSPHRASE_LEN {
        return Err(RootKeyError::PassphraseLength { path: path.into() });
    }
    Ok(text)
}

fn open_secret(path: &Path, protection: &Protection) -> Result<File, RootKeyError> {
    let file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => RootKeyError::Missing { path: path.into() },
        _ => RootKeyError::io(path, e),
    })?;
    let metadata = file.metadata().map_err(|e| RootKeyError::io(path, e))?;
    let own = rustix::process::geteuid().as_raw();
    let (forbidden, owner_ok) = match protection {
        Protection::Owner => (0o177, metadata.uid() == own),
        Protection::Platform => (0o007, metadata.uid() == own || metadata.uid() == 0),
    };
    if !owner_ok {
        return Err(RootKeyError::Owner {
            path: path.into(),
            found: metadata.uid(),
            expected: own,
        });
    }
    if metadata.is_file() && metadata.mode() & forbidden != 0 {
        return Err(RootKeyError::Mode {
            path: path.into(),
            found: metadata.mode() & 0o7777,
        });
    }
    Ok(file)
}

const KEY_LEN: usize = 32;
const MIN_PASSPHRASE_LEN: usize = 16;
const MAX_PASSPHRASE_LEN: usize = 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A secret file for its owner alone.
    fn file(contents: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        (folder, path)
    }

    /// Computed with Python's `hmac`: HMAC-SHA-256 of "xks-proxy root key id", its first eight bytes.
    #[test]
    fn a_root_keys_name_is_a_mac_and_not_the_key() {
        let id = RootKey::from_bytes(Zeroizing::new([7; 32])).id();
        assert_eq!(
            (id.to_string(), format!("{id:?}")),
            ("6e586ba7d5cb7c3c".into(), id.to_string())
        );
    }

    #[test]
    fn a_passphrase_is_the_text_of_a_file_without_the_line_end() {
        for (text, expected) in [("a b", "a b"), ("a b\n", "a b"), ("a\nb\r\n\n", "a\nb")] {
            let (_folder, path) = file(text.as_bytes());
            assert_eq!(**read_passphrase(&path).unwrap(), *expected.as_bytes());
        }
        for (len, taken) in [
            (0, false),
            (1, true),
            (1_024, true),
            (1_025, false),
            (5_000, false),
        ] {
            let (_folder, path) = file(&vec![b'a'; len]);
            match read_passphrase(&path) {
                Ok(text) => assert!(taken && text.len() == len, "{len}"),
                Err(RootKeyError::PassphraseLength { .. }) => assert!(!taken, "{len}"),
                Err(other) => panic!("{len}: {other}"),
            }
        }
        let (_folder, path) = file(b"\n\n");
        let empty = read_passphrase(&path);
        assert!(matches!(empty, Err(RootKeyError::PassphraseLength { .. })));
    }

    #[test]
    fn key_material_of_ones_own_is_read_as_it_is() {
        let material: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let (_folder, path) = file(&material);
        assert_eq!(*read_key_material(&path).unwrap(), material);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = read_key_material(&path);
        assert!(matches!(
            error,
            Err(RootKeyError::Mode { found: 0o644, .. })
        ));
    }

    #[test]
    fn what_the_platform_gives_is_roots_or_this_processs_and_not_for_everyone() {
        let load = |path: &Path| {
            let source = RootKeySource::Credential(path.to_owned());
            source.load(&Derivation::Raw, RootKeyId([0; 8])).map(drop)
        };
        let (_folder, path) = file(&[7; 32]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        load(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(
            load(&path),
            Err(RootKeyError::Mode { found: 0o444, .. })
        ));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            assert!(matches!(load(&path), Err(RootKeyError::Owner { .. })));
        } else {
            // Root's, on every machine, and for everyone.
            let passwd = load(Path::new("/etc/passwd"));
            assert!(matches!(passwd, Err(RootKeyError::Mode { .. })));
        }
    }
}
