//! Key material that leaves a cluster, and that comes back with a backup.

use serde_json::json;

use super::keys::encrypt;
use super::*;

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
