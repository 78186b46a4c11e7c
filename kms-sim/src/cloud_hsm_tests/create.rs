//! CreateCustomKeyStore and DescribeCustomKeyStores.

use serde_json::json;

use super::*;
use crate::cloudhsm::{ClusterState, HsmState};
use crate::visibility::Visibility;

fn set_state(clusters: &CloudHsm, id: &ClusterId, hsm: usize, state: HsmState) {
    let hsms = clusters.cluster(id).unwrap().configuration.hsms;
    clusters.set_hsm_state(id, &hsms[hsm].id, state).unwrap();
}

fn delete_subnet(clusters: &CloudHsm, id: &ClusterId, zone: &str) {
    let change = SubnetChange {
        deleted: Some(true),
        ..SubnetChange::default()
    };
    subnet(clusters, id, zone, change);
}

#[test]
fn a_cluster_that_does_not_fit_is_refused_and_nothing_is_created() {
    // [M] CloudHsmClusterNotFoundException, CloudHsmClusterNotActiveException,
    // CloudHsmClusterInvalidConfigurationException; the act, and what it leads to.
    let table: [(&str, Act, &str); 9] = [
        (
            "[M] KMS cannot find the CloudHSM cluster with the specified cluster ID",
            |clusters, id| drop(clusters.delete_cluster(id).unwrap()),
            NOT_FOUND,
        ),
        (
            "[M] at least two active HSMs: one was deleted",
            |clusters, id| delete_hsms(clusters, id, 1),
            INVALID_CONFIGURATION,
        ),
        (
            "[M] at least two active HSMs: there are none",
            |clusters, id| delete_hsms(clusters, id, 0),
            INVALID_CONFIGURATION,
        ),
        (
            "[M] at least two active HSMs: one does not work",
            |clusters, id| set_state(clusters, id, 1, HsmState::Degraded),
            INVALID_CONFIGURATION,
        ),
        (
            "[M] at least two active HSMs: one is not ready",
            |clusters, id| set_state(clusters, id, 0, HsmState::CreateInProgress),
            INVALID_CONFIGURATION,
        ),
        (
            "[M] each in a different Availability Zone",
            |clusters, id| {
                delete_hsms(clusters, id, 1);
                clusters.add_hsm(id, Some("us-east-1a")).unwrap();
            },
            INVALID_CONFIGURATION,
        ),
        (
            "[M] private subnets in at least two different Availability Zones",
            |clusters, id| {
                delete_subnet(clusters, id, "us-east-1a");
                delete_subnet(clusters, id, "us-east-1c");
            },
            INVALID_CONFIGURATION,
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
            "two subnets of three are enough",
            |clusters, id| delete_subnet(clusters, id, "us-east-1c"),
            "",
        ),
    ];
    for (source, act, exception) in table {
        let rig = Rig::new();
        act(rig.clusters(), &rig.cluster.id);
        let created = rig.create(new_store("Example", &rig.cluster));
        assert_eq!(
            created.clone().err().unwrap_or_default(),
            exception,
            "{source}"
        );
        let stores = rig.client.ok("DescribeCustomKeyStores", json!({}));
        let count = stores["CustomKeyStores"].as_array().unwrap().len();
        assert_eq!(count, usize::from(created.is_ok()), "{source}");
    }
}

#[test]
fn a_cluster_must_be_active() {
    let rig = Rig::new();
    // [M] CloudHsmClusterNotActiveException; the states are those of the CloudHSM API.
    for word in [
        "CREATE_IN_PROGRESS",
        "UNINITIALIZED",
        "INITIALIZE_IN_PROGRESS",
        "INITIALIZED",
        "UPDATE_IN_PROGRESS",
        "MODIFY_IN_PROGRESS",
        "ROLLBACK_IN_PROGRESS",
        "DELETE_IN_PROGRESS",
        "DEGRADED",
    ] {
        let state = ClusterState::from_word(word);
        assert!(state.is_some(), "{word}");
        rig.change(ClusterChange {
            state,
            ..ClusterChange::default()
        });
        let created = rig.create(new_store("Example", &rig.cluster));
        assert_eq!(created, Err(NOT_ACTIVE.to_owned()), "{word}");
    }
    assert_eq!(ClusterState::WORDS.len(), 10);
    rig.change(ClusterChange {
        state: Some(ClusterState::Active),
        ..ClusterChange::default()
    });
    rig.store();
}

#[test]
fn the_trust_anchor_is_the_certificate_of_the_cluster() {
    let rig = Rig::new();
    let other = create_cluster(rig.clusters()).trust_anchor_certificate;
    let right = &rig.cluster.trust_anchor_certificate;
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    // [M] IncorrectTrustAnchorException
    for wrong in [&other, "x", garbage, right.replace("-----END", "").as_str()] {
        let input = with(
            new_store("Example", &rig.cluster),
            json!({"TrustAnchorCertificate": wrong}),
        );
        assert_eq!(
            rig.create(input),
            Err("IncorrectTrustAnchorException".to_owned()),
            "{wrong}"
        );
    }
    // The same certificate, written in another way.
    let crlf = right.replace("\r\n", "\n").replace('\n', "\r\n");
    let input = with(
        new_store("Example", &rig.cluster),
        json!({"TrustAnchorCertificate": crlf}),
    );
    rig.create(input).unwrap();
}

#[test]
fn members_belong_to_the_type_of_the_store() {
    let rig = Rig::new();
    let input = new_store("Example", &rig.cluster);
    // [M] required with AWS_CLOUDHSM
    for member in [
        "CloudHsmClusterId",
        "TrustAnchorCertificate",
        "KeyStorePassword",
    ] {
        let input = with(input.clone(), json!({member: null}));
        assert_eq!(
            rig.create(input),
            Err("ValidationException".to_owned()),
            "{member}"
        );
    }
    let credential = json!({"AccessKeyId": "A".repeat(20), "RawSecretAccessKey": "s".repeat(43)});
    // [M] valid only with EXTERNAL_KEY_STORE
    for (member, value) in [
        ("XksProxyConnectivity", json!("PUBLIC_ENDPOINT")),
        ("XksProxyUriEndpoint", json!("https://xks.test")),
        ("XksProxyUriPath", json!("/kms/xks/v1")),
        ("XksProxyAuthenticationCredential", credential),
        (
            "XksProxyVpcEndpointServiceName",
            json!("com.amazonaws.vpce.us-east-1.vpce-svc-0123abcd"),
        ),
        ("XksProxyVpcEndpointServiceOwner", json!("111122223333")),
        // Limits and patterns of the model.
        ("CloudHsmClusterId", json!("cluster-1a23b4cdefg")),
        ("CloudHsmClusterId", json!("cluster-short")),
        ("KeyStorePassword", json!("kmsPsw")),
        ("KeyStorePassword", json!("x".repeat(33))),
        ("TrustAnchorCertificate", json!("")),
        ("TrustAnchorCertificate", json!("x".repeat(5001))),
    ] {
        let input = with(input.clone(), json!({member: value}));
        assert_eq!(
            rig.create(input),
            Err("ValidationException".to_owned()),
            "{member}"
        );
    }
    // [M] AWS_CLOUDHSM is the default; the password is not tried.
    let changes = json!({"CustomKeyStoreType": null, "KeyStorePassword": "a wrong one"});
    rig.create(with(input, changes)).unwrap();
    assert_eq!(rig.described().kmsuser.unwrap().failed_logins, 0);
}

#[test]
fn the_same_request_again_gives_the_same_store() {
    let rig = Rig::new();
    let input = new_store("Example", &rig.cluster);
    let store = rig.store();
    // [G] create-keystore: "AWS KMS returns the same custom key store ID", of a disconnected store.
    assert_eq!(rig.create(input.clone()), Ok(store.clone()));
    let in_use = Err("CustomKeyStoreNameInUseException".to_owned());
    assert_eq!(
        rig.create(with(input.clone(), json!({"KeyStorePassword": "another"}))),
        in_use
    );
    let other = create_cluster(rig.clusters());
    assert_eq!(rig.create(new_store("Example", &other)), in_use);
    // The name is looked at before the cluster [I].
    let unknown = json!({"CloudHsmClusterId": "cluster-unknownabcd"});
    assert_eq!(rig.create(with(input.clone(), unknown)), in_use);
    rig.client.connect(&store);
    assert_eq!(rig.create(input.clone()), in_use, "CONNECTED");
    rig.client.disconnect(&store);
    // KMS has set another password meanwhile.
    assert_eq!(rig.create(input), in_use);
}

#[test]
fn stores_need_clusters_that_are_not_related() {
    let rig = Rig::new();
    let store = rig.store();
    let in_use = Err("CloudHsmClusterInUseException".to_owned());
    // [M] "is already associated … or it shares a backup history"
    assert_eq!(rig.create(new_store("Other", &rig.cluster)), in_use);
    let backup = rig.clusters().create_backup(&rig.cluster.id).unwrap();
    let related = rig.clusters().create_cluster(NewCluster {
        backup: Some(backup),
        ..NewCluster::in_region("us-east-1")
    });
    let related = related.unwrap();
    assert_eq!(
        related.trust_anchor_certificate,
        rig.cluster.trust_anchor_certificate
    );
    assert_ne!(related.id, rig.cluster.id);
    assert_eq!(rig.create(new_store("Other", &related)), in_use);
    // Also when the store's own cluster is gone.
    rig.clusters().delete_cluster(&rig.cluster.id).unwrap();
    assert_eq!(rig.create(new_store("Other", &related)), in_use);
    // The rule is one of the account.
    let elsewhere = TestClient::caller("444455556666", "us-east-1");
    let input = new_store("Other", &related);
    rig.client
        .call_as(&elsewhere, "CreateCustomKeyStore", input)
        .unwrap();
    rig.client.ok("DeleteCustomKeyStore", id(&store));
    rig.create(new_store("Other", &related)).unwrap();
}

#[test]
fn an_account_has_ten_stores_and_a_retry_is_none() {
    let rig = Rig::new();
    let store = rig.store();
    for n in 1..10 {
        let cluster = create_cluster(rig.clusters());
        rig.create(new_store(&format!("Store {n}"), &cluster))
            .unwrap();
    }
    let eleventh = create_cluster(rig.clusters());
    // [G] resource-limits; also for a name that is in use [I].
    let exceeded = Err("LimitExceededException".to_owned());
    assert_eq!(rig.create(new_store("Eleventh", &eleventh)), exceeded);
    assert_eq!(rig.create(new_store("Store 1", &eleventh)), exceeded);
    assert_eq!(
        rig.create(new_store("Example", &rig.cluster)),
        Ok(store.clone())
    );
    rig.client.ok("DeleteCustomKeyStore", id(&store));
    rig.create(new_store("Eleventh", &eleventh)).unwrap();
}

#[test]
fn clusters_are_seen_where_they_may_be() {
    let rig = Rig::new();
    let visible = |account: Option<&str>, region: Option<&str>| {
        let new = NewCluster {
            visibility: Visibility {
                account: account.map(str::to_owned),
                region: region.map(str::to_owned),
            },
            ..NewCluster::in_region("us-east-1")
        };
        rig.clusters().create_cluster(new).unwrap()
    };
    for (cluster, found) in [
        (visible(None, None), true),
        (visible(Some("111122223333"), Some("us-east-1")), true),
        (visible(Some("444455556666"), None), false),
        (visible(None, Some("eu-north-1")), false),
    ] {
        let created = rig.create(new_store(cluster.id.as_str(), &cluster));
        let expected = if found { "" } else { NOT_FOUND };
        assert_eq!(created.err().unwrap_or_default(), expected);
    }
    let north = TestClient::caller("111122223333", "eu-north-1");
    let cluster = visible(None, Some("eu-north-1"));
    let input = new_store("North", &cluster);
    rig.client
        .call_as(&north, "CreateCustomKeyStore", input)
        .unwrap();
}

#[test]
fn a_store_is_described_without_its_password() {
    let rig = Rig::new();
    let store = rig.store();
    let mut entry = rig.entry(&store);
    assert!(entry["CreationDate"].take().as_f64().unwrap() > 1.7e9);
    // [M] CustomKeyStoresListEntry: nothing of an external key store, no ConnectionErrorCode unless FAILED.
    assert_eq!(
        entry,
        json!({
            "CustomKeyStoreId": store,
            "CustomKeyStoreName": "Example",
            "CustomKeyStoreType": "AWS_CLOUDHSM",
            "ConnectionState": "DISCONNECTED",
            "CreationDate": null,
            "CloudHsmClusterId": rig.cluster.id.as_str(),
            "TrustAnchorCertificate": rig.cluster.trust_anchor_certificate,
        })
    );
}
