//! CloudHSM key stores through the API, against simulated clusters that are broken on purpose.
//!
//! What is expected is retyped from AWS's documentation: [M] is the KMS API model, [G] the AWS KMS Developer Guide, [I]
//! marks what neither says and what was chosen.

mod broken;
mod connect;
mod create;
mod keys;
mod material;
mod update;

use std::time::Duration;

use serde_json::{Value, json};

use crate::cloudhsm::{
    CloudHsm, ClusterChange, ClusterDescription, ClusterId, CreatedCluster, KmsuserChange,
    NewCluster, SubnetChange,
};
use crate::config::Config;
use crate::test_client::TestClient;

/// A simulator with a cluster of two HSMs in three Availability Zones.
struct Rig {
    client: TestClient,
    cluster: CreatedCluster,
}

impl Rig {
    /// Transitions are over before the answer.
    fn new() -> Self {
        let client = TestClient::with(Config {
            transition: Duration::ZERO,
            ..Config::default()
        });
        let cluster = create_cluster(client.simulator.cloud_hsm());
        Self { client, cluster }
    }

    fn clusters(&self) -> &CloudHsm {
        self.client.simulator.cloud_hsm()
    }

    fn described(&self) -> ClusterDescription {
        self.clusters().cluster(&self.cluster.id).unwrap()
    }

    /// Creates a key store of the cluster; gives its id.
    fn store(&self) -> String {
        self.create(new_store("Example", &self.cluster)).unwrap()
    }

    fn connected(&self) -> String {
        let store = self.store();
        self.client.connect(&store);
        store
    }

    /// The id, or the exception's name.
    fn create(&self, input: Value) -> Result<String, String> {
        match self.client.call("CreateCustomKeyStore", input) {
            Ok(output) => Ok(output["CustomKeyStoreId"].as_str().unwrap().to_owned()),
            Err((name, message)) => {
                assert!(!message.contains("kmsPswd"), "a secret in '{message}'");
                Err(name)
            }
        }
    }

    fn entry(&self, store: &str) -> Value {
        self.client.ok("DescribeCustomKeyStores", id(store))["CustomKeyStores"][0].take()
    }

    fn state(&self, store: &str) -> String {
        let state = self.entry(store)["ConnectionState"].take();
        state.as_str().unwrap().to_owned()
    }

    /// The exception's name, or "" for success.
    fn outcome(&self, operation: &str, input: Value) -> String {
        match self.client.call(operation, input) {
            Ok(_) => String::new(),
            Err((name, _)) => name,
        }
    }

    fn change(&self, change: ClusterChange) {
        self.clusters()
            .update_cluster(&self.cluster.id, change)
            .unwrap();
    }
}

fn create_cluster(clusters: &CloudHsm) -> CreatedCluster {
    clusters
        .create_cluster(NewCluster::in_region("us-east-1"))
        .unwrap()
}

fn id(store: &str) -> Value {
    json!({"CustomKeyStoreId": store})
}

fn new_store(name: &str, cluster: &CreatedCluster) -> Value {
    json!({
        "CustomKeyStoreName": name,
        "CustomKeyStoreType": "AWS_CLOUDHSM",
        "CloudHsmClusterId": cluster.id.as_str(),
        "TrustAnchorCertificate": cluster.trust_anchor_certificate,
        "KeyStorePassword": cluster.key_store_password.as_ref().map_or("kmsPswd", |p| p.expose()),
    })
}

/// An input with some members changed, or left out where the value is `null`.
fn with(mut input: Value, changes: Value) -> Value {
    for (member, value) in changes.as_object().unwrap() {
        input[member] = value.clone();
    }
    input
}

/// What a person does to a cluster.
type Act = fn(&CloudHsm, &ClusterId);

fn kmsuser(clusters: &CloudHsm, id: &ClusterId, change: KmsuserChange) {
    let change = ClusterChange {
        kmsuser: Some(change),
        ..ClusterChange::default()
    };
    clusters.update_cluster(id, change).unwrap();
}

fn password(clusters: &CloudHsm, id: &ClusterId, password: &str) {
    let password = zeroize::Zeroizing::new(password.to_owned());
    clusters
        .change_kmsuser_password(id, Some(password.try_into().unwrap()))
        .unwrap();
}

fn subnet(clusters: &CloudHsm, id: &ClusterId, zone: &str, change: SubnetChange) {
    clusters.update_subnet(id, zone, change).unwrap();
}

fn delete_hsms(clusters: &CloudHsm, id: &ClusterId, keep: usize) {
    for hsm in clusters
        .cluster(id)
        .unwrap()
        .configuration
        .hsms
        .iter()
        .skip(keep)
    {
        clusters.delete_hsm(id, &hsm.id).unwrap();
    }
}

const NOT_ACTIVE: &str = "CloudHsmClusterNotActiveException";
const NOT_FOUND: &str = "CloudHsmClusterNotFoundException";
const INVALID_CONFIGURATION: &str = "CloudHsmClusterInvalidConfigurationException";
const INVALID_STORE_STATE: &str = "CustomKeyStoreInvalidStateException";
const INVALID_STATE: &str = "KMSInvalidStateException";
