//! ConnectCustomKeyStore: what it refuses at once, and how an attempt fails.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::cloudhsm::{ClusterState, HsmState};
use crate::transitions::Phase;

#[test]
fn easily_detected_errors_leave_the_store_disconnected() {
    // [M] ConnectCustomKeyStore, errors; [G] fix-keystore: the ConnectionState is still DISCONNECTED.
    let table: [(&str, Act, &str); 4] = [
        (
            "[M] CloudHsmClusterNotActiveException",
            |clusters, id| {
                let change = ClusterChange {
                    state: Some(ClusterState::Degraded),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
            NOT_ACTIVE,
        ),
        (
            "[M] the security group must allow TCP traffic on ports 2223-2225",
            |clusters, id| {
                let change = ClusterChange {
                    security_group_sound: Some(false),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
            INVALID_CONFIGURATION,
        ),
        (
            "[M] must contain at least one active HSM",
            |clusters, id| {
                for hsm in clusters.cluster(id).unwrap().configuration.hsms {
                    clusters
                        .set_hsm_state(id, &hsm.id, HsmState::Degraded)
                        .unwrap();
                }
            },
            INVALID_CONFIGURATION,
        ),
        (
            "[M] must contain at least one active HSM: it does",
            |clusters, id| delete_hsms(clusters, id, 1),
            "",
        ),
    ];
    for (source, act, exception) in table {
        let rig = Rig::new();
        let store = rig.store();
        act(rig.clusters(), &rig.cluster.id);
        assert_eq!(
            rig.outcome("ConnectCustomKeyStore", id(&store)),
            exception,
            "{source}"
        );
        let state = if exception.is_empty() {
            "CONNECTED"
        } else {
            "DISCONNECTED"
        };
        assert_eq!(rig.state(&store), state, "{source}");
        assert_eq!(
            rig.described().kmsuser.unwrap().kms_logged_in,
            exception.is_empty()
        );
        // A store that is CONNECTED already is connected without a look at the cluster.
        if exception.is_empty() {
            let change = ClusterChange {
                state: Some(ClusterState::Degraded),
                ..ClusterChange::default()
            };
            rig.change(change);
            assert_eq!(rig.outcome("ConnectCustomKeyStore", id(&store)), "");
        }
    }
}

#[test]
fn each_connection_error_code_has_its_cause_and_its_cure() {
    // [M] ConnectionErrorCodeType, "All custom key stores" and "CloudHSM key stores"; the cause, and the cure of the
    // cluster. INTERNAL_ERROR and NETWORK_ERRORS have no cause that the documentation names [I].
    let table: [(&str, Act, Act); 9] = [
        (
            "INTERNAL_ERROR",
            |clusters, id| {
                let change = ClusterChange {
                    sessions_left: Some(false),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
            |clusters, id| {
                let change = ClusterChange {
                    sessions_left: Some(true),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
        ),
        (
            "NETWORK_ERRORS",
            |clusters, id| {
                let change = ClusterChange {
                    reachable: Some(false),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
            |clusters, id| {
                let change = ClusterChange {
                    reachable: Some(true),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
        ),
        (
            "INSUFFICIENT_CLOUDHSM_HSMS",
            |clusters, id| delete_hsms(clusters, id, 0),
            |clusters, id| drop(clusters.add_hsm(id, None).unwrap()),
        ),
        (
            "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
            |clusters, id| {
                let change = SubnetChange {
                    free_addresses: Some(0),
                    ..SubnetChange::default()
                };
                subnet(clusters, id, "us-east-1c", change);
            },
            |clusters, id| {
                let change = SubnetChange {
                    free_addresses: Some(1),
                    ..SubnetChange::default()
                };
                subnet(clusters, id, "us-east-1c", change);
            },
        ),
        (
            "SUBNET_NOT_FOUND",
            |clusters, id| {
                let change = SubnetChange {
                    deleted: Some(true),
                    ..SubnetChange::default()
                };
                subnet(clusters, id, "us-east-1b", change);
            },
            |clusters, id| {
                let change = SubnetChange {
                    deleted: Some(false),
                    ..SubnetChange::default()
                };
                subnet(clusters, id, "us-east-1b", change);
            },
        ),
        (
            "USER_LOCKED_OUT",
            |clusters, id| kmsuser(clusters, id, KmsuserChange::LockOut),
            |clusters, id| kmsuser(clusters, id, KmsuserChange::Unlock),
        ),
        (
            "USER_LOGGED_IN",
            |clusters, id| kmsuser(clusters, id, KmsuserChange::LogIn),
            |clusters, id| kmsuser(clusters, id, KmsuserChange::LogOut),
        ),
        (
            "USER_NOT_FOUND",
            |clusters, id| kmsuser(clusters, id, KmsuserChange::Delete),
            |clusters, id| password(clusters, id, "kmsPswd of the test"),
        ),
        (
            "INVALID_CREDENTIALS",
            |clusters, id| password(clusters, id, "kmsPswd of a person"),
            |clusters, id| password(clusters, id, "kmsPswd of the test"),
        ),
    ];
    let mut seen = BTreeSet::from(["CLUSTER_NOT_FOUND"]);
    for (code, cause, cure) in table {
        let rig = Rig::new();
        password(rig.clusters(), &rig.cluster.id, "kmsPswd of the test");
        let input = json!({"KeyStorePassword": "kmsPswd of the test"});
        let store = rig
            .create(with(new_store("Example", &rig.cluster), input))
            .unwrap();
        cause(rig.clusters(), &rig.cluster.id);
        // [G] fix-keystore: the request succeeds, the attempt fails.
        assert_eq!(
            rig.outcome("ConnectCustomKeyStore", id(&store)),
            "",
            "{code}"
        );
        let entry = rig.entry(&store);
        assert_eq!(entry["ConnectionState"], "FAILED", "{code}");
        assert_eq!(entry["ConnectionErrorCode"], code);
        assert!(
            rig.described()
                .kmsuser
                .is_none_or(|user| !user.kms_logged_in)
        );
        // [M] FAILED: disconnect first.
        assert_eq!(
            rig.outcome("ConnectCustomKeyStore", id(&store)),
            INVALID_STORE_STATE
        );
        rig.client.disconnect(&store);
        assert_eq!(
            rig.entry(&store)["ConnectionErrorCode"],
            Value::Null,
            "{code}"
        );
        cure(rig.clusters(), &rig.cluster.id);
        rig.client.connect(&store);
        seen.insert(code);
    }
    let rig = Rig::new();
    let store = rig.store();
    rig.clusters().delete_cluster(&rig.cluster.id).unwrap();
    rig.client.ok("ConnectCustomKeyStore", id(&store));
    assert_eq!(
        rig.entry(&store)["ConnectionErrorCode"],
        "CLUSTER_NOT_FOUND"
    );
    // Every code that [M] has for both kinds of store or for this one.
    assert_eq!(
        seen,
        BTreeSet::from([
            "CLUSTER_NOT_FOUND",
            "INSUFFICIENT_CLOUDHSM_HSMS",
            "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
            "INTERNAL_ERROR",
            "INVALID_CREDENTIALS",
            "NETWORK_ERRORS",
            "SUBNET_NOT_FOUND",
            "USER_LOCKED_OUT",
            "USER_LOGGED_IN",
            "USER_NOT_FOUND",
        ])
    );
}

#[test]
fn connecting_sets_a_password_that_kms_alone_knows() {
    let rig = Rig::new();
    let store = rig.connected();
    let elsewhere = TestClient::caller("444455556666", "us-east-1");
    let input = new_store("Elsewhere", &rig.cluster);
    let other = rig
        .client
        .call_as(&elsewhere, "CreateCustomKeyStore", input)
        .unwrap();
    let code_elsewhere = || {
        let input = json!({"CustomKeyStoreId": other["CustomKeyStoreId"]});
        rig.client
            .call_as(&elsewhere, "ConnectCustomKeyStore", input.clone())
            .unwrap();
        let stores = rig
            .client
            .call_as(&elsewhere, "DescribeCustomKeyStores", input.clone())
            .unwrap();
        rig.client
            .call_as(&elsewhere, "DisconnectCustomKeyStore", input)
            .unwrap();
        stores["CustomKeyStores"][0]["ConnectionErrorCode"].clone()
    };
    // KMS of the first account stays logged in until it disconnects [G].
    assert_eq!(code_elsewhere(), "USER_LOGGED_IN");
    rig.client.disconnect(&store);
    assert!(!rig.described().kmsuser.unwrap().kms_logged_in);
    // The password that the cluster was made with is of no use any more, but KMS has its own.
    assert_eq!(code_elsewhere(), "INVALID_CREDENTIALS");
    assert_eq!(rig.described().kmsuser.unwrap().failed_logins, 1);
    for _ in 0..3 {
        rig.client.connect(&store);
        assert!(rig.described().kmsuser.unwrap().kms_logged_in);
        assert_eq!(rig.described().kmsuser.unwrap().failed_logins, 0);
        rig.client.disconnect(&store);
    }
}

#[test]
fn five_wrong_passwords_lock_the_user_out() {
    let rig = Rig::new();
    let wrong = json!({"KeyStorePassword": "a wrong one"});
    let store = rig
        .create(with(new_store("Example", &rig.cluster), wrong))
        .unwrap();
    let code = || {
        rig.client.ok("ConnectCustomKeyStore", id(&store));
        let code = rig.entry(&store)["ConnectionErrorCode"].clone();
        rig.client.disconnect(&store);
        code
    };
    // [G] fix-keystore: "after five failed attempts … AWS CloudHSM locks the user account"
    for attempt in 1..=5 {
        assert_eq!(code(), "INVALID_CREDENTIALS", "attempt {attempt}");
    }
    assert_eq!(code(), "USER_LOCKED_OUT");
    let update = |password: &str| {
        let input = with(id(&store), json!({"KeyStorePassword": password}));
        rig.client.ok("UpdateCustomKeyStore", input);
    };
    // The right password does not help; only another one, set by a person, does.
    update(rig.cluster.key_store_password.as_ref().unwrap().expose());
    assert_eq!(code(), "USER_LOCKED_OUT");
    password(rig.clusters(), &rig.cluster.id, "kmsPswd of a person");
    update("kmsPswd of a person");
    rig.client.connect(&store);
}

#[test]
fn a_disconnect_while_connecting_leaves_no_login_behind() {
    let rig = Rig::new();
    let transitions = rig.client.simulator.connector().transitions();
    let phases = [Phase::Connecting, Phase::Disconnecting];
    transitions.hold(None, &phases);
    let store = rig.store();
    rig.client.ok("ConnectCustomKeyStore", id(&store));
    assert_eq!(rig.state(&store), "CONNECTING");
    rig.client.ok("DisconnectCustomKeyStore", id(&store));
    assert_eq!(rig.state(&store), "DISCONNECTING");
    // Now the attempt may go on, if there still is one.
    transitions.release(None, &phases);
    rig.client.wait_for(&store, "DISCONNECTED");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(rig.state(&store), "DISCONNECTED");
    assert!(!rig.described().kmsuser.unwrap().kms_logged_in);
    // And the password is still the first one.
    let elsewhere = TestClient::caller("444455556666", "us-east-1");
    let input = new_store("Elsewhere", &rig.cluster);
    let other = rig
        .client
        .call_as(&elsewhere, "CreateCustomKeyStore", input)
        .unwrap();
    let input = json!({"CustomKeyStoreId": other["CustomKeyStoreId"]});
    rig.client
        .call_as(&elsewhere, "ConnectCustomKeyStore", input)
        .unwrap();
    harness::wait_for("the login", Duration::from_secs(10), || {
        rig.described().kmsuser.unwrap().kms_logged_in.then_some(())
    });
}

#[test]
fn what_breaks_while_connecting_counts() {
    let rig = Rig::new();
    let transitions = rig.client.simulator.connector().transitions();
    transitions.hold(None, &[Phase::Connecting]);
    let store = rig.store();
    rig.client.ok("ConnectCustomKeyStore", id(&store));
    for hsm in rig.described().configuration.hsms {
        rig.clusters()
            .set_hsm_state(&rig.cluster.id, &hsm.id, HsmState::Degraded)
            .unwrap();
    }
    assert_eq!(rig.state(&store), "CONNECTING");
    transitions.release(None, &[Phase::Connecting]);
    rig.client.wait_for(&store, "FAILED");
    assert_eq!(
        rig.entry(&store)["ConnectionErrorCode"],
        "INSUFFICIENT_CLOUDHSM_HSMS"
    );
}
