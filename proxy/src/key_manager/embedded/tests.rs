//! Administration, root keys and backups on real folders.

mod administration;
mod migration;
mod snapshot;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use xks_api::fields::{Aad, Plaintext};
use xks_api::ids::{ExternalKeyId, UriPathPrefix};
use xks_api::message::KeyStatus;
use xks_api::sealed::{FramedAad, Sealed};

use super::root_key::RootKeyError;
use super::{
    AdminError, BackupError, BackupSeal, Embedded, Force, ListedKeys, RootKeySource, StoreError,
    StorePlace, Usages, VersionState, restore,
};
use crate::key_manager::KeyManager;

struct Folder(TempDir);

impl Folder {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn initialised(root_key: impl FnOnce(&Self) -> RootKeySource) -> (Self, RootKeySource) {
        let folder = Self::empty();
        let root_key = root_key(&folder);
        Embedded::init(folder.path(), &root_key).unwrap();
        (folder, root_key)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn key_file(&self) -> RootKeySource {
        RootKeySource::File(self.file("root.key"))
    }

    fn secret(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn passphrase(&self, name: &str, text: &str) -> RootKeySource {
        RootKeySource::Passphrase(self.secret(name, text.as_bytes()))
    }

    fn open(&self, root_key: &RootKeySource) -> Result<Embedded, StoreError> {
        Embedded::open(self.path(), root_key.clone())
    }
}

fn refusal(result: Result<Embedded, StoreError>) -> StoreError {
    match result {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}

fn id(text: &str) -> ExternalKeyId {
    text.try_into().unwrap()
}

async fn seal(embedded: &Embedded, name: &str) -> Sealed {
    let key = embedded.resolve(&id(name)).await.unwrap();
    let metadata = key.metadata().unwrap();
    let aad = FramedAad::new(&Aad::default(), &metadata);
    let plaintext = Plaintext::from(name.as_bytes());
    key.seal(&plaintext, metadata, &aad).await.unwrap()
}

async fn opens(embedded: &Embedded, name: &str, sealed: &Sealed) -> bool {
    let key = embedded.resolve(&id(name)).await.unwrap();
    let aad = FramedAad::new(&Aad::default(), &sealed.metadata);
    let opened = key.open(sealed, &aad).await;
    opened.is_ok_and(|plaintext| plaintext.expose() == name.as_bytes())
}

#[tokio::test]
async fn every_change_is_there_after_a_restart() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    administration
        .create_key(&id("a"), Usages::EncryptDecrypt)
        .unwrap();
    let sealed = seal(&embedded, "a").await;
    administration.rotate_key(&id("a")).unwrap();
    administration.create_key(&id("b"), Usages::None).unwrap();
    administration.rotate_key(&id("b")).unwrap();
    administration
        .set_version_state(&id("b"), 1, VersionState::Retired)
        .unwrap();
    administration
        .set_key_status(&id("b"), KeyStatus::Disabled)
        .unwrap();
    administration
        .create_key(&id("gone"), Usages::None)
        .unwrap();
    administration.delete_key(&id("gone"), Force::Yes).unwrap();
    let prefix = UriPathPrefix::try_from("/a").unwrap();
    let kept = administration.create_credential(&prefix).unwrap();
    let revoked = administration.create_credential(&prefix).unwrap();
    administration
        .revoke_credential(&revoked.access_key_id)
        .unwrap();
    let (keys, credentials) = (administration.keys(), administration.credentials());
    drop((embedded, administration));

    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    assert_eq!(administration.keys(), keys);
    assert_eq!(administration.credentials(), credentials);
    assert_eq!((keys.len(), credentials.len()), (2, 1));
    assert!(opens(&embedded, "a", &sealed).await);
    let found = embedded
        .credentials()
        .find(kept.access_key_id.as_str())
        .unwrap();
    assert_eq!(found.secret.expose(), kept.secret.expose());
    assert_eq!(found.uri_path_prefix, prefix);
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    let unknown = id("unknown");
    for result in [
        administration.key(&unknown).map(drop),
        administration.rotate_key(&unknown).map(drop),
        administration
            .set_key_status(&unknown, KeyStatus::Enabled)
            .map(drop),
        administration
            .set_version_state(&unknown, 1, VersionState::Retired)
            .map(drop),
        administration.delete_key(&unknown, Force::Yes),
    ] {
        assert!(
            matches!(result, Err(AdminError::NoSuchKey(_))),
            "{result:?}"
        );
    }
    administration.create_key(&id("a"), Usages::None).unwrap();
    let again = administration.create_key(&id("a"), Usages::None);
    assert!(matches!(again, Err(AdminError::KeyExists(_))));
    for version in [0, 2, 1 << 24, u32::MAX] {
        let result = administration.set_version_state(&id("a"), version, VersionState::Retired);
        assert!(
            matches!(result, Err(AdminError::NoSuchVersion(..))),
            "{version}"
        );
    }
    let nobody = "ABCDEFGHIJKLMNOP2345".try_into().unwrap();
    let result = administration.revoke_credential(&nobody);
    assert!(matches!(result, Err(AdminError::NoSuchCredential(_))));
}

#[test]
fn a_listed_key_is_deleted_only_with_force() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    for name in ["listed", "free"] {
        administration.create_key(&id(name), Usages::None).unwrap();
    }
    let delete = |name, force| administration.delete_key(&id(name), force);
    assert!(matches!(
        delete("free", Force::No),
        Err(AdminError::ListsUnknown(_))
    ));
    let lists = [(id("listed"), "/a".try_into().unwrap())];
    administration.set_listed_keys(ListedKeys::Known(lists.into()));
    assert!(matches!(
        delete("listed", Force::No),
        Err(AdminError::KeyIsListed(..))
    ));
    delete("free", Force::No).unwrap();
    delete("listed", Force::Yes).unwrap();
    assert!(administration.keys().is_empty());
}

#[test]
fn credentials_have_the_form_that_kms_asks_for() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let prefix = UriPathPrefix::try_from("/dev/tenant-a").unwrap();
    let (mut seen, mut letters) = (HashSet::new(), HashSet::new());
    for _ in 0..20 {
        let credential = embedded
            .administration()
            .create_credential(&prefix)
            .unwrap();
        let json: serde_json::Value = serde_json::from_str(&credential.console_json()).unwrap();
        assert_eq!(json["XksProxyUriPath"], "/dev/tenant-a/kms/xks/v1");
        let inner = &json["XksProxyAuthenticationCredential"];
        let access_key_id = inner["AccessKeyId"].as_str().unwrap();
        let secret = inner["RawSecretAccessKey"].as_str().unwrap();
        let allowed = |c: char| c.is_ascii_uppercase() || ('2'..='7').contains(&c);
        assert!((20..=30).contains(&access_key_id.len()) && access_key_id.chars().all(allowed));
        assert!((43..=64).contains(&secret.len()));
        assert!(
            secret
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/+=".contains(c))
        );
        assert!(seen.insert(secret.to_owned()) && seen.insert(access_key_id.to_owned()));
        letters.extend(access_key_id.chars());
    }
    // Of 520 random letters one is missing once in a million runs.
    assert_eq!(letters.len(), 32, "each of A-Z 2-7: {letters:?}");
}

#[tokio::test]
async fn another_root_key_file_takes_the_place_of_the_first() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    administration
        .create_key(&id("a"), Usages::EncryptDecrypt)
        .unwrap();
    let credential = administration
        .create_credential(&UriPathPrefix::default())
        .unwrap();
    let sealed = seal(&embedded, "a").await;
    let (old_key, old_store) = (read(&folder, "root.key"), read(&folder, "store.redb"));
    administration.rotate_root_key(None).unwrap();
    assert!(opens(&embedded, "a", &sealed).await, "without a restart");
    administration.rotate_key(&id("a")).unwrap();
    drop((embedded, administration));

    assert_ne!(read(&folder, "root.key"), old_key);
    assert!(!folder.file("root.key.next").exists());
    let embedded = folder.open(&root_key).unwrap();
    assert!(opens(&embedded, "a", &sealed).await);
    assert!(
        embedded
            .credentials()
            .find(credential.access_key_id.as_str())
            .is_some()
    );
    drop(embedded);

    // Neither the old key nor the old store is good for anything any more.
    let new_key = read(&folder, "root.key");
    folder.secret("root.key", &old_key);
    let error = refusal(folder.open(&root_key));
    assert!(matches!(error, StoreError::WrongRootKey { .. }), "{error}");
    folder.secret("store.redb", &old_store);
    let error = refusal(folder.open(&root_key));
    assert!(matches!(error, StoreError::Older { .. }), "{error}");
    folder.secret("root.key", &new_key);
    let error = refusal(folder.open(&root_key));
    assert!(matches!(error, StoreError::WrongRootKey { .. }), "{error}");
}

fn read(folder: &Folder, name: &str) -> Vec<u8> {
    fs::read(folder.file(name)).unwrap()
}

#[test]
fn a_rotation_that_ended_at_any_step_is_put_in_order() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let old_key = read(&folder, "root.key");
    // Before the store was wrapped anew: a next key that the store does not know.
    folder.secret("root.key.next", &[7; 32]);
    drop(folder.open(&root_key).unwrap());
    assert!(!folder.file("root.key.next").exists());
    assert_eq!(read(&folder, "root.key"), old_key);
    // After it, before the files were exchanged, and before the generation file was written.
    let generation = read(&folder, "generation");
    let embedded = folder.open(&root_key).unwrap();
    embedded.administration().rotate_root_key(None).unwrap();
    drop(embedded);
    let new_key = read(&folder, "root.key");
    folder.secret("root.key.next", &new_key);
    folder.secret("root.key", &old_key);
    folder.secret("generation", &generation);
    drop(folder.open(&root_key).unwrap());
    assert_eq!(read(&folder, "root.key"), new_key);
    assert!(!folder.file("root.key.next").exists());
}

#[tokio::test]
async fn a_passphrase_or_a_credential_can_be_the_root_key() {
    let (folder, passphrase) =
        Folder::initialised(|folder| folder.passphrase("p", "correct horse battery\n"));
    assert!(!folder.file("root.key").exists());
    let embedded = folder.open(&passphrase).unwrap();
    let administration = embedded.administration();
    administration
        .create_key(&id("a"), Usages::EncryptDecrypt)
        .unwrap();
    let sealed = seal(&embedded, "a").await;
    let error = administration.rotate_root_key(None).unwrap_err();
    assert!(matches!(error, AdminError::ForeignRootKey(_)), "{error}");
    let error = administration.rotate_root_key(Some(passphrase.clone()));
    assert!(error.is_ok(), "another salt makes another key");
    drop((embedded, administration));

    let wrong = folder.passphrase("wrong", "correct horse batterx");
    let error = refusal(folder.open(&wrong));
    assert!(matches!(error, StoreError::WrongRootKey { .. }), "{error}");
    let error = refusal(folder.open(&RootKeySource::File(folder.secret("k", &[7; 32]))));
    let told = matches!(error, StoreError::RootKey(RootKeyError::StoreHasPassphrase));
    assert!(told, "{error}");

    let embedded = folder.open(&passphrase).unwrap();
    let path = folder.secret("credential", &[9; 32]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    let credential = RootKeySource::Credential(path);
    let administration = embedded.administration();
    administration
        .rotate_root_key(Some(credential.clone()))
        .unwrap();
    let same = administration.rotate_root_key(Some(credential.clone()));
    assert!(matches!(same, Err(AdminError::SameRootKey(_))));
    drop((embedded, administration));
    let error = refusal(folder.open(&passphrase));
    let told = matches!(error, StoreError::RootKey(RootKeyError::StoreHasKeyFile));
    assert!(told, "{error}");
    assert!(opens(&folder.open(&credential).unwrap(), "a", &sealed).await);
}

#[test]
fn a_short_passphrase_makes_no_store() {
    let folder = Folder::empty();
    let short = folder.passphrase("p", "fifteen letters");
    let result = Embedded::init(folder.path(), &short);
    let told = matches!(
        result,
        Err(StoreError::RootKey(RootKeyError::ShortPassphrase { .. }))
    );
    assert!(told, "{result:?}");
    // Which is no obstacle to the next attempt.
    Embedded::init(folder.path(), &folder.passphrase("p", "sixteen letters!")).unwrap();
}

#[tokio::test]
async fn a_backup_makes_the_same_store_elsewhere() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    administration
        .create_key(&id("a"), Usages::EncryptDecrypt)
        .unwrap();
    administration.rotate_key(&id("a")).unwrap();
    administration
        .create_key(&id("b"), Usages::Decrypt)
        .unwrap();
    let credential = administration
        .create_credential(&UriPathPrefix::default())
        .unwrap();
    let sealed = seal(&embedded, "a").await;
    let keys_folder = Folder::empty();
    // A passphrase takes its time at every attempt.
    for (backup_key, stride) in [
        (keys_folder.passphrase("p", "a passphrase for backups"), 150),
        (RootKeySource::File(keys_folder.file("backup.key")), 1),
    ] {
        let (seal, header) = BackupSeal::new(&backup_key).unwrap();
        let seal = BackupSeal::from_bytes(&*seal.to_bytes()).unwrap();
        let backup = header.with(&administration.export_backup(&seal).unwrap());

        let elsewhere = Folder::empty();
        let new_root_key = elsewhere.key_file();
        for len in [0, 10, 40, 100, backup.len() - 1] {
            let result = restore(
                &backup[..len],
                &backup_key,
                &place(elsewhere.path(), &new_root_key),
            );
            let refused = matches!(result, Err(BackupError::NoBackup | BackupError::Damaged));
            assert!(refused, "{len} {result:?}");
        }
        for index in (0..backup.len()).step_by(stride) {
            let mut bad = backup.clone();
            bad[index] ^= 1;
            assert!(
                restore(&bad, &backup_key, &place(elsewhere.path(), &new_root_key)).is_err(),
                "{index}"
            );
        }
        let wrong = match backup_key {
            RootKeySource::Passphrase(_) => keys_folder.passphrase("w", "a passphrase for backup"),
            _ => RootKeySource::File(keys_folder.secret("wrong.key", &[7; 32])),
        };
        let result = restore(&backup, &wrong, &place(elsewhere.path(), &new_root_key));
        assert!(
            matches!(result, Err(BackupError::WrongKey { .. })),
            "{result:?}"
        );

        let restored = restore(
            &backup,
            &backup_key,
            &place(elsewhere.path(), &new_root_key),
        )
        .unwrap();
        assert_eq!((restored.keys, restored.credentials), (2, 1));
        assert_ne!(read(&elsewhere, "root.key"), read(&folder, "root.key"));
        let copy = elsewhere.open(&new_root_key).unwrap();
        assert_eq!(copy.administration().keys(), administration.keys());
        assert_eq!(
            copy.administration().credentials(),
            administration.credentials()
        );
        assert!(opens(&copy, "a", &sealed).await);
        let found = copy
            .credentials()
            .find(credential.access_key_id.as_str())
            .unwrap();
        assert_eq!(found.secret.expose(), credential.secret.expose());
        drop(copy);

        let again = restore(
            &backup,
            &backup_key,
            &place(elsewhere.path(), &new_root_key),
        );
        let told = matches!(
            again,
            Err(BackupError::Store(StoreError::AlreadyInitialised { .. }))
        );
        assert!(told, "{again:?}");
    }
}

fn place(data_dir: &Path, root_key: &RootKeySource) -> StorePlace {
    StorePlace::folder(data_dir, root_key.clone())
}

#[test]
fn a_part_of_many_keys_is_the_first_of_those_that_are_wanted() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    let ids: Vec<ExternalKeyId> = (0..2_000)
        .map(|number| ExternalKeyId::try_from(&*format!("k{number:05}")).unwrap())
        .collect();
    administration
        .create_keys(&ids, Usages::EncryptDecrypt)
        .unwrap();
    assert_eq!(administration.key_count(), 2_000);
    let mut seen: Vec<ExternalKeyId> = Vec::new();
    loop {
        let after = seen.last().cloned();
        let wanted = |id: &ExternalKeyId| after.as_ref().is_none_or(|after| id > after);
        let part = administration.keys_where(wanted, 300);
        if part.is_empty() {
            break;
        }
        assert!(part.len() <= 300);
        assert!(part.iter().all(|(id, info)| info.id == id.as_str()));
        seen.extend(part.into_iter().map(|(id, _)| id));
    }
    assert_eq!(seen, ids);
    let even = |id: &ExternalKeyId| id.as_str().ends_with("00");
    let hundreds = administration.keys_where(even, 1_000);
    assert_eq!(hundreds.len(), 20);
    assert!(administration.keys_where(|_| true, 0).is_empty());
}
