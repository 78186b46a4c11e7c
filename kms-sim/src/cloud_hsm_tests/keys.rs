//! Keys whose material is in a cluster, and random bytes of its HSMs.

use harness::stub_proxy::StubProxy;
use serde_json::json;

use super::*;
use crate::cloudhsm::{ClusterState, HsmState};

fn encrypt(client: &TestClient, key: &str) -> Value {
    let input = json!({"KeyId": key, "Plaintext": "SGVsbG8=", "EncryptionContext": {"a": "b"}});
    client.ok("Encrypt", input)["CiphertextBlob"].clone()
}

#[test]
fn a_key_is_described_as_one_of_a_cluster() {
    let rig = Rig::new();
    let store = rig.connected();
    let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let created = rig.client.ok("CreateKey", input);
    let key = created["KeyMetadata"]["KeyId"].as_str().unwrap();
    let described = rig.client.ok("DescribeKey", json!({"KeyId": key}));
    assert_eq!(created, described);
    let mut metadata = described["KeyMetadata"].clone();
    assert!(metadata["CreationDate"].take().as_f64().unwrap() > 1.7e9);
    // [M] KeyMetadata: no CurrentKeyMaterialId, no XksKeyConfiguration.
    assert_eq!(
        metadata,
        json!({
            "AWSAccountId": "111122223333",
            "KeyId": key,
            "Arn": format!("arn:aws:kms:us-east-1:111122223333:key/{key}"),
            "CreationDate": null,
            "Enabled": true,
            "Description": "",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": "Enabled",
            "Origin": "AWS_CLOUDHSM",
            "CustomKeyStoreId": store,
            "CloudHsmClusterId": rig.cluster.id.as_str(),
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": false,
        })
    );
    assert_eq!(rig.described().key_ids, [key]);
}

#[test]
fn what_a_cluster_cannot_hold_is_refused() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    let store = client.cloud_hsm_store("hsm");
    let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let invalid = "ValidationException";
    let unsupported = "UnsupportedOperationException";
    // [M] CreateKey; which of the two exceptions is [I].
    for (changes, exception) in [
        (json!({"CustomKeyStoreId": null}), invalid),
        (json!({"CustomKeyStoreId": external}), invalid),
        (json!({"XksKeyId": "demo"}), invalid),
        (json!({"Origin": "AWS_KMS"}), invalid),
        (json!({"Origin": null}), invalid),
        (json!({"Origin": "EXTERNAL"}), invalid),
        (
            json!({"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "demo"}),
            invalid,
        ),
        (
            json!({"CustomKeyStoreId": "cks-none"}),
            "CustomKeyStoreNotFoundException",
        ),
        (
            json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}),
            unsupported,
        ),
        (
            json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
            unsupported,
        ),
        (json!({"MultiRegion": true}), unsupported),
    ] {
        let found = client.error("CreateKey", with(input.clone(), changes.clone()));
        assert_eq!(found, exception, "{changes}");
    }
    let clusters = client.simulator.cloud_hsm().clusters();
    assert!(clusters.iter().all(|cluster| cluster.key_ids.is_empty()));
    client.ok("CreateKey", input);
}

#[test]
fn a_ciphertext_is_bound_to_key_and_context() {
    let rig = Rig::new();
    let store = rig.connected();
    let client = &rig.client;
    let [key, other] = [(); 2].map(|()| client.cloud_hsm_key(&store));
    let blob = encrypt(client, &key);
    let input = json!({"CiphertextBlob": blob, "EncryptionContext": {"a": "b"}});
    let output = client.ok("Decrypt", input.clone());
    assert_eq!(output["Plaintext"], "SGVsbG8=");
    assert!(
        output["KeyId"]
            .as_str()
            .unwrap()
            .ends_with(&format!(":key/{key}"))
    );
    // [M] KeyMaterialId is for other keys.
    assert_eq!(output["KeyMaterialId"], Value::Null);
    let wrong_key = with(input.clone(), json!({"KeyId": other}));
    assert_eq!(client.error("Decrypt", wrong_key), "IncorrectKeyException");
    // As for a key in KMS itself: there is one layer.
    let wrong_context = with(input, json!({"EncryptionContext": {"a": "c"}}));
    assert_eq!(
        client.error("Decrypt", wrong_context),
        "InvalidCiphertextException"
    );

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let bytes = STANDARD.decode(blob.as_str().unwrap()).unwrap();
    let last = bytes.len() - 1;
    for at in [last, last - 10, last - 30, last - 48] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let input =
            json!({"CiphertextBlob": STANDARD.encode(changed), "EncryptionContext": {"a": "b"}});
        assert_eq!(
            client.error("Decrypt", input),
            "InvalidCiphertextException",
            "byte {at}"
        );
    }
    for operation in ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext"] {
        let data_key = client.ok(operation, json!({"KeyId": key, "KeySpec": "AES_256"}));
        let opened = client.ok(
            "Decrypt",
            json!({"CiphertextBlob": data_key["CiphertextBlob"]}),
        );
        assert_eq!(
            STANDARD
                .decode(opened["Plaintext"].as_str().unwrap())
                .unwrap()
                .len(),
            32
        );
        if operation == "GenerateDataKey" {
            assert_eq!(opened["Plaintext"], data_key["Plaintext"]);
        }
    }
    let dry = json!({"KeyId": key, "Plaintext": "AAAA", "DryRun": true});
    assert_eq!(client.error("Encrypt", dry), "DryRunOperationException");
}

#[test]
fn data_moves_between_keys_of_every_kind() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    let (first, second) = (
        client.cloud_hsm_store("first"),
        client.cloud_hsm_store("second"),
    );
    let keys = [
        client.key(),
        client.external_key(&external, "demo"),
        client.cloud_hsm_key(&first),
        client.cloud_hsm_key(&second),
    ];
    for source in &keys {
        for destination in &keys {
            let input = json!({
                "CiphertextBlob": encrypt(&client, source), "SourceEncryptionContext": {"a": "b"},
                "DestinationKeyId": destination,
            });
            let moved = client.ok("ReEncrypt", input);
            assert!(
                moved["SourceKeyId"]
                    .as_str()
                    .unwrap()
                    .ends_with(source.as_str())
            );
            assert!(
                moved["KeyId"]
                    .as_str()
                    .unwrap()
                    .ends_with(destination.as_str())
            );
            let opened = client.ok(
                "Decrypt",
                json!({"CiphertextBlob": moved["CiphertextBlob"]}),
            );
            assert_eq!(opened["Plaintext"], "SGVsbG8=", "{source} {destination}");
        }
    }
}

#[test]
fn random_bytes_come_from_the_hsms_of_a_cluster() {
    let proxy = StubProxy::start();
    let (client, external) = TestClient::with_key_store(&proxy);
    let store = client.cloud_hsm_store("hsm");
    let input = |store: &str| json!({"NumberOfBytes": 1024, "CustomKeyStoreId": store});
    let [first, second] =
        [(); 2].map(|()| client.ok("GenerateRandom", input(&store))["Plaintext"].clone());
    assert_ne!(first, second);
    assert_eq!(first.as_str().unwrap().len(), 1368);
    // [M] GenerateRandom: CloudHSM key stores alone, in any state of the other.
    assert_eq!(
        client.error("GenerateRandom", input(&external)),
        "UnsupportedOperationException"
    );
    client.disconnect(&external);
    assert_eq!(
        client.error("GenerateRandom", input(&external)),
        "UnsupportedOperationException"
    );
    assert_eq!(
        client.error("GenerateRandom", input("cks-none")),
        "CustomKeyStoreNotFoundException"
    );
}

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

#[test]
fn the_material_of_a_deleted_key_leaves_the_cluster_if_it_can() {
    let rig = Rig::new();
    let store = rig.connected();
    let client = &rig.client;
    let [kept, deleted, orphaned] = [(); 3].map(|()| client.cloud_hsm_key(&store));
    let seven_days = |key: &str| json!({"KeyId": key, "PendingWindowInDays": 7});
    client.ok("ScheduleKeyDeletion", seven_days(&deleted));
    client.ok("ListKeys", json!({}));
    assert_eq!(rig.described().key_ids.len(), 3, "until the window ends");
    client.advance_days(8);
    assert_eq!(
        client.error("DescribeKey", json!({"KeyId": deleted})),
        "NotFoundException"
    );
    assert!(!rig.described().key_ids.contains(&deleted));

    client.ok("ScheduleKeyDeletion", seven_days(&orphaned));
    client.disconnect(&store);
    // [M] keys that are pending deletion count
    assert_eq!(
        client.error("DeleteCustomKeyStore", id(&store)),
        "CustomKeyStoreHasCMKsException"
    );
    client.advance_days(8);
    assert_eq!(
        client.error("DescribeKey", json!({"KeyId": orphaned})),
        "NotFoundException"
    );
    // [G] fix-keystore: orphaned key material
    let left = rig.described().key_ids;
    assert!(
        left.contains(&orphaned) && left.contains(&kept) && left.len() == 2,
        "{left:?}"
    );
    rig.clusters()
        .delete_key_material(&rig.cluster.id, &orphaned)
        .unwrap();
    assert_eq!(rig.described().key_ids, [kept]);
}

#[test]
fn a_backup_brings_deleted_material_and_deleted_clusters_back() {
    let rig = Rig::new();
    let store = rig.connected();
    let client = &rig.client;
    let key = client.cloud_hsm_key(&store);
    let blob = encrypt(client, &key);
    let decrypt = json!({"CiphertextBlob": blob, "EncryptionContext": {"a": "b"}});
    let backup = rig.clusters().create_backup(&rig.cluster.id).unwrap();
    let later = client.cloud_hsm_key(&store);
    rig.clusters()
        .delete_key_material(&rig.cluster.id, &key)
        .unwrap();
    assert_eq!(client.error("Decrypt", decrypt.clone()), INVALID_STATE);
    client.disconnect(&store);

    // [G] fix-keystore, "How to recover deleted key material": a cluster from the backup takes the place.
    let restored = rig.clusters().create_cluster(NewCluster {
        backup: Some(backup),
        ..NewCluster::in_region("us-east-1")
    });
    let restored = restored.unwrap();
    assert!(restored.key_store_password.is_none(), "that of the backup");
    let update =
        |cluster: &ClusterId| with(id(&store), json!({"CloudHsmClusterId": cluster.as_str()}));
    client.ok("UpdateCustomKeyStore", update(&restored.id));
    client.connect(&store);
    assert_eq!(
        client.ok("Decrypt", decrypt.clone())["Plaintext"],
        "SGVsbG8="
    );
    let described = client.ok("DescribeKey", json!({"KeyId": key}));
    assert_eq!(
        described["KeyMetadata"]["CloudHsmClusterId"],
        restored.id.as_str()
    );
    // What was made after the backup is not in it.
    let input = json!({"KeyId": later, "Plaintext": "AAAA"});
    assert_eq!(client.error("Encrypt", input), INVALID_STATE);

    // A deleted cluster leaves a backup, with the password that KMS has set last.
    let last = rig.clusters().delete_cluster(&restored.id).unwrap();
    client.disconnect(&store);
    let again = rig.clusters().create_cluster(NewCluster {
        backup: Some(last),
        ..NewCluster::in_region("us-east-1")
    });
    client.ok("UpdateCustomKeyStore", update(&again.unwrap().id));
    client.connect(&store);
    assert_eq!(client.ok("Decrypt", decrypt)["Plaintext"], "SGVsbG8=");
}
