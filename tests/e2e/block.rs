//! The kill switch: a block holds from the next request on, whoever holds the keys, through a restart and until its time
//! is over; a fleet confirms it; what cannot be written is not claimed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::byte_counter::ByteCounter;
use harness::openbao::{OpenBao, Tenant};
use harness::postgres::Postgres;
use harness::small_disk::SmallDisk;
use harness::softhsm::SoftHsm;
use harness::{backend, wait_for};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::transit::transit_table;
use crate::two_stores::{Answered, Proxy, Store, Tried, initialize};

#[test]
fn blocks_hold_for_keys_of_a_token_and_of_a_folder() {
    let Some(token) = there("SoftHSM end to end", SoftHsm::prepare()) else {
        return;
    };
    let _alone = crate::alone();
    let mut proxy = on_token(&token, "");
    blocks_hold(&mut proxy, 2);
}

#[test]
fn blocks_hold_for_keys_of_transit() {
    let Some(bao) = there("OpenBao end to end", OpenBao::start()) else {
        return;
    };
    let _alone = crate::alone();
    let tenant = Tenant::root_of(Arc::new(bao));
    for key in ["payments", "xks-proxy-test"] {
        tenant.create_key(key);
    }
    let table = transit_table(&format!("https://{}", tenant.bao.address));
    let tried = Tried {
        table: &format!("{table}timeout = \"4s\"\n"),
        key: "payments",
        limits: "key_manager_timeout = \"5s\"",
        environment: &[],
    };
    let token = tenant.token(&["xks-proxy"], "1h");
    let mut proxy = Proxy::start(&tried, |folder| {
        std::fs::write(folder.join("bao-token"), token).expect("a file in a folder of ours");
    });
    blocks_hold(&mut proxy, 2);
}

#[test]
fn blocks_hold_for_keys_in_a_database() {
    let Some(postgres) = there("PostgreSQL end to end", Postgres::start()) else {
        return;
    };
    let _alone = crate::alone();
    let mut proxy = in_database(&postgres, postgres.port(), "15m", |folder| {
        initialize(folder, &[]);
    });
    blocks_hold(&mut proxy, 2);
    // It is in the keyring: a key that is shown tells of it.
    says(&proxy, &["block", "payments", "--reason", "lost laptop"]);
    let shown = says(
        &proxy,
        &["key", "show", "payments", "--key-manager", "tried"],
    );
    assert!(shown.contains("BLOCKED since "), "{shown}");
    assert!(shown.contains(": lost laptop"), "{shown}");
    let listed = says(&proxy, &["key", "list", "--key-manager", "tried"]);
    assert!(listed.contains("BLOCKED"), "{listed}");
}

#[test]
fn a_fleet_confirms_a_block_and_a_proxy_that_is_cut_off_is_named() {
    let Some(postgres) = there("PostgreSQL end to end", Postgres::start()) else {
        return;
    };
    let _alone = crate::alone();
    let first = in_database(&postgres, postgres.port(), MAX_AGE, |folder| {
        initialize(folder, &[]);
    });
    // The second one reaches the database through a link that can be cut.
    let link = ByteCounter::start(([127, 0, 0, 1], postgres.port()).into());
    let root_key = first.folder.path().join("fleet/root.key");
    let mut second = in_database(&postgres, link.address().port(), MAX_AGE, |folder| {
        std::fs::create_dir(folder.join("fleet")).expect("a folder of ours");
        std::fs::copy(&root_key, folder.join("fleet/root.key")).expect("the root key");
    });
    for proxy in [&first, &second] {
        works(&proxy.tried);
    }

    // Both there: each has confirmed before the command returns.
    let block = ["block", "/tried", "--reason", "drill", "--json"];
    let (done, told) = first.command(&block);
    assert!(done, "{told}");
    let outcome = &json_of(&told)["outcome"];
    assert_eq!(
        outcome["confirmed"].as_array().map(Vec::len),
        Some(2),
        "{told}"
    );
    assert_eq!(outcome["unconfirmed"], serde_json::json!([]), "{told}");
    is_blocked(&second.tried.encrypt());
    says(&second, &["unblock", "/tried"]);
    works(&first.tried);

    // One of them cut off: the block is made, and it is told who has not confirmed, and until when it may serve.
    link.stall();
    let began = OffsetDateTime::now_utc();
    let (done, told) = first.command(&[&block[..], &["--wait", "2"]].concat());
    assert!(!done, "{told}");
    let outcome = &json_of(&told)["outcome"];
    assert_eq!(
        outcome["confirmed"].as_array().map(Vec::len),
        Some(1),
        "{told}"
    );
    let unconfirmed = outcome["unconfirmed"].as_array().expect("a list").clone();
    assert_eq!(unconfirmed.len(), 1, "{told}");
    assert_eq!(unconfirmed[0]["alive"], true);
    let until = unconfirmed[0]["may_serve_until"].as_str().expect("a time");
    let until = OffsetDateTime::parse(until, &Rfc3339).expect("RFC 3339");
    let bound = until - began;
    assert!(
        (8..=12).contains(&bound.whole_seconds()),
        "{bound} for a snapshot of {MAX_AGE}"
    );
    is_blocked(&first.tried.encrypt());
    // That one does not know it yet, and serves nothing any more once the time is over.
    works(&second.tried);
    while OffsetDateTime::now_utc() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let answer = second.tried.encrypt();
    assert!(answer.is(500, "InternalException"), "{answer:?}");
    link.resume();
    link.cut();
    wait_for("the block", LIMIT, || {
        let answer = second.tried.encrypt();
        answer.is(400, "InvalidStateException").then_some(())
    });
    second.has_not_panicked();
}

#[test]
fn a_block_that_cannot_be_written_is_not_claimed() {
    let Some(token) = there("SoftHSM end to end", SoftHsm::prepare()) else {
        return;
    };
    let _alone = crate::alone();
    let folder = harness::temp_dir();
    let Some(disk) = there("a full disk", SmallDisk::mount(folder.path(), 1, None)) else {
        return;
    };
    let state_dir = format!("state_dir = \"{}\"", folder.path().display());
    let mut proxy = on_token(&token, &state_dir);
    disk.fill();
    let (done, told) = proxy.command(&["block", "/tried", "--reason", "drill"]);
    assert!(!done && told.contains("is not blocked in tried"), "{told}");
    works(&proxy.tried);
    // Of two, the one that can be made is; and it is told which is not.
    let (done, told) = proxy.command(&["block", "all", "--reason", "drill", "--json"]);
    assert!(!done, "{told}");
    let outcome = &json_of(&told)["outcome"];
    assert_eq!(outcome["done"], serde_json::json!(["embedded"]));
    assert_eq!(outcome["failed"][0][0], "tried");
    is_blocked(&proxy.embedded.encrypt());
    works(&proxy.tried);
    disk.free();
    says(&proxy, &["block", "all", "--reason", "drill"]);
    is_blocked(&proxy.tried.encrypt());
    proxy.has_not_panicked();
    proxy.process.terminate();
    proxy.process.wait(LIMIT);
}

/// Every kind of block, on both external key stores of a proxy with so many kinds of key managers.
fn blocks_hold(proxy: &mut Proxy, kinds: usize) {
    works(&proxy.tried);
    works(&proxy.embedded);
    let before = proxy.tried.encrypt();

    // A key: it alone, in both operations, and its metadata.
    says(proxy, &["block", "payments", "--reason", "lost laptop"]);
    is_blocked(&proxy.tried.encrypt());
    is_blocked(&proxy.tried.decrypt(&before));
    is_blocked(&proxy.tried.key_metadata());
    assert_ne!(proxy.tried.health(), "UNAVAILABLE");
    works(&proxy.embedded);
    let listed = says(proxy, &["blocks", "--json"]);
    let listed = json_of(&listed);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["target"], "payments");
    assert_eq!(listed[0]["reason"], "lost laptop");
    let by = format!("uid {}", rustix::process::getuid().as_raw());
    assert_eq!(listed[0]["by"], by);

    // It outlives the process, and another one with a prefix is beside it.
    proxy.restart();
    is_blocked(&proxy.tried.encrypt());
    says(proxy, &["block", "/tried", "--reason", "contract ended"]);
    is_blocked(&proxy.tried.get_health_status());
    says(proxy, &["unblock", "payments"]);
    is_blocked(&proxy.tried.encrypt());
    says(proxy, &["unblock", "/tried"]);
    works(&proxy.tried);
    assert_eq!(proxy.tried.decrypt(&before).status, 200);

    // Everything, made while no server runs.
    proxy.process.terminate();
    proxy.process.wait(LIMIT);
    let (done, told) = proxy.command(&["block", "all", "--reason", "under attack", "--json"]);
    assert!(done, "{told}");
    let done = json_of(&told)["outcome"]["done"].clone();
    assert_eq!(done.as_array().map(Vec::len), Some(kinds), "{told}");
    proxy.restart();
    for store in [&proxy.tried, &proxy.embedded] {
        is_blocked(&store.encrypt());
        is_blocked(&store.get_health_status());
    }
    says(proxy, &["unblock", "all"]);
    works(&proxy.tried);
    works(&proxy.embedded);

    // Until its time is over.
    let began = Instant::now();
    says(
        proxy,
        &["block", "/tried", "--reason", "drill", "--until", "2s"],
    );
    is_blocked(&proxy.tried.encrypt());
    wait_for("the end of the block", LIMIT, || {
        (proxy.tried.encrypt().status == 200).then_some(())
    });
    // Kept to the second.
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(says(proxy, &["blocks", "--json"]).trim(), "[]");

    // A slip of the keyboard is not taken for a block.
    for (target, expected) in [
        ("/tired", "no external key store has the prefix /tired"),
        ("payment", "no key manager has a key payment"),
    ] {
        let (done, told) = proxy.command(&["block", target, "--reason", "drill"]);
        assert!(!done && told.contains(expected), "{told}");
    }
    let (done, told) = proxy.command(&["unblock", "payments"]);
    assert!(!done && told.contains("payments is not blocked"), "{told}");
    // Whose doing it was is in the log.
    wait_for("the log", LIMIT, || {
        let log = proxy.process.outputs();
        let line = log.lines().find(|line| {
            line.contains("administered") && line.contains("block") && line.contains("/tried")
        });
        line.filter(|line| line.contains(&by)).map(drop)
    });
    proxy.has_not_panicked();
}

fn works(store: &Store) {
    wait_for("service", LIMIT, || store.round_trip().ok());
}

fn is_blocked(answer: &Answered) {
    assert!(answer.is(400, "InvalidStateException"), "{answer:?}");
}

fn says(proxy: &Proxy, arguments: &[&str]) -> String {
    let (done, told) = proxy.command(arguments);
    assert!(done, "{arguments:?}: {told}");
    told
}

fn json_of(told: &str) -> Value {
    let mut values = serde_json::Deserializer::from_str(told).into_iter();
    let value = values.next().and_then(Result::ok);
    value.unwrap_or_else(|| panic!("no JSON: {told}"))
}

fn on_token(token: &SoftHsm, more: &str) -> Proxy {
    for key in ["payments", "xks-proxy-test"] {
        token.make_key(key);
    }
    let pin = token.folder().join("pin");
    std::fs::write(&pin, SoftHsm::PIN).expect("a file in a folder of ours");
    let table = format!(
        "type = \"pkcs11\"\nlibrary = \"{}\"\ntoken_label = \"{}\"\npin_file = \"{}\"\ntimeout = \"4s\"\n",
        token.library().display(),
        SoftHsm::TOKEN,
        pin.display()
    );
    let tried = Tried {
        table: &table,
        key: "payments",
        limits: "key_manager_timeout = \"5s\"",
        environment: &[("SOFTHSM2_CONF", token.configuration())],
    };
    Proxy::start(&tried, |folder| {
        let path = folder.join("two-stores.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        std::fs::write(&path, format!("{more}\n{text}")).expect("the configuration");
    })
}

fn in_database(
    postgres: &Postgres,
    port: u16,
    max_age: &str,
    prepare: impl FnOnce(&Path),
) -> Proxy {
    let table = format!(
        "type = \"postgres\"\ndata_dir = \"fleet\"\nurl = \"{}\"\npassword_file = \"{}\"\nca_file = \"{}\"\n\
         poll_interval = \"200ms\"\nsnapshot_max_age = \"{max_age}\"\n",
        postgres.url_at(port),
        postgres.password_file().display(),
        postgres.ca_file().display(),
    );
    let tried = Tried {
        table: &table,
        key: "payments",
        limits: "",
        environment: &[],
    };
    Proxy::start(&tried, prepare)
}

fn there<T>(name: &str, started: Result<T, String>) -> Option<T> {
    started
        .map_err(|reason| backend::missing(name, &reason))
        .ok()
}

const MAX_AGE: &str = "8s";
const LIMIT: Duration = Duration::from_secs(60);
