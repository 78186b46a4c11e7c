//! Encrypt, Decrypt, ReEncrypt and data keys, with and without an external key, through the API.

use crate::stub_proxy::{Answer, SECRET_ERROR_MESSAGE, StubProxy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::test_client::TestClient;

fn encrypt(client: &TestClient, key: &str, context: &Value) -> Value {
    let input = json!({"KeyId": key, "Plaintext": "SGVsbG8=", "EncryptionContext": context});
    client.ok("Encrypt", input)["CiphertextBlob"].clone()
}

fn decrypt(client: &TestClient, blob: &Value, context: &Value) -> Result<Value, (String, String)> {
    client.call(
        "Decrypt",
        json!({"CiphertextBlob": blob, "EncryptionContext": context}),
    )
}

fn arn(client: &TestClient, key: &str) -> String {
    let output = client.ok("DescribeKey", json!({"KeyId": key}));
    output["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

#[test]
fn a_ciphertext_is_bound_to_its_context_in_any_order() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    for (key, tampered) in [
        (client.key(), "InvalidCiphertextException"),
        (
            client.external_key(&store, "demo"),
            "KMSInvalidStateException",
        ),
    ] {
        let blob = encrypt(&client, &key, &json!({"a": "1", "b": "2"}));
        let output = decrypt(&client, &blob, &json!({"b": "2", "a": "1"})).unwrap();
        assert_eq!(output["Plaintext"], "SGVsbG8=");
        assert_eq!(output["KeyId"], arn(&client, &key));
        assert_eq!(output["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT");
        assert_eq!(
            output.get("KeyMaterialId").is_some(),
            tampered != "KMSInvalidStateException"
        );
        for wrong in [
            json!({}),
            json!({"a": "1"}),
            json!({"A": "1", "b": "2"}),
            json!({"a": "2", "b": "1"}),
        ] {
            let (name, message) = decrypt(&client, &blob, &wrong).unwrap_err();
            assert_eq!(name, tampered);
            assert_eq!(message.is_empty(), tampered == "InvalidCiphertextException");
        }
        let empty = encrypt(&client, &key, &Value::Null);
        decrypt(&client, &empty, &json!({})).unwrap();
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    for (key, tampered) in [
        (client.key(), "InvalidCiphertextException"),
        (
            client.external_key(&store, "demo"),
            "KMSInvalidStateException",
        ),
    ] {
        let blob = encrypt(&client, &key, &Value::Null);
        let bytes = STANDARD.decode(blob.as_str().unwrap()).unwrap();
        let arn = arn(&client, &key);
        let at_arn = bytes
            .windows(arn.len())
            .position(|w| w == arn.as_bytes())
            .unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let (name, _) =
                decrypt(&client, &json!(STANDARD.encode(&changed)), &Value::Null).unwrap_err();
            let expected = match at {
                // Magic and version: no key can be read.
                0..5 => "InvalidCiphertextException",
                // The ARN and its length: another key, or none.
                _ if (at_arn - 2..at_arn + arn.len()).contains(&at) => {
                    assert!(
                        ["AccessDeniedException", "InvalidCiphertextException"].contains(&&*name),
                        "{name}"
                    );
                    continue;
                }
                _ => tampered,
            };
            assert_eq!(name, expected, "byte {at}");
        }
    }
}

#[test]
fn a_proxy_sees_neither_the_plaintext_nor_more_than_it_needs() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let key = client.external_key(&store, "demo");
    client.ok(
        "CreateAlias",
        json!({"AliasName": "alias/demo", "TargetKeyId": key}),
    );
    let blob = encrypt(&client, "alias/demo", &json!({"purpose": "test"}));
    decrypt(&client, &blob, &json!({"purpose": "test"})).unwrap();

    let seen = proxy.seen();
    let [.., created, encrypted, decrypted] = &*seen else {
        panic!("{seen:?}");
    };
    let metadata = |operation: &str| {
        json!({
            "awsPrincipalArn": client.caller.principal_arn,
            "kmsKeyArn": arn(&client, &key),
            "kmsOperation": operation,
            "kmsRequestId": client.caller.request_id,
        })
    };
    assert_eq!(encrypted.body["requestMetadata"], metadata("Encrypt"));
    assert_eq!(decrypted.body["requestMetadata"], metadata("Decrypt"));
    let mut of_create = metadata("CreateKey");
    of_create.as_object_mut().unwrap().remove("kmsKeyArn");
    assert_eq!(created.body["requestMetadata"], of_create);
    assert!(encrypted.path.ends_with("/keys/demo/encrypt"));
    let sent = STANDARD
        .decode(encrypted.body["plaintext"].as_str().unwrap())
        .unwrap();
    assert!(!sent.windows(5).any(|w| w == b"Hello"));
    assert!(
        sent.len() <= 5 + 204,
        "the proxy must take 4,300 bytes for 4,096 of plaintext"
    );
    assert_eq!(
        encrypted.body["additionalAuthenticatedData"],
        decrypted.body["additionalAuthenticatedData"]
    );
}

#[test]
fn another_kms_key_of_the_same_external_key_opens_nothing() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let first = client.external_key(&store, "demo");
    let blob = encrypt(&client, &first, &Value::Null);
    let taken =
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "demo"});
    client.ok(
        "ScheduleKeyDeletion",
        json!({"KeyId": first, "PendingWindowInDays": 7}),
    );
    assert_eq!(
        client.error("CreateKey", taken),
        "XksKeyAlreadyInUseException"
    );
    client.advance_days(8);
    let second = client.external_key(&store, "demo");
    assert_eq!(
        decrypt(&client, &blob, &Value::Null).unwrap_err().0,
        "AccessDeniedException"
    );

    let text = STANDARD.decode(blob.as_str().unwrap()).unwrap();
    let at = text
        .windows(36)
        .position(|w| w == first.as_bytes())
        .unwrap();
    let mut renamed = text.clone();
    renamed[at..at + 36].copy_from_slice(second.as_bytes());
    let (name, message) =
        decrypt(&client, &json!(STANDARD.encode(renamed)), &Value::Null).unwrap_err();
    assert_eq!(
        (&*name, &*message),
        (
            "KMSInvalidStateException",
            "The external key store proxy rejected the request because the specified ciphertext or encryption \
             context is corrupted, missing, or otherwise invalid."
        )
    );
}

#[test]
fn re_encrypt_goes_between_all_kinds_of_keys_source_first() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let keys = [
        client.key(),
        client.key(),
        client.external_key(&store, "one"),
        client.external_key(&store, "two"),
    ];
    for source in &keys {
        let blob = encrypt(&client, source, &json!({"from": "x"}));
        for destination in &keys {
            let input = json!({
                "CiphertextBlob": blob,
                "SourceEncryptionContext": {"from": "x"},
                "DestinationKeyId": destination,
                "DestinationEncryptionContext": {"to": "y"},
            });
            let output = client.ok("ReEncrypt", input);
            assert_eq!(output["SourceKeyId"], arn(&client, source));
            assert_eq!(output["KeyId"], arn(&client, destination));
            let opened = decrypt(&client, &output["CiphertextBlob"], &json!({"to": "y"})).unwrap();
            assert_eq!(opened["Plaintext"], "SGVsbG8=");
            assert_eq!(opened["KeyId"], arn(&client, destination));
        }
    }
    let [first, second, ..] = &keys;
    let blob = encrypt(&client, first, &Value::Null);
    client.ok("DisableKey", json!({"KeyId": first}));
    client.ok("ScheduleKeyDeletion", json!({"KeyId": second}));
    let input = json!({"CiphertextBlob": blob, "DestinationKeyId": second});
    assert_eq!(client.error("ReEncrypt", input), "DisabledException");
}

#[test]
fn a_dry_run_asks_no_proxy() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let key = client.external_key(&store, "demo");
    let blob = encrypt(&client, &key, &Value::Null);
    let before = proxy.seen().len();
    for (operation, mut input) in [
        ("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"})),
        ("Decrypt", json!({"CiphertextBlob": blob})),
        (
            "Decrypt",
            json!({"KeyId": key, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
        ),
        (
            "ReEncrypt",
            json!({"CiphertextBlob": blob, "DestinationKeyId": key}),
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
        ),
        (
            "GenerateDataKeyWithoutPlaintext",
            json!({"KeyId": key, "NumberOfBytes": 7}),
        ),
    ] {
        input["DryRun"] = json!(true);
        let (name, message) = client.call(operation, input).unwrap_err();
        assert_eq!(name, "DryRunOperationException", "{operation}");
        assert_eq!(
            message,
            "The request would have succeeded, but the DryRun option is set."
        );
    }
    assert_eq!(proxy.seen().len(), before);
    client.ok("DisableKey", json!({"KeyId": key}));
    let input = json!({"KeyId": key, "Plaintext": "AAAA", "DryRun": true});
    assert_eq!(client.error("Encrypt", input), "DisabledException");
}

#[test]
fn a_context_beyond_8192_bytes_goes_to_the_proxy_as_a_hash() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let key = client.external_key(&store, "demo");
    let context = json!({"long": "x".repeat(9_000)});
    let blob = encrypt(&client, &key, &context);
    let seen = proxy.seen();
    let aad = &seen.last().unwrap().body["additionalAuthenticatedData"];
    assert!(STANDARD.decode(aad.as_str().unwrap()).unwrap().len() < 300);
    decrypt(&client, &blob, &context).unwrap();
    let other = json!({"long": format!("{}y", "x".repeat(8_999))});
    assert_eq!(
        decrypt(&client, &blob, &other).unwrap_err().0,
        "KMSInvalidStateException"
    );
}

#[test]
fn a_failing_proxy_is_always_an_invalid_state_and_its_message_stays_secret() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let key = client.external_key(&store, "demo");
    let blob = encrypt(&client, &key, &Value::Null);
    let calls = [
        ("Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"})),
        ("Decrypt", json!({"CiphertextBlob": blob})),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_128"}),
        ),
        (
            "ReEncrypt",
            json!({"CiphertextBlob": blob, "DestinationKeyId": client.key()}),
        ),
    ];
    for (status, error_name) in [
        (400, "InvalidStateException"),
        (404, "KeyNotFoundException"),
        (429, "ThrottlingException"),
        (503, "DependencyTimeoutException"),
        (500, "Nonsense"),
    ] {
        proxy.always(Answer::Error(status, error_name));
        for (operation, input) in &calls {
            let (name, message) = client.call(operation, input.clone()).unwrap_err();
            assert_eq!(name, "KMSInvalidStateException", "{operation} {error_name}");
            assert!(
                !message.is_empty() && !message.contains(SECRET_ERROR_MESSAGE),
                "{message}"
            );
        }
    }
    // The call fails, the key does not change.
    let described = client.ok("DescribeKey", json!({"KeyId": key}));
    assert_eq!(described["KeyMetadata"]["KeyState"], "Enabled");
    proxy.always(Answer::Sound);
    for (operation, input) in &calls {
        client.ok(operation, input.clone());
    }
}

#[test]
fn a_changed_inner_layer_is_the_ciphertext_that_the_proxy_submitted() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let key = client.external_key(&store, "demo");
    let blob = encrypt(&client, &key, &Value::Null);
    proxy.next(Answer::Changed(|body| {
        let text = body["plaintext"].as_str().unwrap();
        let mut bytes = STANDARD.decode(text).unwrap();
        bytes[40] ^= 1;
        body["plaintext"] = STANDARD.encode(bytes).into();
    }));
    let (name, message) = decrypt(&client, &blob, &Value::Null).unwrap_err();
    assert_eq!(
        (&*name, &*message),
        (
            "KMSInvalidStateException",
            "The ciphertext that the external key store proxy submitted for decryption, or the encryption context, \
             is corrupted, missing, or otherwise invalid."
        )
    );
}

#[test]
fn data_keys_have_the_length_asked_for_and_decrypt() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    for key in [client.key(), client.external_key(&store, "demo")] {
        for (input, len) in [
            (json!({"KeyId": key, "KeySpec": "AES_256"}), 32),
            (json!({"KeyId": key, "KeySpec": "AES_128"}), 16),
            (json!({"KeyId": key, "NumberOfBytes": 1024}), 1024),
        ] {
            let output = client.ok("GenerateDataKey", input.clone());
            let data_key = STANDARD
                .decode(output["Plaintext"].as_str().unwrap())
                .unwrap();
            assert_eq!(data_key.len(), len);
            let opened = decrypt(&client, &output["CiphertextBlob"], &Value::Null).unwrap();
            assert_eq!(opened["Plaintext"], output["Plaintext"]);
            assert_eq!(opened.get("KeyMaterialId"), output.get("KeyMaterialId"));

            let output = client.ok("GenerateDataKeyWithoutPlaintext", input);
            assert!(output.get("Plaintext").is_none());
            let opened = decrypt(&client, &output["CiphertextBlob"], &Value::Null).unwrap();
            assert_ne!(opened["Plaintext"], STANDARD.encode(&data_key));
        }
        for input in [
            json!({"KeyId": key}),
            json!({"KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 32}),
            json!({"KeyId": key, "NumberOfBytes": 1025}),
        ] {
            assert_eq!(
                client.error("GenerateDataKey", input),
                "ValidationException"
            );
        }
    }
}

#[test]
fn sizes_keys_and_algorithms_that_do_not_fit_have_the_texts_of_kms() {
    let client = TestClient::new();
    let (key, other) = (client.key(), client.key());
    let text = |len| STANDARD.encode(vec![7; len]);
    let blob =
        client.ok("Encrypt", json!({"KeyId": key, "Plaintext": text(4_096)}))["CiphertextBlob"]
            .clone();
    assert_eq!(
        decrypt(&client, &blob, &Value::Null).unwrap()["Plaintext"],
        text(4_096)
    );
    for (operation, input, name, message) in [
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": text(4_097)}),
            "ValidationException",
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length \
             less than or equal to 4096",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
            "ValidationException",
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length \
             greater than or equal to 1",
        ),
        (
            "Decrypt",
            json!({"CiphertextBlob": blob, "KeyId": other}),
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ),
        (
            "Decrypt",
            json!({"CiphertextBlob": text(100)}),
            "InvalidCiphertextException",
            "",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "AAAA", "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"}),
            "InvalidKeyUsageException",
            "Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT.",
        ),
        (
            "Encrypt",
            json!({"KeyId": "alias/none", "Plaintext": "AAAA"}),
            "NotFoundException",
            "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found.",
        ),
        (
            "GenerateRandom",
            json!({}),
            "ValidationException",
            "NumberOfBytes is required.",
        ),
    ] {
        let expected = (name.to_owned(), message.to_owned());
        assert_eq!(client.call(operation, input), Err(expected), "{operation}");
    }
    // Other accounts and Regions know nothing of the key.
    for (account, region) in [("444455556666", "us-east-1"), ("111122223333", "us-west-2")] {
        let caller = TestClient::caller(account, region);
        let error = client
            .call_as(&caller, "Decrypt", json!({"CiphertextBlob": blob}))
            .unwrap_err();
        assert_eq!(error.0, "AccessDeniedException");
    }
}

#[test]
fn random_bytes_come_from_kms_and_from_no_external_key_store() {
    let proxy = StubProxy::start();
    let (client, store) = TestClient::with_key_store(&proxy);
    let output = client.ok("GenerateRandom", json!({"NumberOfBytes": 1024}));
    assert_eq!(
        STANDARD
            .decode(output["Plaintext"].as_str().unwrap())
            .unwrap()
            .len(),
        1024
    );
    for (store, name) in [
        (&*store, "UnsupportedOperationException"),
        ("cks-unknown", "CustomKeyStoreNotFoundException"),
    ] {
        let input = json!({"NumberOfBytes": 8, "CustomKeyStoreId": store});
        assert_eq!(client.error("GenerateRandom", input), name);
    }
}
