//! Keys of every KeySpec: what a second implementation makes with them, and what operations do with them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::{Value, json};

use crate::fixed_key::{FixedKey, Message};
use crate::key_spec::{
    EncryptionAlgorithm, KeyKind, KeySpec, KeyUsage, MacAlgorithm, SigningAlgorithm,
};
use crate::test_client::TestClient;

/// `tests/vectors/fixed_keys.json`: written by Python's `cryptography`.
fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/fixed_keys.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn pairs(value: &Value) -> impl Iterator<Item = (&String, Vec<u8>)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name, bytes(value)))
}

#[test]
fn a_second_implementation_makes_the_same_of_every_key() {
    let vectors = vectors();
    let (message, plaintext) = (bytes(&vectors["message"]), bytes(&vectors["plaintext"]));
    let raw = Message::Raw(&message);
    let mut checks = 0;
    for (name, vector) in vectors["keys"].as_object().unwrap() {
        let spec = KeySpec::from_name(name).unwrap();
        let secret = bytes(&vector["secret"]);
        let key = FixedKey::from_secret_bytes(spec, &secret).unwrap();
        // PKCS #8 leaves some freedom, but what is written is read again.
        let again = FixedKey::from_secret_bytes(spec, key.secret_bytes()).unwrap();
        assert_eq!(again.secret_bytes(), key.secret_bytes(), "{name}");
        if spec.is_pair() {
            assert_eq!(
                key.public_key(),
                Some(&*bytes(&vector["public_key"])),
                "{name}"
            );
        }
        let (first, other) = (&vector["signatures"], &vector["other_signatures"]);
        for (algorithm, signature) in pairs(first).chain(pairs(other)) {
            let algorithm = SigningAlgorithm::from_name(algorithm).unwrap();
            let context = format!("{name} {}", algorithm.name());
            assert!(key.verify(algorithm, raw, &signature), "{context}");
            assert!(
                !key.verify(algorithm, Message::Raw(b"other"), &signature),
                "{context}"
            );
            let ours = key.sign(algorithm, raw).unwrap();
            assert!(key.verify(algorithm, raw, &ours), "{context}");
            if algorithm != SigningAlgorithm::MlDsaShake256
                && algorithm != SigningAlgorithm::Ed25519Sha512
            {
                let hash = match algorithm.digest_len() {
                    32 => &digest::SHA256,
                    48 => &digest::SHA384,
                    _ => &digest::SHA512,
                };
                let digest = digest::digest(hash, &message);
                let digest = Message::Digest(digest.as_ref());
                assert!(key.verify(algorithm, digest, &signature), "{context}");
            }
            checks += 1;
        }
        if vector["mu"].is_string() {
            let mu: [u8; 64] = bytes(&vector["mu"]).try_into().unwrap();
            let (algorithm, mu) = (SigningAlgorithm::MlDsaShake256, Message::ExternalMu(&mu));
            let (_, signature) = pairs(first).next().unwrap();
            assert!(key.verify(algorithm, mu, &signature), "{name}");
            let ours = key.sign(algorithm, mu).unwrap();
            assert!(key.verify(algorithm, raw, &ours), "{name}");
        }
        for (algorithm, ciphertext) in pairs(&vector["ciphertexts"]) {
            let algorithm = EncryptionAlgorithm::from_name(algorithm).unwrap();
            let found = key.decrypt(algorithm, &ciphertext);
            assert_eq!(
                found.as_deref(),
                Some(&plaintext),
                "{name} {}",
                algorithm.name()
            );
            checks += 1;
        }
        for (algorithm, mac) in pairs(&vector["macs"]) {
            let algorithm = MacAlgorithm::from_name(algorithm).unwrap();
            assert_eq!(key.mac(algorithm, &message), Some(mac), "{name}");
            checks += 1;
        }
        if vector["peer"].is_string() && spec != KeySpec::EccSecgP256k1 {
            let found = key.agree(&bytes(&vector["peer"])).unwrap();
            assert_eq!(*found, bytes(&vector["shared_secret"]), "{name}");
            checks += 1;
        }
        if vector["ciphertext"].is_string() {
            let found = key.decapsulate(&bytes(&vector["ciphertext"])).unwrap();
            assert_eq!(*found, bytes(&vector["shared_secret"]), "{name}");
            checks += 1;
        }
    }
    assert_eq!(checks, 3 * 8 + 4 * 2 + 1 + 3 + 4 + 3 + 2);
}

/// RFC 8032, section 7.3: what is hashed and signed is the three bytes `abc`.
#[test]
fn ed25519ph_is_that_of_its_specification() {
    let secret = "302e020100300506032b657004220420833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42";
    let signature = "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aa\
                     a10b8c61e636062aaad11c2a26083406";
    let (spec, algorithm) = (
        KeySpec::EccNistEdwards25519,
        SigningAlgorithm::Ed25519PhSha512,
    );
    let key = FixedKey::from_secret_bytes(spec, &bytes(&json!(secret))).unwrap();
    let found = key.sign(algorithm, Message::Digest(b"abc")).unwrap();
    assert_eq!(found, bytes(&json!(signature)));
    assert!(key.verify(algorithm, Message::Digest(b"abc"), &found));
}

#[test]
fn a_secret_of_another_spec_is_none() {
    let vectors = vectors();
    for (name, vector) in vectors["keys"].as_object().unwrap() {
        let secret = bytes(&vector["secret"]);
        for (other, spec) in KeySpec::CHOICES {
            // Any bytes are an HMAC key.
            if spec.name().starts_with("HMAC") && name != other {
                continue;
            }
            let found = FixedKey::from_secret_bytes(*spec, &secret).is_some();
            assert_eq!(found, name == other, "{name} as {other}");
        }
    }
}

/// KeySpecs and KeyUsages; long RSA moduli take too long for every run.
fn kinds() -> Vec<KeyKind> {
    let specs = KeySpec::CHOICES.iter().map(|(_, spec)| *spec);
    let specs = specs.filter(|spec| {
        use KeySpec::{Rsa3072, Rsa4096, Sm2};
        ![Sm2, Rsa3072, Rsa4096].contains(spec)
    });
    let kinds = specs.flat_map(|spec| {
        let usages = spec.usages().iter();
        usages.map(move |usage| KeyKind {
            spec,
            usage: *usage,
        })
    });
    kinds.collect()
}

fn create(client: &TestClient, kind: KeyKind) -> String {
    let input = json!({"KeySpec": kind.spec.name(), "KeyUsage": kind.usage.name()});
    let key = client.ok("CreateKey", input)["KeyMetadata"].clone();
    let id = key["KeyId"].as_str().unwrap().to_owned();
    assert_eq!(key["KeySpec"], kind.spec.name());
    assert_eq!(key["CustomerMasterKeySpec"], kind.spec.name());
    assert_eq!(key["KeyUsage"], kind.usage.name());
    assert_eq!(key["Origin"], "AWS_KMS");
    // One list of algorithms is there: that of its usage.
    let lists = [
        ("EncryptionAlgorithms", KeyUsage::EncryptDecrypt),
        ("SigningAlgorithms", KeyUsage::SignVerify),
        ("MacAlgorithms", KeyUsage::GenerateVerifyMac),
        ("KeyAgreementAlgorithms", KeyUsage::KeyAgreement),
        ("EncapsulationAlgorithms", KeyUsage::EncapsulateDecapsulate),
    ];
    for (list, usage) in lists {
        let some = key[list].as_array().is_some_and(|list| !list.is_empty());
        assert_eq!(some, usage == kind.usage, "{list} of {key}");
    }
    let rotates = key["CurrentKeyMaterialId"].is_string();
    assert_eq!(rotates, kind.is_symmetric());
    id
}

/// What each operation is called with.
fn requests(id: &str) -> Vec<(KeyUsage, &'static str, Value)> {
    use KeyUsage as U;
    let with = |extra: Value| {
        let mut input = json!({"KeyId": id});
        let members = extra.as_object().unwrap().clone();
        input.as_object_mut().unwrap().extend(members);
        input
    };
    let sign = with(json!({"Message": "eA==", "SigningAlgorithm": "ECDSA_SHA_256"}));
    let mac = with(json!({"Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"}));
    let mut verify = sign.clone();
    verify["Signature"] = "eA==".into();
    let mut verify_mac = mac.clone();
    verify_mac["Mac"] = "eA==".into();
    let kem = with(json!({"EncapsulationAlgorithm": "ML_KEM"}));
    let mut decapsulate = kem.clone();
    decapsulate["SharedSecretCiphertextBlob"] = "eA==".into();
    let agree = with(json!({"KeyAgreementAlgorithm": "ECDH", "PublicKey": "eA=="}));
    vec![
        (
            U::EncryptDecrypt,
            "Encrypt",
            with(json!({"Plaintext": "eA=="})),
        ),
        (U::SignVerify, "Sign", sign),
        (U::SignVerify, "Verify", verify),
        (U::GenerateVerifyMac, "GenerateMac", mac),
        (U::GenerateVerifyMac, "VerifyMac", verify_mac),
        (U::KeyAgreement, "DeriveSharedSecret", agree),
        (U::EncapsulateDecapsulate, "Encapsulate", kem),
        (U::EncapsulateDecapsulate, "Decapsulate", decapsulate),
    ]
}

#[test]
fn keys_do_what_they_are_for_and_nothing_else() {
    let client = TestClient::new();
    for kind in kinds() {
        let id = create(&client, kind);
        let arn = crate::arn::key_arn(&client.caller, &id);
        for (usage, operation, input) in requests(&id) {
            if usage == kind.usage {
                continue;
            }
            let (name, message) = client.call(operation, input).unwrap_err();
            assert_eq!(name, "InvalidKeyUsageException", "{operation}");
            let expected = format!(
                "{arn} key usage is {} which is not valid for {operation}.",
                kind.usage.name()
            );
            assert_eq!(message, expected);
        }
        let public = client.call("GetPublicKey", json!({"KeyId": id}));
        match kind.spec.is_pair() {
            true => assert_eq!(public.unwrap()["KeyUsage"], kind.usage.name()),
            false => assert_eq!(public.unwrap_err().0, "UnsupportedOperationException"),
        }
        if !kind.is_symmetric() {
            for operation in [
                "EnableKeyRotation",
                "RotateKeyOnDemand",
                "GetKeyRotationStatus",
            ] {
                let error = client.error(operation, json!({"KeyId": id}));
                assert_eq!(
                    error, "UnsupportedOperationException",
                    "{operation} {kind:?}"
                );
            }
            let input = json!({"KeyId": id, "KeySpec": "AES_256"});
            let error = client.error("GenerateDataKey", input);
            assert_eq!(error, "InvalidKeyUsageException", "{kind:?}");
        }
    }
}

#[test]
fn sign_and_verify_take_what_the_algorithm_takes() {
    let client = TestClient::new();
    for kind in kinds() {
        if kind.usage != KeyUsage::SignVerify {
            continue;
        }
        let id = create(&client, kind);
        for algorithm in kind.signing_algorithms() {
            let len = algorithm.digest_len();
            let text = STANDARD.encode(vec![7; len]);
            for message_type in ["RAW", "DIGEST", "EXTERNAL_MU"] {
                let input = json!({
                    "KeyId": id, "Message": text, "MessageType": message_type, "SigningAlgorithm": algorithm.name(),
                });
                let takes = match algorithm.name() {
                    "ED25519_SHA_512" => message_type == "RAW",
                    "ED25519_PH_SHA_512" => message_type == "DIGEST",
                    "ML_DSA_SHAKE_256" => message_type != "DIGEST",
                    _ => message_type != "EXTERNAL_MU",
                };
                let context = format!("{} {message_type}", algorithm.name());
                let Ok(signed) = client.call("Sign", input.clone()) else {
                    assert!(!takes, "{context}");
                    assert_eq!(client.error("Sign", input), "ValidationException");
                    continue;
                };
                assert!(takes, "{context}");
                let mut verify = input.clone();
                verify["Signature"] = signed["Signature"].clone();
                assert_eq!(client.ok("Verify", verify.clone())["SignatureValid"], true);
                let mut other = verify.clone();
                other["Message"] = STANDARD.encode(vec![8; len]).into();
                let error = client.call("Verify", other).unwrap_err();
                assert_eq!(
                    error,
                    ("KMSInvalidSignatureException".to_owned(), String::new())
                );
                if message_type != "RAW" {
                    let mut short = input;
                    short["Message"] = STANDARD.encode(vec![7; len - 1]).into();
                    let (_, message) = client.call("Sign", short).unwrap_err();
                    assert!(
                        message.contains("is invalid length for algorithm"),
                        "{message}"
                    );
                }
            }
        }
        let wrong = json!({"KeyId": id, "Message": "eA==", "SigningAlgorithm": "SM2DSA"});
        let (name, message) = client.call("Sign", wrong).unwrap_err();
        assert_eq!(name, "InvalidKeyUsageException");
        let spec = kind.spec.name();
        let expected = format!("Algorithm SM2DSA is incompatible with key spec {spec}.");
        assert_eq!(message, expected);
    }
}

#[test]
fn rsa_encrypts_up_to_its_limit_and_decrypts_by_the_key_alone() {
    let client = TestClient::new();
    let kind = KeyKind {
        spec: KeySpec::Rsa2048,
        usage: KeyUsage::EncryptDecrypt,
    };
    let (id, other) = (create(&client, kind), client.key());
    for (algorithm, most) in [("RSAES_OAEP_SHA_1", 214), ("RSAES_OAEP_SHA_256", 190)] {
        let input = |len: usize| {
            let text = STANDARD.encode(vec![1; len]);
            json!({"KeyId": id, "Plaintext": text, "EncryptionAlgorithm": algorithm})
        };
        let sealed = client.ok("Encrypt", input(most));
        assert_eq!(sealed["EncryptionAlgorithm"], algorithm);
        let mut open = json!({
            "KeyId": id, "CiphertextBlob": sealed["CiphertextBlob"], "EncryptionAlgorithm": algorithm,
        });
        let opened = client.ok("Decrypt", open.clone());
        assert_eq!(opened["Plaintext"], input(most)["Plaintext"]);
        assert!(opened["KeyMaterialId"].is_null());
        let moved = json!({
            "SourceKeyId": id, "CiphertextBlob": sealed["CiphertextBlob"],
            "SourceEncryptionAlgorithm": algorithm, "DestinationKeyId": other,
        });
        let moved = client.ok("ReEncrypt", moved);
        let again = client.ok(
            "Decrypt",
            json!({"CiphertextBlob": moved["CiphertextBlob"]}),
        );
        assert_eq!(again["Plaintext"], input(most)["Plaintext"]);
        let (name, message) = client.call("Encrypt", input(most + 1)).unwrap_err();
        assert_eq!(name, "ValidationException");
        let expected = format!(
            "Algorithm {algorithm} and key spec RSA_2048 cannot encrypt data larger than {most} bytes."
        );
        assert_eq!(message, expected);
        let mut damaged = STANDARD
            .decode(sealed["CiphertextBlob"].as_str().unwrap())
            .unwrap();
        damaged[100] ^= 1;
        open["CiphertextBlob"] = STANDARD.encode(damaged).into();
        let error = client.call("Decrypt", open.clone()).unwrap_err();
        assert_eq!(
            error,
            ("InvalidCiphertextException".to_owned(), String::new())
        );
        open.as_object_mut().unwrap().remove("KeyId");
        assert_eq!(client.error("Decrypt", open), "ValidationException");
    }
    let input = json!({"KeyId": id, "Plaintext": "eA=="});
    assert_eq!(client.error("Encrypt", input), "InvalidKeyUsageException");
    let input = json!({"KeyId": id, "CiphertextBlob": "eA=="});
    assert_eq!(client.error("Decrypt", input), "InvalidKeyUsageException");
    let input = json!({"KeyId": other, "CiphertextBlob": "eA==", "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"});
    assert_eq!(client.error("Decrypt", input), "InvalidKeyUsageException");
}

#[test]
fn macs_secrets_and_encapsulations() {
    let client = TestClient::new();
    for kind in kinds() {
        let spec = kind.spec.name();
        match kind.usage {
            KeyUsage::GenerateVerifyMac => {
                let id = create(&client, kind);
                let algorithm = kind.mac_algorithms()[0].name();
                let mut input = json!({"KeyId": id, "Message": "eA==", "MacAlgorithm": algorithm});
                let mac = client.ok("GenerateMac", input.clone())["Mac"].clone();
                input["Mac"] = mac;
                assert_eq!(client.ok("VerifyMac", input.clone())["MacValid"], true);
                input["Message"] = "eQ==".into();
                let error = client.call("VerifyMac", input.clone()).unwrap_err();
                assert_eq!(error, ("KMSInvalidMacException".to_owned(), String::new()));
                let other = if spec == "HMAC_512" {
                    "HMAC_SHA_224"
                } else {
                    "HMAC_SHA_512"
                };
                input["MacAlgorithm"] = other.into();
                let (_, message) = client.call("VerifyMac", input).unwrap_err();
                let expected = format!("Algorithm {other} is incompatible with key spec {spec}.");
                assert_eq!(message, expected);
            }
            KeyUsage::KeyAgreement => {
                let (one, two) = (create(&client, kind), create(&client, kind));
                let derive = |key: &str, peer: &str| {
                    let peer = client.ok("GetPublicKey", json!({"KeyId": peer}));
                    let peer = &peer["PublicKey"];
                    let input =
                        json!({"KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": peer});
                    client.ok("DeriveSharedSecret", input)
                };
                let secret = derive(&one, &two);
                assert_eq!(secret["KeyOrigin"], "AWS_KMS");
                assert_eq!(secret["SharedSecret"], derive(&two, &one)["SharedSecret"]);
                let input =
                    json!({"KeyId": one, "KeyAgreementAlgorithm": "ECDH", "PublicKey": "eA=="});
                assert_eq!(
                    client.error("DeriveSharedSecret", input),
                    "ValidationException"
                );
            }
            KeyUsage::EncapsulateDecapsulate => {
                let id = create(&client, kind);
                let mut input = json!({"KeyId": id, "EncapsulationAlgorithm": "ML_KEM"});
                let made = client.ok("Encapsulate", input.clone());
                input["SharedSecretCiphertextBlob"] = made["SharedSecretCiphertextBlob"].clone();
                let opened = client.ok("Decapsulate", input.clone());
                assert_eq!(opened["SharedSecret"], made["SharedSecret"]);
                // Implicit rejection: another secret, and no error.
                let blob = made["SharedSecretCiphertextBlob"].as_str().unwrap();
                let mut damaged = STANDARD.decode(blob).unwrap();
                damaged[0] ^= 1;
                input["SharedSecretCiphertextBlob"] = STANDARD.encode(&damaged).into();
                let other = client.ok("Decapsulate", input.clone());
                assert_ne!(other["SharedSecret"], made["SharedSecret"]);
                damaged.pop();
                input["SharedSecretCiphertextBlob"] = STANDARD.encode(&damaged).into();
                assert_eq!(
                    client.error("Decapsulate", input),
                    "InvalidCiphertextException"
                );
            }
            KeyUsage::EncryptDecrypt | KeyUsage::SignVerify => {}
        }
    }
}

#[test]
fn data_key_pairs_decrypt_to_the_private_key_of_their_public_key() {
    let client = TestClient::new();
    let key = client.key();
    for spec in [
        KeySpec::Rsa2048,
        KeySpec::EccNistP256,
        KeySpec::EccNistP384,
        KeySpec::EccNistP521,
        KeySpec::EccSecgP256k1,
        KeySpec::EccNistEdwards25519,
        KeySpec::MlKem512,
    ] {
        let context = json!({"of": "the pair"});
        let input = json!({"KeyId": key, "KeyPairSpec": spec.name(), "EncryptionContext": context});
        for operation in ["GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"] {
            let pair = client.ok(operation, input.clone());
            assert_eq!(pair["KeyPairSpec"], spec.name());
            let blob = &pair["PrivateKeyCiphertextBlob"];
            let open = json!({"CiphertextBlob": blob, "EncryptionContext": context});
            let private_key = client.ok("Decrypt", open)["Plaintext"].clone();
            match operation {
                "GenerateDataKeyPair" => assert_eq!(pair["PrivateKeyPlaintext"], private_key),
                _ => assert!(pair["PrivateKeyPlaintext"].is_null()),
            }
            let decoded = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
            let found = FixedKey::from_secret_bytes(spec, &decoded(&private_key)).unwrap();
            assert_eq!(found.public_key(), Some(&*decoded(&pair["PublicKey"])));
        }
    }
    let input = json!({"KeyId": key, "KeyPairSpec": "SM2"});
    let error = client.error("GenerateDataKeyPair", input);
    assert_eq!(error, "UnsupportedOperationException");
}

#[test]
fn the_last_successful_use_is_told() {
    let client = TestClient::new();
    let (id, other) = (client.key(), client.key());
    let usage = |id: &str| client.ok("GetKeyLastUsage", json!({"KeyId": id}));
    let first = usage(&id);
    assert!(first["KeyLastUsage"].is_null());
    assert_eq!(first["TrackingStartDate"], first["KeyCreationDate"]);
    let sealed = client.ok("Encrypt", json!({"KeyId": id, "Plaintext": "eA=="}));
    let used = usage(&id)["KeyLastUsage"].clone();
    assert_eq!(used["Operation"], "Encrypt");
    assert_eq!(used["KmsRequestId"], client.caller.request_id);
    assert!(used["Timestamp"].is_f64() && used["CloudTrailEventId"].is_string());
    // What fails, is tried, or only looks, is no use.
    client.advance_days(1);
    client.error(
        "Encrypt",
        json!({"KeyId": id, "Plaintext": "eA==", "DryRun": true}),
    );
    client.error("Decrypt", json!({"KeyId": id, "CiphertextBlob": "eA=="}));
    client.ok("DescribeKey", json!({"KeyId": id}));
    assert_eq!(usage(&id)["KeyLastUsage"], used);
    let blob = &sealed["CiphertextBlob"];
    client.ok(
        "ReEncrypt",
        json!({"CiphertextBlob": blob, "DestinationKeyId": other}),
    );
    for id in [&id, &other] {
        assert_eq!(usage(id)["KeyLastUsage"]["Operation"], "ReEncrypt");
    }
}

#[test]
fn a_grant_permits_what_its_key_is_for() {
    let client = TestClient::new();
    for kind in kinds() {
        let id = create(&client, kind);
        for (operation, usage) in [
            ("Encrypt", KeyUsage::EncryptDecrypt),
            ("Sign", KeyUsage::SignVerify),
            ("GenerateMac", KeyUsage::GenerateVerifyMac),
            ("DeriveSharedSecret", KeyUsage::KeyAgreement),
            ("Decapsulate", KeyUsage::EncapsulateDecapsulate),
        ] {
            let principal = "arn:aws:iam::111122223333:user/Bob";
            let input =
                json!({"KeyId": id, "GranteePrincipal": principal, "Operations": [operation]});
            let made = client.call("CreateGrant", input);
            assert_eq!(made.is_ok(), usage == kind.usage, "{operation} {kind:?}");
        }
    }
}
