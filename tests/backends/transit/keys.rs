//! Versions, policies, and keys that are no external keys.

use std::time::{Duration, Instant};

use serde_json::json;
use xks_api::message::KeyStatus;
use xks_proxy::key_manager::transit::{Login, Transit};
use xks_proxy::key_manager::{KeyManager as _, KeyManagerError};

use super::backend::{
    decrypts, encrypt, resolve, rotate, seal, settings, tenant, token_file, version, with_token,
};

#[tokio::test]
async fn a_rotation_shows_up_without_a_restart() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let (mut settings, _folder) = with_token(&tenant, "1h");
    settings.key_max_age = Duration::from_secs(2);
    let transit = Transit::open("x", settings).unwrap();
    let before = encrypt(&transit, "k").await.unwrap();
    assert_eq!(version(&before), 1);
    rotate(&tenant, "k");
    let rotated = Instant::now();
    let after = loop {
        let sealed = encrypt(&transit, "k").await.unwrap();
        if version(&sealed) == 2 {
            break sealed;
        }
        assert!(
            rotated.elapsed() < Duration::from_secs(20),
            "still version 1"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for sealed in [before, after] {
        assert!(decrypts(&transit, "k", &sealed).await.unwrap());
    }
}

#[tokio::test]
async fn a_version_below_min_decryption_version_is_an_invalid_state() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let (settings, _folder) = with_token(&tenant, "1h");
    let transit = Transit::open("x", settings).unwrap();
    let old = encrypt(&transit, "k").await.unwrap();
    rotate(&tenant, "k");
    tenant.post(
        "transit/keys/k/config",
        &json!({"min_decryption_version": 2}),
    );
    let refused = decrypts(&transit, "k", &old).await;
    assert!(
        matches!(refused, Err(KeyManagerError::InvalidState)),
        "{refused:?}"
    );
    tenant.post(
        "transit/keys/k/config",
        &json!({"min_decryption_version": 1}),
    );
    assert!(decrypts(&transit, "k", &old).await.unwrap());
}

#[tokio::test]
async fn a_pinned_version_that_may_not_encrypt_any_more_fails_once() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let (settings, _folder) = with_token(&tenant, "1h");
    let transit = Transit::open("x", settings).unwrap();
    let pinned = resolve(&transit, "k").await.unwrap();
    rotate(&tenant, "k");
    tenant.post(
        "transit/keys/k/config",
        &json!({"min_encryption_version": 2}),
    );
    let refused = seal(&*pinned).await;
    assert!(
        matches!(refused, Err(KeyManagerError::Unavailable(_))),
        "{refused:?}"
    );
    // What is known of the key was thrown away: the next request does not wait for it to grow old.
    assert_eq!(version(&encrypt(&transit, "k").await.unwrap()), 2);
}

#[tokio::test]
async fn a_missing_test_key_is_told_with_the_command_that_makes_it() {
    let Some(tenant) = tenant() else { return };
    let (mut settings, _folder) = with_token(&tenant, "1h");
    settings.test_key = "forgotten".try_into().unwrap();
    let transit = Transit::open("x", settings).unwrap();
    let missing = transit.test_key().await.map(|_| ());
    let Err(KeyManagerError::Unavailable(cause)) = missing else {
        panic!("{missing:?}");
    };
    let command = "`bao write -f transit/keys/forgotten type=aes256-gcm96`";
    assert!(cause.to_string().contains(command), "{cause}");
    assert!(!tenant.has_key("forgotten"));
    tenant.create_key("forgotten");
    transit.test_key().await.map(|_| ()).unwrap();
}

#[tokio::test]
async fn a_missing_key_stays_missing() {
    let Some(tenant) = tenant() else { return };
    let (settings, _folder) = with_token(&tenant, "1h");
    let transit = Transit::open("x", settings).unwrap();
    let missing = resolve(&transit, "k").await.map(|_| ());
    assert!(
        matches!(missing, Err(KeyManagerError::UnknownKey)),
        "{missing:?}"
    );
    assert!(!tenant.has_key("k"));
    // Deleted while the proxy works with it.
    tenant.create_key("k");
    let key = resolve(&transit, "k").await.unwrap();
    let sealed = seal(&*key).await.unwrap();
    tenant.post("transit/keys/k/config", &json!({"deletion_allowed": true}));
    tenant.call("DELETE", "transit/keys/k", &json!(null));
    let missing = seal(&*key).await;
    assert!(
        matches!(missing, Err(KeyManagerError::UnknownKey)),
        "{missing:?}"
    );
    assert!(!tenant.has_key("k"));
    let missing = decrypts(&transit, "k", &sealed).await;
    assert!(
        matches!(missing, Err(KeyManagerError::UnknownKey)),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_token_that_may_create_keys_is_refused() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let policy = harness::openbao::shipped_policy();
    let policy = policy.replacen("\"update\"]", "\"update\", \"create\"]", 1);
    tenant.post("sys/policies/acl/too-much", &json!({"policy": policy}));
    let folder = harness::temp_dir();
    let file = token_file(&folder);
    for token in [
        tenant.token(&["too-much"], "1h"),
        tenant.bao.root_token.clone(),
    ] {
        std::fs::write(&file, token).unwrap();
        let settings = settings(&tenant, Login::TokenFile(file.clone()));
        let transit = Transit::open("x", settings).unwrap();
        let refused = encrypt(&transit, "k").await;
        let Err(KeyManagerError::Unavailable(cause)) = refused else {
            panic!("{refused:?}");
        };
        assert!(cause.to_string().contains("may create"), "{cause}");
    }
    let (settings, _folder) = with_token(&tenant, "1h");
    let transit = Transit::open("x", settings).unwrap();
    encrypt(&transit, "k").await.unwrap();
}

#[tokio::test]
async fn what_the_policy_does_not_allow_is_no_fault_of_the_caller() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let policy = "path \"transit/keys/+\" { capabilities = [\"read\"] }\n\
                  path \"transit/decrypt/+\" { capabilities = [\"update\"] }\n\
                  path \"auth/token/lookup-self\" { capabilities = [\"read\"] }";
    tenant.post("sys/policies/acl/too-little", &json!({"policy": policy}));
    let folder = harness::temp_dir();
    let file = token_file(&folder);
    std::fs::write(&file, tenant.token(&["too-little"], "1h")).unwrap();
    let transit = Transit::open("x", settings(&tenant, Login::TokenFile(file))).unwrap();
    let refused = encrypt(&transit, "k").await;
    let Err(KeyManagerError::Unavailable(cause)) = refused else {
        panic!("{refused:?}");
    };
    let cause = cause.to_string();
    assert!(
        cause.contains("permission denied") && cause.contains("transit/encrypt/k"),
        "{cause}"
    );
}

#[tokio::test]
async fn keys_of_other_types_are_no_external_keys() {
    let Some(tenant) = tenant() else { return };
    let (settings, _folder) = with_token(&tenant, "1h");
    let transit = Transit::open("x", settings).unwrap();
    for (name, body) in [
        ("aes128", json!({"type": "aes128-gcm96"})),
        ("xchacha20", json!({"type": "xchacha20-poly1305"})),
        ("ed25519", json!({"type": "ed25519"})),
        ("derived", json!({"type": "aes256-gcm96", "derived": true})),
        (
            "convergent",
            json!({"type": "aes256-gcm96", "derived": true, "convergent_encryption": true}),
        ),
    ] {
        tenant.post(&format!("transit/keys/{name}"), &body);
        let refused = resolve(&transit, name).await.map(|_| ());
        assert!(
            matches!(refused, Err(KeyManagerError::UnknownKey)),
            "{name}: {refused:?}"
        );
    }
    let exportable = json!({"type": "aes256-gcm96", "exportable": true});
    tenant.post("transit/keys/exportable", &exportable);
    encrypt(&transit, "exportable").await.unwrap();
}

#[tokio::test]
async fn a_soft_deleted_key_is_disabled_until_it_is_restored() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let (mut settings, _folder) = with_token(&tenant, "1h");
    settings.key_max_age = Duration::ZERO;
    let transit = Transit::open("x", settings).unwrap();
    let before = resolve(&transit, "k").await.unwrap();
    let sealed = seal(&*before).await.unwrap();
    tenant.call("DELETE", "transit/keys/k/soft-delete", &json!(null));
    let refused = seal(&*before).await;
    assert!(
        matches!(refused, Err(KeyManagerError::InvalidState)),
        "{refused:?}"
    );
    let refused = decrypts(&transit, "k", &sealed).await;
    assert!(
        matches!(refused, Err(KeyManagerError::InvalidState)),
        "{refused:?}"
    );
    let key = resolve(&transit, "k").await.unwrap();
    assert_eq!(key.status(), KeyStatus::Disabled);
    tenant.post("transit/keys/k/soft-delete-restore", &json!({}));
    assert!(decrypts(&transit, "k", &sealed).await.unwrap());
    assert_eq!(
        resolve(&transit, "k").await.unwrap().status(),
        KeyStatus::Enabled
    );
}

#[tokio::test]
async fn names_differ_by_case() {
    let Some(tenant) = tenant() else { return };
    tenant.create_key("k");
    let (settings, _folder) = with_token(&tenant, "1h");
    let transit = Transit::open("x", settings).unwrap();
    resolve(&transit, "k").await.unwrap();
    let other = resolve(&transit, "K").await.map(|_| ());
    assert!(
        matches!(other, Err(KeyManagerError::UnknownKey)),
        "{other:?}"
    );
}
