//! The whole way of a request through the proxy, without socket, TLS and HTTP.
//!
//! Timed: route, signature (signing key cached), JSON, base64, the embedded key manager, the integrity value with its
//! verifying decryption, the encoded answer, and the line of the request log up to the buffer of the writing thread.

use std::hint::black_box;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, criterion_group, criterion_main};
use harness::signer::{SignedRequest, Signer};
use harness::temp_dir;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use xks_api::ids::UriPathPrefix;
use xks_api::sigv4::Regions;
use xks_proxy::authenticate::Credentials;
use xks_proxy::health::{Monitored, ProxyIdentity};
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource, Usages};
use xks_proxy::key_store::{ExternalKeyStore, KeySelection, KeyStores};
use xks_proxy::pipeline::{Answer, Encoded, RequestHead, answer};
use xks_proxy::request_log::{LogFormat, RequestLog};
use xks_proxy::runtime::{Limits, Runtime, Snapshot};
use xks_proxy::tls::{TlsMaterial, server_config};
use zeroize::Zeroizing;

const ID: &str = "BETWEENAAAAANDBBBBBB";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY+AB=";
const PREFIX: &str = "/dev/tenant-a";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_796_000_000)
}

fn runtime(key_manager: Embedded, log: RequestLog) -> Runtime {
    let key_manager = Arc::new(Monitored::new(
        "embedded",
        Arc::new(key_manager),
        Duration::from_secs(1),
    ));
    let prefix = UriPathPrefix::try_from(PREFIX).unwrap();
    let credential = (ID.try_into().unwrap(), SECRET.try_into().unwrap());
    let store = ExternalKeyStore {
        prefix: prefix.clone(),
        key_manager: Arc::clone(&key_manager),
        keys: KeySelection::all(),
        credentials: Credentials::new(prefix, Regions::Any, vec![credential], None).unwrap(),
    };
    let chain = CertificateDer::pem_file_iter(harness::certificates::path("server-ecdsa.crt.pem"));
    let key = harness::certificates::path("server-ecdsa.test-key.pem");
    let tls = TlsMaterial {
        chain: chain.unwrap().collect::<Result<_, _>>().unwrap(),
        key: PrivateKeyDer::from_pem_file(key).unwrap(),
        client: None,
    };
    let snapshot = Snapshot {
        tls: Arc::new(server_config(&tls).unwrap()),
        client_authentication: None,
        key_stores: KeyStores::new([store]),
        key_managers: vec![key_manager],
        identity: ProxyIdentity {
            fleet_size: NonZeroU32::MIN,
            vendor: "xks-proxy".into(),
            model: "bench".into(),
        },
        limits: Limits::default(),
    };
    Runtime::new(snapshot, log, now)
}

/// A request as hyper hands it on.
struct Parsed {
    wire: SignedRequest,
    headers: HeaderMap,
}

impl Parsed {
    fn new(operation: &str, body: &serde_json::Value) -> Self {
        let path = format!("{PREFIX}/kms/xks/v1/{operation}");
        let mut wire = SignedRequest::unsigned("POST", "xks.test", &path, body.to_string());
        Signer::new(ID, SECRET).sign(&mut wire, now());
        wire.set("content-length", wire.body.len().to_string());
        let mut headers = HeaderMap::new();
        for (name, value) in &wire.headers {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Self { wire, headers }
    }

    fn answer(&self, runtime: &Runtime) -> Answer {
        let head = RequestHead {
            method: "POST",
            path: &self.wire.path,
            query: None,
            authority: None,
            headers: &self.headers,
        };
        let body = async { Ok(Zeroizing::new(self.wire.body.clone())) };
        let mut answering = std::pin::pin!(answer(runtime, head, body));
        match answering
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("the embedded key manager answers at once"),
        }
    }
}

fn pipeline(c: &mut Criterion) {
    let folder = temp_dir();
    let root_key = RootKeySource::File(folder.path().join("root.key"));
    Embedded::init(folder.path(), &root_key).unwrap();
    let embedded = Embedded::open(folder.path(), root_key).unwrap();
    let key = "demo".try_into().unwrap();
    embedded
        .administration()
        .create_key(&key, Usages::EncryptDecrypt)
        .unwrap();
    let (log, _guard) = RequestLog::start(Box::new(io::sink()), LogFormat::Json).unwrap();
    let runtime = runtime(embedded, log);
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = executor.enter();

    for len in [32, 4_096] {
        let metadata = serde_json::json!({
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Encrypt",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        });
        let aad = STANDARD.encode([7; 100]);
        let encrypt = Parsed::new(
            "keys/demo/encrypt",
            &serde_json::json!({
                "requestMetadata": metadata,
                "plaintext": STANDARD.encode(vec![7; len]),
                "additionalAuthenticatedData": aad,
                "encryptionAlgorithm": "AES_GCM",
                "ciphertextDataIntegrityValueAlgorithm": "SHA_256",
            }),
        );
        let Answer::Ok(Encoded::Open(sealed)) = encrypt.answer(&runtime) else {
            panic!("Encrypt is answered");
        };
        let mut body: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        body.as_object_mut()
            .unwrap()
            .remove("ciphertextDataIntegrityValue");
        body["requestMetadata"] = metadata;
        body["additionalAuthenticatedData"] = aad.into();
        body["encryptionAlgorithm"] = "AES_GCM".into();
        let decrypt = Parsed::new("keys/demo/decrypt", &body);
        assert_eq!(decrypt.answer(&runtime).status(), 200);
        for (name, request) in [("encrypt with CDIV", encrypt), ("decrypt", decrypt)] {
            c.bench_function(&format!("pipeline/{name}/{len} B plaintext"), |b| {
                b.iter(|| black_box(&request).answer(&runtime));
            });
        }
    }
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
