//! The four operations and what they answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::h2;
use harness::https::{Connection, Response};
use serde_json::{Value, json};

use crate::key_manager::{Call, METADATA};
use crate::proxy::{HOST, PREFIX, Proxy, signed};

/// The request example of the specification's section "Encrypt", with the comma that it lacks.
const ENCRYPT_EXAMPLE: &str = r#"{
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
fn refused(response: &Response, status: u16, name: &str) {
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
    let proxy = Proxy::start();
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
    assert!(PREFIX.starts_with("/example"));
}
