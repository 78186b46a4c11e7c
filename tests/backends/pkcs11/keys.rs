//! Keys that their owner makes, replaces and destroys while the proxy uses the token.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use xks_api::fields::{Aad, InitializationVector, Plaintext};
use xks_api::message::HealthStatus;
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::embedded::Usages;
use xks_proxy::key_manager::pkcs11::{
    Locator, MappedKey, MappedVersion, Pin, Settings, TokenSelector, Unlisted, Versions,
};
use xks_proxy::key_manager::{ExternalKey, InstanceHealth, KeyManager, KeyManagerError};

use super::child::in_child;
use super::{Pkcs11Backend, id};
use crate::suite::Backend as _;

#[test]
fn a_replaced_key_is_found_anew() {
    in_child(
        concat!(module_path!(), "::a_replaced_key_is_found_anew"),
        async || {
            // Handles count for long, so that only the token can say that one of them is out of date.
            let backend = Pkcs11Backend::with(|settings| {
                settings.lookup_interval = Duration::from_secs(600);
            });
            let key_id = id(Pkcs11Backend::KEY);
            let key = backend.key_manager.resolve(&key_id).await.unwrap();
            let before = seal(&*key).await.unwrap();
            backend.owner.destroy_key(Pkcs11Backend::KEY);
            backend
                .owner
                .make_key(Pkcs11Backend::KEY, Usages::EncryptDecrypt);

            let after = seal(&*key).await.unwrap();
            assert!(open(&*key, &after).await.unwrap() == plaintext());
            let lost = open(&*key, &before).await;
            assert!(matches!(lost, Err(KeyManagerError::InvalidCiphertext)));
        },
    );
}

#[test]
fn a_destroyed_key_is_unknown() {
    in_child(
        concat!(module_path!(), "::a_destroyed_key_is_unknown"),
        async || {
            let backend = Pkcs11Backend::with(|_| {});
            let key_id = id(Pkcs11Backend::KEY);
            let key = backend.key_manager.resolve(&key_id).await.unwrap();
            let sealed = seal(&*key).await.unwrap();
            backend.owner.destroy_key(Pkcs11Backend::KEY);
            let sealing = seal(&*key).await;
            assert!(matches!(sealing, Err(KeyManagerError::UnknownKey)));
            let opening = open(&*key, &sealed).await;
            assert!(matches!(opening, Err(KeyManagerError::InvalidCiphertext)));
            let resolved = backend.key_manager.resolve(&key_id).await;
            assert!(matches!(resolved, Err(KeyManagerError::UnknownKey)));
        },
    );
}

#[test]
fn two_keys_with_one_label_are_refused() {
    in_child(
        concat!(module_path!(), "::two_keys_with_one_label_are_refused"),
        async || {
            let backend = Pkcs11Backend::with(|_| {});
            backend
                .owner
                .make_key(Pkcs11Backend::KEY, Usages::EncryptDecrypt);
            let resolved = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let cause = unavailable(resolved.err().unwrap());
            assert!(cause.contains("more than one AES key"), "{cause}");
        },
    );
}

#[test]
fn listed_versions_are_used_as_listed() {
    in_child(
        concat!(module_path!(), "::listed_versions_are_used_as_listed"),
        async || {
            let version = |label: &str, retired| MappedVersion {
                locator: Locator::Label(label.to_owned()),
                retired,
            };
            let key_of = |versions: [(u32, MappedVersion); 2]| MappedKey {
                versions: Versions::Listed(BTreeMap::from(versions)),
                usages: Usages::EncryptDecrypt,
                enabled: true,
            };
            let both = [
                (3, version(Pkcs11Backend::KEY, false)),
                (9, version(Pkcs11Backend::OTHER_KEY, false)),
            ];
            let backend = Pkcs11Backend::with(|settings| {
                let listed = &mut settings.keys.listed;
                listed.insert(id("both"), key_of(both.clone()));
                let mut retired = both.clone();
                retired[1].1.retired = true;
                listed.insert(id("retired"), key_of(retired));
                let mut old = both.clone();
                old[0].1.retired = true;
                listed.insert(id("old"), key_of(old));
                settings.keys.unlisted = Unlisted::Unknown;
            });
            let resolve = async |name: &str| backend.key_manager.resolve(&id(name)).await;
            let unlisted = resolve(Pkcs11Backend::KEY).await;
            assert!(matches!(unlisted, Err(KeyManagerError::UnknownKey)));

            let key = resolve("both").await.unwrap();
            let sealed = seal(&*key).await.unwrap();
            assert_eq!(sealed.metadata.as_bytes(), [1, 0, 0, 9]);
            let key = resolve("retired").await.unwrap();
            let first = seal(&*key).await.unwrap();
            assert_eq!(first.metadata.as_bytes(), [1, 0, 0, 3]);
            let retired = open(&*key, &sealed).await;
            assert!(matches!(retired, Err(KeyManagerError::InvalidState)));
            let key = resolve("old").await.unwrap();
            let retired = open(&*key, &first).await;
            assert!(matches!(retired, Err(KeyManagerError::InvalidState)));
            assert!(open(&*key, &sealed).await.unwrap() == plaintext());
        },
    );
}

#[test]
fn a_version_that_has_encrypted_enough_is_told_of_until_the_key_is_rotated() {
    in_child(
        concat!(
            module_path!(),
            "::a_version_that_has_encrypted_enough_is_told_of_until_the_key_is_rotated"
        ),
        async || {
            let backend = Pkcs11Backend::with(|settings| settings.messages_per_version = 5);
            let key_id = id(Pkcs11Backend::KEY);
            let health = || backend.key_manager.description().instances[0].health;
            for _ in 0..5 {
                assert_eq!(health(), InstanceHealth::Probed);
                // Looked up anew each time, and counted on.
                let key = backend.key_manager.resolve(&key_id).await.unwrap();
                let sealed = seal(&*key).await.unwrap();
                open(&*key, &sealed).await.unwrap();
            }
            let degraded = InstanceHealth::AtBest(HealthStatus::Degraded);
            assert_eq!(health(), degraded);
            // It is told of, and goes on.
            let key = backend.key_manager.resolve(&key_id).await.unwrap();
            let sealed = seal(&*key).await.unwrap();
            assert_eq!(health(), degraded);

            backend.rotate(Pkcs11Backend::KEY);
            let key = backend.key_manager.resolve(&key_id).await.unwrap();
            assert_eq!(health(), InstanceHealth::Probed);
            seal(&*key).await.unwrap();
            assert!(open(&*key, &sealed).await.unwrap() == plaintext());
        },
    );
}

#[test]
fn a_wrong_pin_is_tried_once() {
    in_child(
        concat!(module_path!(), "::a_wrong_pin_is_tried_once"),
        async || {
            let backend = Pkcs11Backend::with(|settings| {
                settings.pin = Some(Pin::new("wrong-pin".to_owned()));
            });
            for _ in 0..5 {
                let failed = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
                let cause = unavailable(failed.err().unwrap());
                assert!(cause.contains("not tried again"), "{cause}");
                assert!(!cause.contains("wrong-pin"));
            }
            drop(backend);
            // SoftHSM locks a token after many attempts only; one with the right PIN still works.
            let backend = Pkcs11Backend::again(|_| {});
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            seal(&*key.unwrap()).await.unwrap();
        },
    );
}

#[test]
fn a_missing_test_key_is_told_with_the_command_that_makes_it() {
    in_child(
        concat!(
            module_path!(),
            "::a_missing_test_key_is_told_with_the_command_that_makes_it"
        ),
        async || {
            let backend = Pkcs11Backend::with(|_| {});
            backend.owner.destroy_key(Settings::TEST_KEY_LABEL);
            drop(backend);
            let backend = Pkcs11Backend::again(|_| {});
            let cause = unavailable(backend.key_manager.test_key().await.err().unwrap());
            assert!(cause.contains("pkcs11-tool --module"), "{cause}");
            assert!(cause.contains(Settings::TEST_KEY_LABEL), "{cause}");
            // A token that cannot prove that it works does not get to call a ciphertext invalid.
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let key = key.unwrap();
            let mut sealed = seal(&*key).await.unwrap();
            sealed.tag.0[0] ^= 1;
            let cause = unavailable(open(&*key, &sealed).await.err().unwrap());
            assert!(cause.contains("test key"), "{cause}");
        },
    );
}

#[test]
fn ivs_of_other_lengths_never_reach_the_token() {
    in_child(
        concat!(
            module_path!(),
            "::ivs_of_other_lengths_never_reach_the_token"
        ),
        async || {
            let backend = Pkcs11Backend::with(|_| {});
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let key = key.unwrap();
            let mut sealed = seal(&*key).await.unwrap();
            sealed.iv = InitializationVector::Bytes16([0; 16]);
            let opened = open(&*key, &sealed).await;
            assert!(matches!(opened, Err(KeyManagerError::InvalidCiphertext)));
        },
    );
}

#[test]
fn a_token_that_is_not_there_is_told_with_those_that_are() {
    in_child(
        concat!(
            module_path!(),
            "::a_token_that_is_not_there_is_told_with_those_that_are"
        ),
        async || {
            let backend = Pkcs11Backend::with(|settings| {
                settings.token = TokenSelector::Label("another".to_owned());
            });
            let failed = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let cause = unavailable(failed.err().unwrap());
            assert!(cause.contains("\"another\""), "{cause}");
            assert!(cause.contains("label \"xks\""), "{cause}");
        },
    );
}

pub(super) fn unavailable(error: KeyManagerError) -> String {
    match &error {
        KeyManagerError::Unavailable(_) => error.source().unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn seal(key: &dyn ExternalKey) -> Result<Sealed, KeyManagerError> {
    let metadata = key.metadata()?;
    let aad = FramedAad::new(&Aad::default(), &metadata);
    key.seal(&plaintext(), metadata, &aad).await
}

pub(super) async fn open(
    key: &dyn ExternalKey,
    sealed: &Sealed,
) -> Result<Plaintext, KeyManagerError> {
    key.open(sealed, &FramedAad::new(&Aad::default(), &sealed.metadata))
        .await
}

pub(super) fn plaintext() -> Plaintext {
    Plaintext::from(&b"a data key of 32 bytes, or so it"[..])
}
