//! What administrators are told and refused, and what happens while others change the same store.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use xks_api::fields::Aad;
use xks_api::ids::{ExternalKeyId, UriPathPrefix};
use xks_api::message::{KeyStatus, KeyUsage};
use xks_api::sealed::FramedAad;

use super::super::live::{Freshness, Live};
use super::super::record::KeyRecord;
use super::super::root_key::{Derivation, RootKey, RootKeyId};
use super::super::store::{Change, Contents, KeyringStore, PostgresError};
use super::super::{Administration, KeyInfo};
use super::{
    AdminError, Embedded, Folder, Force, RootKeySource, StoreError, StorePlace, Usages,
    VersionState, id, seal,
};
use crate::control::{ControlChange, ControlStore as _, FleetMember};
use crate::key_manager::{KeyManager as _, KeyManagerError};

#[tokio::test]
async fn a_retired_version_does_not_decrypt_until_it_is_usable_again() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    let both = Usages::EncryptDecrypt;
    administration.create_key(&id("a"), both).unwrap();
    let sealed = seal(&embedded, "a").await;
    let current = administration.set_version_state(&id("a"), 1, VersionState::Retired);
    assert!(matches!(current, Err(AdminError::CurrentVersion(_, 1))));
    administration.rotate_key(&id("a")).unwrap();
    let set = |state| {
        administration
            .set_version_state(&id("a"), 1, state)
            .unwrap()
    };
    let open = async || {
        let key = embedded.resolve(&id("a")).await.unwrap();
        let aad = FramedAad::new(&Aad::default(), &sealed.metadata);
        key.open(&sealed, &aad).await.map(drop)
    };
    assert_eq!(
        set(VersionState::Retired).versions[0].state,
        VersionState::Retired
    );
    let refused = open().await;
    assert!(
        matches!(refused, Err(KeyManagerError::InvalidState)),
        "{refused:?}"
    );
    assert_eq!(
        set(VersionState::Usable).versions[0].state,
        VersionState::Usable
    );
    open().await.unwrap();
}

#[tokio::test]
async fn a_key_shows_requests_and_administrators_what_it_was_made_with() {
    use KeyUsage::{Decrypt, Encrypt};
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    let before = OffsetDateTime::now_utc().unix_timestamp();
    for (name, usages, expected) in [
        ("none", Usages::None, vec![]),
        ("encrypt", Usages::Encrypt, vec![Encrypt]),
        ("decrypt", Usages::Decrypt, vec![Decrypt]),
        ("both", Usages::EncryptDecrypt, vec![Encrypt, Decrypt]),
    ] {
        administration.create_key(&id(name), usages).unwrap();
        let info: KeyInfo = administration.key(&id(name)).unwrap();
        assert_eq!((&*info.id, &info.usage), (name, &expected));
        assert_eq!((info.status, info.current_version), (KeyStatus::Enabled, 1));
        assert_eq!((info.versions.len(), info.versions[0].version), (1, 1));
        let format = &time::format_description::well_known::Rfc3339;
        let created = OffsetDateTime::parse(&info.created, format).unwrap();
        assert!((before..before + 60).contains(&created.unix_timestamp()));
        let key = embedded.resolve(&id(name)).await.unwrap();
        assert_eq!(
            (key.usage(), key.status()),
            (&*expected, KeyStatus::Enabled)
        );
    }
    administration.rotate_key(&id("both")).unwrap();
    let disabled = administration.set_key_status(&id("both"), KeyStatus::Disabled);
    let versions = disabled.unwrap().versions.into_iter().map(|v| v.version);
    assert_eq!(versions.collect::<Vec<_>>(), [1, 2]);
    let key = embedded.resolve(&id("both")).await.unwrap();
    assert_eq!(key.status(), KeyStatus::Disabled);
    let unknown = embedded.resolve(&id("other")).await;
    assert!(matches!(unknown, Err(KeyManagerError::UnknownKey)));
}

#[test]
fn many_keys_are_made_all_or_none() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    let ids: Vec<ExternalKeyId> = (0..3).map(|n| id(&format!("k{n}"))).collect();
    administration.create_key(&ids[2], Usages::None).unwrap();
    let exists = administration.create_keys(&ids, Usages::Decrypt);
    assert!(matches!(exists, Err(AdminError::KeyExists(taken)) if taken == ids[2]));
    assert_eq!(administration.keys().len(), 1);
    administration.delete_key(&ids[2], Force::Yes).unwrap();
    administration.create_keys(&ids, Usages::Decrypt).unwrap();
    let names: Vec<_> = administration.keys().into_iter().map(|k| k.id).collect();
    assert_eq!(names, ["k0", "k1", "k2"]);
}

#[test]
fn whoever_keeps_what_is_derived_from_a_credential_notices_each_change() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let (administration, credentials) = (embedded.administration(), embedded.credentials());
    let mut generations = vec![credentials.generation()];
    let prefix = UriPathPrefix::default();
    let made = administration.create_credential(&prefix).unwrap();
    generations.push(credentials.generation());
    administration.create_key(&id("a"), Usages::None).unwrap();
    assert_eq!(credentials.generation(), generations[1], "a key is none");
    administration
        .revoke_credential(&made.access_key_id)
        .unwrap();
    generations.push(credentials.generation());
    generations.dedup();
    assert_eq!(generations.len(), 3);
}

#[test]
fn a_change_of_what_governs_the_keys_tells_the_number_of_its_commit() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    // The first commit is that of `init`.
    administration.create_key(&id("a"), Usages::None).unwrap();
    let put = ControlChange::Put("x".into(), b"1".to_vec());
    let remove = ControlChange::Remove("x".into());
    let change = |what: &ControlChange| administration.change(&mut |_| Ok(vec![what.clone()]));
    assert_eq!(change(&put).unwrap(), 3);
    assert_eq!(administration.control().records()["x"], b"1");
    assert_eq!(change(&remove).unwrap(), 4);
    assert!(administration.control().records().is_empty());
    assert!(administration.fleet().unwrap().is_empty());
}

#[test]
fn an_older_store_is_taken_for_the_newest_once_its_owner_says_so() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    fs::remove_file(folder.file("generation")).unwrap();
    let refused = folder.open(&root_key).map(drop);
    assert!(matches!(refused, Err(StoreError::Generation { .. })));
    let place = StorePlace::folder(folder.path(), root_key.clone());
    Embedded::accept_older_store(&place).unwrap();
    folder.open(&root_key).unwrap();
}

#[test]
fn a_new_data_folder_is_for_its_owner_alone() {
    let folder = Folder::empty();
    let data_dir = folder.file("var/lib/xks");
    let root_key = folder.key_file();
    Embedded::init(&data_dir, &root_key).unwrap();
    let mode = fs::metadata(&data_dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    Embedded::open(&data_dir, root_key).unwrap();
}

/// A shared store in which other proxies are faster for the first `stale` attempts.
struct Busy {
    stale: u32,
    attempts: Arc<AtomicU32>,
    joined_and_closed: Arc<AtomicU32>,
}

impl KeyringStore for Busy {
    fn begin(&mut self) -> Result<(), StoreError> {
        let attempts = self.attempts.fetch_add(1, Ordering::Relaxed);
        assert!(attempts < 1_000, "without an end");
        Ok(())
    }

    fn commit(&mut self, _: &[Change<'_>]) -> Result<(), StoreError> {
        match self.attempts.load(Ordering::Relaxed) <= self.stale {
            true => Err(PostgresError::Stale.into()),
            false => Ok(()),
        }
    }

    fn rewrap(&mut self, _: &RootKey, _: Derivation, _: &RootKeySource) -> Result<(), StoreError> {
        self.commit(&[])
    }

    fn key(&mut self, _: &ExternalKeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(None)
    }

    fn contents(&mut self) -> Result<Contents, StoreError> {
        Ok(Contents::default())
    }

    fn root_key_id(&self) -> RootKeyId {
        RootKeyId([0; 8])
    }

    fn generation(&self) -> u64 {
        7
    }

    fn fleet(&mut self) -> Result<Vec<FleetMember>, StoreError> {
        Ok(vec![FleetMember {
            id: "other".into(),
            generation: 6,
            is_there: true,
            last_seen: OffsetDateTime::UNIX_EPOCH,
            now: OffsetDateTime::UNIX_EPOCH,
            gone_after: Duration::ZERO,
            max_age: Duration::ZERO,
        }])
    }

    fn join(&mut self) {
        self.joined_and_closed.fetch_or(1, Ordering::Relaxed);
    }

    fn close(&mut self) {
        self.joined_and_closed.fetch_or(2, Ordering::Relaxed);
    }
}

/// An administration of such a store, its attempts, and whether it was joined (1) and closed (2).
fn busy(stale: u32) -> (Administration, Arc<AtomicU32>, Arc<AtomicU32>) {
    let (attempts, joined_and_closed) = (Arc::default(), Arc::default());
    let store = Box::new(Busy {
        stale,
        attempts: Arc::clone(&attempts),
        joined_and_closed: Arc::clone(&joined_and_closed),
    });
    let live = Live::new(Contents::default(), Freshness::without_limit()).unwrap();
    let administration = Administration::new(store, RootKeySource::File("k".into()), live);
    (administration, attempts, joined_and_closed)
}

#[test]
fn an_operation_is_repeated_while_others_are_faster_but_not_for_ever() {
    for (stale, expected) in [(0, 1), (3, 4), (99, 100)] {
        let (administration, attempts, _) = busy(stale);
        let made = administration.create_credential(&UriPathPrefix::default());
        assert!(made.is_ok(), "{stale}");
        assert_eq!(attempts.load(Ordering::Relaxed), expected);
    }
    let (administration, attempts, _) = busy(u32::MAX);
    let given_up = administration.create_credential(&UriPathPrefix::default());
    let stale = PostgresError::Stale.to_string();
    assert_eq!(given_up.unwrap_err().to_string(), stale);
    assert_eq!(attempts.load(Ordering::Relaxed), 100);
}

#[test]
fn administration_hands_on_what_a_shared_store_is_for() {
    let (administration, _, joined_and_closed) = busy(0);
    assert_eq!(administration.fleet().unwrap()[0].id, "other");
    assert_eq!(administration.change(&mut |_| Ok(Vec::new())).unwrap(), 7);
    administration.join_fleet();
    assert_eq!(joined_and_closed.load(Ordering::Relaxed), 1);
    administration.close();
    assert_eq!(joined_and_closed.load(Ordering::Relaxed), 3);
}
