//! What can be done with a custom key store and its keys in which ConnectionState, for both kinds of store.
//!
//! Each cell has a simulator of its own, whose store is held in the state, however slow the machine. What is expected
//! is retyped: [M] is the KMS API model, [G] the AWS KMS Developer Guide (of the names: create-xks-keystore,
//! update-xks-keystore, xks-connect-disconnect, disconnect-keystore, fix-keystore, key-state, use-xks-key), [I] marks
//! what neither says and what was chosen.

mod key_states;
mod table;

use std::time::Duration;

use serde_json::{Value, json};

use crate::cloudhsm::{CreatedCluster, NewCluster};
use crate::config::{Config, Resolve};
use crate::connection::ConnectionErrorCode;
use crate::stub_proxy::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use crate::test_client::TestClient;
use crate::transitions::{Phase, Transitions};
use crate::vpc_endpoint_service::VpcEndpointService;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Xks,
    CloudHsm,
}

const KINDS: [Kind; 2] = [Kind::Xks, Kind::CloudHsm];

/// In the order of the columns.
const STATES: [&str; 5] = [
    "DISCONNECTED",
    "CONNECTING",
    "CONNECTED",
    "FAILED",
    "DISCONNECTING",
];

const PHASES: [Phase; 2] = [Phase::Connecting, Phase::Disconnecting];

/// A simulator with one store.
struct World {
    client: TestClient,
    kind: Kind,
    /// Of a CloudHSM key store.
    cluster: Option<CreatedCluster>,
    store: String,
}

impl World {
    /// The store is CONNECTED.
    fn new(proxy: &StubProxy, kind: Kind) -> Self {
        let client = TestClient::with(Config {
            transition: Duration::ZERO,
            resolve: vec![Resolve {
                host: HOST.to_owned(),
                address: proxy.address(),
            }],
            trust_ca: vec![proxy.ca()],
            // Patient: a busy machine must not fail a cell.
            proxy_timeout: Duration::from_secs(10),
            ..Config::default()
        });
        let cluster = || {
            let new = NewCluster::in_region("us-east-1");
            client.simulator.cloud_hsm().create_cluster(new).unwrap()
        };
        let cluster = (kind == Kind::CloudHsm).then(cluster);
        let mut world = Self {
            client,
            kind,
            cluster,
            store: String::new(),
        };
        let created = world.client.ok("CreateCustomKeyStore", world.new_store());
        world.store = created["CustomKeyStoreId"].as_str().unwrap().to_owned();
        world.client.connect(&world.store);
        world
    }

    fn new_store(&self) -> Value {
        match self.kind {
            Kind::Xks => json!({
                "CustomKeyStoreName": "Example",
                "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
                "XksProxyConnectivity": "PUBLIC_ENDPOINT",
                "XksProxyUriEndpoint": format!("https://{HOST}"),
                "XksProxyUriPath": URI_PATH,
                "XksProxyAuthenticationCredential": credential(),
            }),
            Kind::CloudHsm => json!({
                "CustomKeyStoreName": "Example",
                "CloudHsmClusterId": self.cluster().id.as_str(),
                "TrustAnchorCertificate": self.cluster().trust_anchor_certificate,
                "KeyStorePassword": self.cluster().key_store_password.as_ref().unwrap().expose(),
            }),
        }
    }

    fn cluster(&self) -> &CreatedCluster {
        self.cluster.as_ref().expect("of a CloudHSM key store")
    }

    fn transitions(&self) -> &Transitions {
        self.client.simulator.connector().transitions()
    }

    /// Brings the store from CONNECTED into a state, where it stays; what it passes later is held, too.
    fn enter(&self, proxy: &StubProxy, state: &str) {
        let connect = || drop(self.client.ok("ConnectCustomKeyStore", self.id()));
        let disconnect = || drop(self.client.ok("DisconnectCustomKeyStore", self.id()));
        let hold = || self.transitions().hold(Some(&self.store), &PHASES);
        match state {
            "DISCONNECTED" => {
                disconnect();
                hold();
            }
            "CONNECTING" => {
                disconnect();
                hold();
                let asked = proxy.seen().len();
                connect();
                // The attempt asks once, and is not counted against what is tried then.
                if self.kind == Kind::Xks {
                    harness::wait_for("GetHealthStatus", Duration::from_secs(10), || {
                        (proxy.seen().len() > asked).then_some(())
                    });
                }
            }
            "CONNECTED" => hold(),
            "FAILED" => {
                disconnect();
                let code = ConnectionErrorCode::InternalError;
                self.transitions().fail(Some(&self.store), code);
                connect();
                hold();
            }
            _ => {
                hold();
                disconnect();
            }
        }
        assert_eq!(self.state(), state);
    }

    fn id(&self) -> Value {
        json!({"CustomKeyStoreId": self.store})
    }

    /// The store as it is described, `null` if there is none.
    fn entry(&self) -> Value {
        let stores = self.client.ok("DescribeCustomKeyStores", json!({}));
        stores["CustomKeyStores"][0].clone()
    }

    /// ConnectionState; "" if there is no store.
    fn state(&self) -> String {
        let state = self.entry()["ConnectionState"].take();
        state.as_str().unwrap_or_default().to_owned()
    }

    fn new_key(&self) -> Value {
        match self.kind {
            Kind::Xks => json!({
                "Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": self.store,
                "XksKeyId": uuid::Uuid::new_v4().to_string(),
            }),
            Kind::CloudHsm => json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": self.store}),
        }
    }

    fn key(&self) -> String {
        let output = self.client.ok("CreateKey", self.new_key());
        output["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    fn key_state(&self, key: &str) -> String {
        let metadata = self.client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].take();
        let state = metadata["KeyState"].as_str().unwrap();
        // [M] KeyMetadata.Enabled: true when KeyState is Enabled, otherwise false.
        assert_eq!(metadata["Enabled"], state == "Enabled");
        state.to_owned()
    }

    fn encrypt(&self, key: &str) -> Value {
        let input = json!({"KeyId": key, "Plaintext": "AAAA"});
        self.client.ok("Encrypt", input)["CiphertextBlob"].take()
    }

    /// The name of a sound VPC endpoint service for the proxy's host.
    fn vpc_endpoint_service(&self) -> String {
        let service = VpcEndpointService::sound("us-east-1", HOST).unwrap();
        let services = self.client.simulator.vpc_endpoint_services();
        services.create(service.clone()).unwrap();
        service.name
    }
}

fn credential() -> Value {
    json!({"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": SECRET_ACCESS_KEY})
}
