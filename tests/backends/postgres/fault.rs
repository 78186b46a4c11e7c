//! A database that is killed, frozen or cut off: requests go on from memory for a while, changes fail clearly, nothing
//! that was acknowledged is lost, and everything comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::wait_for;
use xks_api::message::KeyStatus;
use xks_proxy::key_manager::KeyManagerError;
use xks_proxy::key_manager::embedded::{Embedded, Usages};

use super::{Fleet, SOON, decrypts, encrypt, id, own, status};

#[test]
fn requests_outlive_a_killed_database_and_changes_do_not() {
    let Some(server) = own() else { return };
    let fleet = Fleet::new(server);
    let (a, b) = (fleet.open("a"), fleet.open("b"));
    a.administration()
        .create_key(&id("k"), Usages::EncryptDecrypt)
        .unwrap();
    wait_for("the key", SOON, || encrypt(&b, "k").ok());

    fleet.server.kill();
    let sealed = encrypt(&a, "k").unwrap();
    assert!(decrypts(&b, "k", &sealed));
    for proxy in [&a, &b] {
        let admin = proxy.administration();
        let error = admin.rotate_key(&id("k")).unwrap_err().to_string();
        assert!(error.contains("nothing was changed"), "{error}");
        // And so it is.
        assert_eq!(admin.key(&id("k")).unwrap().current_version, 1);
    }

    fleet.server.launch();
    wait_for("a change", SOON, || {
        a.administration().rotate_key(&id("k")).ok()
    });
    let rotated = encrypt(&a, "k").unwrap();
    wait_for("the change on the other", SOON, || {
        decrypts(&b, "k", &rotated).then_some(())
    });
}

#[test]
fn a_frozen_database_is_waited_for_with_an_end() {
    let Some(server) = own() else { return };
    let fleet = Fleet::new(server);
    let a = fleet.open("a");
    let admin = a.administration();
    admin.create_key(&id("k"), Usages::EncryptDecrypt).unwrap();

    fleet.server.freeze();
    let started = Instant::now();
    let error = admin.rotate_key(&id("k")).unwrap_err().to_string();
    assert!(started.elapsed() < Duration::from_secs(40), "{error}");
    assert!(error.contains("nothing was changed"), "{error}");
    // Requests do not wait for it at all.
    let started = Instant::now();
    for _ in 0..100 {
        encrypt(&a, "k").unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(2));

    fleet.server.thaw();
    let before = admin.key(&id("k")).unwrap().current_version;
    assert_eq!(before, 1);
    wait_for("a change", Duration::from_secs(30), || {
        admin.rotate_key(&id("k")).ok()
    });
}

#[test]
fn an_expired_snapshot_is_not_served_and_comes_back() {
    let Some(server) = own() else { return };
    let mut fleet = Fleet::new(server);
    fleet.config.snapshot_max_age = Duration::from_secs(2);
    fleet.config.poll_interval = Duration::from_millis(200);
    let (a, b) = (fleet.open("a"), fleet.open("b"));
    for name in ["k", "disabled"] {
        let admin = a.administration();
        admin.create_key(&id(name), Usages::EncryptDecrypt).unwrap();
    }
    wait_for("the keys", SOON, || encrypt(&b, "disabled").ok());
    // As long as the database answers, the snapshot does not grow old.
    thread::sleep(Duration::from_secs(3));
    encrypt(&b, "k").unwrap();

    fleet.server.kill();
    let error = wait_for("the end of the snapshot", SOON, || encrypt(&b, "k").err());
    assert!(matches!(error, KeyManagerError::Unavailable(_)), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("snapshot_max_age"), "{source}");
    // The probe that GetHealthStatus tells the result of is refused, too.
    let test_key = super::wait(xks_proxy::key_manager::KeyManager::test_key(&b));
    assert!(matches!(test_key, Err(KeyManagerError::Unavailable(_))));

    fleet.server.launch();
    wait_for("requests", SOON, || encrypt(&b, "k").ok());
    wait_for("a disabled key", SOON, || {
        let admin = a.administration();
        admin
            .set_key_status(&id("disabled"), KeyStatus::Disabled)
            .ok()
    });
    wait_for("it on the other", SOON, || {
        (status(&b, "disabled") == Some(KeyStatus::Disabled)).then_some(())
    });
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill() {
    let Some(server) = own() else { return };
    let fleet = Fleet::new(server);
    let embedded = Arc::new(fleet.open("a"));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (embedded, stop) = (Arc::clone(&embedded), Arc::clone(&stop));
        thread::spawn(move || {
            let admin = embedded.administration();
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("k-{number}");
                if admin.create_key(&id(&name), Usages::EncryptDecrypt).is_ok() {
                    acknowledged.push(name);
                }
            }
            acknowledged
        })
    };
    for pause in [150, 350, 250] {
        thread::sleep(Duration::from_millis(pause));
        fleet.server.kill();
        fleet.server.launch();
        let before = embedded.administration().keys().len();
        wait_for("another key", SOON, || {
            (embedded.administration().keys().len() > before).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged = writer.join().unwrap();
    assert!(acknowledged.len() > 3, "{acknowledged:?}");
    let fresh = fleet.open("b");
    for name in &acknowledged {
        let sealed = encrypt(&embedded, name).unwrap();
        assert!(decrypts(&fresh, name, &sealed), "{name}");
    }
}

#[test]
fn a_lost_connection_is_made_again_with_the_password_of_now() {
    let Some(server) = own() else { return };
    let mut fleet = Fleet::new(server);
    fleet.config.poll_interval = Duration::from_millis(200);
    let password = fleet.path().join("password");
    std::fs::copy(fleet.server.password_file(), &password).unwrap();
    fleet.config.password_file = Some(password.clone());
    let embedded = fleet.open("a");
    fleet.sql("ALTER USER xks PASSWORD 'another-password'");
    fleet.sql_with(
        "another-password",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'xks-proxy'",
    );
    let admin = embedded.administration();
    let refused = wait_for("the refusal", SOON, || {
        admin.create_key(&id("k"), Usages::Encrypt).err()
    });
    assert!(refused.to_string().contains("password"), "{refused}");
    std::fs::write(&password, "another-password").unwrap();
    wait_for("a change", SOON, || {
        admin.create_key(&id("l"), Usages::Encrypt).ok()
    });
}

#[test]
fn a_proxy_that_stops_in_the_middle_of_a_change_holds_up_nobody_for_long() {
    let Some(server) = own() else { return };
    let fleet = Fleet::new(server);
    let embedded = fleet.open("a");
    let admin = embedded.administration();
    admin.create_key(&id("k"), Usages::EncryptDecrypt).unwrap();
    // A transaction that has the manifest's row and does not end, as a stopped proxy's would not.
    let fleet = Arc::new(fleet);
    let holder = {
        let fleet = Arc::clone(&fleet);
        thread::spawn(move || {
            fleet.sql(
                "SET idle_in_transaction_session_timeout = '6s'; BEGIN; SELECT 1 FROM xks.store WHERE name = \
                 'manifest' FOR UPDATE; SELECT pg_sleep(3); COMMIT",
            )
        })
    };
    wait_for("a change", Duration::from_secs(30), || {
        admin.rotate_key(&id("k")).ok()
    });
    holder.join().unwrap();
}

#[test]
fn a_dropped_key_manager_leaves_no_connection() {
    let Some(server) = own() else { return };
    let fleet = Fleet::new(server);
    let connections = || {
        let count =
            fleet.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'xks-proxy'");
        count.trim().parse::<u32>().unwrap()
    };
    for _ in 0..3 {
        let embedded = wait_for("the folder", SOON, || {
            Embedded::open_at(fleet.place("a")).ok()
        });
        embedded.administration().join_fleet();
        assert!(connections() >= 1);
        drop(embedded);
        wait_for("no connection", SOON, || (connections() == 0).then_some(()));
    }
    assert_eq!(fleet.sql("SELECT count(*) FROM xks.proxies").trim(), "0");
}

#[test]
fn tls_takes_no_server_but_the_right_one() {
    let Some(server) = own() else { return };
    let mut fleet = Fleet::new(server);
    let ca = harness::certificates::path("foreign-ca.crt.pem");
    fleet.config.ca_file = Some(ca);
    let refusal = fleet.refusal("a");
    assert!(refusal.contains("UnknownIssuer"), "{refusal}");
    assert!(refusal.contains("no CA in ca_file"), "{refusal}");
    let embedded = fleet.open_plain("a");
    let tls = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = \
               'xks-proxy' AND ssl";
    assert_eq!(fleet.sql(tls).trim(), "0");
    drop(embedded);
    fleet.config.ca_file = Some(fleet.server.ca_file());
    let embedded = wait_for("the folder", SOON, || {
        Embedded::open_at(fleet.place("a")).ok()
    });
    assert_ne!(fleet.sql(tls).trim(), "0");
    drop(embedded);
}
