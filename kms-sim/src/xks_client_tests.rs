//! The link against a proxy that a test programs, over real sockets.

use std::time::{Duration, Instant};

use crate::stub_proxy::{
    ACCESS_KEY_ID, Answer, HOST, Handshake, SECRET_ACCESS_KEY, StubProxy, URI_PATH,
};
use serde_json::Value;
use xks_api::error::ErrorName;
use xks_api::fields::Aad;
use xks_api::message::CdivAlgorithm;
use xks_api::metadata::RequestMetadata;

use super::*;
use crate::config::Resolve;
use crate::xks_tls::{ClientCertificate, client_config};

/// KMS's own time limit, for the tests that are about it.
const KMS: Duration = Duration::from_millis(250);
/// The others must not fail because the machine is busy.
const PATIENT: Duration = Duration::from_secs(5);

/// A client of the stub that trusts its authority.
fn client(proxy: &StubProxy) -> XksClient {
    client_with(proxy, None, SECRET_ACCESS_KEY, PATIENT)
}

fn client_with(
    proxy: &StubProxy,
    certificate: Option<&ClientCertificate>,
    secret: &str,
    time_limit: Duration,
) -> XksClient {
    let resolve = Resolve {
        host: HOST.to_owned(),
        address: proxy.address(),
    };
    let tls = client_config(&[proxy.ca()], certificate).unwrap();
    let dialer = Dialer::new(std::iter::once(&resolve).collect(), tls, time_limit);
    XksClient::new(Arc::new(dialer), target(URI_PATH, secret))
}

fn target(uri_path: &str, secret: &str) -> Target {
    Target::new(
        HOST,
        uri_path,
        "eu-north-1",
        ACCESS_KEY_ID.try_into().unwrap(),
        &secret.try_into().unwrap(),
    )
}

fn metadata(operation: &'static str) -> RequestMetadata<'static> {
    RequestMetadata {
        aws_principal_arn: "arn:aws:iam::123456789012:user/Alice".into(),
        aws_source_vpc: None,
        aws_source_vpce: None,
        kms_key_arn: Some("arn:aws:kms:eu-north-1:123456789012:key/1234".into()),
        kms_operation: operation.into(),
        kms_request_id: "4112f4d6-db54-4af4-ae30-c55a22a8dfae".into(),
        kms_via_service: None,
    }
}

fn aad() -> Aad {
    b"project=nile,department=marketing"
        .to_vec()
        .try_into()
        .unwrap()
}

fn key() -> ExternalKeyId {
    "demo".try_into().unwrap()
}

async fn encrypt(link: &XksLink) -> Result<Sealed, ProxyFailure> {
    let request = EncryptRequest {
        metadata: metadata("Encrypt"),
        plaintext: Plaintext::from(&b"Hello World!"[..]),
        aad: aad(),
        cdiv: Some(CdivAlgorithm::Sha256),
    };
    link.encrypt(&key(), &request).await
}

async fn decrypt(link: &XksLink, sealed: Sealed) -> Result<Plaintext, ProxyFailure> {
    let request = DecryptRequest {
        metadata: metadata("Decrypt"),
        aad: aad(),
        sealed,
    };
    link.decrypt(&key(), &request).await
}

async fn key_metadata(link: &XksLink) -> Result<GetKeyMetadataResponse, ProxyFailure> {
    let request = GetKeyMetadataRequest {
        request_metadata: metadata("CreateKey"),
    };
    link.key_metadata(&key(), &request).await
}

async fn health(link: &XksLink) -> Result<(), ProxyFailure> {
    link.health("KmsHealthCheck", "4112f4d6-db54-4af4-ae30-c55a22a8dfae")
        .await
}

/// What each operation fails with if the proxy answers so; `sealed` is what an earlier Encrypt gave.
async fn failures(link: &XksLink, sealed: &Sealed) -> [ProxyFailure; 4] {
    [
        health(link).await.unwrap_err(),
        key_metadata(link).await.unwrap_err(),
        encrypt(link).await.unwrap_err(),
        decrypt(link, sealed.clone()).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn every_operation_is_signed_and_understood() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    health(&link).await.unwrap();
    assert_eq!(
        key_metadata(&link).await.unwrap().encode(),
        br#"{"keySpec":"AES_256","keyUsage":["ENCRYPT","DECRYPT"],"keyStatus":"ENABLED"}"#
    );
    let sealed = encrypt(&link).await.unwrap();
    assert_ne!(sealed.ciphertext, b"Hello World!");
    assert_eq!(
        decrypt(&link, sealed).await.unwrap().expose(),
        b"Hello World!"
    );

    let seen = proxy.seen();
    let paths: Vec<&str> = seen
        .iter()
        .map(|s| s.path.strip_prefix(URI_PATH).unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "/health",
            "/keys/demo/metadata",
            "/keys/demo/encrypt",
            "/keys/demo/decrypt"
        ]
    );
    for request in &seen {
        assert_eq!(
            request.headers["host"], HOST,
            "the plain host, without a port"
        );
        assert_eq!(request.headers["content-type"], "application/json");
        let authorization = &request.headers["authorization"];
        assert!(
            authorization.contains("/eu-north-1/kms-xks-proxy/aws4_request"),
            "{authorization}"
        );
        assert!(
            authorization.contains("SignedHeaders=host;x-amz-date,"),
            "{authorization}"
        );
    }
    assert_eq!(
        seen[0].body,
        serde_json::json!({"requestMetadata": {
            "kmsOperation": "KmsHealthCheck",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae"}})
    );
    assert_eq!(
        seen[2].body["ciphertextDataIntegrityValueAlgorithm"],
        "SHA_256"
    );
    assert_eq!(proxy.accepted(), 1, "one connection is kept alive");
}

#[tokio::test]
async fn a_wrong_secret_and_a_wrong_path_are_what_the_proxy_says_they_are() {
    let proxy = StubProxy::start();
    let other = "anotherSecretAnotherSecretAnotherSecretAnother";
    let mut client = client_with(&proxy, None, other, PATIENT);
    let failed = health(&client.link()).await;
    assert_eq!(
        failed,
        Err(ProxyFailure::Answered(ErrorName::AuthenticationFailed))
    );
    client.retarget(target("/elsewhere/kms/xks/v1", SECRET_ACCESS_KEY));
    let failed = health(&client.link()).await;
    assert_eq!(
        failed,
        Err(ProxyFailure::Answered(ErrorName::InvalidUriPath))
    );
    client.retarget(target(URI_PATH, SECRET_ACCESS_KEY));
    health(&client.link()).await.unwrap();
    assert_eq!(proxy.accepted(), 3, "a new target gets new connections");
}

#[tokio::test]
async fn the_error_name_decides_and_not_the_status() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    let sealed = encrypt(&link).await.unwrap();
    for name in ErrorName::ALL {
        for status in [name.status(), 418, 500] {
            proxy.always(Answer::Error(status, name.as_str()));
            let expected = ProxyFailure::Answered(name);
            assert_eq!(
                failures(&link, &sealed).await,
                [expected; 4],
                "{status} {name:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_specification_does_not_allow_is_malformed() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    let sealed = encrypt(&link).await.unwrap();
    let malformed = |failure: ProxyFailure| matches!(failure, ProxyFailure::Malformed(_));

    let long = format!(r#"{{"plaintext":"{}"}}"#, "A".repeat(200_000));
    for answer in [
        Answer::Error(400, "NoSuchException"),
        Answer::Error(400, "validationexception"),
        Answer::Body(500, String::new()),
        Answer::Body(502, "<html>Bad Gateway</html>".into()),
        Answer::Body(404, r#"{"message":"x"}"#.into()),
        Answer::Body(301, "{}".into()),
        Answer::Body(200, String::new()),
        Answer::Body(200, "{}".into()),
        Answer::Body(200, "[]".into()),
        Answer::Body(200, "not JSON".into()),
        Answer::Body(200, r#"{"errorName":"InternalException"}"#.into()),
        Answer::Body(200, long),
        Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n"),
    ] {
        proxy.always(answer.clone());
        let failures = failures(&link, &sealed).await;
        assert!(
            failures.iter().copied().all(malformed),
            "{answer:.60?}: {failures:?}"
        );
    }

    type Change = fn(&mut Value);
    let health_changes: [(&str, Change); 5] = [
        ("fleet of none", |a| a["xksProxyFleetSize"] = 0.into()),
        ("no instance", |a| {
            a["ekmFleetDetails"] = Value::Array(Vec::new())
        }),
        ("eleven instances", |a| {
            let one = a["ekmFleetDetails"][0].clone();
            a["ekmFleetDetails"] = vec![one; 11].into();
        }),
        ("unknown status", |a| {
            a["ekmFleetDetails"][0]["healthStatus"] = "FINE".into()
        }),
        ("no vendor", |a| {
            drop(a.as_object_mut().unwrap().remove("ekmVendor"))
        }),
    ];
    for (defect, change) in health_changes {
        proxy.always(Answer::Changed(change));
        assert!(malformed(health(&link).await.unwrap_err()), "{defect}");
    }
    let metadata_changes: [(&str, Change); 3] = [
        ("no status", |a| {
            drop(a.as_object_mut().unwrap().remove("keyStatus"))
        }),
        ("unknown status", |a| a["keyStatus"] = "PERHAPS".into()),
        ("eleven usages", |a| a["keyUsage"] = vec!["WRAP"; 11].into()),
    ];
    for (defect, change) in metadata_changes {
        proxy.always(Answer::Changed(change));
        assert!(
            malformed(key_metadata(&link).await.unwrap_err()),
            "{defect}"
        );
    }
    let encrypt_changes: [(&str, Change); 10] = [
        ("ciphertext too short", |a| a["ciphertext"] = "AAAA".into()),
        ("ciphertext too long", |a| {
            a["ciphertext"] = "AAAAAAAAAAAAAAAAAAAA".into()
        }),
        ("another ciphertext", |a| {
            a["ciphertext"] = "AAAAAAAAAAAAAAAA".into()
        }),
        ("IV of 13 bytes", |a| {
            a["initializationVector"] = "AAAAAAAAAAAAAAAAAA==".into()
        }),
        ("another IV", |a| {
            a["initializationVector"] = "AAAAAAAAAAAAAAAA".into()
        }),
        ("tag of 12 bytes", |a| {
            a["authenticationTag"] = "AAAAAAAAAAAAAAAA".into()
        }),
        ("21 bytes of metadata", |a| {
            a["ciphertextMetadata"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
        }),
        ("other metadata", |a| {
            a["ciphertextMetadata"] = "AAAA".into()
        }),
        ("no CDIV", |a| {
            drop(
                a.as_object_mut()
                    .unwrap()
                    .remove("ciphertextDataIntegrityValue"),
            )
        }),
        ("base64url", |a| a["ciphertext"] = "____________----".into()),
    ];
    for (defect, change) in encrypt_changes {
        proxy.always(Answer::Changed(change));
        assert!(malformed(encrypt(&link).await.unwrap_err()), "{defect}");
    }
    let decrypt_changes: [(&str, Change); 3] = [
        ("plaintext too short", |a| a["plaintext"] = "AAAA".into()),
        ("plaintext too long", |a| {
            a["plaintext"] = "AAAAAAAAAAAAAAAAAAAA".into()
        }),
        ("plaintext a number", |a| a["plaintext"] = 7.into()),
    ];
    for (defect, change) in decrypt_changes {
        proxy.always(Answer::Changed(change));
        assert!(
            malformed(decrypt(&link, sealed.clone()).await.unwrap_err()),
            "{defect}"
        );
    }
    proxy.always(Answer::Sound);
    assert_eq!(
        decrypt(&link, sealed).await.unwrap().expose(),
        b"Hello World!"
    );
}

#[tokio::test]
async fn only_a_fleet_without_any_instance_that_serves_is_unhealthy() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    proxy.always(Answer::Changed(|a| {
        let mut instances = vec![a["ekmFleetDetails"][0].clone(); 2];
        instances[0]["healthStatus"] = "UNAVAILABLE".into();
        instances[1]["healthStatus"] = "DEGRADED".into();
        a["ekmFleetDetails"] = instances.into();
    }));
    assert_eq!(health(&link).await, Ok(()));
    proxy.always(Answer::Changed(|a| {
        a["ekmFleetDetails"][0]["healthStatus"] = "UNAVAILABLE".into();
    }));
    assert_eq!(health(&link).await, Err(ProxyFailure::Unhealthy));
}

#[tokio::test]
async fn without_tls_there_is_no_answer_and_each_fault_of_it_is_told_apart_from_no_tcp() {
    let proxy = StubProxy::start();
    for (handshake, expected) in [
        (Handshake::OtherName, ProxyFailure::Tls),
        (Handshake::OtherAuthority, ProxyFailure::Tls),
        (Handshake::Expired, ProxyFailure::Tls),
        (Handshake::ClientCertificate, ProxyFailure::Tls),
        (Handshake::PlainHttp, ProxyFailure::Tls),
        (Handshake::Hangup, ProxyFailure::Tls),
    ] {
        proxy.handshake(handshake);
        let client = client(&proxy);
        assert_eq!(health(&client.link()).await, Err(expected), "{handshake:?}");
    }
    proxy.handshake(Handshake::Silence);
    let impatient = client_with(&proxy, None, SECRET_ACCESS_KEY, KMS);
    assert_eq!(health(&impatient.link()).await, Err(ProxyFailure::TimedOut));
    assert!(proxy.seen().is_empty());

    let (chain, key) = proxy.client_certificate();
    let certificate = ClientCertificate {
        chain: vec![chain],
        key,
    };
    proxy.handshake(Handshake::ClientCertificate);
    let with_certificate = client_with(&proxy, Some(&certificate), SECRET_ACCESS_KEY, PATIENT);
    assert_eq!(health(&with_certificate.link()).await, Ok(()));

    proxy.handshake(Handshake::Sound);
    let client = client(&proxy);
    proxy.kill();
    assert_eq!(health(&client.link()).await, Err(ProxyFailure::Unreachable));
    proxy.revive();
    assert_eq!(health(&client.link()).await, Ok(()));
}

#[tokio::test]
async fn a_host_that_dns_does_not_know_is_unreachable() {
    let tls = client_config(&[], None).unwrap();
    let dialer = Arc::new(Dialer::new(
        std::iter::empty::<&Resolve>().collect(),
        tls,
        PATIENT,
    ));
    let access_key_id = ACCESS_KEY_ID.try_into().unwrap();
    let secret = SECRET_ACCESS_KEY.try_into().unwrap();
    let target = Target::new(
        "no.such.host.invalid",
        URI_PATH,
        "x",
        access_key_id,
        &secret,
    );
    let client = XksClient::new(dialer, target);
    assert_eq!(health(&client.link()).await, Err(ProxyFailure::Unreachable));
}

#[tokio::test]
async fn an_answer_in_time_counts_and_one_too_late_is_asked_for_once_more() {
    let proxy = StubProxy::start();
    let client = client_with(&proxy, None, SECRET_ACCESS_KEY, KMS);
    let link = client.link();
    health(&link).await.unwrap();

    proxy.next(Answer::Late(Duration::from_millis(100)));
    assert_eq!(health(&link).await, Ok(()));
    assert_eq!(
        proxy.seen().len(),
        2,
        "an answer in time needs no second request"
    );

    proxy.next(Answer::Late(Duration::from_millis(400)));
    assert_eq!(
        health(&link).await,
        Ok(()),
        "the second attempt is answered at once"
    );
    assert_eq!(proxy.seen().len(), 4);

    proxy.always(Answer::Late(Duration::from_millis(400)));
    let start = Instant::now();
    assert_eq!(health(&link).await, Err(ProxyFailure::TimedOut));
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(500), "{elapsed:?}");
    assert_eq!(proxy.seen().len(), 6, "exactly one retry");
}

#[tokio::test]
async fn nothing_but_a_timeout_is_retried() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    for (number, answer) in [
        Answer::Error(429, "ThrottlingException"),
        Answer::Error(503, "DependencyTimeoutException"),
        Answer::Error(500, "InternalException"),
        Answer::Body(502, String::new()),
        Answer::Hangup,
    ]
    .into_iter()
    .enumerate()
    {
        proxy.next(answer.clone());
        assert!(health(&link).await.is_err(), "{answer:?}");
        assert_eq!(proxy.seen().len(), number + 1, "{answer:?}");
    }
    assert_eq!(health(&link).await, Ok(()));
}

#[tokio::test]
async fn a_proxy_that_hangs_up_before_the_answer_is_unreachable() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    proxy.next(Answer::Hangup);
    assert_eq!(health(&client.link()).await, Err(ProxyFailure::Unreachable));
    // Over a connection that was used before, the request was sent all the same.
    health(&client.link()).await.unwrap();
    proxy.next(Answer::Hangup);
    assert_eq!(health(&client.link()).await, Err(ProxyFailure::Unreachable));
}

#[tokio::test]
async fn a_connection_that_the_proxy_has_closed_costs_no_request() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    for _ in 0..20 {
        proxy.next(Answer::SoundThenHangup);
        health(&link).await.unwrap();
        closed(&proxy).await;
    }
    health(&link).await.unwrap();
    proxy.cut();
    closed(&proxy).await;
    assert_eq!(health(&link).await, Ok(()));
    assert_eq!(proxy.seen().len(), 22, "each request was sent once");
    assert_eq!(proxy.accepted(), 22);
}

/// Waits until the stub has no connection and the client could have noticed.
async fn closed(proxy: &StubProxy) {
    for _ in 0..1000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if proxy.open() == 0 {
            return;
        }
    }
    panic!("the connection stays open");
}

#[tokio::test]
async fn a_closed_pool_sends_nothing_and_its_connections_are_closed_properly() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    let (a, b, c) = tokio::join!(health(&link), health(&link), health(&link));
    assert_eq!((a, b, c), (Ok(()), Ok(()), Ok(())));
    assert!(proxy.open() >= 1);
    client.pool().close();
    client.pool().connections_closed().await;
    let bytes = proxy.bytes();
    assert_eq!(health(&link).await, Err(ProxyFailure::NotConnected));
    assert_eq!(encrypt(&link).await, Err(ProxyFailure::NotConnected));
    closed(&proxy).await;
    assert_eq!(
        proxy.bytes(),
        bytes,
        "all that was sent had arrived when the pool was closed"
    );
    assert_eq!(proxy.seen().len(), 3);
}

#[tokio::test]
async fn requests_that_run_may_end_while_the_pool_closes_but_are_not_retried() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    health(&link).await.unwrap();
    let close = async {
        until(|| proxy.seen().len() == 2).await;
        client.pool().close();
    };
    proxy.next(Answer::Late(Duration::from_millis(100)));
    let (answer, ()) = tokio::join!(health(&link), close);
    assert_eq!(answer, Ok(()), "the answer comes in time");

    let client = client_with(&proxy, None, SECRET_ACCESS_KEY, KMS);
    let link = client.link();
    proxy.always(Answer::Late(Duration::from_millis(400)));
    let close = async {
        until(|| proxy.seen().len() == 3).await;
        client.pool().close();
    };
    let (answer, ()) = tokio::join!(health(&link), close);
    assert_eq!(answer, Err(ProxyFailure::NotConnected));
    client.pool().connections_closed().await;
    assert_eq!(proxy.seen().len(), 3, "no second attempt after the close");
}

#[tokio::test]
async fn an_abort_ends_requests_at_once() {
    let proxy = StubProxy::start();
    let client = client(&proxy);
    let link = client.link();
    proxy.always(Answer::Late(Duration::from_secs(2)));
    let abort = async {
        until(|| proxy.seen().len() == 1).await;
        client.pool().abort();
        client.pool().connections_closed().await;
    };
    let (answer, ()) = tokio::join!(health(&link), abort);
    assert_eq!(answer, Err(ProxyFailure::NotConnected));
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("what was waited for did not happen");
}
