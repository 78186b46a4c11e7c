//! Moving a keyring from one store to another: everything copied, then tried, and the old store left as it is.

use xks_api::fields::{Aad, Plaintext};
use xks_api::ids::{AccessKeyId, ExternalKeyId};
use xks_api::sealed::FramedAad;

use super::admin_error::AdminError;
use super::cipher::{MessageHeader, VersionCipher, VersionNumber, random_material};
use super::record::{KeyRecord, VersionRecord};
use super::store::{Contents, PostgresError, StoreError};
use super::{Embedded, StorePlace};

/// What was moved, and tried after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Migrated {
    /// How many keys.
    pub keys: usize,
    /// How many versions they have.
    pub versions: usize,
    /// How many credentials.
    pub credentials: usize,
}

/// Why a keyring was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The old store.
    #[error("the store to move from: {0}")]
    From(#[source] AdminError),
    /// The new store.
    #[error("the store to move to: {0}")]
    To(#[source] AdminError),
    /// There is something to lose.
    #[error("the store to move to has keys or credentials already; it stays as it is")]
    NotEmpty,
    /// A copy is not what it is of.
    #[error(
        "the copy of the key {0} does not decrypt what the key encrypts: do not use the new store"
    )]
    Key(ExternalKeyId),
    /// A copy is not what it is of.
    #[error("the copy of the credential {0} is another one: do not use the new store")]
    Credential(AccessKeyId),
    /// Not everything that governs the keyring was copied.
    #[error("the copies of blocks and admins are others: do not use the new store")]
    Control,
    /// Somebody went on changing the old store.
    #[error(
        "the store to move from was changed meanwhile, so the new one is not complete: end what changes it, and \
         move to another, empty store"
    )]
    Changed,
}

/// Copies everything `from` one store `to` another, which is made or has to be empty, and tries every version of every
/// key and every credential of the copy. `progress` is told what is done, of how much.
///
/// # Errors
/// [`MigrateError`]; the old store is not changed.
pub fn migrate(
    from: StorePlace,
    to: &StorePlace,
    progress: impl Fn(usize, usize),
) -> Result<Migrated, MigrateError> {
    let old = Embedded::open_at(from).map_err(|e| MigrateError::From(e.into()))?;
    let contents = old.administration.contents().map_err(MigrateError::From)?;
    match to.create(&contents) {
        Ok(()) => {}
        Err(
            StoreError::AlreadyInitialised { .. }
            | StoreError::Postgres(PostgresError::AlreadyInitialised { .. }),
        ) => {
            let new = Embedded::open_at(to.clone()).map_err(|e| MigrateError::To(e.into()))?;
            if !new
                .administration
                .fill(&contents)
                .map_err(MigrateError::To)?
            {
                return Err(MigrateError::NotEmpty);
            }
            new.administration.close();
        }
        Err(error) => return Err(MigrateError::To(error.into())),
    }
    // Opened as a server opens it.
    let new = Embedded::open_at(to.clone()).map_err(|e| MigrateError::To(e.into()))?;
    let copy = new.administration.contents().map_err(MigrateError::To)?;
    let migrated = compare(&contents, &copy, progress)?;
    let now = old.administration.contents().map_err(MigrateError::From)?;
    if !same_records(&contents, &now) {
        return Err(MigrateError::Changed);
    }
    old.administration.close();
    new.administration.close();
    Ok(migrated)
}

/// Tries every record of a copy.
fn compare(
    contents: &Contents,
    copy: &Contents,
    progress: impl Fn(usize, usize),
) -> Result<Migrated, MigrateError> {
    let total = contents.keys.len() + contents.credentials.len();
    let mut migrated = Migrated {
        keys: 0,
        versions: 0,
        credentials: 0,
    };
    for (id, key) in &contents.keys {
        let copied = copy.keys.get(id);
        let versions = copied.and_then(|copied| same_key(key, copied));
        migrated.versions += versions.ok_or_else(|| MigrateError::Key(id.clone()))?;
        migrated.keys += 1;
        progress(migrated.keys, total);
    }
    for (id, credential) in &contents.credentials {
        let copied = copy.credentials.get(id);
        if !copied.is_some_and(|copied| copied.encode() == credential.encode()) {
            return Err(MigrateError::Credential(id.clone()));
        }
        migrated.credentials += 1;
        progress(migrated.keys + migrated.credentials, total);
    }
    if let Some(id) = copy.keys.keys().find(|id| !contents.keys.contains_key(*id)) {
        return Err(MigrateError::Key(id.clone()));
    }
    let mut ids = copy.credentials.keys();
    if let Some(id) = ids.find(|id| !contents.credentials.contains_key(*id)) {
        return Err(MigrateError::Credential(id.clone()));
    }
    if copy.control != contents.control {
        return Err(MigrateError::Control);
    }
    Ok(migrated)
}

/// How many versions a key has, each of which decrypts in the copy what it encrypts; `None` if something is different.
fn same_key(key: &KeyRecord, copy: &KeyRecord) -> Option<usize> {
    let versions = || key.earlier.iter().chain([&key.current]);
    let copies = copy.earlier.iter().chain([&copy.current]);
    for (index, (version, copy)) in versions().zip(copies).enumerate() {
        decrypts(VersionNumber::of_index(index)?, version, copy)?;
    }
    (key.encode() == copy.encode()).then(|| versions().count())
}

fn decrypts(number: VersionNumber, version: &VersionRecord, copy: &VersionRecord) -> Option<()> {
    let plaintext = Plaintext::from(&random_material().ok()?[..]);
    let (header, iv) = MessageHeader::random(number).ok()?;
    let aad = FramedAad::new(&Aad::default(), &header.encode());
    let cipher = VersionCipher::new(&version.material);
    let sealed = cipher.seal(&plaintext, &header, &aad, iv).ok()?;
    let opened = VersionCipher::new(&copy.material).open(&sealed, &header, &aad);
    (opened.ok()? == plaintext).then_some(())
}

fn same_records(a: &Contents, b: &Contents) -> bool {
    let key = |(id, key): (&ExternalKeyId, &KeyRecord)| (id.clone(), key.encode());
    let credentials = |contents: &Contents| {
        let credentials = contents.credentials.iter();
        credentials
            .map(|(id, credential)| (id.clone(), credential.encode()))
            .collect::<Vec<_>>()
    };
    a.keys.iter().map(key).eq(b.keys.iter().map(key))
        && credentials(a) == credentials(b)
        && a.control == b.control
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use zeroize::Zeroizing;

    use super::super::record::{CredentialRecord, Usages};
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    /// A key of two versions, a credential, a record that governs them; the same each time.
    fn contents() -> Contents {
        let mut key = KeyRecord::new(Usages::EncryptDecrypt, Zeroizing::new([1; 32]), NOW);
        assert!(key.rotate(Zeroizing::new([2; 32]), NOW));
        let credential = CredentialRecord {
            uri_path_prefix: "/a".try_into().unwrap(),
            secret: "s".repeat(43).as_str().try_into().unwrap(),
            created: NOW,
        };
        Contents {
            keys: [(id("a"), key)].into(),
            credentials: [(access_key_id('A'), credential)].into(),
            control: [("c".into(), b"1".to_vec())].into(),
        }
    }

    fn id(name: &str) -> ExternalKeyId {
        name.try_into().unwrap()
    }

    fn access_key_id(letter: char) -> AccessKeyId {
        let text = letter.to_string().repeat(20);
        text.as_str().try_into().unwrap()
    }

    #[test]
    fn a_copy_that_is_not_what_it_is_of_is_found_whatever_differs() {
        let migrated = compare(&contents(), &contents(), |_, _| {}).unwrap();
        let Migrated {
            keys,
            versions,
            credentials,
        } = migrated;
        assert_eq!((keys, versions, credentials), (1, 2, 1));
        assert!(same_records(&contents(), &contents()));

        type Change = fn(&mut Contents);
        let changes: [(Change, &str); 12] = [
            (|c| c.keys.clear(), "key a"),
            (|c| drop(c.keys.insert(id("b"), key())), "key b"),
            (|c| drop(c.keys.insert(id("a"), key())), "key a"),
            (|c| a(c).usages = Usages::None, "key a"),
            (
                |c| a(c).status = xks_api::message::KeyStatus::Disabled,
                "key a",
            ),
            (|c| a(c).current.material[31] ^= 1, "key a"),
            (|c| a(c).earlier[0].material[0] ^= 1, "key a"),
            (
                |c| assert!(a(c).rotate(Zeroizing::new([3; 32]), NOW)),
                "key a",
            ),
            (|c| c.credentials.clear(), "credential AAAA"),
            (
                |c| {
                    let credential = c.credentials.get_mut(&access_key_id('A')).unwrap();
                    credential.secret = "t".repeat(43).as_str().try_into().unwrap();
                },
                "credential AAAA",
            ),
            (
                |c| {
                    let (_, credential) = c.credentials.pop_first().unwrap();
                    let more = CredentialRecord::decode(&credential.encode()).unwrap();
                    c.credentials.insert(access_key_id('A'), credential);
                    c.credentials.insert(access_key_id('B'), more);
                },
                "credential BBBB",
            ),
            (|c| c.control.clear(), "blocks and admins"),
        ];
        for (number, (change, expected)) in changes.into_iter().enumerate() {
            let mut copy = contents();
            change(&mut copy);
            let error = compare(&contents(), &copy, |_, _| {}).unwrap_err();
            assert!(error.to_string().contains(expected), "{number} {error}");
            assert!(!same_records(&contents(), &copy), "{number}");
        }
    }

    fn key() -> KeyRecord {
        KeyRecord::new(Usages::EncryptDecrypt, Zeroizing::new([2; 32]), NOW)
    }

    fn a(contents: &mut Contents) -> &mut KeyRecord {
        contents.keys.get_mut(&id("a")).unwrap()
    }

    #[test]
    fn a_version_is_tried_and_not_only_compared() {
        let number = VersionNumber::of_index(0).unwrap();
        let [version, same, other] =
            [1, 1, 2].map(|byte| VersionRecord::new(Zeroizing::new([byte; 32]), NOW));
        assert_eq!(decrypts(number, &version, &same), Some(()));
        assert_eq!(decrypts(number, &version, &other), None);
    }
}
