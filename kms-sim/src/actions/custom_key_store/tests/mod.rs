//! The six operations against a proxy that a test programs. Here is what the tests share.

mod describe;
mod disconnects;
mod failures;
mod input;
mod unique;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use crate::stub_proxy::{ACCESS_KEY_ID, Answer, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::config::{Config, Resolve};
use crate::dispatch::dispatch;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// A simulator and its proxy, with one caller.
struct Rig {
    simulator: Arc<Simulator>,
    proxy: StubProxy,
}

impl Rig {
    /// Transitions are over before the answer.
    fn at_once() -> Self {
        Self::new(Config {
            transition: Duration::ZERO,
            ..Config::default()
        })
    }

    fn lasting(millis: u64) -> Self {
        Self::new(Config {
            transition: Duration::from_millis(millis),
            ..Config::default()
        })
    }

    /// With more patience than KMS: what is not about time must not fail because the machine is busy.
    fn new(config: Config) -> Self {
        let proxy_timeout = Duration::from_secs(5);
        Self::with_timeout(Config {
            proxy_timeout,
            ..config
        })
    }

    fn with_timeout(config: Config) -> Self {
        let proxy = StubProxy::start();
        let resolve = |host: &str| Resolve {
            host: host.to_owned(),
            address: proxy.address(),
        };
        let config = Config {
            resolve: vec![resolve(HOST), resolve("other.test")],
            trust_ca: vec![proxy.ca()],
            ..config
        };
        Self {
            simulator: Arc::new(Simulator::new(Arc::new(config)).unwrap()),
            proxy,
        }
    }

    /// The output, or the exception's name and message.
    async fn call(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        call(&self.simulator, operation, input).await
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        let outcome = self.call(operation, input).await;
        outcome.unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// The exception's name.
    async fn error(&self, operation: &str, input: Value) -> String {
        match self.call(operation, input).await {
            Ok(output) => panic!("{operation} succeeded: {output}"),
            Err((name, _)) => name,
        }
    }

    async fn create(&self) -> String {
        let output = self.ok("CreateCustomKeyStore", new_store()).await;
        output["CustomKeyStoreId"].as_str().unwrap().to_owned()
    }

    async fn connected(&self) -> String {
        let store = self.create().await;
        self.ok("ConnectCustomKeyStore", id(&store)).await;
        self.reaches(&store, "CONNECTED").await;
        store
    }

    async fn key_in(&self, store: &str) -> String {
        let output = self.ok("CreateKey", external_key(store, "demo")).await;
        output["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    async fn entry(&self, store: &str) -> Value {
        self.ok("DescribeCustomKeyStores", id(store)).await["CustomKeyStores"][0].take()
    }

    async fn state(&self, store: &str) -> String {
        self.entry(store).await["ConnectionState"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn reaches(&self, store: &str, state: &str) {
        for _ in 0..2000 {
            if self.state(store).await == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} in place of {state}", self.entry(store).await);
    }
}

async fn call(
    simulator: &Simulator,
    operation: &str,
    input: Value,
) -> Result<Value, (String, String)> {
    let caller = Caller::new(
        "111122223333".to_owned(),
        "us-east-1".to_owned(),
        "arn:aws:iam::111122223333:user/Alice".to_owned(),
        "5112f4d6-db54-4af4-ae30-c55a22a8dfae".to_owned(),
    );
    let operation = Operation::from_name(operation).unwrap();
    let body = serde_json::to_vec(&input).unwrap();
    match dispatch(
        simulator,
        &caller,
        operation,
        &Arc::new(Zeroizing::new(body)),
    )
    .await
    {
        Ok(body) if body.is_empty() => Ok(Value::Null),
        Ok(body) => Ok(serde_json::from_slice(&body).unwrap()),
        Err(error) => Err((
            error.name().to_owned(),
            error.message().unwrap_or_default().to_owned(),
        )),
    }
}

fn id(store: &str) -> Value {
    json!({"CustomKeyStoreId": store})
}

fn credential() -> Value {
    json!({"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": SECRET_ACCESS_KEY})
}

fn new_store() -> Value {
    json!({
        "CustomKeyStoreName": "Example",
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyUriEndpoint": format!("https://{HOST}"),
        "XksProxyUriPath": URI_PATH,
        "XksProxyAuthenticationCredential": credential(),
    })
}

/// [`new_store`] with some members changed, or left out where the value is `null`.
fn with(mut input: Value, changes: Value) -> Value {
    for (member, value) in changes.as_object().unwrap() {
        input[member] = value.clone();
    }
    input
}

fn external_key(store: &str, key: &str) -> Value {
    json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": key})
}

fn encrypt_input(key: &str) -> Value {
    json!({"KeyId": key, "Plaintext": "SGVsbG8="})
}

/// Healthy at any path and with any signature.
fn healthy() -> Answer {
    Answer::Body(200, health())
}

fn health() -> String {
    json!({
        "xksProxyFleetSize": 1, "xksProxyVendor": "x", "xksProxyModel": "x", "ekmVendor": "x",
        "ekmFleetDetails": [{"id": "1", "model": "x", "healthStatus": "ACTIVE"}],
    })
    .to_string()
}

const INVALID: &str = "KMSInvalidStateException";
