//! A store is opened whole, newest and under its root key, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use redb::{ReadableTable as _, TableDefinition};
use tempfile::TempDir;
use time::OffsetDateTime;
use xks_api::ids::{AccessKeyId, ExternalKeyId};
use xks_api::message::KeyStatus;

use super::super::cipher::random_material;
use super::super::record::{CredentialRecord, KeyRecord, Usages, VersionState};
use super::super::root_key::{RootKeyError, RootKeySource};
use super::{Change, Contents, Store, StoreError};

/// A data folder that is removed at the end.
struct Folder(TempDir);

impl Folder {
    /// With a store that has had `commits` commits of one key each.
    fn with_keys(commits: usize) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        Store::create(folder.path(), &folder.root_key(), &Contents::default()).unwrap();
        let (mut store, _) = folder.open().unwrap();
        for number in 0..commits {
            store.put(&format!("key-{number}"));
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn root_key(&self) -> RootKeySource {
        RootKeySource::File(self.file("root.key"))
    }

    fn open(&self) -> Result<(Store, Contents), StoreError> {
        Store::open(self.path(), &self.root_key())
    }

    fn refusal(&self) -> StoreError {
        match self.open() {
            Ok(_) => panic!("the store opened"),
            Err(error) => error,
        }
    }
}

impl Store {
    fn put(&mut self, id: &str) {
        let record = KeyRecord::new(
            Usages::EncryptDecrypt,
            random_material().unwrap(),
            OffsetDateTime::UNIX_EPOCH,
        );
        self.commit(&[Change::PutKey(&key_id(id), &record)])
            .unwrap();
    }
}

fn key_id(text: &str) -> ExternalKeyId {
    text.try_into().unwrap()
}

#[test]
fn what_was_committed_is_there_again() {
    let folder = Folder::with_keys(0);
    let (mut store, contents) = folder.open().unwrap();
    assert!(contents.keys.is_empty() && contents.credentials.is_empty());
    let (first, second) = (random_material().unwrap(), random_material().unwrap());
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let mut key = KeyRecord::new(Usages::Decrypt, first.clone(), now);
    assert!(key.rotate(second.clone(), now));
    key.earlier[0].state = VersionState::Retired;
    key.status = KeyStatus::Disabled;
    let credential = CredentialRecord {
        uri_path_prefix: "/a/b".try_into().unwrap(),
        secret: "s".repeat(43).as_str().try_into().unwrap(),
        created: now,
    };
    let access_key_id = AccessKeyId::try_from("ABCDEFGHIJKLMNOP2345").unwrap();
    store
        .commit(&[
            Change::PutKey(&key_id("k"), &key),
            Change::PutCredential(&access_key_id, &credential),
        ])
        .unwrap();
    store.put("gone");
    store.commit(&[Change::RemoveKey(&key_id("gone"))]).unwrap();
    drop(store);

    let (store, contents) = folder.open().unwrap();
    let read_again = store.key(&key_id("k")).unwrap().unwrap();
    assert!(store.key(&key_id("gone")).unwrap().is_none());
    assert_eq!(contents.keys.len(), 1);
    for key in [&contents.keys[&key_id("k")], &read_again] {
        assert_eq!(key.usages, Usages::Decrypt);
        assert_eq!(key.status, KeyStatus::Disabled);
        assert_eq!(key.created, now);
        assert_eq!(key.earlier.len(), 1);
        assert_eq!(key.earlier[0].state, VersionState::Retired);
        assert!(key.earlier[0].material == first && key.current.material == second);
    }
    let credential = &contents.credentials[&access_key_id];
    assert_eq!(credential.uri_path_prefix.as_str(), "/a/b");
    assert_eq!(credential.secret.expose(), "s".repeat(43));
}

#[test]
fn files_are_for_their_owner_alone_and_hold_no_material() {
    let folder = Folder::with_keys(0);
    let (mut store, _) = folder.open().unwrap();
    let material = random_material().unwrap();
    let record = KeyRecord::new(Usages::None, material.clone(), OffsetDateTime::UNIX_EPOCH);
    store
        .commit(&[Change::PutKey(&key_id("k"), &record)])
        .unwrap();
    drop(store);
    for name in ["root.key", "store.redb", "generation"] {
        let mode = fs::metadata(folder.file(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
        let bytes = fs::read(folder.file(name)).unwrap();
        assert!(
            !bytes.windows(32).any(|window| window == *material),
            "{name}"
        );
    }
}

#[test]
fn a_folder_without_a_store_is_told_from_one_that_lost_it() {
    let folder = Folder(tempfile::tempdir().unwrap());
    assert!(matches!(
        folder.refusal(),
        StoreError::NotInitialised { .. }
    ));
    let nowhere = folder.file("nowhere");
    let result = Store::open(&nowhere, &folder.root_key());
    assert!(matches!(result, Err(StoreError::NotInitialised { .. })));

    let folder = Folder::with_keys(1);
    fs::remove_file(folder.file("store.redb")).unwrap();
    assert!(matches!(folder.refusal(), StoreError::Missing { .. }));
    let again = Store::create(folder.path(), &folder.root_key(), &Contents::default());
    assert!(matches!(again, Err(StoreError::Missing { .. })));
}

/// Not even root may write this file.
#[test]
fn a_store_that_the_system_does_not_let_it_open_is_not_called_damaged() {
    let folder = Folder::with_keys(1);
    let path = folder.file("store.redb");
    fs::rename(&path, folder.file("kept")).unwrap();
    std::os::unix::fs::symlink("/proc/sys/kernel/ostype", &path).unwrap();
    let error = folder.refusal();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = folder.refusal();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    fs::remove_dir(&path).unwrap();
    fs::rename(folder.file("kept"), &path).unwrap();
    assert_eq!(folder.open().unwrap().1.keys.len(), 1);
}

#[test]
fn an_interrupted_init_is_repeated_and_a_finished_one_is_not() {
    let folder = Folder::with_keys(0);
    let first = fs::read(folder.file("generation")).unwrap();
    let again = Store::create(folder.path(), &folder.root_key(), &Contents::default());
    assert!(matches!(again, Err(StoreError::AlreadyInitialised { .. })));

    // As it is before the store gets its name: generation 0, and a half-written store beside it.
    let mut unfinished = first;
    unfinished[17..25].fill(0);
    fs::write(folder.file("generation"), unfinished).unwrap();
    fs::rename(folder.file("store.redb"), folder.file("store.redb.tmp")).unwrap();
    assert!(matches!(
        folder.refusal(),
        StoreError::InitUnfinished { .. }
    ));
    Store::create(folder.path(), &folder.root_key(), &Contents::default()).unwrap();
    folder.open().unwrap();
}

#[test]
fn another_root_key_does_not_open_the_store() {
    let folder = Folder::with_keys(1);
    let other = Folder::with_keys(0);
    fs::copy(other.file("root.key"), folder.file("root.key")).unwrap();
    let error = folder.refusal();
    assert!(matches!(error, StoreError::WrongRootKey { .. }), "{error}");
}

#[test]
fn a_foreign_store_is_recognized_with_and_without_its_root_key() {
    let folder = Folder::with_keys(1);
    let other = Folder::with_keys(3);
    fs::copy(other.file("store.redb"), folder.file("store.redb")).unwrap();
    assert!(matches!(folder.refusal(), StoreError::Foreign { .. }));
    fs::copy(other.file("root.key"), folder.file("root.key")).unwrap();
    assert!(matches!(folder.refusal(), StoreError::Foreign { .. }));
}

#[test]
fn an_older_copy_is_recognized_and_accepted_only_knowingly() {
    let folder = Folder::with_keys(1);
    fs::copy(folder.file("store.redb"), folder.file("copy")).unwrap();
    folder.open().unwrap().0.put("later");
    fs::copy(folder.file("copy"), folder.file("store.redb")).unwrap();
    match folder.refusal() {
        StoreError::Older {
            found, expected, ..
        } => assert_eq!((found, expected), (2, 3)),
        other => panic!("{other}"),
    }
    Store::accept(folder.path(), &folder.root_key()).unwrap();
    assert_eq!(folder.open().unwrap().1.keys.len(), 1);
}

#[test]
fn a_copy_that_was_changed_elsewhere_is_recognized() {
    let folder = Folder::with_keys(1);
    fs::copy(folder.file("store.redb"), folder.file("copy")).unwrap();
    folder.open().unwrap().0.put("here");
    let generation = fs::read(folder.file("generation")).unwrap();
    fs::copy(folder.file("copy"), folder.file("store.redb")).unwrap();
    Store::accept(folder.path(), &folder.root_key()).unwrap();
    folder.open().unwrap().0.put("there");
    fs::write(folder.file("generation"), generation).unwrap();
    assert!(matches!(
        folder.refusal(),
        StoreError::Diverged { generation: 3, .. }
    ));
}

#[test]
fn a_crash_between_commit_and_generation_file_loses_nothing() {
    let folder = Folder::with_keys(1);
    let generation = fs::read(folder.file("generation")).unwrap();
    folder.open().unwrap().0.put("later");
    fs::write(folder.file("generation"), &generation).unwrap();
    assert_eq!(folder.open().unwrap().1.keys.len(), 2);
    assert_ne!(
        fs::read(folder.file("generation")).unwrap(),
        generation,
        "brought up to date"
    );
}

#[test]
fn a_generation_file_that_is_gone_or_changed_is_recognized() {
    let folder = Folder::with_keys(1);
    let good = fs::read(folder.file("generation")).unwrap();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        fs::write(folder.file("generation"), bad).unwrap();
        let error = folder.refusal();
        let told = matches!(
            error,
            StoreError::Generation { .. } | StoreError::Foreign { .. }
        );
        assert!(told, "{index}: {error}");
    }
    for len in 0..good.len() {
        fs::write(folder.file("generation"), &good[..len]).unwrap();
        assert!(
            matches!(folder.refusal(), StoreError::Generation { .. }),
            "{len}"
        );
    }
    fs::remove_file(folder.file("generation")).unwrap();
    assert!(matches!(folder.refusal(), StoreError::Generation { .. }));
    Store::accept(folder.path(), &folder.root_key()).unwrap();
    folder.open().unwrap();
}

#[test]
fn a_second_opening_is_refused_while_the_first_lasts() {
    let folder = Folder::with_keys(0);
    let first = folder.open().unwrap();
    assert!(matches!(folder.refusal(), StoreError::Held { .. }));
    drop(first);
    folder.open().unwrap();
}

/// What a damaged file may do: be refused, or (a byte that no page uses) open with everything in it.
///
/// Returns whether it was refused.
fn refused_or_whole(folder: &Folder, keys: usize, what: &str) -> bool {
    match folder.open() {
        Ok((_, contents)) => {
            assert_eq!(contents.keys.len(), keys, "{what}");
            false
        }
        Err(StoreError::Damaged { .. } | StoreError::Older { .. }) => true,
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn a_truncated_store_is_never_opened_with_less_in_it() {
    let folder = Folder::with_keys(3);
    let good = fs::read(folder.file("store.redb")).unwrap();
    let generation = fs::read(folder.file("generation")).unwrap();
    let page = 4096;
    let lens = (0..good.len())
        .step_by(page)
        .flat_map(|len| [len, len + 1, len + page / 2])
        .take(60)
        .chain([good.len() - 1]);
    for len in lens {
        fs::write(folder.file("store.redb"), &good[..len]).unwrap();
        fs::write(folder.file("generation"), &generation).unwrap();
        refused_or_whole(&folder, 3, &format!("{len} of {}", good.len()));
    }
}

#[test]
fn a_flipped_byte_never_opens_a_store_with_less_in_it() {
    let folder = Folder::with_keys(3);
    let good = fs::read(folder.file("store.redb")).unwrap();
    let generation = fs::read(folder.file("generation")).unwrap();
    // The database's header, and bytes that are not zero with a stride, so that all kinds of pages are met.
    let written: Vec<_> = (0..good.len()).filter(|&index| good[index] != 0).collect();
    let stride = written.len() / 50;
    let mut refused = 0;
    for index in (0..320)
        .step_by(11)
        .chain(written.into_iter().step_by(stride))
    {
        let mut bad = good.clone();
        bad[index] ^= 0x55;
        fs::write(folder.file("store.redb"), bad).unwrap();
        fs::write(folder.file("generation"), &generation).unwrap();
        refused += usize::from(refused_or_whole(&folder, 3, &format!("byte {index}")));
    }
    assert!(refused > 5, "{refused}");
}

#[test]
fn a_flipped_byte_of_any_record_is_damage() {
    let folder = Folder::with_keys(2);
    let good = fs::read(folder.file("store.redb")).unwrap();
    let mut records = Vec::new();
    for table in ["store", "keys"] {
        let database = redb::Database::open(folder.file("store.redb")).unwrap();
        let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
        let table = TableDefinition::<&str, &[u8]>::new(table);
        let table = transaction.open_table(table).unwrap();
        for entry in table.iter().unwrap() {
            let (name, value) = entry.unwrap();
            records.push((name.value().to_owned(), value.value().to_vec()));
        }
    }
    assert_eq!(records.len(), 5);
    for (name, record) in records {
        for offset in [0, record.len() / 2, record.len() - 1] {
            let mut bad = good.clone();
            let mut copies = 0;
            for at in 0..good.len() - record.len() {
                if good[at..].starts_with(&record) {
                    bad[at + offset] ^= 1;
                    copies += 1;
                }
            }
            assert!(copies > 0, "{name}");
            fs::write(folder.file("store.redb"), bad).unwrap();
            let error = folder.refusal();
            assert!(
                matches!(error, StoreError::Damaged { .. }),
                "{name}: {error}"
            );
        }
    }
}

/// Records of one store moved about by someone who can write the file, checksums and all.
#[test]
fn a_record_cannot_stand_for_another_or_come_back() {
    const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
    fn edit(folder: &Folder, change: impl FnOnce(&mut redb::Table<'_, &str, &[u8]>)) {
        let database = redb::Database::open(folder.file("store.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&mut transaction.open_table(KEYS).unwrap());
        transaction.commit().unwrap();
    }
    let damaged = |folder: &Folder| assert!(matches!(folder.refusal(), StoreError::Damaged { .. }));

    let folder = Folder::with_keys(2);
    edit(&folder, |table| {
        let record = table.get("key-0").unwrap().unwrap().value().to_vec();
        table.insert("key-1", &*record).unwrap();
    });
    damaged(&folder);

    let folder = Folder::with_keys(2);
    edit(&folder, |table| drop(table.remove("key-1").unwrap()));
    damaged(&folder);

    let folder = Folder::with_keys(1);
    let mut before = Vec::new();
    {
        let (mut store, contents) = folder.open().unwrap();
        let enabled = &contents.keys[&key_id("key-0")];
        let mut disabled = KeyRecord::decode(&enabled.encode()).unwrap();
        disabled.status = KeyStatus::Disabled;
        drop(store);
        let database = redb::Database::open(folder.file("store.redb")).unwrap();
        let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
        let keys = transaction.open_table(KEYS).unwrap();
        before.extend_from_slice(keys.get("key-0").unwrap().unwrap().value());
        drop((keys, transaction, database));
        store = folder.open().unwrap().0;
        store
            .commit(&[Change::PutKey(&key_id("key-0"), &disabled)])
            .unwrap();
    }
    edit(&folder, |table| {
        drop(table.insert("key-0", &*before).unwrap())
    });
    damaged(&folder);
}

/// Every opening adds up all records anew: it finds what a commit added up wrongly.
#[test]
fn the_sum_that_commits_keep_up_is_the_one_of_all_records() {
    let folder = Folder::with_keys(3);
    let (mut store, contents) = folder.open().unwrap();
    let record = |status| {
        let mut record = KeyRecord::decode(&contents.keys[&key_id("key-0")].encode()).unwrap();
        record.status = status;
        record
    };
    let (disabled, enabled) = (record(KeyStatus::Disabled), record(KeyStatus::Enabled));
    let (first, second, fresh) = (key_id("key-0"), key_id("key-1"), key_id("key-9"));
    for changes in [
        // Replaced twice in one commit, replaced again, removed and made again, removed without being there.
        vec![
            Change::PutKey(&first, &disabled),
            Change::PutKey(&first, &enabled),
        ],
        vec![Change::PutKey(&first, &disabled)],
        vec![
            Change::RemoveKey(&second),
            Change::PutKey(&second, &enabled),
            Change::RemoveKey(&fresh),
        ],
        vec![Change::RemoveKey(&second)],
    ] {
        store.commit(&changes).unwrap();
        drop(store);
        store = folder.open().unwrap().0;
    }
    drop(store);
    assert_eq!(folder.open().unwrap().1.keys.len(), 2);
}

#[test]
fn a_root_key_file_that_others_may_read_or_of_another_length_is_refused() {
    let folder = Folder::with_keys(1);
    let path = folder.file("root.key");
    for mode in [0o640, 0o604, 0o660, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = folder.refusal();
        let StoreError::RootKey(RootKeyError::Mode { found, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(found, mode);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    folder.open().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for len in [0, 31, 33, 64] {
        fs::write(&path, vec![7; len]).unwrap();
        let error = folder.refusal();
        let told = matches!(error, StoreError::RootKey(RootKeyError::Length { .. }));
        assert!(told, "{error}");
    }
    fs::remove_file(&path).unwrap();
    let error = folder.refusal();
    assert!(matches!(
        error,
        StoreError::RootKey(RootKeyError::Missing { .. })
    ));
}

#[test]
fn a_root_key_of_another_user_is_refused() {
    let folder = Folder::with_keys(0);
    let path = if rustix::process::geteuid().is_root() {
        let path = folder.file("root.key");
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        path
    } else {
        "/etc/passwd".into() // root's, on every machine
    };
    let result = Store::open(folder.path(), &RootKeySource::File(path));
    let told = matches!(result, Err(StoreError::RootKey(RootKeyError::Owner { .. })));
    assert!(told);
}
