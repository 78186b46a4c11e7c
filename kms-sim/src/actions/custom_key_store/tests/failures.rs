//! A proxy that fails: codes, exceptions, messages, and what does not change.
//!
//! Source: AWS KMS Developer Guide, "Troubleshooting external key stores"; the KMS API model, ConnectionErrorCodeType.

use std::time::Duration;

use crate::stub_proxy::{Answer, Handshake, SECRET_ERROR_MESSAGE, StubProxy, URI_PATH};
use serde_json::json;

use super::{INVALID, Rig, encrypt_input, external_key, health, id, new_store, with};
use crate::config::Config;

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
    let path = with(id(&store), json!({"XksProxyUriPath": "/b/kms/xks/v1"}));
    let (created, updated) = tokio::join!(
        rig.error("CreateCustomKeyStore", with(new_store(), another)),
        rig.error("UpdateCustomKeyStore", path),
    );
    assert_eq!(created, "XksProxyUriUnreachableException");
    assert_eq!(updated, "XksProxyUriUnreachableException");
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
        assert!(!message.contains(SECRET_ERROR_MESSAGE), "{message}");
    }
}
