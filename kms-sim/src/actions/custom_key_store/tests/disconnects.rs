//! Transitions, drains, and the silence after them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::stub_proxy::Answer;
use serde_json::{Value, json};

use super::{INVALID, Rig, call, credential, encrypt_input, id, with};
use crate::config::Config;
use crate::transitions::Phase;

#[tokio::test(flavor = "multi_thread")]
async fn transitions_are_seen_and_a_double_connect_is_one() {
    let rig = Rig::at_once();
    let transitions = rig.simulator.connector().transitions();
    let phases = [Phase::Connecting, Phase::Disconnecting];
    transitions.hold(None, &phases);
    let store = rig.create().await;
    let asked = rig.proxy.seen().len();
    for _ in 0..3 {
        assert_eq!(rig.ok("ConnectCustomKeyStore", id(&store)).await, json!({}));
        assert_eq!(rig.state(&store).await, "CONNECTING");
    }
    transitions.release(None, &[Phase::Connecting]);
    rig.reaches(&store, "CONNECTED").await;
    assert_eq!(rig.ok("ConnectCustomKeyStore", id(&store)).await, json!({}));
    assert_eq!(rig.state(&store).await, "CONNECTED");
    let seen = rig.proxy.seen();
    assert_eq!(seen.len(), asked + 1, "one connection");
    assert_eq!(
        seen[asked].body["requestMetadata"]["kmsOperation"],
        "ConnectCustomKeyStore"
    );
    assert_eq!(
        rig.ok("DisconnectCustomKeyStore", id(&store)).await,
        json!({})
    );
    assert_eq!(rig.state(&store).await, "DISCONNECTING");
    transitions.release(None, &phases);
    rig.reaches(&store, "DISCONNECTED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_while_connecting_wins() {
    let rig = Rig::lasting(40);
    let store = rig.create().await;
    for delay in [0, 10, 25, 38, 39, 40, 41, 45] {
        rig.proxy.next(Answer::Late(Duration::from_millis(delay)));
        rig.ok("ConnectCustomKeyStore", id(&store)).await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        rig.ok("DisconnectCustomKeyStore", id(&store)).await;
        // Longer than attempt and drain take.
        let until = Instant::now() + Duration::from_millis(150);
        let mut states = vec![rig.state(&store).await];
        while Instant::now() < until {
            states.push(rig.state(&store).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        states.dedup();
        // A busy machine may miss the first.
        let expected = ["DISCONNECTING", "DISCONNECTED"];
        assert!(
            expected.ends_with(&states.iter().map(|s| &**s).collect::<Vec<_>>()),
            "{states:?} after {delay} ms"
        );
        assert_eq!(rig.proxy.open(), 0, "after {delay} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_disconnected_on_not_one_byte_reaches_the_proxy() {
    let config = Config {
        transition: Duration::ZERO,
        health_interval: Duration::from_millis(20),
        ..Config::default()
    };
    let rig = Rig::new(config);
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    let checks = || {
        let seen = rig.proxy.seen();
        let operation = |body: &Value| body["requestMetadata"]["kmsOperation"] == "KmsHealthCheck";
        seen.iter()
            .filter(|request| operation(&request.body))
            .count()
    };
    for _ in 0..500 {
        if checks() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        checks() >= 3,
        "the proxy is asked how it is while the store is CONNECTED"
    );
    for _ in 0..5 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (simulator, input) = (Arc::clone(&rig.simulator), encrypt_input(&key));
            calls.spawn(async move {
                let start = Instant::now();
                let mut outcomes = Vec::new();
                while start.elapsed() < Duration::from_secs(20) {
                    let outcome = call(&simulator, "Encrypt", input.clone()).await;
                    let refused = outcome.is_err();
                    outcomes.push(outcome);
                    if refused {
                        break;
                    }
                }
                outcomes.pop().unwrap()
            });
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        rig.ok("DisconnectCustomKeyStore", id(&store)).await;
        assert_eq!(rig.state(&store).await, "DISCONNECTED");
        let (bytes, accepted) = (rig.proxy.bytes(), rig.proxy.accepted());
        for outcome in calls.join_all().await {
            let (exception, message) = outcome.unwrap_err();
            assert_eq!(exception, INVALID);
            assert!(message.contains("is not connected"), "{message}");
        }
        assert_eq!(rig.error("Encrypt", encrypt_input(&key)).await, INVALID);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            (rig.proxy.bytes(), rig.proxy.accepted()),
            (bytes, accepted),
            "silence"
        );
        assert_eq!(rig.proxy.open(), 0);
        rig.ok("ConnectCustomKeyStore", id(&store)).await;
        assert_eq!(rig.state(&store).await, "CONNECTED");
        rig.ok("Encrypt", encrypt_input(&key)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_run_at_a_disconnect_end_and_those_after_it_do_not_start() {
    let rig = Rig::lasting(50);
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    for (delay, expected) in [(100, None), (2000, Some(INVALID))] {
        let before = rig.proxy.seen().len();
        rig.proxy.next(Answer::Late(Duration::from_millis(delay)));
        let (simulator, input) = (Arc::clone(&rig.simulator), encrypt_input(&key));
        let running = tokio::spawn(async move { call(&simulator, "Encrypt", input).await });
        while rig.proxy.seen().len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let start = Instant::now();
        rig.ok("DisconnectCustomKeyStore", id(&store)).await;
        assert_eq!(rig.error("Encrypt", encrypt_input(&key)).await, INVALID);
        let outcome = running.await.unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(
            outcome.err().map(|(name, _)| name).as_deref(),
            expected,
            "{delay}"
        );
        rig.reaches(&store, "DISCONNECTED").await;
        assert_eq!(
            rig.proxy.seen().len(),
            before + 1,
            "no retry after the disconnect"
        );
        rig.ok("ConnectCustomKeyStore", id(&store)).await;
        rig.reaches(&store, "CONNECTED").await;
    }
}

/// Random commands from many clients at once, in rounds; after each round a disconnect must end in silence, and a connect
/// in a store that works.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_clients_do_at_once_a_disconnect_ends_in_silence() {
    for transition in [0, 3] {
        let config = Config {
            transition: Duration::from_millis(transition),
            health_interval: Duration::from_millis(5),
            ..Config::default()
        };
        let rig = Rig::new(config);
        let store = rig.connected().await;
        let key = rig.key_in(&store).await;
        for round in 0..8_u64 {
            let mut clients = tokio::task::JoinSet::new();
            for client in 0..6 {
                let simulator = Arc::clone(&rig.simulator);
                let (store, key) = (store.clone(), key.clone());
                clients.spawn(async move {
                    // xorshift64: the same commands in every run, in schedules that differ.
                    let mut random = 0x9e37_79b9_7f4a_7c15 ^ (round * 6 + client + 1);
                    for _ in 0..25 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let (operation, input) = match random % 8 {
                            0 | 1 => ("ConnectCustomKeyStore", id(&store)),
                            2 => ("DisconnectCustomKeyStore", id(&store)),
                            3 => (
                                "UpdateCustomKeyStore",
                                with(
                                    id(&store),
                                    json!({"XksProxyAuthenticationCredential": credential()}),
                                ),
                            ),
                            4 => ("DeleteCustomKeyStore", id(&store)),
                            _ => ("Encrypt", encrypt_input(&key)),
                        };
                        if let Err((exception, message)) = call(&simulator, operation, input).await
                        {
                            let expected = match operation {
                                "Encrypt" => {
                                    exception == INVALID && message.contains("not connected")
                                }
                                "DeleteCustomKeyStore" => {
                                    exception == "CustomKeyStoreHasCMKsException"
                                        || exception == "CustomKeyStoreInvalidStateException"
                                }
                                _ => exception == "CustomKeyStoreInvalidStateException",
                            };
                            assert!(expected, "{operation}: {exception}: {message}");
                        } else {
                            assert_ne!(operation, "DeleteCustomKeyStore", "it has a key");
                        }
                    }
                });
            }
            clients.join_all().await;
            for _ in 0..1000 {
                // Refused while another disconnect is not over, or there is nothing to disconnect.
                let outcome = rig.call("DisconnectCustomKeyStore", id(&store)).await;
                if outcome.is_ok() || rig.state(&store).await == "DISCONNECTED" {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            rig.reaches(&store, "DISCONNECTED").await;
            let (bytes, accepted) = (rig.proxy.bytes(), rig.proxy.accepted());
            tokio::time::sleep(Duration::from_millis(40)).await;
            assert_eq!(rig.state(&store).await, "DISCONNECTED", "round {round}");
            assert_eq!((rig.proxy.bytes(), rig.proxy.accepted()), (bytes, accepted));
            assert_eq!(rig.proxy.open(), 0, "round {round}");
            rig.ok("ConnectCustomKeyStore", id(&store)).await;
            rig.reaches(&store, "CONNECTED").await;
            rig.ok("Encrypt", encrypt_input(&key)).await;
        }
    }
}
