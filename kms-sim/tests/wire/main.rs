//! awsJson 1.1 over real sockets: raw bytes out, raw bytes in.

mod bad_input;
mod connections;
mod cors;
mod http_details;
mod server;
mod sts;

use std::sync::Arc;
use std::time::Duration;

use crate::server::{SIGNED, Server, call, post};
use harness::https::Connection;
use kms_sim::cloudhsm::{ClusterChange, NewCluster};
use kms_sim::{Config, ServerTls};
use serde_json::{Value, json};

#[test]
fn answers_have_the_form_of_kms_and_the_connection_stays() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    let created = call(&mut connection, "CreateKey", "{}");
    assert_eq!(created.status, 200);
    assert_eq!(
        created.header("content-type"),
        Some("application/x-amz-json-1.1")
    );
    let metadata = &created.json()["KeyMetadata"];
    // The Region of the credential scope, and the account of every access key id that is not 12 digits.
    let arn = metadata["Arn"].as_str().unwrap();
    assert!(
        arn.starts_with("arn:aws:kms:eu-west-1:123456789012:key/"),
        "{arn}"
    );
    assert!(metadata["CreationDate"].as_f64().unwrap() > 1.7e9);

    // No output shape, no body.
    let disabled = call(
        &mut connection,
        "DisableKey",
        &json!({"KeyId": arn}).to_string(),
    );
    assert_eq!((disabled.status, disabled.body.len()), (200, 0));
    // An empty body is an empty object.
    assert_eq!(
        call(&mut connection, "ListKeys", "").json()["Truncated"],
        false
    );

    let ids: Vec<&str> = [&created, &disabled]
        .into_iter()
        .map(|response| response.header("x-amzn-requestid").unwrap())
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(
        (ids[0].len(), ids[0].matches('-').count()),
        (36, 4),
        "a UUID"
    );
    assert!(server.stop());
}

#[test]
fn errors_have_a_bare_type_and_status_400() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    let target = |operation: &str| format!("x-amz-target: {operation}\r\n");
    for (headers, body, name) in [
        (
            format!("{}{SIGNED}", target("TrentService.DescribeKey")),
            r#"{"KeyId":"x"}"#,
            "NotFoundException",
        ),
        (
            format!("{}{SIGNED}", target("TrentService.DescribeKey")),
            "{}",
            "ValidationException",
        ),
        (
            format!("{}{SIGNED}", target("TrentService.DescribeKey")),
            "{",
            "SerializationException",
        ),
        (
            format!("{}{SIGNED}", target("TrentService.DescribeKey")),
            r#"{"KeyId":1}"#,
            "SerializationException",
        ),
        (
            format!("{}{SIGNED}", target("TrentService.Encrypt")),
            r#"{"KeyId":"x","Plaintext":"*"}"#,
            "SerializationException",
        ),
        (
            format!("{}{SIGNED}", target("TrentService.NoSuchOperation")),
            "{}",
            "UnknownOperationException",
        ),
        (
            format!("{}{SIGNED}", target("DescribeKey")),
            "{}",
            "UnknownOperationException",
        ),
        (SIGNED.to_owned(), "{}", "UnknownOperationException"),
        (
            target("TrentService.ListKeys"),
            "{}",
            "MissingAuthenticationTokenException",
        ),
        (
            format!(
                "{}authorization: AWS4-HMAC-SHA256 Credential=AKID\r\n",
                target("TrentService.ListKeys")
            ),
            "{}",
            "IncompleteSignatureException",
        ),
    ] {
        let response = post(&mut connection, &headers, body);
        let found: Value = response.json();
        assert_eq!(
            (response.status, &found["__type"]),
            (400, &json!(name)),
            "{headers}{body}"
        );
        assert!(found["message"].is_string());
        assert!(response.header("x-amzn-requestid").is_some());
    }
    // This one has no message.
    let body = json!({"CiphertextBlob": "AAAA"}).to_string();
    let response = call(&mut connection, "Decrypt", &body);
    assert_eq!(response.body, br#"{"__type":"InvalidCiphertextException"}"#);
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_other_paths_are_unknown() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: kms\r\nx-amz-target: TrentService.ListKeys\r\n{SIGNED}content-length: 1048577\r\n\r\n"
    );
    assert_eq!(connection.exchange(request.as_bytes()).unwrap().status, 413);
    let mut connection = server.connect();
    for (request, status) in [
        ("GET /health HTTP/1.1\r\nhost: kms\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nhost: kms\r\n\r\n", 404),
        (
            "POST /other HTTP/1.1\r\nhost: kms\r\ncontent-length: 0\r\n\r\n",
            404,
        ),
    ] {
        assert_eq!(
            connection.exchange(request.as_bytes()).unwrap().status,
            status,
            "{request}"
        );
    }
}

#[test]
fn a_stop_lets_idle_connections_go() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    call(&mut connection, "ListKeys", "{}");
    let mut never_used = server.connect();
    let stopping = std::thread::spawn(move || server.stop());
    assert!(connection.is_closed_within(Duration::from_secs(10)));
    assert!(never_used.is_closed_within(Duration::from_secs(10)));
    assert!(stopping.join().unwrap());
}

#[test]
fn https_with_a_certificate_of_ones_own() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["kms.test".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let server = Server::start(Config {
        tls: Some(ServerTls {
            certificates: vec![certificate.clone()],
            key: rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }),
        ..Config::default()
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connection = Connection::tls(server.address, "kms.test", Arc::new(config)).unwrap();
    assert_eq!(call(&mut connection, "ListKeys", "{}").status, 200);
}

#[test]
fn a_cloudhsm_key_store_lives_on_the_cluster_of_the_embedding_program() {
    let config = Config {
        transition: Duration::ZERO,
        ..Config::default()
    };
    let clusters = config.cloud_hsm.clone();
    let server = Server::start(config);
    let cluster = clusters
        .create_cluster(NewCluster::in_region("eu-west-1"))
        .unwrap();
    let password = cluster.key_store_password.unwrap();
    let mut connection = server.connect();
    let mut ask = |operation: &str, input: Value| {
        let answer = call(&mut connection, operation, &input.to_string());
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains(password.expose()), "{operation}: {text}");
        answer
    };
    let created = ask(
        "CreateCustomKeyStore",
        json!({
            "CustomKeyStoreName": "Example",
            "CloudHsmClusterId": cluster.id.as_str(),
            "TrustAnchorCertificate": cluster.trust_anchor_certificate,
            "KeyStorePassword": password.expose(),
        }),
    );
    assert_eq!(created.status, 200);
    let store = created.json()["CustomKeyStoreId"].clone();
    let connected = ask("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
    assert_eq!((connected.status, &*connected.body), (200, &b"{}"[..]));
    let stores = ask("DescribeCustomKeyStores", json!({})).json();
    assert_eq!(stores["CustomKeyStores"][0]["ConnectionState"], "CONNECTED");
    let input = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let key = ask("CreateKey", input).json()["KeyMetadata"]["KeyId"].clone();
    let encrypt = json!({"KeyId": key, "Plaintext": "SGVsbG8="});
    let blob = ask("Encrypt", encrypt.clone()).json()["CiphertextBlob"].clone();
    let decrypt = json!({"CiphertextBlob": blob});
    assert_eq!(
        ask("Decrypt", decrypt.clone()).json()["Plaintext"],
        "SGVsbG8="
    );

    // A fault of the service is 500, so that SDKs try again; what a retry does not help is 400.
    for (change, status, name) in [
        (
            ClusterChange {
                sessions_left: Some(false),
                ..ClusterChange::default()
            },
            500,
            "KMSInternalException",
        ),
        (
            ClusterChange {
                sessions_left: Some(true),
                reachable: Some(false),
                ..ClusterChange::default()
            },
            400,
            "KMSInvalidStateException",
        ),
    ] {
        clusters.update_cluster(&cluster.id, change).unwrap();
        let refused = ask("Decrypt", decrypt.clone());
        assert_eq!(
            (refused.status, &refused.json()["__type"]),
            (status, &json!(name))
        );
    }
    let change = ClusterChange {
        reachable: Some(true),
        ..ClusterChange::default()
    };
    clusters.update_cluster(&cluster.id, change).unwrap();
    assert_eq!(ask("Decrypt", decrypt.clone()).status, 200);
    ask(
        "DisconnectCustomKeyStore",
        json!({"CustomKeyStoreId": store}),
    );
    let refused = ask("Decrypt", decrypt);
    assert_eq!(refused.json()["__type"], "KMSInvalidStateException");
    let refused = ask(
        "GenerateRandom",
        json!({"NumberOfBytes": 8, "CustomKeyStoreId": store}),
    );
    assert_eq!(
        refused.json()["__type"],
        "CustomKeyStoreInvalidStateException"
    );
    assert!(server.stop());
}
