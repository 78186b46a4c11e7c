//! UpdateCustomKeyStore.

use serde_json::json;

use super::*;
use crate::cloudhsm::ClusterState;

fn related(rig: &Rig) -> CreatedCluster {
    let backup = rig.clusters().create_backup(&rig.cluster.id).unwrap();
    let new = NewCluster {
        backup: Some(backup),
        ..NewCluster::in_region("us-east-1")
    };
    rig.clusters().create_cluster(new).unwrap()
}

#[test]
fn a_cluster_gives_way_only_to_a_sound_relative() {
    let not_related = "CloudHsmClusterNotRelatedException";
    // [M] UpdateCustomKeyStore, errors
    let table: [(&str, Act, &str); 5] = [
        ("a relative", |_, _| (), ""),
        (
            "a relative that was deleted",
            |clusters, id| drop(clusters.delete_cluster(id).unwrap()),
            NOT_FOUND,
        ),
        (
            "a relative that is not active",
            |clusters, id| {
                let change = ClusterChange {
                    state: Some(ClusterState::Initialized),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
            NOT_ACTIVE,
        ),
        (
            "a relative with one HSM",
            |clusters, id| delete_hsms(clusters, id, 1),
            INVALID_CONFIGURATION,
        ),
        (
            "a relative with a bad security group",
            |clusters, id| {
                let change = ClusterChange {
                    security_group_sound: Some(false),
                    ..ClusterChange::default()
                };
                clusters.update_cluster(id, change).unwrap();
            },
            INVALID_CONFIGURATION,
        ),
    ];
    for (source, act, exception) in table {
        let rig = Rig::new();
        let store = rig.store();
        let relative = related(&rig);
        act(rig.clusters(), &relative.id);
        let input = with(
            id(&store),
            json!({"CloudHsmClusterId": relative.id.as_str(), "NewCustomKeyStoreName": "New"}),
        );
        assert_eq!(
            rig.outcome("UpdateCustomKeyStore", input),
            exception,
            "{source}"
        );
        let entry = rig.entry(&store);
        let (cluster, name) = match exception {
            "" => (&relative.id, "New"),
            _ => (&rig.cluster.id, "Example"),
        };
        assert_eq!(entry["CloudHsmClusterId"], cluster.as_str(), "{source}");
        assert_eq!(entry["CustomKeyStoreName"], name, "{source}");
    }
    let rig = Rig::new();
    let store = rig.store();
    let stranger = create_cluster(rig.clusters());
    let input = with(
        id(&store),
        json!({"CloudHsmClusterId": stranger.id.as_str()}),
    );
    assert_eq!(rig.outcome("UpdateCustomKeyStore", input), not_related);
    // A cluster's certificate is its relation, not its name: its own is related, too.
    let input = with(
        id(&store),
        json!({"CloudHsmClusterId": rig.cluster.id.as_str()}),
    );
    assert_eq!(rig.outcome("UpdateCustomKeyStore", input), "");
}

#[test]
fn members_of_an_external_key_store_and_no_members_are_refused() {
    let rig = Rig::new();
    let store = rig.store();
    let credential = json!({"AccessKeyId": "A".repeat(20), "RawSecretAccessKey": "s".repeat(43)});
    for changes in [
        json!({}),
        json!({"XksProxyUriPath": "/kms/xks/v1"}),
        json!({"XksProxyUriEndpoint": "https://xks.test"}),
        json!({"XksProxyConnectivity": "PUBLIC_ENDPOINT"}),
        json!({"XksProxyAuthenticationCredential": credential}),
        json!({"XksProxyVpcEndpointServiceOwner": "111122223333"}),
        json!({"NewCustomKeyStoreName": "New", "XksProxyUriPath": "/kms/xks/v1"}),
        json!({"KeyStorePassword": "short"}),
    ] {
        let input = with(id(&store), changes);
        assert_eq!(
            rig.outcome("UpdateCustomKeyStore", input.clone()),
            "ValidationException",
            "{input}"
        );
    }
    assert_eq!(rig.entry(&store)["CustomKeyStoreName"], "Example");
}

#[test]
fn a_name_is_unique_but_for_its_own_store() {
    let rig = Rig::new();
    let store = rig.store();
    let other = create_cluster(rig.clusters());
    rig.create(new_store("Other", &other)).unwrap();
    let rename = |name: &str| {
        let input = with(id(&store), json!({"NewCustomKeyStoreName": name}));
        rig.outcome("UpdateCustomKeyStore", input)
    };
    assert_eq!(rename("Other"), "CustomKeyStoreNameInUseException");
    assert_eq!(rename("Example"), "");
    assert_eq!(rename("New"), "");
    assert_eq!(rig.entry(&store)["CustomKeyStoreName"], "New");
}

#[test]
fn a_password_is_only_what_kms_tries_next() {
    let rig = Rig::new();
    let store = rig.store();
    let input = with(id(&store), json!({"KeyStorePassword": "not the right one"}));
    rig.client.ok("UpdateCustomKeyStore", input);
    rig.client.ok("ConnectCustomKeyStore", id(&store));
    assert_eq!(
        rig.entry(&store)["ConnectionErrorCode"],
        "INVALID_CREDENTIALS"
    );
    rig.client.disconnect(&store);
    // [M] "does not change the password in the CloudHSM cluster"
    let right = rig.cluster.key_store_password.as_ref().unwrap().expose();
    let input = with(id(&store), json!({"KeyStorePassword": right}));
    rig.client.ok("UpdateCustomKeyStore", input);
    rig.client.connect(&store);
}
