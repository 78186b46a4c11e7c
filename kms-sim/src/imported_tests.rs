//! Imported key material: wrapped as clients wrap it, reimported, expired, deleted, rotated, and saved.

use aes_kw::{KeyInit as _, KwpAes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::Oaep;
use rsa::pkcs8::DecodePublicKey as _;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use crate::fixed_key::FixedKey;
use crate::key_spec::KeySpec;
use crate::test_client::TestClient;

const OAEP: &str = "RSAES_OAEP_SHA_256";

fn external(client: &TestClient, spec: &str, usage: &str) -> String {
    let input = json!({"Origin": "EXTERNAL", "KeySpec": spec, "KeyUsage": usage});
    let key = client.ok("CreateKey", input)["KeyMetadata"].clone();
    assert_eq!(key["KeyState"], "PendingImport");
    assert_eq!(key["Origin"], "EXTERNAL");
    assert!(key["ExpirationModel"].is_null() && key["CurrentKeyMaterialId"].is_null());
    key["KeyId"].as_str().unwrap().to_owned()
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// Import parameters, and the material wrapped for them.
fn wrapped(client: &TestClient, key: &str, algorithm: &str, material: &[u8]) -> Value {
    let input =
        json!({"KeyId": key, "WrappingAlgorithm": algorithm, "WrappingKeySpec": "RSA_2048"});
    let parameters = client.ok("GetParametersForImport", input);
    let public_key = rsa::PublicKey::from_public_key_der(&bytes(&parameters["PublicKey"])).unwrap();
    let encrypt = |text: &[u8]| {
        let rng = &mut getrandom::SysRng;
        match algorithm.ends_with("SHA_1") {
            true => public_key.encrypt(rng, Oaep::<Sha1>::new(), text).unwrap(),
            false => public_key
                .encrypt(rng, Oaep::<Sha256>::new(), text)
                .unwrap(),
        }
    };
    let text = match algorithm.starts_with("RSA_AES") {
        false => encrypt(material),
        true => {
            let mut room = vec![0; material.len() + 16];
            let aes_key = KwpAes256::new_from_slice(&[5; 32]).unwrap();
            let wrapped = aes_key.wrap_key(material, &mut room).unwrap().to_vec();
            [encrypt(&[5; 32]), wrapped].concat()
        }
    };
    json!({
        "KeyId": key, "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": STANDARD.encode(text),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    })
}

fn with(mut input: Value, extra: Value) -> Value {
    let members = extra.as_object().unwrap().clone();
    input.as_object_mut().unwrap().extend(members);
    input
}

fn state(client: &TestClient, key: &str) -> String {
    let key = client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].clone();
    key["KeyState"].as_str().unwrap().to_owned()
}

#[test]
fn material_of_every_kind_is_imported_as_every_algorithm_wraps_it() {
    let client = TestClient::new();
    let made = |spec| FixedKey::generate(spec).unwrap().secret_bytes().to_vec();
    let cases = [
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", vec![9; 32], OAEP),
        (
            "SYMMETRIC_DEFAULT",
            "ENCRYPT_DECRYPT",
            vec![9; 32],
            "RSAES_OAEP_SHA_1",
        ),
        ("HMAC_512", "GENERATE_VERIFY_MAC", vec![3; 64], OAEP),
        (
            "ECC_NIST_P256",
            "SIGN_VERIFY",
            made(KeySpec::EccNistP256),
            OAEP,
        ),
        (
            "ECC_NIST_P521",
            "KEY_AGREEMENT",
            made(KeySpec::EccNistP521),
            "RSA_AES_KEY_WRAP_SHA_256",
        ),
        (
            "RSA_2048",
            "ENCRYPT_DECRYPT",
            made(KeySpec::Rsa2048),
            "RSA_AES_KEY_WRAP_SHA_1",
        ),
        ("ML_DSA_44", "SIGN_VERIFY", made(KeySpec::MlDsa44), OAEP),
    ];
    for (spec, usage, material, algorithm) in cases {
        let key = external(&client, spec, usage);
        let use_it =
            json!({"KeyId": key, "Plaintext": "eA==", "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"});
        if spec == "RSA_2048" {
            let (name, message) = client.call("Encrypt", use_it).unwrap_err();
            assert_eq!(name, "KMSInvalidStateException");
            assert!(message.ends_with(" is pending import."), "{message}");
        }
        let import = wrapped(&client, &key, algorithm, &material);
        let imported = client.ok("ImportKeyMaterial", import.clone());
        assert_eq!(
            imported["KeyMaterialId"].is_string(),
            spec == "SYMMETRIC_DEFAULT"
        );
        let described = client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].clone();
        assert_eq!(described["KeyState"], "Enabled", "{spec}");
        assert_eq!(described["ExpirationModel"], "KEY_MATERIAL_DOES_NOT_EXPIRE");
        assert_eq!(described["CurrentKeyMaterialId"], imported["KeyMaterialId"]);
        if let Some(public_key) =
            FixedKey::from_secret_bytes(KeySpec::from_name(spec).unwrap(), &material)
                .and_then(|key| key.public_key().map(<[u8]>::to_vec))
        {
            let found = client.ok("GetPublicKey", json!({"KeyId": key}));
            assert_eq!(bytes(&found["PublicKey"]), public_key, "{spec}");
        }
        // The same again is taken, another is not.
        client.ok("ImportKeyMaterial", import);
        let other = match spec {
            "SYMMETRIC_DEFAULT" | "HMAC_512" => vec![1; material.len()],
            _ => made(KeySpec::from_name(spec).unwrap()),
        };
        let other = wrapped(&client, &key, algorithm, &other);
        assert_eq!(
            client.error("ImportKeyMaterial", other),
            "IncorrectKeyMaterialException"
        );
        // What is no material of the kind is not, either.
        let wrong = wrapped(&client, &key, algorithm, &[7; 30]);
        assert_eq!(
            client.error("ImportKeyMaterial", wrong),
            "IncorrectKeyMaterialException"
        );
    }
}

#[test]
fn tokens_belong_to_a_key_and_a_day() {
    let client = TestClient::new();
    let (key, other) = (
        external(&client, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        external(&client, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    );
    let import = wrapped(&client, &key, OAEP, &[1; 32]);
    let elsewhere = with(import.clone(), json!({"KeyId": other}));
    assert_eq!(
        client.error("ImportKeyMaterial", elsewhere),
        "InvalidImportTokenException"
    );
    let forged = with(
        import.clone(),
        json!({"ImportToken": STANDARD.encode([0; 900])}),
    );
    assert_eq!(
        client.error("ImportKeyMaterial", forged),
        "InvalidImportTokenException"
    );
    let damaged = with(
        import.clone(),
        json!({"EncryptedKeyMaterial": STANDARD.encode([1; 256])}),
    );
    let error = client.call("ImportKeyMaterial", damaged).unwrap_err();
    assert_eq!(
        error,
        ("InvalidCiphertextException".to_owned(), String::new())
    );
    client.advance_days(1);
    assert_eq!(
        client.error("ImportKeyMaterial", import),
        "ExpiredImportTokenException"
    );
}

#[test]
fn what_cannot_be_imported_so_is_refused_first() {
    let client = TestClient::new();
    let parameters = |key: &str, algorithm: &str, spec: &str| {
        let input = json!({"KeyId": key, "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec});
        client.error("GetParametersForImport", input)
    };
    let unsupported = "UnsupportedOperationException";
    let rsa = external(&client, "RSA_2048", "SIGN_VERIFY");
    assert_eq!(parameters(&rsa, OAEP, "RSA_4096"), unsupported);
    let p521 = external(&client, "ECC_NIST_P521", "SIGN_VERIFY");
    assert_eq!(parameters(&p521, OAEP, "RSA_2048"), unsupported);
    assert_eq!(
        parameters(&p521, "RSAES_PKCS1_V1_5", "RSA_4096"),
        unsupported
    );
    assert_eq!(parameters(&p521, "SM2PKE", "SM2"), unsupported);
    let by_kms = client.key();
    assert_eq!(parameters(&by_kms, OAEP, "RSA_2048"), unsupported);
    for operation in ["DeleteImportedKeyMaterial", "EnableKeyRotation"] {
        let key = if operation == "EnableKeyRotation" {
            &rsa
        } else {
            &by_kms
        };
        assert_eq!(client.error(operation, json!({"KeyId": key})), unsupported);
    }
    let key = external(&client, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT");
    let import = wrapped(&client, &key, OAEP, &[1; 32]);
    let now = client
        .now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let day = 86_400;
    for extra in [
        json!({"ValidTo": now + day}),
        json!({"ExpirationModel": "KEY_MATERIAL_EXPIRES"}),
        json!({"ExpirationModel": null}),
        json!({"ExpirationModel": null, "ValidTo": now - 1}),
        json!({"ExpirationModel": null, "ValidTo": now + 366 * day}),
        json!({"ImportType": "NEW_KEY_MATERIAL", "KeyMaterialId": "0".repeat(64)}),
    ] {
        let input = with(import.clone(), extra.clone());
        assert_eq!(
            client.error("ImportKeyMaterial", input),
            "ValidationException",
            "{extra}"
        );
    }
    for extra in [
        json!({"ImportType": "EXISTING_KEY_MATERIAL"}),
        json!({"KeyMaterialId": "0".repeat(64)}),
    ] {
        let input = with(import.clone(), extra.clone());
        let error = client.error("ImportKeyMaterial", input);
        assert_eq!(error, "IncorrectKeyMaterialException", "{extra}");
    }
    let hmac = external(&client, "HMAC_256", "GENERATE_VERIFY_MAC");
    let input = with(
        wrapped(&client, &hmac, OAEP, &[1; 32]),
        json!({"ImportType": "NEW_KEY_MATERIAL"}),
    );
    assert_eq!(client.error("ImportKeyMaterial", input), unsupported);
}

#[test]
fn material_expires_and_comes_back() {
    let client = TestClient::new();
    let key = external(&client, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT");
    let now = client
        .now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let import = wrapped(&client, &key, OAEP, &[1; 32]);
    let expiring = json!({"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": now + 3 * 86_400});
    client.ok("ImportKeyMaterial", with(import, expiring));
    let described = client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].clone();
    assert_eq!(described["ExpirationModel"], "KEY_MATERIAL_EXPIRES");
    assert_eq!(
        described["ValidTo"].to_string(),
        format!("{}.0", now + 3 * 86_400)
    );
    let sealed = client.ok("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}));
    let open = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    client.ok("Decrypt", open.clone());
    client.advance_days(3);
    assert_eq!(state(&client, &key), "PendingImport");
    assert_eq!(
        client.error("Decrypt", open.clone()),
        "KMSInvalidStateException"
    );
    assert_eq!(
        client.error("DisableKey", json!({"KeyId": key})),
        "KMSInvalidStateException"
    );
    client.ok("ImportKeyMaterial", wrapped(&client, &key, OAEP, &[1; 32]));
    assert_eq!(state(&client, &key), "Enabled");
    client.ok("Decrypt", open.clone());
    let deleted = client.ok("DeleteImportedKeyMaterial", json!({"KeyId": key}));
    assert_eq!(deleted["KeyMaterialId"], described["CurrentKeyMaterialId"]);
    assert_eq!(state(&client, &key), "PendingImport");
    client.ok("DeleteImportedKeyMaterial", json!({"KeyId": key}));
    client.ok("ImportKeyMaterial", wrapped(&client, &key, OAEP, &[1; 32]));
    client.ok("Decrypt", open);
}

#[test]
fn imported_material_is_rotated_on_demand_and_saved() {
    let mut client = TestClient::new();
    let key = external(&client, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT");
    let rotate = json!({"KeyId": key});
    assert_eq!(
        client.error("RotateKeyOnDemand", rotate.clone()),
        "KMSInvalidStateException"
    );
    let named = json!({"KeyMaterialDescription": "the first"});
    client.ok(
        "ImportKeyMaterial",
        with(wrapped(&client, &key, OAEP, &[1; 32]), named),
    );
    let sealed = client.ok("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}));
    let old = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    let (name, message) = client
        .call("RotateKeyOnDemand", rotate.clone())
        .unwrap_err();
    assert_eq!(name, "KMSInvalidStateException");
    assert!(
        message.starts_with("No available key material pending rotation"),
        "{message}"
    );
    let new = json!({"ImportType": "NEW_KEY_MATERIAL"});
    let again = with(wrapped(&client, &key, OAEP, &[1; 32]), new.clone());
    assert_eq!(
        client.error("ImportKeyMaterial", again),
        "IncorrectKeyMaterialException"
    );
    client.ok(
        "ImportKeyMaterial",
        with(wrapped(&client, &key, OAEP, &[2; 32]), new.clone()),
    );
    let third = with(wrapped(&client, &key, OAEP, &[3; 32]), new);
    assert_eq!(
        client.error("ImportKeyMaterial", third),
        "KMSInvalidStateException"
    );
    let states = |client: &TestClient| {
        let input = json!({"KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
        let rotations = client.ok("ListKeyRotations", input)["Rotations"].clone();
        let state = |r: &Value| {
            json!([
                r["KeyMaterialState"],
                r["ImportState"],
                r["RotationType"],
                r["KeyMaterialDescription"]
            ])
        };
        rotations
            .as_array()
            .unwrap()
            .iter()
            .map(state)
            .collect::<Value>()
    };
    let expected = json!([
        ["CURRENT", "IMPORTED", null, "the first"],
        ["PENDING_ROTATION", "IMPORTED", null, null],
    ]);
    assert_eq!(states(&client), expected);
    client.ok("RotateKeyOnDemand", rotate);
    let expected = json!([
        ["NON_CURRENT", "IMPORTED", null, "the first"],
        ["CURRENT", "IMPORTED", "ON_DEMAND", null],
    ]);
    assert_eq!(states(&client), expected);
    client.ok("Decrypt", old.clone());
    let fresh = client.ok("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}));
    let fresh = json!({"CiphertextBlob": fresh["CiphertextBlob"]});
    // Without any one of its materials the key cannot be used.
    let ids = client.ok(
        "ListKeyRotations",
        json!({"KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}),
    );
    let first = &ids["Rotations"][0]["KeyMaterialId"];
    client.ok(
        "DeleteImportedKeyMaterial",
        json!({"KeyId": key, "KeyMaterialId": first}),
    );
    assert_eq!(states(&client)[0][1], "PENDING_IMPORT");
    assert_eq!(
        client.error("Decrypt", fresh.clone()),
        "KMSInvalidStateException"
    );
    let back = with(
        wrapped(&client, &key, OAEP, &[1; 32]),
        json!({"KeyMaterialId": first}),
    );
    let token = wrapped(&client, &key, OAEP, &[2; 32]);
    // As after a restart; the token is good there, too.
    let image = serde_json::to_string(&client.simulator.image()).unwrap();
    let other = TestClient::new();
    let records = serde_json::from_str::<crate::state_image::StateImage>(&image)
        .unwrap()
        .into_records();
    let restored = crate::state_image::Restored::read(records.unwrap()).unwrap();
    other.block_on(other.simulator.restore(restored));
    client = other;
    client.ok("ImportKeyMaterial", back);
    client.ok("ImportKeyMaterial", token);
    assert_eq!(
        states(&client)[0],
        json!(["NON_CURRENT", "IMPORTED", null, "the first"])
    );
    client.ok("Decrypt", old);
    client.ok("Decrypt", fresh);
}
