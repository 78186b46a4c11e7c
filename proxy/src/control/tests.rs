//! Blocks through everything that happens to a store.

use std::fs;
use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;

use super::{
    BlockTarget, Blocks, ControlError, ControlStore as _, NewBlock, PendingRequest, Scope, Scopes,
    StateDir, approvals, block, list_blocks, unblock,
};
use crate::key_manager::embedded::{
    AdminError, BackupSeal, Embedded, RootKeySource, StorePlace, Usages, migrate, restore,
};

fn blocked(blocks: &Blocks, key: &str) -> bool {
    let (prefix, key) = ("/a".try_into().unwrap(), key.try_into().unwrap());
    blocks.any()
        && blocks
            .find(&prefix, Some(&key), OffsetDateTime::now_utc())
            .is_some()
}

fn place(folder: &Path) -> StorePlace {
    StorePlace::folder(folder, RootKeySource::File(folder.join("root.key")))
}

fn scopes(embedded: &Embedded) -> Scopes {
    Scopes {
        scopes: vec![Scope {
            key_managers: vec!["embedded".into()],
            store: Some(embedded.administration()),
            keyring: None,
            open: Vec::new(),
        }],
        prefixes: None,
    }
}

fn new(target: &str) -> NewBlock {
    NewBlock {
        target: BlockTarget::try_from(target).unwrap(),
        reason: "drill".into(),
        by: "alice".into(),
        until: None,
    }
}

#[test]
fn a_block_goes_where_the_keyring_goes() {
    let folder = tempfile::tempdir().unwrap();
    let home = place(folder.path());
    Embedded::init_at(&home).unwrap();
    let embedded = Embedded::open_at(home.clone()).unwrap();
    let administration = embedded.administration();
    administration
        .create_key(&"a".try_into().unwrap(), Usages::EncryptDecrypt)
        .unwrap();
    assert!(!embedded.blocks().any());
    let scopes = scopes(&embedded);
    let outcome = block(&scopes, new("a"), Duration::ZERO, &|_, _| Ok(())).unwrap();
    assert_eq!((outcome.done.len(), outcome.failed.len()), (1, 0));
    assert!(blocked(&embedded.blocks(), "a") && !blocked(&embedded.blocks(), "b"));
    administration.rotate_root_key(None).unwrap();
    let key = administration.key(&"a".try_into().unwrap()).unwrap();
    assert_eq!(key.blocks, list_blocks(&scopes));

    let backup_key = RootKeySource::File(folder.path().join("backup.key"));
    let (seal, header) = BackupSeal::new(&backup_key).unwrap();
    let backup = header.with(&administration.export_backup(&seal).unwrap());
    drop((administration, embedded, scopes));
    let embedded = Embedded::open_at(home.clone()).unwrap();
    assert!(blocked(&embedded.blocks(), "a"), "after a restart");
    drop(embedded);

    let [restored, moved] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    restore(&backup, &backup_key, &place(restored.path())).unwrap();
    migrate(home, &place(moved.path()), |_, _| {}).unwrap();
    for folder in [restored, moved] {
        let embedded = Embedded::open_at(place(folder.path())).unwrap();
        assert!(blocked(&embedded.blocks(), "a"));
        let scopes = self::scopes(&embedded);
        let target = new("a").target;
        unblock(&scopes, &target, Duration::ZERO).unwrap();
        assert!(!embedded.blocks().any());
        let again = unblock(&scopes, &target, Duration::ZERO);
        assert!(matches!(again, Err(ControlError::NotBlocked(_))));
    }
}

#[test]
fn a_state_folder_keeps_blocks_and_tells_damage() {
    let folder = tempfile::tempdir().unwrap();
    let scopes = |state_dir| Scopes {
        scopes: vec![Scope {
            key_managers: vec!["hsm".into()],
            store: Some(std::sync::Arc::new(state_dir)),
            keyring: None,
            open: Vec::new(),
        }],
        prefixes: None,
    };
    let state_dir = StateDir::open(folder.path()).unwrap();
    let held = StateDir::open(folder.path()).map(drop);
    assert!(matches!(held, Err(ControlError::Held { .. })));
    let open = scopes(state_dir);
    for target in ["/a", "b"] {
        block(&open, new(target), Duration::ZERO, &|_, _| Ok(())).unwrap();
    }
    drop(open);
    let state_dir = StateDir::open(folder.path()).unwrap();
    let blocks = state_dir.control().blocks();
    assert!(blocked(&blocks, "c"), "the prefix");
    let open = scopes(state_dir);
    unblock(&open, &new("/a").target, Duration::ZERO).unwrap();
    assert!(blocked(&blocks, "b") && !blocked(&blocks, "c"));
    drop(open);
    let file = folder.path().join("control.json");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    let damaged = StateDir::open(folder.path()).map(drop);
    assert!(matches!(damaged, Err(ControlError::Damaged { .. })));
}

#[test]
fn a_block_that_is_over_is_no_block_and_goes_with_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = std::sync::Arc::new(StateDir::open(folder.path()).unwrap());
    let open = Scopes {
        scopes: vec![Scope {
            key_managers: vec!["hsm".into()],
            store: Some(state_dir.clone()),
            keyring: None,
            open: Vec::new(),
        }],
        prefixes: None,
    };
    let now = OffsetDateTime::now_utc();
    let past = NewBlock {
        until: Some(now - Duration::from_secs(1)),
        ..new("a")
    };
    let refused = block(&open, past, Duration::ZERO, &|_, _| Ok(()));
    assert!(matches!(refused, Err(ControlError::Over)));
    let soon = NewBlock {
        until: Some(now + Duration::from_millis(1_100)),
        ..new("a")
    };
    block(&open, soon, Duration::ZERO, &|_, _| Ok(())).unwrap();
    let blocks = state_dir.control().blocks();
    let prefix = "/a".try_into().unwrap();
    let key = "a".try_into().unwrap();
    assert!(blocks.find(&prefix, Some(&key), now).is_some());
    let later = now + Duration::from_secs(2);
    assert!(blocks.find(&prefix, Some(&key), later).is_none());
    std::thread::sleep(Duration::from_millis(1_200));
    block(&open, new("b"), Duration::ZERO, &|_, _| Ok(())).unwrap();
    assert_eq!(state_dir.control().records().len(), 1);
}

#[test]
fn a_request_that_nobody_approved_in_time_is_void_and_goes_with_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = std::sync::Arc::new(StateDir::open(folder.path()).unwrap());
    let open = Scopes {
        scopes: vec![Scope {
            key_managers: vec!["hsm".into()],
            store: Some(state_dir.clone()),
            keyring: None,
            open: Vec::new(),
        }],
        prefixes: None,
    };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let asked = |expires| PendingRequest {
        operation: "delete-key".into(),
        of: "a".into(),
        key_manager: None,
        requested_by: "alice".into(),
        expires,
        approved_by: None,
        command: None,
    };
    let late = approvals::request(&open, &asked(now)).unwrap();
    assert_eq!(state_dir.control().records().len(), 1);
    assert!(approvals::pending(&open).is_empty());
    let allowed = |_: &PendingRequest| Ok(());
    for refused in [
        approvals::mark(&open, &late, "bob", allowed),
        approvals::take(&open, &late, allowed),
    ] {
        let Err(AdminError::Control(ControlError::NoSuchRequest(id))) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(id, late);
    }

    let early = approvals::request(&open, &asked(now + 60)).unwrap();
    assert_eq!(
        state_dir.control().records().len(),
        1,
        "the void one is gone"
    );
    assert_eq!(approvals::pending(&open).len(), 1);
    approvals::mark(&open, &early, "bob", allowed).unwrap();
    approvals::take(&open, &early, allowed).unwrap();
    assert!(approvals::take(&open, &early, allowed).is_err(), "once");
}
