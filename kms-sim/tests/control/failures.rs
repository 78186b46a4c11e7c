//! Every row of the specification's table of failures, brought about by faults of the link, through both APIs.
//!
//! Source: XKS proxy API specification 1.0.3 (messages, and exceptions of CreateKey), AWS KMS Developer Guide
//! "Troubleshooting external key stores" and the API's model (exceptions of CreateCustomKeyStore, ConnectionErrorCode).

use kms_sim::stub_proxy::{HOST, URI_PATH};
use serde_json::{Value, json};

use crate::with_proxy::WithProxy;

/// One row: faults that lead there, the message, the exceptions of CreateKey and of CreateCustomKeyStore, and the code
/// of a failed connection; empty where a row does not apply.
struct Row {
    faults: &'static [&'static str],
    message: &'static str,
    create_key: &'static str,
    create_store: &'static str,
    connect: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"ValidationException"}}"#],
        message: CANNOT_INTERPRET,
        create_key: INVALID_STATE,
        create_store: "XksProxyInvalidResponseException",
        connect: "XKS_PROXY_INVALID_RESPONSE",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"InvalidStateException"}}"#],
        message: "The external key associated with this KMS key in an external key store is not enabled in the external key manager. Enable the external key in the external key manager and retry the request.",
        create_key: "XksKeyInvalidConfigurationException",
        create_store: "XksProxyInvalidResponseException",
        connect: "XKS_PROXY_NOT_REACHABLE",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"InvalidCiphertextException"}}"#],
        message: "The external key store proxy rejected the request because the specified ciphertext or encryption context is corrupted, missing, or otherwise invalid.",
        create_key: "",
        create_store: "",
        connect: "",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"InvalidKeyUsageException"}}"#],
        message: "The external key associated with this KMS key in an external key store does not support the requested operation. Enable the operation on the key in your external key manager, and try the request again.",
        create_key: "XksKeyInvalidConfigurationException",
        create_store: "",
        connect: "",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"AuthenticationFailedException"}}"#],
        message: "The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the XKS proxy authentication credentials for your external key store and update if necessary.",
        create_key: INVALID_STATE,
        create_store: "XksProxyIncorrectAuthenticationCredentialException",
        connect: "INVALID_CREDENTIALS",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"AccessDeniedException"}}"#],
        message: "The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again.",
        create_key: INVALID_STATE,
        create_store: "XksProxyInvalidConfigurationException",
        connect: "XKS_PROXY_ACCESS_DENIED",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"KeyNotFoundException"}}"#],
        message: "The external key associated with this KMS key in an external key store was not found in its external key manager. If the external key ID associated with this KMS key is incorrect, create a new KMS key with the correct external key ID.",
        create_key: "XksKeyNotFoundException",
        create_store: "",
        connect: "",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"InvalidUriPathException"}}"#],
        message: "The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for your external key store and update if necessary.",
        create_key: INVALID_STATE,
        create_store: "XksProxyInvalidConfigurationException",
        connect: "XKS_PROXY_INVALID_CONFIGURATION",
    },
    Row {
        faults: &[
            r#"{"Reply":{"ErrorName":"UnsupportedOperationException"}}"#,
            // The errorName decides, not the status.
            r#"{"Reply":{"ErrorName":"UnsupportedOperationException","Status":400}}"#,
        ],
        message: "The external key store proxy rejected the request because it does not support the requested operation. If you see this error repeatedly, report it to your external key store proxy administrator.",
        create_key: INVALID_STATE,
        create_store: "XksProxyInvalidResponseException",
        connect: "XKS_PROXY_INVALID_RESPONSE",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"DependencyTimeoutException"}}"#],
        message: "The external key store proxy did not respond to the request in the time allotted. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.",
        create_key: INVALID_STATE,
        create_store: UNREACHABLE,
        connect: "XKS_PROXY_TIMED_OUT",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"ThrottlingException"}}"#],
        message: "The external key store proxy rejected the request due to a very high request rate. Reduce the frequency of your calls using KMS keys in this external key store.",
        create_key: INVALID_STATE,
        create_store: UNREACHABLE,
        connect: "XKS_PROXY_NOT_REACHABLE",
    },
    Row {
        faults: &[r#"{"Reply":{"ErrorName":"InternalException"}}"#],
        message: "The external key store proxy rejected the request because it cannot communicate with the external key manager. Verify that the external key store proxy configuration is correct and that the external key manager is available.",
        create_key: INVALID_STATE,
        create_store: "XksProxyInvalidResponseException",
        connect: "XKS_PROXY_INVALID_RESPONSE",
    },
    Row {
        faults: &[
            r#"{"Tcp":"refused"}"#,
            BLACK_HOLE,
            r#"{"Tcp":"no-address"}"#,
            r#"{"ResetAfterBytes":0}"#,
            r#"{"ResetAfterBytes":40}"#,
        ],
        message: "AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, and that its endpoint URI is correct in your external key store.",
        create_key: INVALID_STATE,
        create_store: UNREACHABLE,
        connect: "XKS_PROXY_NOT_REACHABLE",
    },
    Row {
        faults: &[
            r#"{"Tls":"untrusted-authority"}"#,
            r#"{"Tls":"expired"}"#,
            r#"{"Tls":"not-yet-valid"}"#,
            r#"{"Tls":"other-name"}"#,
            r#"{"Tls":"old-version"}"#,
            r#"{"Tls":"no-common-suite"}"#,
            r#"{"Tls":"client-certificate"}"#,
            r#"{"Tls":"plain-http"}"#,
            r#"{"Tls":"closed"}"#,
        ],
        message: "AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, including its certificate.",
        create_key: INVALID_STATE,
        create_store: UNREACHABLE,
        connect: "XKS_PROXY_INVALID_TLS_CONFIGURATION",
    },
    Row {
        faults: &[
            r#"{"LatencyMs":2000}"#,
            r#"{"Tcp":"silent"}"#,
            r#"{"BytesPerSecond":20}"#,
            r#"{"Loss":1}"#,
        ],
        message: "AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.",
        create_key: INVALID_STATE,
        create_store: UNREACHABLE,
        connect: "XKS_PROXY_TIMED_OUT",
    },
    Row {
        faults: &[
            r#"{"Reply":{"Status":500}}"#,
            r#"{"Reply":{"Status":502,"Body":"<html>"}}"#,
            r#"{"Reply":{"Body":"[]"}}"#,
            r#"{"Reply":{"ErrorName":"TeapotException","Status":418}}"#,
            r#"{"Reply":{"Defect":"not-json"}}"#,
            r#"{"Reply":{"Defect":"empty"}}"#,
            r#"{"Reply":{"Defect":"truncated"}}"#,
            r#"{"Reply":{"Defect":"too-long"}}"#,
            r#"{"Reply":{"Defect":"no-fields"}}"#,
        ],
        message: CANNOT_INTERPRET,
        create_key: INVALID_STATE,
        create_store: "XksProxyInvalidResponseException",
        connect: "XKS_PROXY_INVALID_RESPONSE",
    },
];

const CANNOT_INTERPRET: &str = "AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, report it to your external key store proxy administrator.";
const INVALID_STATE: &str = "CustomKeyStoreInvalidStateException";
const UNREACHABLE: &str = "XksProxyUriUnreachableException";

/// Time runs out for the connection itself.
const BLACK_HOLE: &str = r#"{"Tcp":"black-hole"}"#;

impl Row {
    /// The faults after which time runs out, or the others.
    fn faults(&self, out_of_time: bool) -> impl Iterator<Item = &'static str> {
        let takes_time = self.connect == "XKS_PROXY_TIMED_OUT" && self.faults.len() > 1;
        let faults = self.faults.iter().copied();
        faults.filter(move |fault| (takes_time || *fault == BLACK_HOLE) == out_of_time)
    }
}

/// Every row with a simulator that its faults are for; where time is to run out, one for each fault, all at once.
fn each_fault(test: fn(&WithProxy, &mut dyn Iterator<Item = (&'static Row, &'static str)>)) {
    let faults = |out_of_time| {
        let faults = ROWS.iter();
        faults.flat_map(move |row| row.faults(out_of_time).map(move |fault| (row, fault)))
    };
    std::thread::scope(|scope| {
        for fault in faults(true) {
            scope.spawn(move || test(&WithProxy::impatient(), &mut std::iter::once(fault)));
        }
        test(&WithProxy::start(), &mut faults(false));
    });
}

/// Sets a fault of the link to the endpoint.
fn break_link(simulator: &WithProxy, fault: &str, operations: &[&str]) {
    let mut input: Value = serde_json::from_str(fault).expect("JSON");
    input["XksProxyUriEndpoint"] = format!("https://{HOST}").into();
    input["Operations"] = json!(operations);
    simulator.set("PUT", "/link", input);
}

fn mend_link(simulator: &WithProxy) {
    simulator.set("DELETE", "/link", json!({}));
}

#[test]
fn cryptography_gives_kms_invalid_state_exception_and_the_message_of_the_cause() {
    each_fault(|simulator, faults| {
        let store = simulator.connected_store();
        let key = simulator.external_key(&store, "one");
        let own = simulator.key();
        let encrypt = |key: &str| {
            let input = json!({"KeyId": key, "Plaintext": "aGVsbG8="});
            simulator.ok("Encrypt", input)["CiphertextBlob"].clone()
        };
        let (external, internal) = (encrypt(&key), encrypt(&own));
        let calls = [
            ("Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="})),
            ("Decrypt", json!({"CiphertextBlob": external})),
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
                json!({"CiphertextBlob": external, "DestinationKeyId": own}),
            ),
            (
                "ReEncrypt",
                json!({"CiphertextBlob": internal, "DestinationKeyId": key}),
            ),
        ];
        for (row, fault) in faults {
            break_link(simulator, fault, &[]);
            std::thread::scope(|scope| {
                for (operation, input) in &calls {
                    scope.spawn(move || {
                        let expected = (
                            "KMSInvalidStateException".to_owned(),
                            row.message.to_owned(),
                        );
                        let found = simulator.kms(operation, input.clone());
                        assert_eq!(found, Err(expected), "{fault} {operation}");
                    });
                }
            });
            // A broken link is no disconnect.
            assert_eq!(simulator.connection(&store).0, "CONNECTED");
            let described = simulator.ok("DescribeKey", json!({"KeyId": key}));
            assert_eq!(described["KeyMetadata"]["KeyState"], "Enabled", "{fault}");
            mend_link(simulator);
            simulator.ok("Decrypt", json!({"CiphertextBlob": external}));
        }
    });
}

#[test]
fn defects_of_answers_are_noticed_by_the_operation_that_they_are_of() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let encrypt = json!({"KeyId": key, "Plaintext": "aGVsbG8="});
    let blob = simulator.ok("Encrypt", encrypt.clone())["CiphertextBlob"].clone();
    let decrypt = json!({"CiphertextBlob": blob});
    let inner = "The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is corrupted, missing, or otherwise invalid.";
    for (operation, input, defect, message) in [
        ("Encrypt", &encrypt, "ciphertext-length", CANNOT_INTERPRET),
        ("Encrypt", &encrypt, "iv-length", CANNOT_INTERPRET),
        ("Encrypt", &encrypt, "tag-length", CANNOT_INTERPRET),
        ("Encrypt", &encrypt, "oversize-metadata", CANNOT_INTERPRET),
        ("Encrypt", &encrypt, "wrong-cdiv", CANNOT_INTERPRET),
        ("Encrypt", &encrypt, "missing-cdiv", CANNOT_INTERPRET),
        ("Encrypt", &encrypt, "bad-base64", CANNOT_INTERPRET),
        ("Decrypt", &decrypt, "plaintext-length", CANNOT_INTERPRET),
        ("Decrypt", &decrypt, "bad-base64", CANNOT_INTERPRET),
        ("Decrypt", &decrypt, "other-plaintext", inner),
    ] {
        let fault = json!({"Reply": {"Defect": defect}}).to_string();
        break_link(&simulator, &fault, &[]);
        let expected = ("KMSInvalidStateException".to_owned(), message.to_owned());
        assert_eq!(
            simulator.kms(operation, input.clone()),
            Err(expected),
            "{defect}"
        );
        mend_link(&simulator);
    }
    let create =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "two"});
    for (defect, exception) in [
        ("key-spec", "XksKeyInvalidConfigurationException"),
        ("key-disabled", "XksKeyInvalidConfigurationException"),
        ("key-usage", "XksKeyInvalidConfigurationException"),
        ("key-usages", INVALID_STATE),
    ] {
        let fault = json!({"Reply": {"Defect": defect}}).to_string();
        break_link(&simulator, &fault, &[]);
        assert_eq!(
            simulator.exception("CreateKey", create.clone()),
            exception,
            "{defect}"
        );
        mend_link(&simulator);
    }
    simulator.ok("CreateKey", create);
}

#[test]
fn create_key_gives_the_exception_of_the_cause() {
    each_fault(|simulator, faults| {
        let store = simulator.connected_store();
        let create =
            json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "one"});
        for (row, fault) in faults.filter(|(row, _)| !row.create_key.is_empty()) {
            break_link(simulator, fault, &["GetKeyMetadata"]);
            let exception = simulator.exception("CreateKey", create.clone());
            assert_eq!(exception, row.create_key, "{fault}");
        }
        mend_link(simulator);
        simulator.ok("CreateKey", create);
    });
}

#[test]
fn a_store_is_created_and_updated_only_over_a_link_that_works() {
    each_fault(|simulator, faults| {
        let faults = faults.map(|(row, fault)| (fault, row.create_store));
        let unhealthy = (r#"{"Reply":{"Defect":"all-unavailable"}}"#, UNREACHABLE);
        let faults: Vec<_> = faults
            .filter(|(_, exception)| !exception.is_empty())
            .chain([unhealthy])
            .collect();
        for (fault, expected) in &faults {
            break_link(simulator, fault, &[]);
            let exception = simulator.exception("CreateCustomKeyStore", WithProxy::store_input());
            assert_eq!(exception, *expected, "{fault}");
        }
        mend_link(simulator);
        assert_eq!(simulator.get("/stores"), json!({"Stores": []}));
        let store = simulator.store();
        let update = json!({
            "CustomKeyStoreId": store, "NewCustomKeyStoreName": "new", "XksProxyUriPath": URI_PATH,
        });
        let before = simulator.ok("DescribeCustomKeyStores", json!({}));
        for (fault, expected) in &faults {
            break_link(simulator, fault, &[]);
            let exception = simulator.exception("UpdateCustomKeyStore", update.clone());
            assert_eq!(exception, *expected, "{fault}");
        }
        assert_eq!(simulator.ok("DescribeCustomKeyStores", json!({})), before);
        mend_link(simulator);
        simulator.ok("UpdateCustomKeyStore", update);
    });
}

#[test]
fn a_connection_fails_with_the_code_of_the_cause() {
    each_fault(|simulator, faults| {
        let store = simulator.store();
        for (row, fault) in faults.filter(|(row, _)| !row.connect.is_empty()) {
            break_link(simulator, fault, &[]);
            assert_eq!(simulator.connection_outcome(&store), row.connect, "{fault}");
        }
        mend_link(simulator);
        assert_eq!(simulator.connection_outcome(&store), "CONNECTED");
    });
}

#[test]
fn a_connection_needs_one_instance_that_serves() {
    let simulator = WithProxy::start();
    let store = simulator.store();
    for (defect, code) in [
        ("all-unavailable", "XKS_PROXY_NOT_REACHABLE"),
        ("no-instances", "XKS_PROXY_INVALID_RESPONSE"),
        ("unknown-status", "XKS_PROXY_INVALID_RESPONSE"),
        ("no-fleet", "XKS_PROXY_INVALID_RESPONSE"),
        ("all-degraded", "CONNECTED"),
    ] {
        let fault = json!({"Reply": {"Defect": defect}}).to_string();
        break_link(&simulator, &fault, &["GetHealthStatus"]);
        assert_eq!(simulator.connection_outcome(&store), code, "{defect}");
    }
}
