//! A database whose owner cheats: what is changed, swapped, brought back or taken away is not believed.

use std::time::Duration;

use harness::wait_for;
use xks_api::ids::UriPathPrefix;
use xks_api::message::KeyStatus;
use xks_proxy::key_manager::embedded::{Embedded, Usages};

use super::{Fleet, SOON, decrypts, encrypt, id, shared, status};

/// Each leaves manifest and rows that do not belong together, or belong to somebody else.
const FORGERIES: [(&str, &str); 11] = [
    (
        "a bit of a key",
        "UPDATE xks.keys SET value = set_byte(value, 20, get_byte(value, 20) # 1) WHERE name = 'a'",
    ),
    (
        "keys swapped",
        "UPDATE xks.keys SET value = (SELECT value FROM xks.keys other WHERE other.name <> keys.name AND other.name \
         IN ('a', 'b')) WHERE name IN ('a', 'b')",
    ),
    ("a key taken away", "DELETE FROM xks.keys WHERE name = 'a'"),
    (
        "a key renamed",
        "UPDATE xks.keys SET name = 'c' WHERE name = 'a'",
    ),
    (
        "a key twice",
        "INSERT INTO xks.keys SELECT 'c', value FROM xks.keys WHERE name = 'a'",
    ),
    ("a credential taken away", "DELETE FROM xks.credentials"),
    (
        "a key for a credential",
        "UPDATE xks.credentials SET value = (SELECT value FROM xks.keys WHERE name = 'a')",
    ),
    (
        "a bit of the header",
        "UPDATE xks.store SET value = set_byte(value, 3, get_byte(value, 3) # 1) WHERE name = 'header'",
    ),
    (
        "a bit of the manifest",
        "UPDATE xks.store SET value = set_byte(value, 30, get_byte(value, 30) # 1) WHERE name = 'manifest'",
    ),
    (
        "no manifest",
        "DELETE FROM xks.store WHERE name = 'manifest'",
    ),
    (
        "another generation key",
        "UPDATE xks.store SET value = set_byte(value, 20, get_byte(value, 20) # 1) WHERE name = 'generation key'",
    ),
];

fn with_two_keys(fleet: &Fleet) -> Embedded {
    let embedded = fleet.open("a");
    let admin = embedded.administration();
    for name in ["a", "b"] {
        admin.create_key(&id(name), Usages::EncryptDecrypt).unwrap();
    }
    let prefix = UriPathPrefix::try_from("/tenant").unwrap();
    admin.create_credential(&prefix).unwrap();
    embedded
}

const SAVE: &str = "CREATE TABLE xks.store_0 AS TABLE xks.store; CREATE TABLE xks.keys_0 AS TABLE xks.keys; \
                    CREATE TABLE xks.credentials_0 AS TABLE xks.credentials";
const BRING_BACK: &str = "BEGIN; DELETE FROM xks.store; DELETE FROM xks.keys; DELETE FROM xks.credentials; \
                          INSERT INTO xks.store TABLE xks.store_0; INSERT INTO xks.keys TABLE xks.keys_0; \
                          INSERT INTO xks.credentials TABLE xks.credentials_0; COMMIT";

#[test]
fn no_forgery_opens() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::new(server);
    let embedded = with_two_keys(&fleet);
    embedded.administration().close();
    drop(embedded);
    fleet.sql(SAVE);
    for (what, statement) in FORGERIES {
        fleet.sql(statement);
        // A machine that was never there before has nothing to compare with.
        for machine in ["a", "new"] {
            let refusal = fleet.refusal(machine);
            assert!(
                refusal.contains("without the root key"),
                "{what}: {refusal}"
            );
        }
        fleet.sql(BRING_BACK);
        // Closed, so that the next one does not find the folder in use.
        fleet.open("a").administration().close();
    }
}

#[test]
fn a_forgery_does_not_reach_a_running_proxy_and_no_commit_makes_it_good() {
    let Some(server) = shared() else { return };
    let mut fleet = Fleet::new(server);
    fleet.config.poll_interval = Duration::from_millis(200);
    let embedded = with_two_keys(&fleet);
    let other = fleet.open("b");
    let sealed = encrypt(&embedded, "a").unwrap();
    fleet.sql("DELETE FROM xks.keys WHERE name = 'a'");
    // The next change reads nothing but the manifest; what it signs is what this proxy knows.
    embedded
        .administration()
        .create_key(&id("c"), Usages::EncryptDecrypt)
        .unwrap();
    // The other has to read, and finds rows that are not those of the manifest.
    wait_for("the refusal", SOON, || {
        let refused = other.administration().rotate_key(&id("b")).err()?;
        refused
            .to_string()
            .contains("without the root key")
            .then_some(())
    });
    assert!(decrypts(&other, "a", &sealed) && decrypts(&embedded, "a", &sealed));
    assert!(fleet.refusal("new").contains("without the root key"));
}

#[test]
fn an_older_state_is_recognized_by_whoever_saw_a_newer_one() {
    let Some(server) = shared() else { return };
    let mut fleet = Fleet::new(server);
    fleet.config.poll_interval = Duration::from_millis(200);
    fleet.config.snapshot_max_age = Duration::from_secs(2);
    let embedded = with_two_keys(&fleet);
    fleet.sql(SAVE);
    let admin = embedded.administration();
    admin.set_key_status(&id("a"), KeyStatus::Disabled).unwrap();
    fleet.sql(BRING_BACK);
    // While it runs: the key stays disabled, changes are refused, and in the end nothing is served.
    let error = admin.rotate_key(&id("b")).unwrap_err().to_string();
    assert!(error.contains("older copy"), "{error}");
    wait_for("the end of the snapshot", SOON, || {
        assert_ne!(status(&embedded, "a"), Some(KeyStatus::Enabled));
        encrypt(&embedded, "b").err()
    });
    admin.close();
    drop((admin, embedded));
    // At its next start, too.
    let refusal = fleet.refusal("a");
    assert!(refusal.contains("--accept-older-store"), "{refusal}");
    Embedded::accept_older_store(&fleet.place("a")).unwrap();
    let embedded = fleet.open("a");
    assert_eq!(status(&embedded, "a"), Some(KeyStatus::Enabled));
}

#[test]
fn another_keyring_is_not_taken_for_this_one() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::new(std::sync::Arc::clone(&server));
    drop(with_two_keys(&fleet));
    // Under the same root key, so that nothing but the store's own number is different.
    let mut other = Fleet::unprepared(server);
    other.folder = fleet.folder;
    Embedded::init_at(&other.place("elsewhere")).unwrap();
    let refusal = other.refusal("a");
    assert!(refusal.contains("another one"), "{refusal}");
}

#[test]
fn without_the_root_key_nothing_opens() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::new(server);
    drop(with_two_keys(&fleet));
    let mut place = fleet.place("b");
    place.root_key = fleet.root_key("wrong.key");
    std::fs::write(fleet.path().join("wrong.key"), [1; 32]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(fleet.path().join("wrong.key"), mode).unwrap();
    let refusal = Embedded::open_at(place).err().unwrap().to_string();
    assert!(refusal.contains("does not belong"), "{refusal}");
    // What the database holds shows neither keys nor secrets: all of it is names and wrapped bytes.
    let dump = fleet.sql("SELECT string_agg(encode(value, 'hex'), '') FROM xks.credentials");
    let prefix: String = b"/tenant"
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(!dump.contains(&prefix), "{dump}");
}

#[test]
fn tables_of_a_later_program_are_left_alone() {
    let Some(server) = shared() else { return };
    let fleet = Fleet::new(server);
    fleet.sql("UPDATE xks.schema_version SET version = 99");
    let refusal = fleet.refusal("a");
    assert!(refusal.contains("version 99"), "{refusal}");
    assert_eq!(
        fleet.sql("SELECT version FROM xks.schema_version").trim(),
        "99"
    );
}
