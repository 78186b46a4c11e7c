//! What an external key store answers, and how soon, while its key manager has a full disk, cannot be reached, or shows
//! an expired certificate; that health tells, that the store beside it is not slowed, and that service returns by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use harness::byte_counter::ByteCounter;
use harness::openbao::{OpenBao, Tenant};
use harness::postgres::Postgres;
use harness::{backend, certificates, wait_for};

use crate::transit::transit_table;
use crate::two_stores::{Answered, Proxy, Tried, initialize};

#[test]
fn an_openbao_whose_disk_is_full_serves_nobody_and_loses_nothing() {
    let Some(bao) = there("OpenBao on a small disk", OpenBao::start_on_small_disk()) else {
        return;
    };
    let _alone = crate::alone();
    let Bao {
        mut proxy,
        tenant,
        relay: _relay,
    } = Bao::serve(bao);
    works(&proxy);
    let before = proxy.tried.encrypt();

    tenant.bao.disk().fill();
    // It audits every request, or does not answer it.
    fails_in_time(&proxy, "InternalException");
    fails_with(&proxy.tried.decrypt(&before), "InternalException");
    turns(&proxy, "UNAVAILABLE");

    tenant.bao.disk().free();
    works(&proxy);
    assert_eq!(proxy.tried.decrypt(&before).status, 200);
    proxy.has_not_panicked();
}

#[test]
fn an_expired_certificate_of_openbao_is_refused_until_it_is_renewed() {
    let Some(bao) = there("OpenBao end to end", OpenBao::start()) else {
        return;
    };
    let _alone = crate::alone();
    let Bao {
        mut proxy,
        tenant,
        relay,
    } = Bao::serve(bao);
    works(&proxy);
    let before = proxy.tried.encrypt();

    let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    tenant
        .bao
        .replace_certificate(&certificates::server_valid_until(yesterday));
    wait_for("the end of the old certificate", LIMIT, || {
        // An open connection has been judged already; a certificate counts for new ones.
        relay.cut();
        (proxy.tried.encrypt().status != 200).then_some(())
    });
    fails_in_time(&proxy, "InternalException");
    fails_with(&proxy.tried.decrypt(&before), "InternalException");
    turns(&proxy, "UNAVAILABLE");
    log_says(&proxy, "certificate expired");

    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    tenant
        .bao
        .replace_certificate(&certificates::server_valid_until(tomorrow));
    works(&proxy);
    assert_eq!(proxy.tried.decrypt(&before).status, 200);
    proxy.has_not_panicked();
}

#[test]
fn a_database_whose_disk_is_full_refuses_changes_and_loses_none() {
    let Some(postgres) = there(
        "PostgreSQL on a small disk",
        Postgres::start_on_small_disk(),
    ) else {
        return;
    };
    let _alone = crate::alone();
    let Database {
        mut proxy,
        postgres,
        relay: _relay,
    } = Database::serve(postgres);
    works(&proxy);
    let before = proxy.tried.encrypt();

    postgres.disk().fill();
    let mut acknowledged = BTreeSet::new();
    let mut refusals = 0;
    // There is room for some changes in files that are there already.
    for number in 0..CHANGES {
        let name = format!("key-{number}");
        let (made, told) = create(&proxy, &name);
        match made {
            true => drop(acknowledged.insert(name)),
            false => {
                assert!(!told.contains("panicked"), "{told}");
                refusals += 1;
            }
        }
        // Requests are answered from memory all the while.
        assert_eq!(proxy.tried.round_trip(), Ok(()));
        if refusals == 3 {
            break;
        }
    }
    assert_eq!(refusals, 3, "{} changes on a full disk", acknowledged.len());
    assert_eq!(proxy.tried.decrypt(&before).status, 200);
    assert_eq!(proxy.embedded.round_trip(), Ok(()));

    postgres.disk().free();
    // Out of room for its log, PostgreSQL gives up; somebody starts it again.
    if postgres.is_gone() {
        postgres.kill();
        postgres.launch();
    }
    wait_for("a change", LIMIT, || {
        create(&proxy, "afterwards").0.then_some(())
    });
    works(&proxy);
    let (listed, keys) = proxy.command(&["key", "list", "--json", "--key-manager", "tried"]);
    assert!(listed, "{keys}");
    for name in &acknowledged {
        assert!(
            keys.contains(&format!("\"{name}\"")),
            "{name} is lost: {keys}"
        );
    }
    proxy.has_not_panicked();
}

#[test]
fn a_database_that_nothing_reaches_is_done_without_until_the_snapshot_is_too_old() {
    let Some(postgres) = there("PostgreSQL end to end", Postgres::start()) else {
        return;
    };
    let _alone = crate::alone();
    let Database {
        mut proxy,
        postgres: _postgres,
        relay,
    } = Database::serve(postgres);
    works(&proxy);
    let before = proxy.tried.encrypt();

    // Nothing is refused and nothing ends: no packet comes through.
    relay.stall();
    let answered = proxy.tried.encrypt();
    assert_eq!(answered.status, 200, "{answered:?}");
    let (made, told) = create(&proxy, "meanwhile");
    assert!(!made, "{told}");
    wait_for("the end of the snapshot", LIMIT, || {
        (proxy.tried.encrypt().status != 200).then_some(())
    });
    fails_in_time(&proxy, "InternalException");
    fails_with(&proxy.tried.decrypt(&before), "InternalException");
    turns(&proxy, "UNAVAILABLE");
    log_says(&proxy, "snapshot_max_age");

    relay.resume();
    works(&proxy);
    assert_eq!(proxy.tried.decrypt(&before).status, 200);
    wait_for("a change", LIMIT, || {
        create(&proxy, "afterwards").0.then_some(())
    });
    proxy.has_not_panicked();
}

#[test]
fn an_expired_certificate_of_a_database_is_refused_until_it_is_renewed() {
    let Some(postgres) = there("PostgreSQL end to end", Postgres::start()) else {
        return;
    };
    let _alone = crate::alone();
    let Database {
        mut proxy,
        postgres,
        relay,
    } = Database::serve(postgres);
    works(&proxy);
    let before = proxy.tried.encrypt();

    let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    postgres.replace_certificate(&certificates::server_valid_until(yesterday));
    let told = wait_for("the end of the old certificate", LIMIT, || {
        relay.cut();
        let (made, told) = create(&proxy, "meanwhile");
        (!made && told.contains("expired")).then_some(told)
    });
    assert!(told.contains("nothing was changed"), "{told}");
    wait_for("the end of the snapshot", LIMIT, || {
        (proxy.tried.encrypt().status != 200).then_some(())
    });
    fails_in_time(&proxy, "InternalException");
    fails_with(&proxy.tried.decrypt(&before), "InternalException");
    turns(&proxy, "UNAVAILABLE");

    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    postgres.replace_certificate(&certificates::server_valid_until(tomorrow));
    works(&proxy);
    assert_eq!(proxy.tried.decrypt(&before).status, 200);
    wait_for("a change", LIMIT, || {
        create(&proxy, "afterwards").0.then_some(())
    });
    proxy.has_not_panicked();
}

/// A store on OpenBao, which is behind a relay.
struct Bao {
    proxy: Proxy,
    tenant: Tenant,
    relay: ByteCounter,
}

impl Bao {
    fn serve(bao: OpenBao) -> Self {
        let tenant = Tenant::root_of(Arc::new(bao));
        for key in ["payments", "xks-proxy-test"] {
            tenant.create_key(key);
        }
        let relay = ByteCounter::start(tenant.bao.address);
        let tried = Tried {
            table: &transit_table(&format!("https://{}", relay.address())),
            key: "payments",
            limits: "",
            environment: &[],
        };
        let token = tenant.token(&["xks-proxy"], "1h");
        let proxy = Proxy::start(&tried, |folder| {
            std::fs::write(folder.join("bao-token"), token).expect("a file in a folder of ours");
        });
        Self {
            proxy,
            tenant,
            relay,
        }
    }
}

/// A store on a keyring in PostgreSQL, which is behind a relay.
struct Database {
    proxy: Proxy,
    postgres: Postgres,
    relay: ByteCounter,
}

impl Database {
    fn serve(postgres: Postgres) -> Self {
        let relay = ByteCounter::start(([127, 0, 0, 1], postgres.port()).into());
        let table = format!(
            "type = \"postgres\"\ndata_dir = \"fleet\"\nurl = \"{}\"\npassword_file = \"{}\"\nca_file = \"{}\"\n\
             poll_interval = \"200ms\"\nsnapshot_max_age = \"3s\"\n",
            postgres.url_at(relay.address().port()),
            postgres.password_file().display(),
            postgres.ca_file().display(),
        );
        let tried = Tried {
            table: &table,
            key: "payments",
            limits: "",
            environment: &[],
        };
        let proxy = Proxy::start(&tried, |folder| initialize(folder, &[]));
        Self {
            proxy,
            postgres,
            relay,
        }
    }
}

fn create(proxy: &Proxy, key: &str) -> (bool, String) {
    proxy.command(&["key", "create", key, "--key-manager", "tried"])
}

/// Encrypts and decrypts, and says that it does.
fn works(proxy: &Proxy) {
    for store in [&proxy.tried, &proxy.embedded] {
        wait_for("service, by itself", LIMIT, || store.round_trip().ok());
        wait_for("health", LIMIT, || {
            (store.health() != "UNAVAILABLE").then_some(())
        });
    }
}

/// Answers this error in time for KMS, and the store beside it works in time.
fn fails_in_time(proxy: &Proxy, error: &str) {
    let mut answers = Vec::new();
    for _ in 0..20 {
        let answer = proxy.tried.encrypt();
        fails_with(&answer, error);
        answers.push(answer.took);
        // Too late, it would be a DependencyTimeoutException.
        assert_eq!(proxy.embedded.round_trip(), Ok(()));
    }
    answers.sort();
    // Not the slowest ones: others use this machine, too.
    assert!(answers[15] < Duration::from_millis(250), "{answers:?}");
    assert_eq!(proxy.embedded.health(), "ACTIVE");
}

fn fails_with(answer: &Answered, error: &str) {
    assert!(answer.is(500, error), "{answer:?}");
}

/// What health says within its period.
fn turns(proxy: &Proxy, status: &str) {
    wait_for(status, LIMIT, || {
        (proxy.tried.health() == status).then_some(())
    });
}

fn log_says(proxy: &Proxy, text: &str) {
    wait_for(text, LIMIT, || {
        proxy.process.outputs().contains(text).then_some(())
    });
}

fn there<T>(name: &str, started: Result<T, String>) -> Option<T> {
    started
        .map_err(|reason| backend::missing(name, &reason))
        .ok()
}

/// More than a full disk takes.
const CHANGES: usize = 400;
const LIMIT: Duration = Duration::from_secs(60);
