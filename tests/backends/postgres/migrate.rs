//! A keyring moves to PostgreSQL and back, and nothing is replaced.

use xks_api::ids::UriPathPrefix;
use xks_api::message::KeyStatus;
use xks_proxy::key_manager::embedded::{
    Embedded, MigrateError, StorePlace, Usages, VersionState, migrate,
};

use super::{Fleet, decrypts, encrypt, id, shared, status};

#[test]
fn a_keyring_moves_there_and_back() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::unprepared(server);
    let local = |name: &str| {
        StorePlace::folder(
            &fleet.path().join(name),
            fleet.root_key(&format!("{name}.key")),
        )
    };
    Embedded::init_at(&local("old")).unwrap();
    let old = Embedded::open_at(local("old")).unwrap();
    let admin = old.administration();
    for name in ["a", "b", "disabled"] {
        admin.create_key(&id(name), Usages::EncryptDecrypt).unwrap();
    }
    let first = encrypt(&old, "a").unwrap();
    admin.rotate_key(&id("a")).unwrap();
    let second = encrypt(&old, "a").unwrap();
    admin.rotate_key(&id("a")).unwrap();
    admin
        .set_version_state(&id("a"), 2, VersionState::Retired)
        .unwrap();
    admin
        .set_key_status(&id("disabled"), KeyStatus::Disabled)
        .unwrap();
    let prefix = UriPathPrefix::try_from("/tenant").unwrap();
    let credential = admin.create_credential(&prefix).unwrap();
    let keys = admin.keys();
    admin.close();
    drop((admin, old));

    let same = |embedded: &Embedded| {
        assert_eq!(embedded.administration().keys(), keys);
        assert!(decrypts(embedded, "a", &first) && !decrypts(embedded, "a", &second));
        assert_eq!(status(embedded, "disabled"), Some(KeyStatus::Disabled));
        let found = embedded
            .credentials()
            .find(credential.access_key_id.as_str())
            .unwrap();
        assert!(found.secret.expose() == credential.secret.expose());
        assert_eq!(found.uri_path_prefix, prefix);
    };
    let told = std::cell::RefCell::new(Vec::new());
    let moved = migrate(local("old"), &fleet.place("a"), |done, of| {
        told.borrow_mut().push((done, of));
    })
    .unwrap();
    assert_eq!((moved.keys, moved.versions, moved.credentials), (3, 5, 1));
    assert_eq!(*told.borrow(), [(1, 4), (2, 4), (3, 4), (4, 4)]);
    same(&fleet.open("b"));
    // The old one is as it was.
    same(&Embedded::open_at(local("old")).unwrap());

    // An empty store that is there already will do, too.
    Embedded::init_at(&local("new")).unwrap();
    let back = migrate(fleet.place("c"), &local("new"), |_, _| {}).unwrap();
    assert_eq!(back, moved);
    same(&Embedded::open_at(local("new")).unwrap());

    let again = migrate(local("new"), &fleet.place("c"), |_, _| {});
    assert!(matches!(again, Err(MigrateError::NotEmpty)), "{again:?}");
    let again = migrate(fleet.place("c"), &local("old"), |_, _| {});
    assert!(matches!(again, Err(MigrateError::NotEmpty)), "{again:?}");
}
