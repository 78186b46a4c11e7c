//! Moving a keyring to another folder.

use std::cell::RefCell;

use xks_api::ids::UriPathPrefix;

use super::super::{MigrateError, Migrated, migrate};
use super::{Embedded, Folder, Usages, id, opens, place, seal};

#[tokio::test]
async fn everything_moves_to_a_new_store_and_to_an_empty_one() {
    for empty in [false, true] {
        let (folder, root_key) = Folder::initialised(Folder::key_file);
        let embedded = folder.open(&root_key).unwrap();
        let administration = embedded.administration();
        let both = Usages::EncryptDecrypt;
        administration.create_key(&id("a"), both).unwrap();
        let sealed = seal(&embedded, "a").await;
        administration.rotate_key(&id("a")).unwrap();
        administration.create_key(&id("b"), both).unwrap();
        let prefix = UriPathPrefix::try_from("/a").unwrap();
        let credential = administration.create_credential(&prefix).unwrap();
        let (keys, credentials) = (administration.keys(), administration.credentials());
        drop((embedded, administration));

        let target = Folder::empty();
        let new_root_key = target.key_file();
        if empty {
            Embedded::init(target.path(), &new_root_key).unwrap();
        }
        let progress = RefCell::new(Vec::new());
        let migrated = migrate(
            place(folder.path(), &root_key),
            &place(target.path(), &new_root_key),
            |done, total| progress.borrow_mut().push((done, total)),
        );
        let expected = Migrated {
            keys: 2,
            versions: 3,
            credentials: 1,
        };
        assert_eq!(migrated.unwrap(), expected);
        assert_eq!(progress.into_inner(), [(1, 3), (2, 3), (3, 3)]);
        let embedded = target.open(&new_root_key).unwrap();
        assert_eq!(embedded.administration().keys(), keys);
        assert_eq!(embedded.administration().credentials(), credentials);
        assert!(opens(&embedded, "a", &sealed).await);
        let found = embedded
            .credentials()
            .find(credential.access_key_id.as_str());
        assert_eq!(found.unwrap().secret.expose(), credential.secret.expose());
    }
}

#[test]
fn a_store_with_a_key_or_a_credential_in_it_stays_as_it_is() {
    let (folder, root_key) = Folder::initialised(Folder::key_file);
    let embedded = folder.open(&root_key).unwrap();
    let administration = embedded.administration();
    administration
        .create_key(&id("moved"), Usages::None)
        .unwrap();
    drop((embedded, administration));
    for with_key in [true, false] {
        let (target, new_root_key) = Folder::initialised(Folder::key_file);
        let embedded = target.open(&new_root_key).unwrap();
        let administration = embedded.administration();
        match with_key {
            true => drop(
                administration
                    .create_key(&id("kept"), Usages::None)
                    .unwrap(),
            ),
            false => drop(
                administration
                    .create_credential(&UriPathPrefix::default())
                    .unwrap(),
            ),
        }
        let before = (administration.keys(), administration.credentials());
        drop((embedded, administration));
        let new = place(target.path(), &new_root_key);
        let result = migrate(place(folder.path(), &root_key), &new, |_, _| {});
        assert!(matches!(result, Err(MigrateError::NotEmpty)), "{result:?}");
        let embedded = target.open(&new_root_key).unwrap();
        let administration = embedded.administration();
        assert_eq!(
            (administration.keys(), administration.credentials()),
            before
        );
    }
}
