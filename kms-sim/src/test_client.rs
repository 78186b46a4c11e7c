//! Calls operations without sockets, for unit tests.

use std::sync::Arc;
use std::time::Duration;

use crate::stub_proxy::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::cloudhsm::NewCluster;
use crate::config::{Config, Resolve};
use crate::dispatch::dispatch;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// One caller of a simulator of its own.
pub(crate) struct TestClient {
    pub(crate) simulator: Simulator,
    pub(crate) caller: Caller,
    clock: Clock,
    runtime: tokio::runtime::Runtime,
}

impl TestClient {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    /// A client whose account has an external key store at that proxy, CONNECTED; and the store's id.
    pub(crate) fn with_key_store(proxy: &StubProxy) -> (Self, String) {
        let client = Self::with(Config {
            transition: Duration::ZERO,
            resolve: vec![Resolve {
                host: HOST.to_owned(),
                address: proxy.address(),
            }],
            trust_ca: vec![proxy.ca()],
            ..Config::default()
        });
        let input = json!({
            "CustomKeyStoreName": "stub",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyUriEndpoint": format!("https://{HOST}"),
            "XksProxyUriPath": URI_PATH,
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": ACCESS_KEY_ID,
                "RawSecretAccessKey": SECRET_ACCESS_KEY,
            },
        });
        let store = client.ok("CreateCustomKeyStore", input)["CustomKeyStoreId"].clone();
        let store = store.as_str().unwrap().to_owned();
        client.connect(&store);
        (client, store)
    }

    pub(crate) fn with(config: Config) -> Self {
        let clock = config.clock.clone();
        Self {
            simulator: Simulator::new(Arc::new(config)).unwrap(),
            caller: Self::caller("111122223333", "us-east-1"),
            clock,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Creates a CloudHSM key store with a cluster of its own and connects it; gives its id.
    pub(crate) fn cloud_hsm_store(&self, name: &str) -> String {
        let cluster = self
            .simulator
            .cloud_hsm()
            .create_cluster(NewCluster::in_region("us-east-1"))
            .unwrap();
        let input = json!({
            "CustomKeyStoreName": name,
            "CloudHsmClusterId": cluster.id.as_str(),
            "TrustAnchorCertificate": cluster.trust_anchor_certificate,
            "KeyStorePassword": cluster.key_store_password.unwrap().expose(),
        });
        let store = self.ok("CreateCustomKeyStore", input)["CustomKeyStoreId"].clone();
        let store = store.as_str().unwrap().to_owned();
        self.connect(&store);
        store
    }

    pub(crate) fn connect(&self, store: &str) {
        self.ok("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
        self.wait_for(store, "CONNECTED");
    }

    pub(crate) fn disconnect(&self, store: &str) {
        self.ok(
            "DisconnectCustomKeyStore",
            json!({"CustomKeyStoreId": store}),
        );
        self.wait_for(store, "DISCONNECTED");
    }

    pub(crate) fn wait_for(&self, store: &str, state: &str) {
        harness::wait_for(state, Duration::from_secs(10), || {
            let stores = self.ok(
                "DescribeCustomKeyStores",
                json!({"CustomKeyStoreId": store}),
            );
            (stores["CustomKeyStores"][0]["ConnectionState"] == state).then_some(())
        });
    }

    pub(crate) fn caller(account: &str, region: &str) -> Caller {
        Caller::new(
            account.to_owned(),
            region.to_owned(),
            format!("arn:aws:iam::{account}:user/Alice"),
            "5112f4d6-db54-4af4-ae30-c55a22a8dfae".to_owned(),
        )
    }

    /// The output (`null` for none), or the exception's name and message.
    pub(crate) fn call(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.call_as(&self.caller, operation, input)
    }

    pub(crate) fn call_as(
        &self,
        caller: &Caller,
        operation: &str,
        input: Value,
    ) -> Result<Value, (String, String)> {
        let operation = Operation::from_name(operation).unwrap();
        let body = serde_json::to_vec(&input).unwrap();
        let body = Arc::new(Zeroizing::new(body));
        let outcome = dispatch(&self.simulator, caller, operation, &body);
        match self.runtime.block_on(outcome) {
            Ok(body) if body.is_empty() => Ok(Value::Null),
            Ok(body) => Ok(serde_json::from_slice(&body).unwrap()),
            Err(error) => Err((
                error.name().to_owned(),
                error.message().unwrap_or_default().to_owned(),
            )),
        }
    }

    /// The output of an operation that must succeed.
    pub(crate) fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// The name of the exception that an operation must give.
    pub(crate) fn error(&self, operation: &str, input: Value) -> String {
        match self.call(operation, input) {
            Ok(output) => panic!("{operation} succeeded: {output}"),
            Err((name, _)) => name,
        }
    }

    /// Creates an AWS_KMS key and returns its id.
    pub(crate) fn key(&self) -> String {
        let output = self.ok("CreateKey", json!({}));
        output["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    /// Creates a key for an external key and returns its id.
    pub(crate) fn external_key(&self, store: &str, external_key: &str) -> String {
        let input = json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": external_key});
        let output = self.ok("CreateKey", input);
        output["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    /// Creates a key in a CloudHSM key store and returns its id.
    pub(crate) fn cloud_hsm_key(&self, store: &str) -> String {
        let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
        let output = self.ok("CreateKey", input);
        output["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn now(&self) -> std::time::SystemTime {
        self.clock.now()
    }

    pub(crate) fn advance_days(&self, days: u32) {
        self.clock.advance(Duration::from_hours(24) * days);
    }
}
