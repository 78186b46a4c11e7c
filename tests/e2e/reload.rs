//! A reload that changes how an HSM (SoftHSM) or Transit (OpenBao) is used, while requests run: none is lost, and what is
//! refused says what to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use harness::openbao::{OpenBao, Tenant};
use harness::softhsm::SoftHsm;
use harness::{backend, wait_for};

use crate::transit::transit_table;
use crate::two_stores::{Proxy, Tried};

#[test]
fn other_settings_of_a_token_are_taken_up_under_load() {
    let Some(token) = token() else { return };
    let _alone = crate::alone();
    let mut proxy = on_token(&token, SoftHsm::PIN);
    changes_under_load(
        &proxy,
        &[
            ("sessions = 2", "sessions = 5"),
            ("timeout = \"4s\"", "timeout = \"3s\""),
            ("sessions = 5", "sessions = 1"),
        ],
    );
    proxy.has_not_panicked();
}

#[test]
fn other_settings_of_transit_are_taken_up_under_load() {
    let bao = match OpenBao::start() {
        Ok(bao) => bao,
        Err(reason) => return backend::missing("OpenBao end to end", &reason),
    };
    let _alone = crate::alone();
    let tenant = Tenant::root_of(Arc::new(bao));
    for key in ["payments", "xks-proxy-test"] {
        tenant.create_key(key);
    }
    let table = transit_table(&format!("https://{}", tenant.bao.address));
    let tried = Tried {
        table: &format!("{table}timeout = \"4s\"\nmax_concurrent = 8\n"),
        key: "payments",
        limits: "key_manager_timeout = \"5s\"",
        environment: &[],
    };
    let tokens = [(); 2].map(|()| tenant.token(&["xks-proxy"], "1h"));
    let mut proxy = Proxy::start(&tried, |folder| {
        for (name, token) in ["bao-token", "other-token"].into_iter().zip(tokens) {
            std::fs::write(folder.join(name), token).expect("a file in a folder of ours");
        }
    });
    changes_under_load(
        &proxy,
        &[
            ("max_concurrent = 8", "max_concurrent = 16"),
            ("\"bao-token\"", "\"other-token\""),
            ("key_max_age = \"1s\"", "key_max_age = \"2s\""),
        ],
    );
    proxy.has_not_panicked();
}

#[test]
fn a_corrected_pin_is_taken_up_without_a_restart() {
    let Some(token) = token() else { return };
    let _alone = crate::alone();
    let mut proxy = on_token(&token, "not-the-pin");
    wait_for("UNAVAILABLE", LIMIT, || {
        (proxy.tried.health() == "UNAVAILABLE").then_some(())
    });
    for _ in 0..20 {
        let refused = proxy.tried.encrypt();
        assert!(refused.is(500, "InternalException"), "{refused:?}");
        assert_eq!(proxy.embedded.round_trip(), Ok(()));
    }
    // Once is too little for SoftHSM or any other token to lock it.
    std::fs::write(token.folder().join("pin"), SoftHsm::PIN).expect("a file in a folder of ours");
    wait_for("service, by itself", LIMIT, || {
        proxy.tried.round_trip().ok()
    });
    wait_for("health", LIMIT, || {
        (proxy.tried.health() != "UNAVAILABLE").then_some(())
    });
    proxy.has_not_panicked();
}

#[test]
fn other_settings_of_a_store_that_is_served_from_are_refused_with_what_to_do() {
    let Some(token) = token() else { return };
    let _alone = crate::alone();
    let mut proxy = on_token(&token, SoftHsm::PIN);
    let (there, elsewhere) = (
        "type = \"embedded\"\n",
        "type = \"embedded\"\nroot_key_file = \"root.key\"\n",
    );
    std::fs::copy(
        proxy.folder.path().join("root.key"),
        proxy.folder.path().join("elsewhere.key"),
    )
    .expect("the root key");
    proxy.edit(there, &elsewhere.replace("root.key", "elsewhere.key"));
    let (reloaded, told) = proxy.command(&["reload"]);
    assert!(!reloaded && told.contains("restart the proxy"), "{told}");
    assert_eq!(proxy.embedded.round_trip(), Ok(()));
    proxy.restart();
    wait_for("service", LIMIT, || proxy.embedded.round_trip().ok());
}

#[test]
fn a_reload_tells_of_a_key_manager_that_does_not_work() {
    let Some(token) = token() else { return };
    let _alone = crate::alone();
    let mut proxy = on_token(&token, SoftHsm::PIN);
    proxy.edit("token_label = \"", "token_label = \"not-");
    let (reloaded, told) = proxy.command(&["reload"]);
    assert!(reloaded, "{told}");
    for part in [
        "does not encrypt and decrypt",
        "does not show a token with the label",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    proxy.edit("token_label = \"not-", "token_label = \"");
    let (reloaded, told) = proxy.command(&["reload"]);
    assert!(reloaded && !told.contains("does not encrypt"), "{told}");
    assert_eq!(proxy.tried.round_trip(), Ok(()));
    proxy.has_not_panicked();
}

fn token() -> Option<SoftHsm> {
    SoftHsm::prepare()
        .map_err(|reason| backend::missing("SoftHSM end to end", &reason))
        .ok()
}

/// A proxy on a token with this PIN in a file.
fn on_token(token: &SoftHsm, pin: &str) -> Proxy {
    for key in ["payments", "xks-proxy-test"] {
        token.make_key(key);
    }
    let pin_file = token.folder().join("pin");
    std::fs::write(&pin_file, pin).expect("a file in a folder of ours");
    let table = format!(
        "type = \"pkcs11\"\nlibrary = \"{}\"\ntoken_label = \"{}\"\npin_file = \"{}\"\nsessions = 2\n\
         timeout = \"4s\"\n[reload]\npoll_interval = \"1s\"\n",
        token.library().display(),
        SoftHsm::TOKEN,
        pin_file.display()
    );
    let tried = Tried {
        table: &table,
        key: "payments",
        limits: "key_manager_timeout = \"5s\"",
        environment: &[("SOFTHSM2_CONF", token.configuration())],
    };
    Proxy::start(&tried, |_| {})
}

/// Makes one change after the other and reloads, while both stores encrypt and decrypt; every request works.
fn changes_under_load(proxy: &Proxy, changes: &[(&str, &str)]) {
    for store in [&proxy.tried, &proxy.embedded] {
        wait_for("a first message", LIMIT, || store.round_trip().ok());
    }
    let sealed = proxy.tried.encrypt();
    let (ended, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for store in [&proxy.tried, &proxy.tried, &proxy.tried, &proxy.embedded] {
            let (ended, done) = (&ended, &done);
            scope.spawn(move || {
                let _end = SetAtEnd(ended);
                while !ended.load(Ordering::Relaxed) {
                    assert_eq!(store.round_trip(), Ok(()));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _end = SetAtEnd(&ended);
        let more = || {
            let before = done.load(Ordering::Relaxed);
            wait_for("requests", LIMIT, || {
                let enough = done.load(Ordering::Relaxed) > before + 20;
                (enough || ended.load(Ordering::Relaxed)).then_some(())
            });
        };
        more();
        for (from, to) in changes {
            proxy.edit(from, to);
            let (reloaded, told) = proxy.command(&["reload"]);
            assert!(reloaded, "{told}");
            more();
            assert_eq!(proxy.tried.decrypt(&sealed).status, 200, "{to}");
        }
    });
    assert!(done.load(Ordering::Relaxed) > 20 * changes.len());
}

/// So that a failure of one thread ends the others.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const LIMIT: Duration = Duration::from_secs(60);
