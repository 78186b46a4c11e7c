//! Tokens that freeze, vanish, log out and run out of sessions, and that come back.

use std::time::{Duration, Instant};

use harness::softhsm::SoftHsm;
use harness::wait_for;
use tokio::task::JoinSet;
use xks_api::message::HealthStatus;
use xks_proxy::key_manager::pkcs11::{Pin, Settings};
use xks_proxy::key_manager::{InstanceHealth, KeyManager, KeyManagerError};

use super::child::in_child;
use super::keys::{open, plaintext, seal, unavailable};
use super::shim::Shim;
use super::{Pkcs11Backend, id};
use crate::suite::Backend as _;

fn behind(shim: &Shim, change: impl FnOnce(&mut Settings)) -> Pkcs11Backend {
    Pkcs11Backend::with(|settings| {
        settings.library = shim.library.clone();
        settings.lookup_interval = Duration::from_secs(600);
        change(settings);
    })
}

#[test]
fn a_frozen_library_is_answered_for_in_time() {
    in_child(
        concat!(module_path!(), "::a_frozen_library_is_answered_for_in_time"),
        async || {
            let shim = Shim::compile();
            let limit = Duration::from_millis(200);
            let backend = behind(&shim, |settings| {
                settings.timeout = limit;
                settings.sessions = 2;
                settings.queue = 8;
            });
            let key = retry("a first key", async || {
                backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await
            })
            .await;
            retry("a first message", async || seal(&*key).await).await;

            shim.order("frozen", "");
            let started = Instant::now();
            let mut calls = JoinSet::new();
            for _ in 0..40 {
                let key = std::sync::Arc::clone(&key);
                calls.spawn(async move { seal(&*key).await });
            }
            let (mut late, mut refused) = (0, 0);
            while let Some(result) = calls.join_next().await {
                match result.unwrap().unwrap_err() {
                    KeyManagerError::TimedOut => late += 1,
                    KeyManagerError::Overloaded => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            // Eight waiting and at most two at work, no more.
            assert!((8..=10).contains(&late), "{late}");
            assert_eq!(late + refused, 40);
            assert!(started.elapsed() >= limit && started.elapsed() < LIMIT);
            // By now it is no load, but the library.
            let result = seal(&*key).await;
            assert!(
                matches!(result, Err(KeyManagerError::TimedOut)),
                "{result:?}"
            );

            shim.revoke("frozen");
            retry("the library to return", async || seal(&*key).await).await;
        },
    );
}

#[test]
fn a_token_that_comes_back_is_used_again() {
    in_child(
        concat!(module_path!(), "::a_token_that_comes_back_is_used_again"),
        async || {
            let shim = Shim::compile();
            let backend = behind(&shim, |_| {});
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let key = key.unwrap();
            let before = seal(&*key).await.unwrap();
            let health = || backend.key_manager.description().instances[0].health;
            assert_eq!(health(), InstanceHealth::Probed);
            shim.order("removed", "");
            for _ in 0..5 {
                let cause = unavailable(seal(&*key).await.unwrap_err());
                assert!(cause.contains("removed"), "{cause}");
            }
            let unavailable = InstanceHealth::AtBest(HealthStatus::Unavailable);
            assert_eq!(health(), unavailable);
            shim.revoke("removed");
            retry("the token", async || seal(&*key).await).await;
            assert_eq!(health(), InstanceHealth::Probed);
            assert!(open(&*key, &before).await.unwrap() == plaintext());
            assert!(shim.calls("C_Initialize") >= 2);
        },
    );
}

#[test]
fn a_lost_login_and_an_ended_session_are_not_noticed() {
    in_child(
        concat!(
            module_path!(),
            "::a_lost_login_and_an_ended_session_are_not_noticed"
        ),
        async || {
            let shim = Shim::compile();
            let backend = behind(&shim, |settings| settings.sessions = 1);
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let key = key.unwrap();
            let sealed = seal(&*key).await.unwrap();
            for order in ["logged-out", "session-ended"] {
                shim.order(order, "");
                assert!(open(&*key, &sealed).await.unwrap() == plaintext());
                assert!(shim.is_used_up(order));
            }
        },
    );
}

#[test]
fn fewer_sessions_than_threads_are_enough() {
    in_child(
        concat!(module_path!(), "::fewer_sessions_than_threads_are_enough"),
        async || {
            let shim = Shim::compile();
            shim.order("max-sessions", "1");
            let backend = behind(&shim, |settings| settings.sessions = 4);
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let key = key.unwrap();
            let mut calls = JoinSet::new();
            for _ in 0..40 {
                let key = std::sync::Arc::clone(&key);
                calls.spawn(async move { seal(&*key).await.map(drop) });
            }
            while let Some(result) = calls.join_next().await {
                result.unwrap().unwrap();
            }
        },
    );
}

#[test]
fn a_sick_token_calls_no_ciphertext_invalid() {
    in_child(
        concat!(module_path!(), "::a_sick_token_calls_no_ciphertext_invalid"),
        async || {
            let shim = Shim::compile();
            let backend = behind(&shim, |_| {});
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let key = key.unwrap();
            let sealed = seal(&*key).await.unwrap();
            shim.order("sick", "");
            for _ in 0..3 {
                let cause = unavailable(open(&*key, &sealed).await.unwrap_err());
                assert!(cause.contains("test key"), "{cause}");
            }
            shim.revoke("sick");
            let opened = retry("a healthy token", async || open(&*key, &sealed).await).await;
            assert!(opened == plaintext());
        },
    );
}

#[test]
fn a_wrong_pin_reaches_the_token_once() {
    in_child(
        concat!(module_path!(), "::a_wrong_pin_reaches_the_token_once"),
        async || {
            let shim = Shim::compile();
            let backend = behind(&shim, |settings| {
                settings.pin = Some(Pin::new("wrong-pin".to_owned()));
            });
            let until = Instant::now() + Duration::from_secs(1);
            while Instant::now() < until {
                let failed = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
                unavailable(failed.err().unwrap());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(shim.calls("C_Login"), 1);
        },
    );
}

#[test]
fn a_pin_that_the_token_takes_by_now_is_tried_after_a_reload() {
    in_child(
        concat!(
            module_path!(),
            "::a_pin_that_the_token_takes_by_now_is_tried_after_a_reload"
        ),
        async || {
            let shim = Shim::compile();
            let new = "4321-user";
            let backend = behind(&shim, |settings| {
                settings.pin = Some(Pin::new(new.to_owned()));
                // Others would log in at their start, at any time.
                settings.sessions = 1;
            });
            let find = async || backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            for attempts in 1..=2 {
                let cause = unavailable(find().await.err().unwrap());
                assert!(cause.contains("xks-proxy reload"), "{cause}");
                assert_eq!(shim.calls("C_Login"), attempts);
                // Whatever somebody believes, the token refuses it once for each reload.
                backend.key_manager.reconsider();
            }
            unavailable(find().await.err().unwrap());
            assert_eq!(shim.calls("C_Login"), 3);

            backend.owner.change_pin(SoftHsm::PIN, new);
            let cause = unavailable(find().await.err().unwrap());
            assert!(cause.contains("xks-proxy reload"), "{cause}");
            assert_eq!(shim.calls("C_Login"), 3);
            backend.key_manager.reconsider();
            let key = retry("the login", find).await;
            seal(&*key).await.unwrap();
            // Who is logged in is not logged in again by a reload.
            let logins = shim.calls("C_Login");
            backend.key_manager.reconsider();
            seal(&*key).await.unwrap();
            assert_eq!(shim.calls("C_Login"), logins);
        },
    );
}

#[test]
fn the_files_of_a_token_vanish_and_return() {
    in_child(
        concat!(module_path!(), "::the_files_of_a_token_vanish_and_return"),
        async || {
            let backend = Pkcs11Backend::prepare().unwrap();
            let key = backend.key_manager.resolve(&id(Pkcs11Backend::KEY)).await;
            let key = key.unwrap();
            let before = seal(&*key).await.unwrap();
            let tokens = super::child::folder().join("tokens");
            let away = super::child::folder().join("away");
            std::fs::rename(&tokens, &away).unwrap();
            let result = wait_for("the loss to show", LIMIT, || {
                let result = futures(seal(&*key));
                result.is_err().then_some(result)
            });
            // Neither an unknown key nor an invalid ciphertext.
            assert!(
                matches!(result, Err(KeyManagerError::Unavailable(_))),
                "{result:?}"
            );
            let cause = unavailable(open(&*key, &before).await.unwrap_err());
            assert!(!cause.is_empty());
            std::fs::rename(&away, &tokens).unwrap();
            retry("the token", async || seal(&*key).await).await;
            assert!(open(&*key, &before).await.unwrap() == plaintext());
        },
    );
}

/// In the middle of a blocking wait.
fn futures<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

async fn retry<T>(what: &str, attempt: impl AsyncFn() -> Result<T, KeyManagerError>) -> T {
    let started = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(
                started.elapsed() < LIMIT,
                "waited {LIMIT:?} for {what}: {error:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const LIMIT: Duration = Duration::from_secs(30);
