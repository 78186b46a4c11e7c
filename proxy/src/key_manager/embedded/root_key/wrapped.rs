//! A root key that another key manager wraps, so that it is never on disk as it is: a proxy that starts has it unwrapped
//! by an HSM or by Transit, and needs nobody to bring a secret (auto-unseal).
//!
//! The file holds what [`ExternalKey::seal`](crate::key_manager::ExternalKey::seal) made of the 32 bytes:
//!
//! ```text
//! MAGIC ‖ u8 length ‖ metadata ‖ u8 length ‖ initialization vector ‖ tag 16 ‖ ciphertext
//! ```

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use xks_api::fields::{
    Aad, AuthenticationTag, CiphertextMetadata, InitializationVector, Plaintext,
};
use xks_api::ids::ExternalKeyId;
use xks_api::sealed::{FramedAad, Sealed};
use zeroize::Zeroizing;

use super::super::durable;
use super::{RootKey, RootKeyError, RootKeyId, next_key_path};
use crate::key_manager::{KeyManager, KeyManagerError};

/// Where a wrapped root key is, and what unwraps it.
#[derive(Clone)]
pub struct WrappedRootKey {
    /// The file.
    pub path: PathBuf,
    /// The key of the other key manager.
    pub key: ExternalKeyId,
    /// The other key manager.
    pub by: Arc<dyn OpenKeyManager>,
}

/// Opens the key manager that wraps a root key, for a moment.
pub trait OpenKeyManager: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Opens it.
    ///
    /// # Errors
    /// Why it does not open.
    fn open(&self) -> Result<Arc<dyn KeyManager>, Box<dyn std::error::Error + Send + Sync>>;
}

impl WrappedRootKey {
    /// The root key of a store that was wrapped last under the key named `expected`, as for a file of ours.
    pub(super) fn load(&self, expected: RootKeyId) -> Result<RootKey, RootKeyError> {
        let next = next_key_path(&self.path);
        match read(&next) {
            Ok(wrapped) => {
                let key = self.unwrap(&wrapped)?;
                if key.id() == expected {
                    durable::rename(&next, &self.path).map_err(|e| RootKeyError::io(&next, e))?;
                    return Ok(key);
                }
            }
            Err(RootKeyError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        let key = self.unwrap(&read(&self.path)?)?;
        if key.id() == expected {
            durable::remove(&next).map_err(|e| RootKeyError::io(&next, e))?;
        }
        Ok(key)
    }

    /// The root key of a new store: what is there, or a new one.
    pub(super) fn create(&self) -> Result<RootKey, RootKeyError> {
        let path = &self.path;
        if !path.try_exists().map_err(|e| RootKeyError::io(path, e))? {
            self.write(path, &RootKey::random()?)?;
        }
        // What cannot be unwrapped is found out before anything depends on it.
        self.unwrap(&read(path)?)
    }

    /// Writes a root key to a new file, whole or not at all.
    pub(super) fn write(&self, path: &Path, root_key: &RootKey) -> Result<(), RootKeyError> {
        let wrapped = self.wrap(root_key)?;
        durable::create(path, &wrapped).map_err(|e| RootKeyError::io(path, e))
    }

    /// What a file holds, unwrapped.
    fn unwrap(&self, wrapped: &[u8]) -> Result<RootKey, RootKeyError> {
        let sealed = decode(wrapped).ok_or_else(|| RootKeyError::NoWrappedKey {
            path: self.path.clone(),
        })?;
        let plaintext = self.with_key_manager(async |key_manager| {
            let key = key_manager.resolve(&self.key).await?;
            let aad = FramedAad::new(&aad(), &sealed.metadata);
            key.open(&sealed, &aad).await
        })?;
        let bytes: [u8; 32] =
            plaintext
                .expose()
                .try_into()
                .map_err(|_| RootKeyError::NoWrappedKey {
                    path: self.path.clone(),
                })?;
        Ok(RootKey::from_bytes(Zeroizing::new(bytes)))
    }

    /// What goes into the file.
    fn wrap(&self, root_key: &RootKey) -> Result<Vec<u8>, RootKeyError> {
        let sealed = self.with_key_manager(async |key_manager| {
            let key = key_manager.resolve(&self.key).await?;
            let metadata = key.metadata()?;
            let aad = FramedAad::new(&aad(), &metadata);
            let plaintext = Plaintext::from(&root_key.expose()[..]);
            key.seal(&plaintext, metadata, &aad).await
        })?;
        Ok(encode(&sealed))
    }

    /// On a thread and a runtime of its own, so that it does not matter where it is called.
    fn with_key_manager<T: Send>(
        &self,
        operation: impl AsyncFnOnce(&dyn KeyManager) -> Result<T, KeyManagerError> + Send,
    ) -> Result<T, RootKeyError> {
        let failed = |cause: String| RootKeyError::Unwrapping {
            path: self.path.clone(),
            by: self.by.name().to_owned(),
            key: self.key.clone(),
            cause,
        };
        let work = || {
            let executor = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .map_err(|e| failed(e.to_string()))?;
            executor.block_on(async {
                let key_manager = self.by.open().map_err(|e| failed(e.to_string()))?;
                match timeout(LIMIT, operation(&*key_manager)).await {
                    Ok(Ok(done)) => Ok(done),
                    Ok(Err(error)) => Err(failed(with_sources(&error))),
                    Err(_) => Err(failed(format!("no answer within {LIMIT:?}"))),
                }
            })
        };
        std::thread::scope(|scope| {
            let ended = scope.spawn(work).join();
            ended.unwrap_or_else(|_| Err(failed("it panicked".into())))
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for WrappedRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, key, by } = self;
        let by = by.name();
        write!(f, "WrappedRootKey {{ {path:?} by {by} with {key} }}")
    }
}

impl PartialEq for WrappedRootKey {
    fn eq(&self, other: &Self) -> bool {
        let identity = |it: &Self| (it.path.clone(), it.key.clone(), it.by.name().to_owned());
        identity(self) == identity(other)
    }
}

impl Eq for WrappedRootKey {}

/// Who may read the file does not matter.
fn read(path: &Path) -> Result<Vec<u8>, RootKeyError> {
    let file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => RootKeyError::Missing { path: path.into() },
        _ => RootKeyError::io(path, e),
    })?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_LEN + 1).expect("small");
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| RootKeyError::io(path, e))?;
    Ok(bytes)
}

fn encode(sealed: &Sealed) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for part in [sealed.metadata.as_bytes(), sealed.iv.as_bytes()] {
        bytes.push(u8::try_from(part.len()).expect("at most 20 bytes"));
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(&sealed.tag.0);
    bytes.extend_from_slice(&sealed.ciphertext);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Sealed> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut part = || {
        let (len, after) = rest.split_first()?;
        let (part, after) = after.split_at_checked(usize::from(*len))?;
        rest = after;
        Some(part)
    };
    let metadata = CiphertextMetadata::try_from(part()?).ok()?;
    let iv = InitializationVector::try_from(part()?).ok()?;
    let (tag, ciphertext) = rest.split_at_checked(16)?;
    Some(Sealed {
        ciphertext: ciphertext.to_vec(),
        iv,
        tag: AuthenticationTag::try_from(tag).ok()?,
        metadata,
    })
}

/// Tells root keys from whatever else the key encrypts.
fn aad() -> Aad {
    Aad::try_from(b"xks-proxy root key".to_vec()).expect("18 bytes")
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        text = format!("{text}: {deeper}");
        source = deeper.source();
    }
    text
}

const MAGIC: &[u8] = b"xks-proxy wrapped root key 1\n";
/// The longest file.
const MAX_LEN: usize = MAGIC.len() + 1 + 20 + 1 + 16 + 16 + 32;
/// For opening, login and one operation.
const LIMIT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::super::{AdminError, Embedded, RootKeySource, StoreError, Usages};
    use super::*;

    /// What wraps the root key of another store: a key manager in a folder.
    struct Wrapper(TempDir);

    impl OpenKeyManager for Wrapper {
        fn name(&self) -> &str {
            "hsm"
        }

        fn open(&self) -> Result<Arc<dyn KeyManager>, Box<dyn std::error::Error + Send + Sync>> {
            Ok(Arc::new(Embedded::open(self.0.path(), self.root_key())?))
        }
    }

    impl Wrapper {
        fn root_key(&self) -> RootKeySource {
            RootKeySource::File(self.0.path().join("root.key"))
        }
    }

    /// A folder whose root key is wrapped, and what wraps it.
    fn wrapped() -> (TempDir, Arc<Wrapper>, RootKeySource) {
        let wrapper = Arc::new(Wrapper(tempfile::tempdir().unwrap()));
        Embedded::init(wrapper.0.path(), &wrapper.root_key()).unwrap();
        let other = Embedded::open(wrapper.0.path(), wrapper.root_key()).unwrap();
        for name in ["wrapping", "another"] {
            let id = ExternalKeyId::try_from(name).unwrap();
            let created = other
                .administration()
                .create_key(&id, Usages::EncryptDecrypt);
            created.unwrap();
        }
        drop(other);
        let folder = tempfile::tempdir().unwrap();
        let source = RootKeySource::Wrapped(WrappedRootKey {
            path: folder.path().join("root.key.wrapped"),
            key: "wrapping".try_into().unwrap(),
            by: Arc::<Wrapper>::clone(&wrapper),
        });
        (folder, wrapper, source)
    }

    fn refusal(folder: &TempDir, source: &RootKeySource) -> StoreError {
        match Embedded::open(folder.path(), source.clone()) {
            Ok(_) => panic!("the store opened"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_store_opens_with_its_root_key_unwrapped_elsewhere() {
        let (folder, _wrapper, source) = wrapped();
        Embedded::init(folder.path(), &source).unwrap();
        let id = ExternalKeyId::try_from("k").unwrap();
        let embedded = Embedded::open(folder.path(), source.clone()).unwrap();
        let administration = embedded.administration();
        administration
            .create_key(&id, Usages::EncryptDecrypt)
            .unwrap();
        // Another root key, wrapped in its turn.
        let before = std::fs::read(source.path()).unwrap();
        administration.rotate_root_key(None).unwrap();
        assert_ne!(std::fs::read(source.path()).unwrap(), before);
        drop((administration, embedded));
        let embedded = Embedded::open(folder.path(), source.clone()).unwrap();
        assert!(embedded.administration().key(&id).is_ok());
        let again = embedded.administration().rotate_root_key(Some(source));
        assert!(
            matches!(again, Err(AdminError::SameRootKey(_))),
            "{again:?}"
        );
    }

    #[test]
    fn a_rotation_that_was_interrupted_is_finished() {
        let (folder, _wrapper, source) = wrapped();
        Embedded::init(folder.path(), &source).unwrap();
        let first = std::fs::read(source.path()).unwrap();
        let embedded = Embedded::open(folder.path(), source.clone()).unwrap();
        embedded.administration().rotate_root_key(None).unwrap();
        drop(embedded);
        // As it was between the commit and the rename.
        let next = next_key_path(source.path());
        std::fs::rename(source.path(), &next).unwrap();
        std::fs::write(source.path(), first).unwrap();
        drop(Embedded::open(folder.path(), source.clone()).unwrap());
        assert!(!next.exists() && source.path().exists());
    }

    #[test]
    fn a_next_key_that_the_store_does_not_know_is_removed() {
        let (folder, _wrapper, source) = wrapped();
        Embedded::init(folder.path(), &source).unwrap();
        let good = std::fs::read(source.path()).unwrap();
        let RootKeySource::Wrapped(wrapped) = &source else {
            panic!("another source");
        };
        let next = next_key_path(source.path());
        wrapped.write(&next, &RootKey::random().unwrap()).unwrap();
        drop(Embedded::open(folder.path(), source.clone()).unwrap());
        assert!(!next.exists());
        assert_eq!(std::fs::read(source.path()).unwrap(), good);
    }

    #[test]
    fn what_the_wrapping_key_encrypted_for_another_purpose_is_no_root_key() {
        let (folder, _wrapper, source) = wrapped();
        Embedded::init(folder.path(), &source).unwrap();
        let RootKeySource::Wrapped(wrapped) = &source else {
            panic!("another source");
        };
        let sealed = wrapped.with_key_manager(async |key_manager| {
            let key = key_manager.resolve(&wrapped.key).await?;
            let metadata = key.metadata()?;
            let aad = FramedAad::new(&Aad::default(), &metadata);
            key.seal(&Plaintext::from(&[7; 32][..]), metadata, &aad)
                .await
        });
        std::fs::write(source.path(), encode(&sealed.unwrap())).unwrap();
        let error = refusal(&folder, &source).to_string();
        assert!(error.contains("does not verify"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_long_is_not_cut_to_one_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        for (len, read_len) in [(MAX_LEN, MAX_LEN), (MAX_LEN + 9, MAX_LEN + 1)] {
            std::fs::write(&path, vec![7; len]).unwrap();
            assert_eq!(read(&path).unwrap().len(), read_len);
        }
    }

    #[test]
    fn sources_are_the_same_where_file_key_and_key_manager_are() {
        let (_folder, wrapper, source) = wrapped();
        let RootKeySource::Wrapped(one) = &source else {
            panic!("another source");
        };
        let changed = |change: fn(&mut WrappedRootKey)| {
            let mut other = one.clone();
            other.by = Arc::<Wrapper>::clone(&wrapper);
            change(&mut other);
            other
        };
        assert_eq!(changed(|_| {}), *one);
        assert_ne!(changed(|it| it.path.push("x")), *one);
        assert_ne!(changed(|it| it.key = "another".try_into().unwrap()), *one);
        let text = format!("{one:?}");
        for part in ["root.key.wrapped", "hsm", "wrapping"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_does_not_unwrap_is_told() {
        let (folder, wrapper, source) = wrapped();
        Embedded::init(folder.path(), &source).unwrap();
        let good = std::fs::read(source.path()).unwrap();
        assert!(good.len() <= MAX_LEN);
        for len in [0, MAGIC.len(), good.len() - 33] {
            std::fs::write(source.path(), &good[..len]).unwrap();
            let error = refusal(&folder, &source).to_string();
            assert!(error.contains("bring the file back"), "{len}: {error}");
        }
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(source.path(), &bad).unwrap();
        let error = refusal(&folder, &source).to_string();
        assert!(error.contains("wrapped by the key manager hsm"), "{error}");
        std::fs::write(source.path(), &good).unwrap();
        drop(Embedded::open(folder.path(), source.clone()).unwrap());

        // Another key of the same key manager does not do.
        let other = RootKeySource::Wrapped(WrappedRootKey {
            path: source.path().to_owned(),
            key: "another".try_into().unwrap(),
            by: wrapper,
        });
        let error = refusal(&folder, &other).to_string();
        assert!(error.contains("does not verify"), "{error}");
    }
}
