//! A cluster that breaks while its store is CONNECTED.

use serde_json::json;

use super::keys::encrypt;
use super::*;
use crate::cloudhsm::{ClusterState, HsmState};

/// What happens to a cluster, and what then becomes of cryptography, CreateKey and GenerateRandom ("" is success).
struct Breakage {
    source: &'static str,
    cause: Act,
    cure: Act,
    crypto: &'static str,
    create_key: &'static str,
    random: &'static str,
}

fn breakages() -> Vec<Breakage> {
    fn change(clusters: &CloudHsm, id: &ClusterId, change: ClusterChange) {
        clusters.update_cluster(id, change).unwrap();
    }
    fn hsms(clusters: &CloudHsm, id: &ClusterId, skip: usize, state: HsmState) {
        for hsm in clusters
            .cluster(id)
            .unwrap()
            .configuration
            .hsms
            .iter()
            .skip(skip)
        {
            clusters.set_hsm_state(id, &hsm.id, state).unwrap();
        }
    }
    let sound = Breakage {
        source: "",
        cause: |_, _| (),
        cure: |_, _| (),
        crypto: "",
        create_key: "",
        random: "",
    };
    vec![
        Breakage {
            source: "[G] fix-keystore: all HSMs were deleted",
            cause: |clusters, id| delete_hsms(clusters, id, 0),
            cure: |clusters, id| {
                [(); 2]
                    .iter()
                    .for_each(|()| drop(clusters.add_hsm(id, None).unwrap()))
            },
            crypto: INVALID_STATE,
            create_key: INVALID_CONFIGURATION,
            random: INVALID_STORE_STATE,
        },
        Breakage {
            source: "[G] must contain at least one active HSM",
            cause: |clusters, id| hsms(clusters, id, 0, HsmState::Degraded),
            cure: |clusters, id| hsms(clusters, id, 0, HsmState::Active),
            crypto: INVALID_STATE,
            create_key: INVALID_CONFIGURATION,
            random: INVALID_STORE_STATE,
        },
        Breakage {
            source: "[M] CreateKey: at least two active HSMs; one suffices for the rest",
            cause: |clusters, id| hsms(clusters, id, 1, HsmState::Degraded),
            cure: |clusters, id| hsms(clusters, id, 1, HsmState::Active),
            create_key: INVALID_CONFIGURATION,
            ..sound
        },
        Breakage {
            source: "[G] KMS cannot communicate with your CloudHSM cluster",
            cause: |clusters, id| {
                let reachable = Some(false);
                change(
                    clusters,
                    id,
                    ClusterChange {
                        reachable,
                        ..ClusterChange::default()
                    },
                );
            },
            cure: |clusters, id| {
                let reachable = Some(true);
                change(
                    clusters,
                    id,
                    ClusterChange {
                        reachable,
                        ..ClusterChange::default()
                    },
                );
            },
            crypto: INVALID_STATE,
            create_key: INVALID_STORE_STATE,
            random: INVALID_STORE_STATE,
        },
        Breakage {
            source: "[M] the security group is needed by CreateKey; [I] without it no packet comes through",
            cause: |clusters, id| {
                let security_group_sound = Some(false);
                change(
                    clusters,
                    id,
                    ClusterChange {
                        security_group_sound,
                        ..ClusterChange::default()
                    },
                );
            },
            cure: |clusters, id| {
                let security_group_sound = Some(true);
                change(
                    clusters,
                    id,
                    ClusterChange {
                        security_group_sound,
                        ..ClusterChange::default()
                    },
                );
            },
            crypto: INVALID_STATE,
            create_key: INVALID_CONFIGURATION,
            random: INVALID_STORE_STATE,
        },
        Breakage {
            source: "[G] exhausted PKCS#11 sessions: retryable",
            cause: |clusters, id| {
                let sessions_left = Some(false);
                change(
                    clusters,
                    id,
                    ClusterChange {
                        sessions_left,
                        ..ClusterChange::default()
                    },
                );
            },
            cure: |clusters, id| {
                let sessions_left = Some(true);
                change(
                    clusters,
                    id,
                    ClusterChange {
                        sessions_left,
                        ..ClusterChange::default()
                    },
                );
            },
            crypto: "KMSInternalException",
            create_key: "KMSInternalException",
            random: "KMSInternalException",
        },
        Breakage {
            source: "[I] a cluster that changes keeps serving",
            cause: |clusters, id| {
                let state = Some(ClusterState::UpdateInProgress);
                change(
                    clusters,
                    id,
                    ClusterChange {
                        state,
                        ..ClusterChange::default()
                    },
                );
            },
            ..sound
        },
        Breakage {
            source: "[I] an open session needs no kmsuser",
            cause: |clusters, id| kmsuser(clusters, id, KmsuserChange::Delete),
            ..sound
        },
        Breakage {
            source: "[I] nor an unlocked one",
            cause: |clusters, id| kmsuser(clusters, id, KmsuserChange::LockOut),
            ..sound
        },
        Breakage {
            source: "[I] nor one for itself",
            cause: |clusters, id| kmsuser(clusters, id, KmsuserChange::LogIn),
            ..sound
        },
        Breakage {
            source: "[I] nor its password",
            cause: |clusters, id| password(clusters, id, "kmsPswd of a person"),
            ..sound
        },
        Breakage {
            source: "[G] the key material might have been deleted",
            cause: |clusters, id| {
                for key in clusters.cluster(id).unwrap().key_ids {
                    clusters.delete_key_material(id, &key).unwrap();
                }
            },
            crypto: INVALID_STATE,
            ..sound
        },
        Breakage {
            source: "[G] the cluster was deleted",
            cause: |clusters, id| drop(clusters.delete_cluster(id).unwrap()),
            crypto: INVALID_STATE,
            create_key: INVALID_STORE_STATE,
            random: INVALID_STORE_STATE,
            ..sound
        },
    ]
}

#[test]
fn a_broken_cluster_is_not_a_disconnect() {
    for breakage in breakages() {
        let rig = Rig::new();
        let store = rig.connected();
        let client = &rig.client;
        let key = client.cloud_hsm_key(&store);
        let kms = client.key();
        let blob = encrypt(client, &key);
        let context = json!({"a": "b"});
        let kms_blob = encrypt(client, &kms);
        let crypto = [
            ("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"})),
            (
                "Decrypt",
                json!({"CiphertextBlob": blob, "EncryptionContext": context}),
            ),
            (
                "GenerateDataKey",
                json!({"KeyId": key, "KeySpec": "AES_256"}),
            ),
            (
                "GenerateDataKeyWithoutPlaintext",
                json!({"KeyId": key, "KeySpec": "AES_256"}),
            ),
            (
                "ReEncrypt",
                json!({"CiphertextBlob": blob, "SourceEncryptionContext": context, "DestinationKeyId": kms}),
            ),
            (
                "ReEncrypt",
                json!({"CiphertextBlob": kms_blob, "SourceEncryptionContext": context, "DestinationKeyId": key}),
            ),
        ];
        let create_key = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
        let random = json!({"NumberOfBytes": 8, "CustomKeyStoreId": store});
        let source = breakage.source;
        (breakage.cause)(rig.clusters(), &rig.cluster.id);
        for (operation, input) in &crypto {
            assert_eq!(
                rig.outcome(operation, input.clone()),
                breakage.crypto,
                "{operation}: {source}"
            );
        }
        assert_eq!(
            rig.outcome("CreateKey", create_key.clone()),
            breakage.create_key,
            "{source}"
        );
        assert_eq!(
            rig.outcome("GenerateRandom", random.clone()),
            breakage.random,
            "{source}"
        );
        // Neither the store nor the key shows it.
        assert_eq!(rig.state(&store), "CONNECTED", "{source}");
        let described = client.ok("DescribeKey", json!({"KeyId": key}));
        assert_eq!(described["KeyMetadata"]["KeyState"], "Enabled", "{source}");
        (breakage.cure)(rig.clusters(), &rig.cluster.id);
        if source.contains("deleted") && !source.contains("HSMs") {
            continue;
        }
        // And with no reconnect all is well again.
        for (operation, input) in &crypto {
            assert_eq!(
                rig.outcome(operation, input.clone()),
                "",
                "{operation} after {source}"
            );
        }
        assert_eq!(rig.outcome("CreateKey", create_key), "", "after {source}");
        assert_eq!(rig.outcome("GenerateRandom", random), "", "after {source}");
    }
}

#[test]
fn a_cluster_out_of_reach_is_told_in_the_words_of_the_guide() {
    let rig = Rig::new();
    let store = rig.connected();
    let key = rig.client.cloud_hsm_key(&store);
    rig.clusters().delete_cluster(&rig.cluster.id).unwrap();
    let (_, message) = rig
        .client
        .call("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}))
        .unwrap_err();
    // [G] fix-keystore
    assert!(
        message.starts_with("KMS cannot communicate with your CloudHSM cluster"),
        "{message}"
    );
    // It can be disconnected all the same.
    rig.client.disconnect(&store);
}
