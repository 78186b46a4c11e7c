//! ConnectCustomKeyStore, and a service that goes away while the store is CONNECTED.

use super::*;

#[test]
fn each_fault_of_a_service_has_its_connection_error_code() {
    for (source, fault, _, code) in faults() {
        let rig = Rig::new();
        let store = rig.store();
        rig.change(fault);
        rig.client.ok("ConnectCustomKeyStore", id(&store));
        let entry = rig.entry(&store);
        assert_eq!(entry["ConnectionState"], "FAILED", "{source}");
        assert_eq!(entry["ConnectionErrorCode"], code, "{source}");
        assert_eq!(rig.proxy.accepted(), 0, "{source}");
    }
    let rig = Rig::new();
    let store = rig.store();
    let service = rig.services().describe(&rig.service).unwrap();
    rig.services().delete(&rig.service).unwrap();
    rig.client.ok("ConnectCustomKeyStore", id(&store));
    let code = rig.entry(&store)["ConnectionErrorCode"].clone();
    assert_eq!(code, "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND");
    rig.client.disconnect(&store);
    rig.services().create(service).unwrap();
    // With a sound service on the way, the proxy decides.
    for (answer, code) in [
        (
            Answer::Error(403, "AccessDeniedException"),
            "XKS_PROXY_ACCESS_DENIED",
        ),
        (
            Answer::Error(401, "AuthenticationFailedException"),
            "INVALID_CREDENTIALS",
        ),
        (
            Answer::Body(200, "x".to_owned()),
            "XKS_PROXY_INVALID_RESPONSE",
        ),
    ] {
        rig.proxy.next(answer);
        rig.client.ok("ConnectCustomKeyStore", id(&store));
        assert_eq!(rig.entry(&store)["ConnectionErrorCode"], code);
        rig.client.disconnect(&store);
    }
    rig.client.connect(&store);
    let seen = rig.proxy.seen();
    let operations = seen
        .iter()
        .map(|seen| &seen.body["requestMetadata"]["kmsOperation"]);
    assert!(
        seen.len() == 4
            && operations
                .into_iter()
                .all(|name| name == "ConnectCustomKeyStore")
    );
}

#[test]
fn a_deleted_service_is_not_a_disconnect() {
    let rig = Rig::new();
    let store = rig.connected();
    let key = rig.client.external_key(&store, "demo");
    let encrypt = json!({"KeyId": key, "Plaintext": "AAAA"});
    let blob = rig.client.ok("Encrypt", encrypt.clone())["CiphertextBlob"].clone();
    let service = rig.services().describe(&rig.service).unwrap();
    // KMS has its endpoint: what is only needed to make one does not matter any more.
    rig.change(VpcEndpointServiceChange {
        allowed_principals: Some(Vec::new()),
        acceptance_required: Some(true),
        ..VpcEndpointServiceChange::default()
    });
    rig.client.ok("Encrypt", encrypt.clone());
    rig.services().delete(&rig.service).unwrap();
    let asked = rig.proxy.seen().len();
    assert_eq!(
        rig.client.error("Encrypt", encrypt.clone()),
        "KMSInvalidStateException"
    );
    let create_key =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "other"});
    assert_eq!(
        rig.client.error("CreateKey", create_key),
        "CustomKeyStoreInvalidStateException"
    );
    assert_eq!(rig.proxy.seen().len(), asked);
    assert_eq!(rig.entry(&store)["ConnectionState"], "CONNECTED");
    let described = rig.client.ok("DescribeKey", json!({"KeyId": key}));
    assert_eq!(described["KeyMetadata"]["KeyState"], "Enabled");
    rig.services().create(service).unwrap();
    rig.client.ok("Decrypt", json!({"CiphertextBlob": blob}));
}
