//! The six operations against a proxy that a test programs: tables of the documentation, races, silence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::stub_proxy::{
    ACCESS_KEY_ID, Answer, HOST, Handshake, SECRET_ACCESS_KEY, StubProxy, URI_PATH,
};
use serde_json::{Value, json};

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
    match dispatch(simulator, &caller, operation, &body).await {
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

#[tokio::test(flavor = "multi_thread")]
async fn members_that_do_not_fit_are_refused_before_anything_is_asked() {
    let rig = Rig::at_once();
    let cluster = json!({
        "CustomKeyStoreType": "AWS_CLOUDHSM", "CloudHsmClusterId": "cluster-ia3b4cdefgh",
        "TrustAnchorCertificate": "-----BEGIN", "KeyStorePassword": "kmsPswd",
    });
    let cluster = with(json!({"CustomKeyStoreName": "Hsm"}), cluster);
    let id_with = |id: &str| json!({"AccessKeyId": id, "RawSecretAccessKey": SECRET_ACCESS_KEY});
    let secret = |s: &str| json!({"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": s});
    let vpc = "com.amazonaws.vpce.us-east-1.vpce-svc-0123abcd";
    let invalid = "ValidationException";
    let no_service = "XksProxyVpcEndpointServiceNotFoundException";
    let no_cluster = "CloudHsmClusterNotFoundException";
    for (input, exception) in [
        (json!({}), invalid),
        (
            with(new_store(), json!({"CustomKeyStoreName": null})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreName": ""})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreName": "x".repeat(257)})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreType": "OTHER"})),
            invalid,
        ),
        (
            with(new_store(), json!({"CustomKeyStoreType": null})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyConnectivity": null})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyConnectivity": "OTHER"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriEndpoint": null})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "https://xks.test:8443"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "https://xks.test/"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "https://xks_a.test"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyUriEndpoint": "http://xks.test"}),
            ),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriEndpoint": "https://a"})),
            invalid,
        ),
        (with(new_store(), json!({"XksProxyUriPath": null})), invalid),
        (
            with(new_store(), json!({"XksProxyUriPath": "/kms/xks/v"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "/kms/xks/v123"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "//kms/xks/v1"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "/kms/xks/v1/"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "/a.b/kms/xks/v1"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyUriPath": "a/kms/xks/v1"})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": null}),
            ),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyAuthenticationCredential": {}})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": id_with("SHORT")}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": id_with(&"1".repeat(20))}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": secret("short")}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyAuthenticationCredential": secret(&"-".repeat(43))}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"CloudHsmClusterId": "cluster-ia3b4cdefgh"}),
            ),
            invalid,
        ),
        (
            with(new_store(), json!({"KeyStorePassword": "kmsPswd"})),
            invalid,
        ),
        (
            with(new_store(), json!({"TrustAnchorCertificate": "x"})),
            invalid,
        ),
        (
            with(new_store(), json!({"XksProxyVpcEndpointServiceName": vpc})),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyVpcEndpointServiceOwner": "111122223333"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE"}),
            ),
            invalid,
        ),
        (
            with(
                new_store(),
                json!({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                       "XksProxyVpcEndpointServiceName": vpc}),
            ),
            no_service,
        ),
        (cluster.clone(), no_cluster),
        (
            with(cluster.clone(), json!({"CustomKeyStoreType": null})),
            no_cluster,
        ),
        (
            with(
                cluster.clone(),
                json!({"CloudHsmClusterId": "cluster-1a3b4cdefgh"}),
            ),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"CloudHsmClusterId": null})),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"TrustAnchorCertificate": null})),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"KeyStorePassword": null})),
            invalid,
        ),
        (
            with(cluster.clone(), json!({"KeyStorePassword": "short"})),
            invalid,
        ),
        (with(cluster, json!({"XksProxyUriPath": URI_PATH})), invalid),
    ] {
        let error = rig
            .call("CreateCustomKeyStore", input.clone())
            .await
            .unwrap_err();
        assert_eq!(error.0, exception, "{input} {}", error.1);
        assert!(!error.1.contains(SECRET_ACCESS_KEY) && !error.1.contains("kmsPswd"));
    }
    assert_eq!(rig.proxy.accepted(), 0);

    let store = rig.create().await;
    let asked = rig.proxy.seen().len();
    let update = |changes: Value| with(id(&store), changes);
    for (input, exception) in [
        (id(&store), invalid),
        (update(json!({"NewCustomKeyStoreName": ""})), invalid),
        (update(json!({"KeyStorePassword": "kmsPswd"})), invalid),
        (
            update(json!({"CloudHsmClusterId": "cluster-ia3b4cdefgh"})),
            invalid,
        ),
        (
            update(json!({"XksProxyUriEndpoint": "https://xks.test:443"})),
            invalid,
        ),
        (
            update(json!({"XksProxyVpcEndpointServiceName": vpc})),
            invalid,
        ),
        (
            update(json!({"XksProxyVpcEndpointServiceName": "short"})),
            invalid,
        ),
        (
            update(json!({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                          "XksProxyVpcEndpointServiceName": vpc})),
            invalid,
        ),
        (
            update(json!({"XksProxyAuthenticationCredential": {"AccessKeyId": ACCESS_KEY_ID}})),
            invalid,
        ),
        (json!({"NewCustomKeyStoreName": "x"}), invalid),
        (
            json!({"CustomKeyStoreId": "cks-none", "NewCustomKeyStoreName": "x"}),
            "CustomKeyStoreNotFoundException",
        ),
    ] {
        assert_eq!(
            rig.error("UpdateCustomKeyStore", input.clone()).await,
            exception,
            "{input}"
        );
    }
    assert_eq!(rig.proxy.seen().len(), asked);
    for operation in [
        "ConnectCustomKeyStore",
        "DisconnectCustomKeyStore",
        "DeleteCustomKeyStore",
    ] {
        assert_eq!(rig.error(operation, json!({})).await, invalid);
        assert_eq!(
            rig.error(operation, id("cks-none")).await,
            "CustomKeyStoreNotFoundException"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_patterns_of_kms_allow_is_accepted() {
    let rig = Rig::at_once();
    rig.proxy.always(healthy());
    for (number, path) in [
        "/kms/xks/v1",
        "/aws/kms/xks/v1",
        "/a_b/C-9/kms/xks/v99",
        "/a//b/kms/xks/v1",
    ]
    .into_iter()
    .enumerate()
    {
        let changes = json!({"XksProxyUriPath": path, "CustomKeyStoreName": number.to_string()});
        rig.ok("CreateCustomKeyStore", with(new_store(), changes))
            .await;
        let seen = rig.proxy.seen();
        assert_eq!(seen[number].path, format!("{path}/health"));
        assert_eq!(
            seen[number].body["requestMetadata"]["kmsOperation"],
            "CreateCustomKeyStore"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_described_without_its_secret() {
    let rig = Rig::at_once();
    let store = rig.create().await;
    assert!(store.len() == 21 && store.starts_with("cks-"), "{store}");
    let mut entry = rig.entry(&store).await;
    let created = entry["CreationDate"].take().as_f64().unwrap();
    assert!(created > 1.7e9, "{created} is no time in seconds");
    assert_eq!(
        entry,
        json!({
            "CustomKeyStoreId": store,
            "CustomKeyStoreName": "Example",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "ConnectionState": "DISCONNECTED",
            "CreationDate": null,
            "XksProxyConfiguration": {
                "Connectivity": "PUBLIC_ENDPOINT",
                "AccessKeyId": ACCESS_KEY_ID,
                "UriEndpoint": format!("https://{HOST}"),
                "UriPath": URI_PATH,
            },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_are_listed_by_id_by_name_and_in_pages() {
    let rig = Rig::at_once();
    let describe = |input: Value| rig.ok("DescribeCustomKeyStores", input);
    assert_eq!(
        describe(json!({})).await,
        json!({"CustomKeyStores": [], "Truncated": false})
    );
    let mut ids = Vec::new();
    for number in 0..5 {
        let endpoint = ["https://xks.test", "https://other.test"][number % 2];
        let changes = json!({
            "CustomKeyStoreName": format!("Store {number}"),
            "XksProxyUriEndpoint": endpoint,
            "XksProxyUriPath": format!("/{number}/kms/xks/v1"),
        });
        rig.proxy.next(healthy());
        rig.proxy.handshake(Handshake::Sound);
        if number % 2 == 1 {
            rig.proxy.handshake(Handshake::OtherName);
        }
        let output = rig
            .ok("CreateCustomKeyStore", with(new_store(), changes))
            .await;
        ids.push(output["CustomKeyStoreId"].as_str().unwrap().to_owned());
    }
    let by_name = describe(json!({"CustomKeyStoreName": "Store 3"})).await;
    assert_eq!(
        by_name["CustomKeyStores"][0]["CustomKeyStoreId"],
        ids[3].as_str()
    );
    assert_eq!(by_name["CustomKeyStores"].as_array().unwrap().len(), 1);

    let mut found = Vec::new();
    let mut marker = Value::Null;
    for page in 0..3 {
        let output = describe(json!({"Limit": 2, "Marker": marker})).await;
        let stores = output["CustomKeyStores"].as_array().unwrap();
        assert_eq!(stores.len(), if page < 2 { 2 } else { 1 });
        assert_eq!(output["Truncated"], page < 2);
        found.extend(
            stores
                .iter()
                .map(|s| s["CustomKeyStoreId"].as_str().unwrap().to_owned()),
        );
        marker = output["NextMarker"].clone();
    }
    assert!(marker.is_null());
    found.sort();
    ids.sort();
    assert_eq!(found, ids);

    for (input, exception) in [
        (
            json!({"CustomKeyStoreId": "cks-none"}),
            "CustomKeyStoreNotFoundException",
        ),
        (
            json!({"CustomKeyStoreName": "none"}),
            "CustomKeyStoreNotFoundException",
        ),
        (
            json!({"CustomKeyStoreId": ids[0], "CustomKeyStoreName": "x"}),
            "ValidationException",
        ),
        (json!({"Limit": 0}), "ValidationException"),
        (json!({"Limit": 1001}), "ValidationException"),
        (json!({"Marker": "made up"}), "InvalidMarkerException"),
    ] {
        assert_eq!(
            rig.error("DescribeCustomKeyStores", input.clone()).await,
            exception,
            "{input}"
        );
    }
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

/// Every state × operation, as in the table of the developer guide; CreateKey and cryptography too.
#[tokio::test(flavor = "multi_thread")]
async fn each_operation_in_each_state_is_that_of_the_table() {
    let rig = Rig::lasting(1500);
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    let name = "NewCustomKeyStoreName";
    let columns = [
        "DISCONNECTING",
        "DISCONNECTED",
        "CONNECTING",
        "CONNECTED",
        "FAILED",
    ];
    let bad = "CustomKeyStoreInvalidStateException";
    let other = json!({"XksProxyUriEndpoint": format!("https://{HOST}")});
    let credential = json!({"XksProxyAuthenticationCredential": credential()});
    // In the order of the columns; "" for success. Only what leaves the state as it is.
    let rows: [(&str, Value, [&str; 5]); 9] = [
        (
            "UpdateCustomKeyStore",
            with(id(&store), json!({name: "Example"})),
            [bad, "", bad, "", ""],
        ),
        (
            "UpdateCustomKeyStore",
            with(id(&store), credential),
            [bad, "", bad, "", ""],
        ),
        (
            "UpdateCustomKeyStore",
            with(id(&store), json!({"XksProxyUriPath": URI_PATH})),
            [bad, "", bad, "", ""],
        ),
        (
            "UpdateCustomKeyStore",
            with(id(&store), other),
            [bad, "", bad, bad, bad],
        ),
        (
            "DeleteCustomKeyStore",
            id(&store),
            [bad, "CustomKeyStoreHasCMKsException", bad, bad, bad],
        ),
        (
            "CreateKey",
            external_key(&store, "demo"),
            [bad, bad, bad, "XksKeyAlreadyInUseException", bad],
        ),
        (
            "Encrypt",
            encrypt_input(&key),
            [INVALID, INVALID, INVALID, "", INVALID],
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
            [INVALID, INVALID, INVALID, "", INVALID],
        ),
        ("DescribeKey", json!({"KeyId": key}), ["", "", "", "", ""]),
    ];
    for (column, state) in columns.into_iter().enumerate() {
        match state {
            "DISCONNECTING" => drop(rig.ok("DisconnectCustomKeyStore", id(&store)).await),
            "DISCONNECTED" | "CONNECTED" => rig.reaches(&store, state).await,
            "CONNECTING" => {
                rig.ok("ConnectCustomKeyStore", id(&store)).await;
            }
            _ => {
                rig.ok("DisconnectCustomKeyStore", id(&store)).await;
                rig.reaches(&store, "DISCONNECTED").await;
                rig.proxy.next(Answer::Error(403, "AccessDeniedException"));
                rig.ok("ConnectCustomKeyStore", id(&store)).await;
                rig.reaches(&store, "FAILED").await;
            }
        }
        for (operation, input, expected) in &rows {
            assert_eq!(rig.state(&store).await, state);
            let found = match rig.call(operation, input.clone()).await {
                Ok(_) => String::new(),
                Err((exception, _)) => exception,
            };
            assert_eq!(found, expected[column], "{operation} {input} while {state}");
            assert_eq!(
                rig.state(&store).await,
                state,
                "{operation} changes no state"
            );
        }
        let key_state =
            &rig.ok("DescribeKey", json!({"KeyId": key})).await["KeyMetadata"]["KeyState"];
        assert_eq!(
            key_state,
            if state == "CONNECTED" {
                "Enabled"
            } else {
                "Unavailable"
            },
            "{state}"
        );
        // What may change the state, where the table says that it does not.
        let refused: &[&str] = match state {
            "DISCONNECTED" => &["DisconnectCustomKeyStore"],
            "DISCONNECTING" => &["ConnectCustomKeyStore", "DisconnectCustomKeyStore"],
            "FAILED" => &["ConnectCustomKeyStore"],
            _ => &[],
        };
        for operation in refused {
            assert_eq!(
                rig.error(operation, id(&store)).await,
                bad,
                "{operation} while {state}"
            );
        }
        if matches!(state, "CONNECTING" | "CONNECTED") {
            assert_eq!(rig.ok("ConnectCustomKeyStore", id(&store)).await, json!({}));
        }
        assert_eq!(rig.state(&store).await, state);
    }
    rig.ok("DisconnectCustomKeyStore", id(&store)).await;
    rig.reaches(&store, "DISCONNECTED").await;
}

const INVALID: &str = "KMSInvalidStateException";

/// Every ConnectionErrorCode that a public endpoint can produce, and what Create and Update say in the same case.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_the_proxy_has_its_code_and_its_exception() {
    let rig = Rig::at_once();
    let store = rig.create().await;
    type Fault = fn(&StubProxy);
    let faults: [(&str, Fault, &str, &str); 16] = [
        (
            "AuthenticationFailed",
            |p| p.always(Answer::Error(401, "AuthenticationFailedException")),
            "INVALID_CREDENTIALS",
            "XksProxyIncorrectAuthenticationCredentialException",
        ),
        (
            "AccessDenied",
            |p| p.always(Answer::Error(403, "AccessDeniedException")),
            "XKS_PROXY_ACCESS_DENIED",
            "XksProxyInvalidConfigurationException",
        ),
        (
            "InvalidUriPath",
            |p| p.always(Answer::Error(404, "InvalidUriPathException")),
            "XKS_PROXY_INVALID_CONFIGURATION",
            "XksProxyInvalidConfigurationException",
        ),
        (
            "Validation",
            |p| p.always(Answer::Error(400, "ValidationException")),
            "XKS_PROXY_INVALID_RESPONSE",
            "XksProxyInvalidResponseException",
        ),
        (
            "InvalidState",
            |p| p.always(Answer::Error(400, "InvalidStateException")),
            "XKS_PROXY_NOT_REACHABLE",
            "XksProxyInvalidResponseException",
        ),
        (
            "Throttling",
            |p| p.always(Answer::Error(429, "ThrottlingException")),
            "XKS_PROXY_NOT_REACHABLE",
            "XksProxyUriUnreachableException",
        ),
        (
            "Internal",
            |p| p.always(Answer::Error(500, "InternalException")),
            "XKS_PROXY_INVALID_RESPONSE",
            "XksProxyInvalidResponseException",
        ),
        (
            "Unsupported",
            |p| p.always(Answer::Error(501, "UnsupportedOperationException")),
            "XKS_PROXY_INVALID_RESPONSE",
            "XksProxyInvalidResponseException",
        ),
        (
            "DependencyTimeout",
            |p| p.always(Answer::Error(503, "DependencyTimeoutException")),
            "XKS_PROXY_TIMED_OUT",
            "XksProxyUriUnreachableException",
        ),
        (
            "unknown errorName",
            |p| p.always(Answer::Error(400, "NoSuchException")),
            "XKS_PROXY_INVALID_RESPONSE",
            "XksProxyInvalidResponseException",
        ),
        (
            "HTML",
            |p| p.always(Answer::Body(502, "<html>Bad Gateway</html>".into())),
            "XKS_PROXY_INVALID_RESPONSE",
            "XksProxyInvalidResponseException",
        ),
        (
            "malformed",
            |p| p.always(Answer::Body(200, health().replace(":1,", ":0,"))),
            "XKS_PROXY_INVALID_RESPONSE",
            "XksProxyInvalidResponseException",
        ),
        (
            "unhealthy",
            |p| p.always(Answer::Body(200, health().replace("ACTIVE", "UNAVAILABLE"))),
            "XKS_PROXY_NOT_REACHABLE",
            "XksProxyUriUnreachableException",
        ),
        (
            "another name",
            |p| p.handshake(Handshake::OtherName),
            "XKS_PROXY_INVALID_TLS_CONFIGURATION",
            "XksProxyUriUnreachableException",
        ),
        (
            "unknown authority",
            |p| p.handshake(Handshake::OtherAuthority),
            "XKS_PROXY_INVALID_TLS_CONFIGURATION",
            "XksProxyUriUnreachableException",
        ),
        (
            "refused",
            |p| p.kill(),
            "XKS_PROXY_NOT_REACHABLE",
            "XksProxyUriUnreachableException",
        ),
    ];
    for (name, fault, code, exception) in faults {
        rig.proxy.always(Answer::Sound);
        rig.proxy.handshake(Handshake::Sound);
        fault(&rig.proxy);
        rig.ok("ConnectCustomKeyStore", id(&store)).await;
        let entry = rig.entry(&store).await;
        assert_eq!(entry["ConnectionState"], "FAILED", "{name}");
        assert_eq!(entry["ConnectionErrorCode"], code, "{name}");
        rig.ok("DisconnectCustomKeyStore", id(&store)).await;
        let entry = rig.entry(&store).await;
        assert_eq!(entry["ConnectionState"], "DISCONNECTED", "{name}");
        assert_eq!(entry.get("ConnectionErrorCode"), None, "{name}");

        let another = json!({"CustomKeyStoreName": "Another", "XksProxyUriPath": "/a/kms/xks/v1"});
        let created = rig
            .error("CreateCustomKeyStore", with(new_store(), another))
            .await;
        assert_eq!(created, exception, "{name}");
        let path = with(id(&store), json!({"XksProxyUriPath": "/b/kms/xks/v1"}));
        assert_eq!(
            rig.error("UpdateCustomKeyStore", path).await,
            exception,
            "{name}"
        );
        let entry = rig.entry(&store).await;
        assert_eq!(
            entry["XksProxyConfiguration"]["UriPath"], URI_PATH,
            "nothing changes: {name}"
        );
    }
    rig.proxy.revive();
    rig.proxy.always(Answer::Sound);
    rig.ok("ConnectCustomKeyStore", id(&store)).await;
    assert_eq!(rig.state(&store).await, "CONNECTED");
    let all = rig.ok("DescribeCustomKeyStores", json!({})).await;
    assert_eq!(
        all["CustomKeyStores"].as_array().unwrap().len(),
        1,
        "no store of a failed create"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_too_late_twice_has_timed_out() {
    let rig = Rig::with_timeout(Config {
        transition: Duration::ZERO,
        ..Config::default()
    });
    let store = rig.create().await;
    rig.proxy.always(Answer::Late(Duration::from_millis(400)));
    rig.ok("ConnectCustomKeyStore", id(&store)).await;
    let entry = rig.entry(&store).await;
    assert_eq!(entry["ConnectionState"], "FAILED");
    assert_eq!(entry["ConnectionErrorCode"], "XKS_PROXY_TIMED_OUT");
    let another = json!({"CustomKeyStoreName": "Another", "XksProxyUriPath": "/a/kms/xks/v1"});
    let created = rig
        .error("CreateCustomKeyStore", with(new_store(), another))
        .await;
    assert_eq!(created, "XksProxyUriUnreachableException");
    let path = with(id(&store), json!({"XksProxyUriPath": "/b/kms/xks/v1"}));
    let updated = rig.error("UpdateCustomKeyStore", path).await;
    assert_eq!(updated, "XksProxyUriUnreachableException");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_uris_are_unique_and_there_are_at_most_ten() {
    let rig = Rig::at_once();
    let store = rig.create().await;
    let asked = rig.proxy.seen().len();
    let other_path = json!({"XksProxyUriPath": "/2/kms/xks/v1"});
    let other_name = json!({"CustomKeyStoreName": "Other"});
    let upper = json!({"CustomKeyStoreName": "Other", "XksProxyUriEndpoint": "https://XKS.TEST"});
    for (changes, exception) in [
        (json!({}), "CustomKeyStoreNameInUseException"),
        (other_path, "CustomKeyStoreNameInUseException"),
        (other_name, "XksProxyUriInUseException"),
        (upper, "XksProxyUriInUseException"),
    ] {
        let input = with(new_store(), changes);
        assert_eq!(
            rig.error("CreateCustomKeyStore", input.clone()).await,
            exception,
            "{input}"
        );
    }
    assert_eq!(
        rig.proxy.seen().len(),
        asked,
        "what is taken is not asked about"
    );

    rig.proxy.always(healthy());
    for number in 2..=10 {
        let changes = json!({
            "CustomKeyStoreName": number.to_string(),
            "XksProxyUriPath": format!("/{number}/kms/xks/v1"),
        });
        rig.ok("CreateCustomKeyStore", with(new_store(), changes))
            .await;
    }
    let eleventh = json!({"CustomKeyStoreName": "11", "XksProxyUriPath": "/11/kms/xks/v1"});
    let eleventh = with(new_store(), eleventh);
    assert_eq!(
        rig.error("CreateCustomKeyStore", eleventh.clone()).await,
        "LimitExceededException"
    );

    let update = |changes: Value| rig.call("UpdateCustomKeyStore", with(id(&store), changes));
    let taken = update(json!({"NewCustomKeyStoreName": "2"}))
        .await
        .unwrap_err();
    assert_eq!(taken.0, "CustomKeyStoreNameInUseException");
    let taken = update(json!({"XksProxyUriPath": "/2/kms/xks/v1"}))
        .await
        .unwrap_err();
    assert_eq!(taken.0, "XksProxyUriInUseException");
    update(json!({"NewCustomKeyStoreName": "Example", "XksProxyUriPath": URI_PATH}))
        .await
        .unwrap();

    rig.ok("DeleteCustomKeyStore", id(&store)).await;
    rig.ok("CreateCustomKeyStore", eleventh).await;
    let gone = rig.error("DescribeCustomKeyStores", id(&store)).await;
    assert_eq!(gone, "CustomKeyStoreNotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_creates_that_race_for_a_name_or_a_uri_one_wins() {
    let rig = Rig::at_once();
    rig.proxy.always(healthy());
    for round in 0..5 {
        for same_name in [true, false] {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..6 {
                let (name, path) = match same_name {
                    true => (0, number),
                    false => (number, 0),
                };
                let changes = json!({
                    "CustomKeyStoreName": format!("{round} {name}"),
                    "XksProxyUriPath": format!("/{round}/{path}/kms/xks/v1"),
                });
                let simulator = Arc::clone(&rig.simulator);
                let input = with(new_store(), changes);
                tasks.spawn(async move { call(&simulator, "CreateCustomKeyStore", input).await });
            }
            let outcomes = tasks.join_all().await;
            let expected = match same_name {
                true => "CustomKeyStoreNameInUseException",
                false => "XksProxyUriInUseException",
            };
            let won: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().ok()).collect();
            assert_eq!(won.len(), 1, "{outcomes:?}");
            let lost = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            assert!(
                lost.clone().all(|(name, _)| name == expected),
                "{outcomes:?}"
            );
            let store = won[0]["CustomKeyStoreId"].as_str().unwrap();
            rig.ok("DeleteCustomKeyStore", id(store)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_tested_first_and_takes_effect_for_the_next_call() {
    let rig = Rig::at_once();
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    rig.ok("Encrypt", encrypt_input(&key)).await;
    let asked = rig.proxy.seen().len();
    let rename = with(id(&store), json!({"NewCustomKeyStoreName": "Renamed"}));
    assert_eq!(rig.ok("UpdateCustomKeyStore", rename).await, json!({}));
    assert_eq!(rig.proxy.seen().len(), asked, "a name needs no test");
    assert_eq!(rig.entry(&store).await["CustomKeyStoreName"], "Renamed");

    let wrong = json!({"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": "x".repeat(43)});
    let wrong = with(
        id(&store),
        json!({"XksProxyAuthenticationCredential": wrong}),
    );
    let refused = rig.error("UpdateCustomKeyStore", wrong.clone()).await;
    assert_eq!(
        refused,
        "XksProxyIncorrectAuthenticationCredentialException"
    );
    let last = rig.proxy.seen().pop().unwrap();
    assert_eq!(
        last.body["requestMetadata"]["kmsOperation"],
        "UpdateCustomKeyStore"
    );
    rig.ok("Encrypt", encrypt_input(&key)).await;

    // A proxy that lets the wrong secret pass once: from then on KMS signs with it.
    rig.proxy.next(healthy());
    let accepted = rig.proxy.accepted();
    rig.ok("UpdateCustomKeyStore", wrong).await;
    let (exception, message) = rig.call("Encrypt", encrypt_input(&key)).await.unwrap_err();
    assert_eq!(exception, INVALID);
    assert!(
        message.contains("could not authenticate AWS KMS"),
        "{message}"
    );
    assert_eq!(
        rig.proxy.accepted(),
        accepted + 2,
        "the test and the next call: new connections"
    );
    assert_eq!(rig.state(&store).await, "CONNECTED");

    let right = with(
        id(&store),
        json!({"XksProxyAuthenticationCredential": credential()}),
    );
    rig.ok("UpdateCustomKeyStore", right).await;
    rig.ok("Encrypt", encrypt_input(&key)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_that_race_leave_what_was_tested() {
    let rig = Rig::at_once();
    let store = rig.create().await;
    rig.proxy.always(healthy());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let changes = match number % 2 {
            0 => json!({"XksProxyUriPath": format!("/{number}/kms/xks/v1")}),
            _ => json!({"NewCustomKeyStoreName": number.to_string()}),
        };
        let (simulator, input) = (Arc::clone(&rig.simulator), with(id(&store), changes));
        tasks.spawn(async move { call(&simulator, "UpdateCustomKeyStore", input).await });
    }
    for outcome in tasks.join_all().await {
        assert_eq!(outcome, Ok(json!({})));
    }
    let entry = rig.entry(&store).await;
    let path = entry["XksProxyConfiguration"]["UriPath"].as_str().unwrap();
    let seen = rig.proxy.seen();
    assert!(
        seen.iter()
            .any(|request| request.path == format!("{path}/health")),
        "{path}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transitions_are_seen_and_a_double_connect_is_one() {
    let rig = Rig::lasting(1000);
    let store = rig.create().await;
    let asked = rig.proxy.seen().len();
    for _ in 0..3 {
        assert_eq!(rig.ok("ConnectCustomKeyStore", id(&store)).await, json!({}));
        assert_eq!(rig.state(&store).await, "CONNECTING");
    }
    rig.reaches(&store, "CONNECTED").await;
    assert_eq!(rig.ok("ConnectCustomKeyStore", id(&store)).await, json!({}));
    assert_eq!(rig.state(&store).await, "CONNECTED");
    let seen = rig.proxy.seen();
    assert_eq!(seen.len(), asked + 1, "one connection");
    assert_eq!(
        seen[asked].body["requestMetadata"]["kmsOperation"],
        "ConnectCustomKeyStore"
    );
    assert_eq!(
        rig.ok("DisconnectCustomKeyStore", id(&store)).await,
        json!({})
    );
    assert_eq!(rig.state(&store).await, "DISCONNECTING");
    rig.reaches(&store, "DISCONNECTED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_while_connecting_wins() {
    let rig = Rig::lasting(100);
    let store = rig.create().await;
    for delay in [0, 20, 60, 90, 99, 100, 101, 110] {
        rig.proxy.next(Answer::Late(Duration::from_millis(delay)));
        rig.ok("ConnectCustomKeyStore", id(&store)).await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        rig.ok("DisconnectCustomKeyStore", id(&store)).await;
        let until = Instant::now() + Duration::from_millis(400);
        let mut states = vec![rig.state(&store).await];
        while Instant::now() < until {
            states.push(rig.state(&store).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        states.dedup();
        // A busy machine may miss the first.
        let expected = ["DISCONNECTING", "DISCONNECTED"];
        assert!(
            expected.ends_with(&states.iter().map(|s| &**s).collect::<Vec<_>>()),
            "{states:?} after {delay} ms"
        );
        assert_eq!(rig.proxy.open(), 0, "after {delay} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_disconnected_on_not_one_byte_reaches_the_proxy() {
    let config = Config {
        transition: Duration::ZERO,
        health_interval: Duration::from_millis(20),
        ..Config::default()
    };
    let rig = Rig::new(config);
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    let checks = || {
        let seen = rig.proxy.seen();
        let operation = |body: &Value| body["requestMetadata"]["kmsOperation"] == "KmsHealthCheck";
        seen.iter()
            .filter(|request| operation(&request.body))
            .count()
    };
    for _ in 0..500 {
        if checks() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        checks() >= 3,
        "the proxy is asked how it is while the store is CONNECTED"
    );
    for _ in 0..5 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (simulator, input) = (Arc::clone(&rig.simulator), encrypt_input(&key));
            calls.spawn(async move {
                let start = Instant::now();
                let mut outcomes = Vec::new();
                while start.elapsed() < Duration::from_secs(20) {
                    let outcome = call(&simulator, "Encrypt", input.clone()).await;
                    let refused = outcome.is_err();
                    outcomes.push(outcome);
                    if refused {
                        break;
                    }
                }
                outcomes.pop().unwrap()
            });
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        rig.ok("DisconnectCustomKeyStore", id(&store)).await;
        assert_eq!(rig.state(&store).await, "DISCONNECTED");
        let (bytes, accepted) = (rig.proxy.bytes(), rig.proxy.accepted());
        for outcome in calls.join_all().await {
            let (exception, message) = outcome.unwrap_err();
            assert_eq!(exception, INVALID);
            assert!(message.contains("is not connected"), "{message}");
        }
        assert_eq!(rig.error("Encrypt", encrypt_input(&key)).await, INVALID);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            (rig.proxy.bytes(), rig.proxy.accepted()),
            (bytes, accepted),
            "silence"
        );
        assert_eq!(rig.proxy.open(), 0);
        rig.ok("ConnectCustomKeyStore", id(&store)).await;
        assert_eq!(rig.state(&store).await, "CONNECTED");
        rig.ok("Encrypt", encrypt_input(&key)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_run_at_a_disconnect_end_and_those_after_it_do_not_start() {
    let rig = Rig::lasting(50);
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    for (delay, expected) in [(100, None), (2000, Some(INVALID))] {
        let before = rig.proxy.seen().len();
        rig.proxy.next(Answer::Late(Duration::from_millis(delay)));
        let (simulator, input) = (Arc::clone(&rig.simulator), encrypt_input(&key));
        let running = tokio::spawn(async move { call(&simulator, "Encrypt", input).await });
        while rig.proxy.seen().len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let start = Instant::now();
        rig.ok("DisconnectCustomKeyStore", id(&store)).await;
        assert_eq!(rig.error("Encrypt", encrypt_input(&key)).await, INVALID);
        let outcome = running.await.unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(
            outcome.err().map(|(name, _)| name).as_deref(),
            expected,
            "{delay}"
        );
        rig.reaches(&store, "DISCONNECTED").await;
        assert_eq!(
            rig.proxy.seen().len(),
            before + 1,
            "no retry after the disconnect"
        );
        rig.ok("ConnectCustomKeyStore", id(&store)).await;
        rig.reaches(&store, "CONNECTED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_proxy_is_not_a_disconnect() {
    let config = Config {
        transition: Duration::ZERO,
        health_interval: Duration::from_millis(30),
        ..Config::default()
    };
    let rig = Rig::new(config);
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    let ciphertext = rig.ok("Encrypt", encrypt_input(&key)).await["CiphertextBlob"].take();
    rig.proxy.kill();
    for _ in 0..3 {
        let (exception, message) = rig.call("Encrypt", encrypt_input(&key)).await.unwrap_err();
        assert_eq!(exception, INVALID);
        assert!(message.contains("cannot communicate"), "{message}");
        let created = rig
            .error("CreateKey", external_key(&store, "another"))
            .await;
        assert_eq!(created, "CustomKeyStoreInvalidStateException");
        assert_eq!(rig.state(&store).await, "CONNECTED");
        let metadata = rig.ok("DescribeKey", json!({"KeyId": key})).await;
        assert_eq!(metadata["KeyMetadata"]["KeyState"], "Enabled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.proxy.revive();
    let output = rig
        .ok("Decrypt", json!({"CiphertextBlob": ciphertext}))
        .await;
    assert_eq!(output["Plaintext"], "SGVsbG8=");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_says_whose_key_it_is_and_its_message_is_for_the_log_alone() {
    let rig = Rig::at_once();
    let store = rig.connected().await;
    let key = rig.key_in(&store).await;
    let seen = rig.proxy.seen();
    let create = seen
        .iter()
        .find(|r| r.path.ends_with("/keys/demo/metadata"))
        .unwrap();
    assert_eq!(
        create.body["requestMetadata"],
        json!({
            "awsPrincipalArn": "arn:aws:iam::111122223333:user/Alice",
            "kmsOperation": "CreateKey",
            "kmsRequestId": "5112f4d6-db54-4af4-ae30-c55a22a8dfae",
        })
    );
    rig.ok("Encrypt", encrypt_input(&key)).await;
    let encrypt = rig.proxy.seen().pop().unwrap();
    assert_eq!(encrypt.body["requestMetadata"]["kmsKeyArn"], key.as_str());
    rig.proxy.always(Answer::Error(500, "InternalException"));
    for (operation, input) in [
        ("Encrypt", encrypt_input(&key)),
        ("CreateKey", external_key(&store, "another")),
        (
            "UpdateCustomKeyStore",
            with(id(&store), json!({"XksProxyUriPath": URI_PATH})),
        ),
    ] {
        let (_, message) = rig.call(operation, input).await.unwrap_err();
        assert!(
            message.starts_with("The external key store proxy rejected"),
            "{message}"
        );
        assert!(
            !message.contains(harness::stub_proxy::SECRET_ERROR_MESSAGE),
            "{message}"
        );
    }
}

/// Random commands from many clients at once, in rounds; after each round a disconnect must end in silence, and a connect
/// in a store that works.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_clients_do_at_once_a_disconnect_ends_in_silence() {
    for transition in [0, 3] {
        let config = Config {
            transition: Duration::from_millis(transition),
            health_interval: Duration::from_millis(5),
            ..Config::default()
        };
        let rig = Rig::new(config);
        let store = rig.connected().await;
        let key = rig.key_in(&store).await;
        for round in 0..8_u64 {
            let mut clients = tokio::task::JoinSet::new();
            for client in 0..6 {
                let simulator = Arc::clone(&rig.simulator);
                let (store, key) = (store.clone(), key.clone());
                clients.spawn(async move {
                    // xorshift64: the same commands in every run, in schedules that differ.
                    let mut random = 0x9e37_79b9_7f4a_7c15 ^ (round * 6 + client + 1);
                    for _ in 0..25 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let (operation, input) = match random % 8 {
                            0 | 1 => ("ConnectCustomKeyStore", id(&store)),
                            2 => ("DisconnectCustomKeyStore", id(&store)),
                            3 => (
                                "UpdateCustomKeyStore",
                                with(
                                    id(&store),
                                    json!({"XksProxyAuthenticationCredential": credential()}),
                                ),
                            ),
                            4 => ("DeleteCustomKeyStore", id(&store)),
                            _ => ("Encrypt", encrypt_input(&key)),
                        };
                        if let Err((exception, message)) = call(&simulator, operation, input).await
                        {
                            let expected = match operation {
                                "Encrypt" => {
                                    exception == INVALID && message.contains("not connected")
                                }
                                "DeleteCustomKeyStore" => {
                                    exception == "CustomKeyStoreHasCMKsException"
                                        || exception == "CustomKeyStoreInvalidStateException"
                                }
                                _ => exception == "CustomKeyStoreInvalidStateException",
                            };
                            assert!(expected, "{operation}: {exception}: {message}");
                        } else {
                            assert_ne!(operation, "DeleteCustomKeyStore", "it has a key");
                        }
                    }
                });
            }
            clients.join_all().await;
            for _ in 0..1000 {
                // Refused while another disconnect is not over, or there is nothing to disconnect.
                let outcome = rig.call("DisconnectCustomKeyStore", id(&store)).await;
                if outcome.is_ok() || rig.state(&store).await == "DISCONNECTED" {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            rig.reaches(&store, "DISCONNECTED").await;
            let (bytes, accepted) = (rig.proxy.bytes(), rig.proxy.accepted());
            tokio::time::sleep(Duration::from_millis(40)).await;
            assert_eq!(rig.state(&store).await, "DISCONNECTED", "round {round}");
            assert_eq!((rig.proxy.bytes(), rig.proxy.accepted()), (bytes, accepted));
            assert_eq!(rig.proxy.open(), 0, "round {round}");
            rig.ok("ConnectCustomKeyStore", id(&store)).await;
            rig.reaches(&store, "CONNECTED").await;
            rig.ok("Encrypt", encrypt_input(&key)).await;
        }
    }
}
