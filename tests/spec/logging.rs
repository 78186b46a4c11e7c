//! The request log.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::signer::Signer;
use serde_json::Value;
use xks_proxy::runtime::Limits;

use crate::key_manager::Fault;
use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{HOST, ID, PREFIX, Proxy, SECRET, Setup, signed};

#[test]
fn r11_r38_a_request_is_logged_with_what_led_to_it_and_how_it_ended() {
    let proxy = Proxy::start();
    proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    let lines = proxy.end_and_read_log();
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    for (name, expected) in [
        ("kmsRequestId", "4112f4d6-db54-4af4-ae30-c55a22a8dfae"),
        ("kmsOperation", "Encrypt"),
        ("awsPrincipalArn", "arn:aws:iam::123456789012:user/Alice"),
        (
            "kmsKeyArn",
            "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
        ),
        ("kmsViaService", "ebs"),
        ("operation", "Encrypt"),
        ("externalKeyId", "demo"),
        ("uriPathPrefix", PREFIX),
        ("accessKeyId", ID),
        ("keyManager", "scripted"),
        ("outcome", "ok"),
    ] {
        assert_eq!(line[name], expected, "{name}");
    }
    assert_eq!(line["status"], 200);
    assert!(line["microseconds"].is_u64());
    assert_eq!(line.get("errorName"), None);
}

#[test]
fn r38_the_reason_of_a_refusal_is_in_the_log_alone() {
    let proxy = Proxy::start();
    let path = format!("{PREFIX}/kms/xks/v1/keys/demo/encrypt");
    let unknown = Signer::new("ZZZZZZZZZZZZZZZZZZZZ", SECRET).post(HOST, &path, ENCRYPT_EXAMPLE);
    proxy.exchange(&unknown);
    let mut altered = Signer::new(ID, SECRET).post(HOST, &path, ENCRYPT_EXAMPLE);
    altered.body[20] ^= 1;
    proxy.exchange(&altered);
    proxy.key_manager.set(Fault::Fails);
    proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    let lines = proxy.end_and_read_log();
    let texts: Vec<_> = ["errorName", "outcome", "claimedAccessKeyId", "cause"]
        .into_iter()
        .map(|name| {
            lines
                .iter()
                .map(|l| l[name].as_str().unwrap_or("-"))
                .collect::<Vec<_>>()
        })
        .collect();
    let unauthentic = "AuthenticationFailedException";
    assert_eq!(texts[0], [unauthentic, unauthentic, "InternalException"]);
    assert_eq!(texts[1], ["refused", "refused", "failed"]);
    assert_eq!(texts[2], ["ZZZZZZZZZZZZZZZZZZZZ", ID, "-"]);
    assert_ne!(
        texts[3][0], texts[3][1],
        "an unknown id and a wrong signature"
    );
    assert_eq!(texts[3][2], "slot 3: CKR_DEVICE_ERROR");
}

#[test]
fn r11_what_cannot_be_served_is_logged_with_its_request_id() {
    let proxy = Proxy::start();
    proxy.post(
        "/keys/demo/encrypt",
        ENCRYPT_EXAMPLE.replace("AES_GCM", "AES_CBC"),
    );
    proxy.post("/keys/nothing/decrypt", ENCRYPT_EXAMPLE);
    proxy.post("/nowhere", ENCRYPT_EXAMPLE);
    let lines = proxy.end_and_read_log();
    let id = "4112f4d6-db54-4af4-ae30-c55a22a8dfae";
    assert_eq!(
        (&lines[0]["kmsRequestId"], &lines[1]["kmsRequestId"]),
        (&id.into(), &id.into())
    );
    assert_eq!(lines[2]["path"], format!("{PREFIX}/kms/xks/v1/nowhere"));
}

#[test]
fn r14_r23_r39_no_plaintext_aad_or_secret_is_logged() {
    let proxy = Proxy::start();
    let secret = "Open Sesame, said Ali Baba to the rock";
    let encoded = STANDARD.encode(secret);
    let body = ENCRYPT_EXAMPLE
        .replace("SGVsbG8gV29ybGQh", &encoded)
        .replace("cHJvamVjdD1uaWxlLGRlcGFydG1lbnQ9bWFya2V0aW5n", &encoded);
    let answer: Value = proxy.post("/keys/demo/encrypt", &*body).json();
    proxy.post("/keys/demo/encrypt", body.replace("AES_GCM", &encoded));
    proxy.post("/keys/demo/encrypt", body.replacen('"', "", 3));
    let mut decrypt: Value = serde_json::from_str(&body).unwrap();
    for name in [
        "ciphertext",
        "initializationVector",
        "authenticationTag",
        "ciphertextMetadata",
    ] {
        decrypt[name] = answer[name].clone();
    }
    assert_eq!(
        proxy.post("/keys/demo/decrypt", decrypt.to_string()).status,
        200
    );
    decrypt["authenticationTag"] = STANDARD.encode([0; 16]).into();
    assert_eq!(
        proxy.post("/keys/demo/decrypt", decrypt.to_string()).status,
        400
    );
    proxy.key_manager.set(Fault::Fails);
    proxy.post("/keys/demo/encrypt", &*body);
    let lines = proxy.end_and_read_log();
    assert_eq!(lines.len(), 6);
    let text = format!("{lines:?}");
    for hidden in ["Sesame", &encoded, &encoded[..20], SECRET, "Signature"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
}

#[test]
fn r38_a_request_that_its_client_abandons_is_logged() {
    let minute = Duration::from_secs(60);
    let proxy = Proxy::start_with(Setup {
        limits: Limits {
            key_manager_timeout: minute,
            ..Limits::default()
        },
        ..Setup::default()
    });
    proxy.key_manager.set(Fault::Slow(minute));
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    let mut connection = proxy.connect();
    connection.send(&request.http1()).unwrap();
    harness::wait_for("the call", Duration::from_secs(10), || {
        (!proxy.key_manager.take_calls().is_empty()).then_some(())
    });
    drop(connection);
    let lines = proxy.end_and_read_log();
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    // Who asked for what is known, although nobody was there to be answered.
    assert_eq!(line["kmsRequestId"], "4112f4d6-db54-4af4-ae30-c55a22a8dfae");
    assert_eq!(line["outcome"], "abandoned");
    assert_eq!(line.get("status"), None);
}
