//! A simulator whose first external key store leads to a stub proxy.

use std::time::Duration;

use kms_sim::stub_proxy::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use kms_sim::{Config, Resolve};
use serde_json::{Value, json};

use crate::simulator::Simulator;

pub(crate) struct WithProxy {
    pub(crate) simulator: Simulator,
    pub(crate) proxy: StubProxy,
}

impl std::ops::Deref for WithProxy {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}

impl WithProxy {
    /// Patient with its proxy, so that a busy machine breaks nothing.
    pub(crate) fn start() -> Self {
        Self::waiting(Duration::from_secs(10))
    }

    /// As patient with its proxy as KMS is, or a little more: for tests of what takes too long.
    pub(crate) fn impatient() -> Self {
        Self::waiting(Duration::from_millis(400))
    }

    fn waiting(proxy_timeout: Duration) -> Self {
        Self::with(Config {
            // A state is seen, and soon over.
            transition: Duration::from_millis(20),
            proxy_timeout,
            ..Config::default()
        })
    }

    pub(crate) fn with(config: Config) -> Self {
        let proxy = StubProxy::start();
        let simulator = Simulator::start(Config {
            resolve: vec![Resolve {
                host: HOST.to_owned(),
                address: proxy.address(),
            }],
            trust_ca: vec![proxy.ca()],
            ..config
        });
        Self { simulator, proxy }
    }

    /// What CreateCustomKeyStore takes.
    pub(crate) fn store_input() -> Value {
        json!({
            "CustomKeyStoreName": "stub",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyUriEndpoint": format!("https://{HOST}"),
            "XksProxyUriPath": URI_PATH,
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": SECRET_ACCESS_KEY,
            },
        })
    }

    /// The id of a new store, DISCONNECTED.
    pub(crate) fn store(&self) -> String {
        let created = self.ok("CreateCustomKeyStore", Self::store_input());
        created["CustomKeyStoreId"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// The id of a new store, CONNECTED.
    pub(crate) fn connected_store(&self) -> String {
        let store = self.store();
        self.connect(&store);
        self.wait_for(&store, "CONNECTED");
        store
    }

    /// The id of a new key for an external key.
    pub(crate) fn external_key(&self, store: &str, external_key: &str) -> String {
        let input = json!({
            "Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": external_key,
        });
        let output = self.ok("CreateKey", input);
        output["KeyMetadata"]["KeyId"]
            .as_str()
            .expect("an id")
            .to_owned()
    }
}

impl Simulator {
    pub(crate) fn connect(&self, store: &str) {
        self.ok("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
    }

    pub(crate) fn disconnect(&self, store: &str) {
        self.ok(
            "DisconnectCustomKeyStore",
            json!({"CustomKeyStoreId": store}),
        );
    }

    /// ConnectionState and ConnectionErrorCode.
    pub(crate) fn connection(&self, store: &str) -> (String, Option<String>) {
        let described = self.ok(
            "DescribeCustomKeyStores",
            json!({"CustomKeyStoreId": store}),
        );
        let store = &described["CustomKeyStores"][0];
        let text = |name: &str| store[name].as_str().map(str::to_owned);
        (
            text("ConnectionState").expect("a state"),
            text("ConnectionErrorCode"),
        )
    }

    pub(crate) fn wait_for(&self, store: &str, state: &str) {
        harness::wait_for(state, Duration::from_secs(10), || {
            (self.connection(store).0 == state).then_some(())
        });
    }

    /// What an attempt to connect ends with: CONNECTED, or a ConnectionErrorCode; the store is DISCONNECTED before
    /// and after.
    pub(crate) fn connection_outcome(&self, store: &str) -> String {
        self.connect(store);
        let outcome =
            harness::wait_for(
                "the end of CONNECTING",
                Duration::from_secs(10),
                || match self.connection(store) {
                    (state, Some(code)) if state == "FAILED" => Some(code),
                    (state, None) if state == "CONNECTED" => Some(state),
                    _ => None,
                },
            );
        self.disconnect(store);
        self.wait_for(store, "DISCONNECTED");
        outcome
    }
}
