//! The four operations and what they answer.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::h2;
use harness::https::{Connection, Response};
use harness::signer::Signer;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Value, json};
use xks_api::sigv4::Regions;

use crate::key_manager::{Call, Fault, METADATA};
use crate::proxy::{
    HOST, ID, OTHER_ID, OTHER_PREFIX, OTHER_SECRET, PREFIX, Proxy, SECRET, Setup, Store, signed,
};

/// The request example of the specification's section "Encrypt", with the comma that it lacks.
pub const ENCRYPT_EXAMPLE: &str = r#"{
    "requestMetadata": {
        "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
        "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "kmsOperation": "Encrypt",
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        "kmsViaService": "ebs"
    },
    "additionalAuthenticatedData": "cHJvamVjdD1uaWxlLGRlcGFydG1lbnQ9bWFya2V0aW5n",
    "plaintext": "SGVsbG8gV29ybGQh",
    "encryptionAlgorithm": "AES_GCM",
    "ciphertextDataIntegrityValueAlgorithm": "SHA_256"
}"#;

fn metadata() -> Value {
    json!({
        "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
        "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "kmsOperation": "Encrypt",
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
    })
}

fn encrypt_body(plaintext: &[u8], aad: &[u8]) -> Value {
    json!({
        "requestMetadata": metadata(),
        "additionalAuthenticatedData": STANDARD.encode(aad),
        "plaintext": STANDARD.encode(plaintext),
        "encryptionAlgorithm": "AES_GCM",
        "ciphertextDataIntegrityValueAlgorithm": "SHA_256",
    })
}

/// What Decrypt takes, from what Encrypt was sent and answered.
fn decrypt_body(request: &Value, answer: &Value) -> Value {
    json!({
        "requestMetadata": metadata(),
        "additionalAuthenticatedData": request["additionalAuthenticatedData"],
        "encryptionAlgorithm": "AES_GCM",
        "ciphertext": answer["ciphertext"],
        "ciphertextMetadata": answer["ciphertextMetadata"],
        "initializationVector": answer["initializationVector"],
        "authenticationTag": answer["authenticationTag"],
    })
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD
        .decode(value.as_str().expect("a base64 text"))
        .expect("base64")
}

fn encrypted(proxy: &Proxy, request: &Value) -> Value {
    let response = proxy.post("/keys/demo/encrypt", request.to_string());
    assert_eq!(response.status, 200, "{:?}", response.json());
    response.json()
}

#[track_caller]
pub fn refused(response: &Response, status: u16, name: &str) {
    assert_eq!(
        response.status,
        status,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    assert_eq!(response.json()["errorName"], name);
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn r01_answers_are_json_and_say_so() {
    let proxy = Proxy::start();
    let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.json().is_object());
    let response = proxy.post("/keys/demo/encrypt", "{");
    refused(&response, 400, "ValidationException");
}

#[test]
fn r02_http_1_1_and_http_2_are_served() {
    let proxy = Proxy::start();
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    for alpn in [&["http/1.1"][..], &[]] {
        let config = Proxy::tls().alpn(alpn).config();
        let mut connection = Connection::tls(proxy.address, HOST, config).unwrap();
        // One after the other on one connection.
        for _ in 0..3 {
            assert_eq!(connection.exchange(&request.http1()).unwrap().status, 200);
        }
    }
    let mut connection =
        h2::H2Connection::open(proxy.address, HOST, Proxy::tls().alpn(&["h2"]).config());
    for _ in 0..3 {
        let response = connection.exchange(request.http2()).unwrap();
        assert_eq!(response.status, 200);
    }
}

#[test]
fn r04_r17_r21_the_specifications_encrypt_example() {
    for at_once in [false, true] {
        encrypts_the_specifications_example(at_once);
    }
}

fn encrypts_the_specifications_example(at_once: bool) {
    let proxy = Proxy::start();
    proxy.key_manager.work_at_once(at_once);
    let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    assert_eq!(response.status, 200);
    let answer = response.json();
    // CDIV: over AAD, metadata, IV, ciphertext and tag, computed here with ring.
    let mut hashed = b"project=nile,department=marketing".to_vec();
    for field in [
        "ciphertextMetadata",
        "initializationVector",
        "ciphertext",
        "authenticationTag",
    ] {
        hashed.extend(bytes(&answer[field]));
    }
    let expected = ring::digest::digest(&ring::digest::SHA256, &hashed);
    assert_eq!(
        bytes(&answer["ciphertextDataIntegrityValue"]),
        expected.as_ref()
    );
    // R19: both lengths in the AAD that AES-GCM was given; R21: the decryption comes after the encryption.
    let framed = [
        &33_u16.to_be_bytes()[..],
        b"project=nile,department=marketing",
        &[13],
        METADATA,
    ]
    .concat();
    assert_eq!(
        proxy.key_manager.take_calls(),
        [
            Call::Resolve("demo".into()),
            Call::Seal(framed.clone()),
            Call::Open(framed)
        ]
    );
    let request: Value = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    let response = proxy.post(
        "/keys/demo/decrypt",
        decrypt_body(&request, &answer).to_string(),
    );
    assert_eq!(response.json(), json!({"plaintext": "SGVsbG8gV29ybGQh"}));
}

#[test]
fn r06_get_on_an_api_uri_is_405() {
    let proxy = Proxy::start();
    for path in [
        "/health",
        "/keys/demo/metadata",
        "/keys/demo/encrypt",
        "/keys/demo/decrypt",
    ] {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let mut request = signed(path, "");
            request.method = method.into();
            let response = proxy.exchange(&request);
            assert_eq!(response.status, 405, "{method} {path}");
            assert_eq!(response.header("allow"), Some("POST"));
            assert!(response.body.is_empty());
        }
    }
}

#[test]
fn r07_prefixes_are_isolated() {
    let proxy = Proxy::start_with(Setup {
        key_stores: vec![
            Store {
                prefix: PREFIX,
                keys: &["demo"],
                regions: Regions::Any,
                credentials: vec![(ID, SECRET)],
                policy: None,
                quota: None,
            },
            Store {
                prefix: OTHER_PREFIX,
                keys: &["a.*"],
                regions: Regions::Any,
                credentials: vec![(OTHER_ID, OTHER_SECRET)],
                policy: None,
                quota: None,
            },
        ],
        ..Setup::default()
    });
    let body = encrypt_body(b"x", b"").to_string();
    let call = |prefix: &str, key: &str, id: &str, secret: &str| {
        let path = format!("{prefix}/kms/xks/v1/keys/{key}/encrypt");
        proxy.exchange(&Signer::new(id, secret).post(HOST, &path, &*body))
    };
    assert_eq!(call(PREFIX, "demo", ID, SECRET).status, 200);
    assert_eq!(
        call(OTHER_PREFIX, "a.1", OTHER_ID, OTHER_SECRET).status,
        200
    );
    // Another store's key is as unknown as one that does not exist, another store's credential as an invented one.
    let foreign = call(PREFIX, "a.1", ID, SECRET);
    refused(&foreign, 404, "KeyNotFoundException");
    assert_eq!(foreign.body, call(PREFIX, "nothing", ID, SECRET).body);
    let foreign = call(PREFIX, "demo", OTHER_ID, OTHER_SECRET);
    refused(&foreign, 401, "AuthenticationFailedException");
    assert_eq!(
        foreign.body,
        call(PREFIX, "demo", "ZZZZZZZZZZZZZZZZZZZZ", SECRET).body
    );
    refused(
        &call(OTHER_PREFIX, "demo", OTHER_ID, OTHER_SECRET),
        404,
        "KeyNotFoundException",
    );
}

#[test]
fn r07_an_overloaded_proxy_throttles_before_it_asks_its_key_manager() {
    let proxy = Proxy::start();
    let overload = proxy.runtime.overload();
    // The proxy forgets a wait within 50 ms, since there is none.
    let shed = (0..1_000).find_map(|_| {
        overload.note(Duration::from_secs(1));
        proxy.key_manager.take_calls();
        let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
        (response.status != 200).then_some(response)
    });
    refused(&shed.expect("a refusal"), 429, "ThrottlingException");
    assert_eq!(proxy.key_manager.take_calls(), []);
    overload.note(Duration::from_secs(1));
    let health = r#"{"requestMetadata": {"kmsRequestId": "r", "kmsOperation": "KmsHealthCheck"}}"#;
    let health = proxy.post("/health", health);
    assert_eq!(health.status, 200, "health is asked for when it matters");
    harness::wait_for("an answer", Duration::from_secs(10), || {
        let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
        (response.status == 200).then_some(())
    });
}

#[test]
fn r07_an_overloaded_key_manager_throttles() {
    let proxy = Proxy::start();
    proxy.key_manager.set(Fault::Overloaded);
    let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    refused(&response, 429, "ThrottlingException");
}

#[test]
fn r08_an_unknown_uri_is_404() {
    let proxy = Proxy::start();
    let mut request = signed("/health", "{}");
    for path in [
        "/",
        "/kms/xks/v1/health",
        "/nobody/kms/xks/v1/health",
        "/example/uri/path/prefix/kms/xks/v2/health",
        "/example/uri/path/prefix/kms/xks/v1/keys/demo",
        "/example/uri/path/prefix/kms/xks/v1/keys/a%2Fb/encrypt",
        "/example/uri/path/../path/prefix/kms/xks/v1/health",
    ] {
        request.path = path.into();
        let response = proxy.exchange(&request);
        refused(&response, 404, "InvalidUriPathException");
    }
}

#[test]
fn r08_key_ids_of_128_characters_are_told_apart_to_the_last_one() {
    let proxy = Proxy::start();
    let id = "k-._".repeat(32);
    let response = proxy.post(&format!("/keys/{id}/encrypt"), ENCRYPT_EXAMPLE);
    refused(&response, 404, "KeyNotFoundException");
    assert_eq!(proxy.key_manager.take_calls(), [Call::Resolve(id.clone())]);
    let response = proxy.post(&format!("/keys/{id}x/encrypt"), ENCRYPT_EXAMPLE);
    refused(&response, 404, "InvalidUriPathException");
}

/// The Encrypt example with one member of its metadata set to something else.
fn with_metadata(name: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    body["requestMetadata"][name] = value;
    body.to_string()
}

fn without_metadata(name: &str) -> String {
    let mut body: Value = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    body["requestMetadata"]
        .as_object_mut()
        .unwrap()
        .remove(name);
    body.to_string()
}

#[test]
fn r05_arns_of_2048_characters_are_taken() {
    let proxy = Proxy::start();
    for name in ["awsPrincipalArn", "kmsKeyArn"] {
        let arn = format!("arn:aws:iam::123456789012:user/{}", "a".repeat(2_048 - 31));
        assert_eq!(arn.len(), 2_048);
        let response = proxy.post("/keys/demo/encrypt", with_metadata(name, arn.into()));
        assert_eq!(response.status, 200, "{name}");
    }
}

#[test]
fn r09_r10_operations_and_request_ids_are_opaque() {
    let proxy = Proxy::start();
    for (name, value) in [
        ("kmsOperation", "DecryptEverythingV9"),
        ("kmsOperation", ""),
        ("kmsRequestId", ""),
        ("kmsRequestId", "no uuid \" \n \u{1F600}"),
        ("kmsRequestId", &"9".repeat(1_000)),
    ] {
        let response = proxy.post("/keys/demo/encrypt", with_metadata(name, value.into()));
        assert_eq!(response.status, 200, "{name} {value}");
    }
}

#[test]
fn r12_members_are_required_optional_or_ignored() {
    let proxy = Proxy::start();
    for name in [
        "awsPrincipalArn",
        "kmsKeyArn",
        "kmsOperation",
        "kmsRequestId",
    ] {
        let response = proxy.post("/keys/demo/encrypt", without_metadata(name));
        refused(&response, 400, "ValidationException");
    }
    assert_eq!(
        proxy
            .post("/keys/demo/encrypt", without_metadata("kmsViaService"))
            .status,
        200
    );
    for name in [
        "awsSourceVpc",
        "awsSourceVpce",
        "kmsViaService",
        "inventedLater",
    ] {
        let response = proxy.post("/keys/demo/encrypt", with_metadata(name, "x".into()));
        assert_eq!(response.status, 200, "{name}");
    }
    // GetKeyMetadata comes from CreateKey, which has no key ARN yet.
    let body = json!({"requestMetadata": {
        "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
        "kmsOperation": "CreateKey",
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
    }});
    assert_eq!(
        proxy.post("/keys/demo/metadata", body.to_string()).status,
        200
    );
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"requestMetadata":{}}"#,
        "\u{feff}{}",
    ] {
        for path in [
            "/health",
            "/keys/demo/metadata",
            "/keys/demo/encrypt",
            "/keys/demo/decrypt",
        ] {
            refused(&proxy.post(path, body), 400, "ValidationException");
        }
    }
}

#[test]
fn r12_duplicate_members_are_invalid() {
    let proxy = Proxy::start();
    let twice =
        ENCRYPT_EXAMPLE.replacen("\"plaintext\"", "\"plaintext\":\"AA==\",\"plaintext\"", 1);
    refused(
        &proxy.post("/keys/demo/encrypt", twice),
        400,
        "ValidationException",
    );
}

#[test]
fn r13_key_metadata() {
    let proxy = Proxy::start();
    // The request example of the specification's section "GetKeyMetadata".
    let body = r#"{
        "requestMetadata": {
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "DescribeKey",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
            "kmsViaService": "ebs"
        }
    }"#;
    for (key, usage, status) in [
        ("demo", &["ENCRYPT", "DECRYPT"][..], "ENABLED"),
        ("encrypt-only", &["ENCRYPT"], "ENABLED"),
        ("decrypt-only", &["DECRYPT"], "ENABLED"),
        ("no-usage", &[], "ENABLED"),
        ("disabled", &["ENCRYPT", "DECRYPT"], "DISABLED"),
    ] {
        let response = proxy.post(&format!("/keys/{key}/metadata"), body);
        assert_eq!(response.status, 200);
        let expected = json!({"keySpec": "AES_256", "keyUsage": usage, "keyStatus": status});
        assert_eq!(response.json(), expected, "{key}");
    }
    refused(
        &proxy.post("/keys/nothing/metadata", body),
        404,
        "KeyNotFoundException",
    );
}

#[test]
fn r14_r16_r18_r22_r23_sizes() {
    let proxy = Proxy::start();
    for (plaintext, aad) in [(0, 0), (1, 1), (4_300, 8_192), (20_000, 20_000)] {
        let request = encrypt_body(&vec![0xa5; plaintext], &vec![0x5a; aad]);
        let answer = encrypted(&proxy, &request);
        assert_eq!(bytes(&answer["ciphertext"]).len(), plaintext);
        assert_eq!(bytes(&answer["initializationVector"]).len(), 12);
        assert_eq!(bytes(&answer["authenticationTag"]).len(), 16);
        let response = proxy.post(
            "/keys/demo/decrypt",
            decrypt_body(&request, &answer).to_string(),
        );
        assert_eq!(bytes(&response.json()["plaintext"]), vec![0xa5; plaintext]);
    }
    proxy.key_manager.set(Fault::TooLong);
    let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    refused(&response, 501, "UnsupportedOperationException");
}

#[test]
fn r16_the_aad_is_the_aad_of_aes_gcm() {
    let proxy = Proxy::start();
    let request = encrypt_body(b"Hello World!", b"project=nile");
    let answer = encrypted(&proxy, &request);
    // The key manager's key is known, so that ring alone can open what the proxy answered.
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let iv = bytes(&answer["initializationVector"]);
    let mut sealed = [
        bytes(&answer["ciphertext"]),
        bytes(&answer["authenticationTag"]),
    ]
    .concat();
    let framed = [&[0, 12][..], b"project=nile", &[13], METADATA].concat();
    let nonce = Nonce::try_assume_unique_for_key(&iv).unwrap();
    let opened = key
        .open_in_place(nonce, Aad::from(framed), &mut sealed)
        .unwrap();
    assert_eq!(opened, b"Hello World!");
}

#[test]
fn r15_r17_other_algorithms_are_invalid() {
    let proxy = Proxy::start();
    for (from, to) in [
        ("AES_GCM", "AES_CBC"),
        ("AES_GCM", "aes_gcm"),
        ("SHA_256", "SHA_512"),
        ("SGVsbG8gV29ybGQh", "SGVsbG8gV29ybGQ"),
        ("SGVsbG8gV29ybGQh", "SGVsbG8_V29ybGQh"),
        ("SGVsbG8gV29ybGQh", "SGVsbG8 V29ybGQh"),
        ("\"encryptionAlgorithm\"", "\"algorithm\""),
        ("\"plaintext\"", "\"text\""),
    ] {
        let body = ENCRYPT_EXAMPLE.replacen(from, to, 1);
        let response = proxy.post("/keys/demo/encrypt", body);
        refused(&response, 400, "ValidationException");
    }
    assert_eq!(
        proxy.key_manager.take_calls(),
        [],
        "nothing malformed reaches the key manager"
    );
}

#[test]
fn r17_no_integrity_value_unless_asked() {
    let proxy = Proxy::start();
    let mut request = encrypt_body(b"x", b"");
    request
        .as_object_mut()
        .unwrap()
        .remove("ciphertextDataIntegrityValueAlgorithm");
    let answer = encrypted(&proxy, &request);
    assert_eq!(answer.get("ciphertextDataIntegrityValue"), None);
    let opened = proxy.key_manager.take_calls();
    assert!(!opened.iter().any(|call| matches!(call, Call::Open(_))));
}

#[test]
fn r19_r22_any_changed_part_does_not_decrypt_and_all_look_alike() {
    let proxy = Proxy::start();
    let request = encrypt_body(b"Hello World!", b"project=nile");
    let good = decrypt_body(&request, &encrypted(&proxy, &request));
    let decrypt = |body: &Value| proxy.post("/keys/demo/decrypt", body.to_string());
    assert_eq!(decrypt(&good).status, 200);
    let mut answers = Vec::new();
    for name in [
        "additionalAuthenticatedData",
        "ciphertext",
        "ciphertextMetadata",
        "initializationVector",
        "authenticationTag",
    ] {
        let original = bytes(&good[name]);
        let mut flipped = original.clone();
        flipped[0] ^= 1;
        let cut = original[1..].to_vec();
        let longer = [&original[..], b"x"].concat();
        let sixteen = vec![7; 16];
        for value in [flipped, cut, longer, sixteen, Vec::new(), vec![7; 21]] {
            let mut body = good.clone();
            body[name] = STANDARD.encode(&value).into();
            let response = decrypt(&body);
            refused(&response, 400, "InvalidCiphertextException");
            answers.push(response.body);
        }
    }
    // Bytes that move from one field to the next are noticed, since both lengths are in the AAD.
    let mut body = good.clone();
    body["additionalAuthenticatedData"] = STANDARD.encode(b"project=nilek").into();
    body["ciphertextMetadata"] = STANDARD.encode(b"ey_version=1").into();
    answers.push(decrypt(&body).body);
    answers.dedup();
    assert_eq!(answers.len(), 1, "an oracle");
    body = good.clone();
    body.as_object_mut().unwrap().remove("ciphertextMetadata");
    refused(&decrypt(&body), 400, "InvalidCiphertextException");
}

#[test]
fn r21_a_flipped_bit_is_not_answered() {
    let proxy = Proxy::start();
    for at_once in [false, true] {
        proxy.key_manager.work_at_once(at_once);
        for fault in [Fault::FlipsBits, Fault::OpensWrong] {
            proxy.key_manager.set(fault);
            let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
            refused(&response, 500, "InternalException");
        }
    }
}

#[test]
fn r30_each_error_has_its_status_and_the_order_is_kept() {
    let proxy = Proxy::start();
    let encrypt = |key: &str| proxy.post(&format!("/keys/{key}/encrypt"), ENCRYPT_EXAMPLE);
    refused(&encrypt("nothing"), 404, "KeyNotFoundException");
    refused(&encrypt("disabled"), 400, "InvalidStateException");
    refused(&encrypt("decrypt-only"), 400, "InvalidKeyUsageException");
    refused(&encrypt("no-usage"), 400, "InvalidKeyUsageException");
    // What cannot be verified is not answered: the example asks for an integrity value.
    refused(&encrypt("encrypt-only"), 400, "InvalidKeyUsageException");
    let mut plain: Value = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    plain
        .as_object_mut()
        .unwrap()
        .remove("ciphertextDataIntegrityValueAlgorithm");
    let response = proxy.post("/keys/encrypt-only/encrypt", plain.to_string());
    assert_eq!(response.status, 200);
    let body = decrypt_body(&plain, &response.json()).to_string();
    let decrypt = |key: &str| proxy.post(&format!("/keys/{key}/decrypt"), &*body);
    refused(&decrypt("encrypt-only"), 400, "InvalidKeyUsageException");
    refused(&decrypt("disabled"), 400, "InvalidStateException");
    refused(&decrypt("nothing"), 404, "KeyNotFoundException");
    assert_eq!(decrypt("decrypt-only").status, 200);
    // A malformed request is malformed whatever the key.
    refused(
        &proxy.post("/keys/nothing/encrypt", "{}"),
        400,
        "ValidationException",
    );
    for (fault, status, name) in [
        (Fault::InvalidState, 400, "InvalidStateException"),
        (Fault::Fails, 500, "InternalException"),
        (Fault::Panics, 500, "InternalException"),
        (
            Fault::Slow(Duration::from_secs(5)),
            503,
            "DependencyTimeoutException",
        ),
    ] {
        proxy.key_manager.set(fault);
        for response in [encrypt("demo"), decrypt("demo")] {
            refused(&response, status, name);
            let message = response.json()["errorMessage"].as_str().unwrap().to_owned();
            assert!(message.len() < 512 && message.bytes().all(|b| matches!(b, b' '..=b'~')));
            assert!(!message.contains("CKR_"), "a cause is for the log");
        }
    }
    // A panic and a timeout end their own request only.
    proxy.key_manager.set(Fault::Slow(Duration::from_millis(1)));
    assert_eq!(encrypt("demo").status, 200);
}

#[test]
fn r30_a_late_answer_is_given_up_before_kms_gives_up() {
    let proxy = Proxy::start();
    proxy.key_manager.set(Fault::Slow(Duration::from_secs(60)));
    let start = Instant::now();
    let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    refused(&response, 503, "DependencyTimeoutException");
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(start.elapsed() < Duration::from_secs(30));
}
