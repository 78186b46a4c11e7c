//! Backups: everything that a store holds in one file, wrapped under a key that has nothing to do with the root key.
//!
//! ```text
//! MAGIC ‖ u16 length ‖ header ‖ sealed records
//! ```
//!
//! The header is that of a store, so a backup too says under which key it is wrapped and how to derive it.

use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::StorePlace;
use super::record::{CredentialRecord, KeyRecord};
use super::root_key::{Derivation, RootKey, RootKeyError, RootKeyId, RootKeySource};
use super::store::{Contents, Header, Kind, StoreError, StoreId, StoreKeys};

/// What wraps one backup: made where the backup key is, taken to where the store is.
pub struct BackupSeal {
    id: StoreId,
    key: RootKey,
}

/// The beginning of a backup file, which says how it is unwrapped.
pub struct BackupHeader(Vec<u8>);

impl BackupSeal {
    /// For one new backup. A key file that is not there is created, with mode 0600.
    ///
    /// # Errors
    /// [`RootKeyError`], as for a root key.
    pub fn new(source: &RootKeySource) -> Result<(Self, BackupHeader), RootKeyError> {
        let (key, derivation) = source.create()?;
        let mut id = StoreId::default();
        SystemRandom::new()
            .fill(&mut id)
            .map_err(|_| RootKeyError::NoRandomBytes)?;
        let seal = Self { id, key };
        let header = seal.header(derivation).encode(&seal.keys());
        let len = u16::try_from(header.len()).expect("about a hundred bytes");
        let header = [MAGIC, &len.to_be_bytes(), &header].concat();
        Ok((seal, BackupHeader(header)))
    }

    /// The seal as bytes, for the admin socket: identifier, then key.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; SEAL_LEN]> {
        let mut bytes = Zeroizing::new([0; SEAL_LEN]);
        let (id, key) = bytes.split_at_mut(self.id.len());
        id.copy_from_slice(&self.id);
        key.copy_from_slice(self.key.expose());
        bytes
    }

    /// `None` for anything but what [`to_bytes`](Self::to_bytes) gave.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, key) = bytes.split_first_chunk()?;
        Some(Self {
            id: *id,
            key: RootKey::from_bytes(Zeroizing::new(key.try_into().ok()?)),
        })
    }

    /// What follows the header in the file.
    pub(super) fn wrap(&self, contents: &Contents) -> Result<Vec<u8>, StoreError> {
        let records = encode(contents);
        Ok(self.keys().seal(Kind::Backup, NAME, &records)?)
    }

    fn keys(&self) -> StoreKeys {
        StoreKeys::derive(&self.key, self.id)
    }

    fn header(&self, derivation: Derivation) -> Header {
        Header {
            store_id: self.id,
            root_key_id: self.key.id(),
            derivation,
        }
    }
}

impl BackupHeader {
    /// The whole backup file.
    pub fn with(self, sealed: &[u8]) -> Vec<u8> {
        let mut file = self.0;
        file.extend_from_slice(sealed);
        file
    }
}

/// Makes a store of what a backup holds, where there is none, under a root key of its own.
///
/// # Errors
/// [`BackupError`]; what is, or was, there is never replaced.
pub fn restore(
    backup: &[u8],
    backup_key: &RootKeySource,
    place: &StorePlace,
) -> Result<Restored, BackupError> {
    let (header_bytes, sealed) = split(backup).ok_or(BackupError::NoBackup)?;
    let header = Header::parse(header_bytes).ok_or(BackupError::NoBackup)?;
    let key = backup_key.load(&header.derivation, header.root_key_id)?;
    if key.id() != header.root_key_id {
        return Err(BackupError::WrongKey {
            found: key.id(),
            expected: header.root_key_id,
        });
    }
    let keys = StoreKeys::derive(&key, header.store_id);
    if !Header::is_authentic(header_bytes, &keys) {
        return Err(BackupError::Damaged);
    }
    let records = keys
        .open(Kind::Backup, NAME, sealed)
        .map_err(|Unspecified| BackupError::Damaged)?;
    let contents = decode(&records).ok_or(BackupError::Damaged)?;
    place.create(&contents)?;
    Ok(Restored {
        keys: contents.keys.len(),
        credentials: contents.credentials.len(),
    })
}

/// What a backup held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Restored {
    /// How many keys.
    pub keys: usize,
    /// How many credentials.
    pub credentials: usize,
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Another kind of file.
    #[error("the file is no backup that `xks-proxy key export-backup` made")]
    NoBackup,
    /// Not what was written.
    #[error("the backup is damaged: take another copy")]
    Damaged,
    /// The key of another backup.
    #[error(
        "the backup is wrapped under the key {expected}, but the key given is {found}: give the one that \
         it was made with"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    WrongKey {
        found: RootKeyId,
        expected: RootKeyId,
    },
    /// There is no backup key.
    #[error(transparent)]
    Key(#[from] RootKeyError),
    /// The store was not made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn split(backup: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = backup.strip_prefix(MAGIC)?.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// Keys, then credentials, then, where there are any, the records that govern them: their number, then name and record
/// of each, every part with its length.
fn encode(contents: &Contents) -> Zeroizing<Vec<u8>> {
    let keys = contents.keys.iter();
    let keys: Vec<_> = keys.map(|(id, key)| (id.as_str(), key.encode())).collect();
    let credentials = contents.credentials.iter();
    let credentials: Vec<_> = credentials
        .map(|(id, credential)| (id.as_str(), credential.encode()))
        .collect();
    let control = contents.control.iter();
    let control: Vec<_> = control
        .map(|(name, record)| (&**name, Zeroizing::new(record.clone())))
        .collect();
    let tables = [&keys, &credentials, &control];
    // What a program of an earlier version reads, if it can be.
    let (earlier, _) = tables.split_at(2);
    let tables = if control.is_empty() { earlier } else { &tables };
    let parts = || tables.iter().copied().flatten();
    let len = 4 * tables.len() + parts().map(|(n, r)| 8 + n.len() + r.len()).sum::<usize>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(len));
    for records in tables {
        bytes.extend_from_slice(&len_be(records.len()));
        for (name, record) in *records {
            for part in [name.as_bytes(), record] {
                bytes.extend_from_slice(&len_be(part.len()));
                bytes.extend_from_slice(part);
            }
        }
    }
    debug_assert_eq!(bytes.len(), len);
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Contents> {
    let mut contents = Contents::default();
    for _ in 0..take_len(&mut bytes)? {
        let (name, record) = take_record(&mut bytes)?;
        let record = KeyRecord::decode(record)?;
        contents.keys.insert(name.try_into().ok()?, record);
    }
    for _ in 0..take_len(&mut bytes)? {
        let (name, record) = take_record(&mut bytes)?;
        let record = CredentialRecord::decode(record)?;
        contents.credentials.insert(name.try_into().ok()?, record);
    }
    if !bytes.is_empty() {
        for _ in 0..take_len(&mut bytes)? {
            let (name, record) = take_record(&mut bytes)?;
            contents.control.insert(name.to_owned(), record.to_vec());
        }
    }
    bytes.is_empty().then_some(contents)
}

fn len_be(len: usize) -> [u8; 4] {
    u32::try_from(len)
        .expect("a store of 4 GiB does not fit in its cache")
        .to_be_bytes()
}

fn take_len(bytes: &mut &[u8]) -> Option<usize> {
    let (len, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(u32::from_be_bytes(*len)).ok()
}

fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<(&'a str, &'a [u8])> {
    let mut part = || {
        let len = take_len(bytes)?;
        let (part, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some(part)
    };
    let name = std::str::from_utf8(part()?).ok()?;
    Some((name, part()?))
}

const MAGIC: &[u8] = b"xks-proxy backup 1\n";
const NAME: &str = "backup";
const SEAL_LEN: usize = 16 + 32;
