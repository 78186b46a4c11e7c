//! The proxy without its socket: signed requests go to the pipeline, thousands a second.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use harness::certificates;
use harness::signer::{SignedRequest, Signer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime as Executor;
use xks_proxy::assemble::KeyManagers;
use xks_proxy::config::Config;
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource, Usages};
use xks_proxy::pipeline::{Answer, Encoded, RequestHead, answer};
use xks_proxy::request_log::{LogFormat, RequestLog, RequestLogGuard};
use xks_proxy::runtime::Runtime;
use zeroize::Zeroizing;

/// A key of a key store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    pub prefix: &'static str,
    pub key: &'static str,
}

/// Two keys of one store, and one of another key manager that has the same name as the first.
pub const PLACES: [Place; 3] = [
    Place {
        prefix: "/a",
        key: "first",
    },
    Place {
        prefix: "/a",
        key: "second",
    },
    Place {
        prefix: "/b",
        key: "first",
    },
];

/// Two embedded key managers, `/a` and `/b`, on disk.
pub struct Stores {
    folder: TempDir,
    signers: [(&'static str, Signer); 2],
}

impl Stores {
    pub fn new() -> Self {
        let folder = harness::temp_dir();
        let signers = ["/a", "/b"].map(|prefix| {
            let store = open(folder.path(), prefix, true);
            let administration = store.administration();
            for key in ["first", "second"] {
                let key = key.try_into().unwrap();
                let created = administration.create_key(&key, Usages::EncryptDecrypt);
                created.unwrap();
            }
            let made = administration.create_credential(&prefix.try_into().unwrap());
            let made = made.unwrap();
            let signer = Signer::new(made.access_key_id.as_str(), made.secret.expose());
            (prefix, signer)
        });
        Self { folder, signers }
    }

    /// Gives every key another version. No pipeline is open meanwhile: a store belongs to one process.
    pub fn rotate(&self) {
        for prefix in ["/a", "/b"] {
            let administration = open(self.folder.path(), prefix, false).administration();
            for key in ["first", "second"] {
                administration.rotate_key(&key.try_into().unwrap()).unwrap();
            }
        }
    }

    pub fn pipeline(&self) -> Pipeline {
        let mut config = format!(
            "listen = \"127.0.0.1:0\"\n[tls]\ncertificate_file = {:?}\nprivate_key_file = {:?}\n",
            certificates::path("server-ecdsa.crt.pem"),
            certificates::path("server-ecdsa.test-key.pem"),
        );
        for name in ["a", "b"] {
            config += &format!(
                "[key_managers.{name}]\ntype = \"embedded\"\ndata_dir = \"{name}\"\nroot_key_file = \"{name}/root.key\"\n\
                 [[key_stores]]\nuri_path_prefix = \"/{name}\"\nkey_manager = \"{name}\"\ncredential_store = \"{name}\"\n"
            );
        }
        let file = self.folder.path().join("xks-proxy.toml");
        std::fs::write(&file, config).unwrap();
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let key_managers = KeyManagers::default().with(&config).unwrap();
        let snapshot = key_managers.snapshot(&config).unwrap();
        let (log, guard) = RequestLog::start(Box::new(std::io::sink()), LogFormat::Json).unwrap();
        Pipeline {
            runtime: Arc::new(Runtime::new(snapshot, log, SystemTime::now)),
            executor: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap(),
            signers: self.signers.clone(),
            _log: guard,
        }
    }
}

fn open(folder: &Path, prefix: &str, new: bool) -> Embedded {
    let folder = folder.join(prefix.trim_start_matches('/'));
    let root_key = RootKeySource::File(folder.join("root.key"));
    if new {
        std::fs::create_dir(&folder).unwrap();
        Embedded::init(&folder, &root_key).unwrap();
    }
    Embedded::open(&folder, root_key).unwrap()
}

pub struct Pipeline {
    runtime: Arc<Runtime>,
    executor: Executor,
    signers: [(&'static str, Signer); 2],
    _log: RequestLogGuard,
}

impl Pipeline {
    pub fn encrypt(&self, at: Place, plaintext: &[u8], aad: &[u8]) -> Message {
        let body = json!({
            "requestMetadata": metadata(),
            "plaintext": base64(plaintext),
            "additionalAuthenticatedData": base64(aad),
            "encryptionAlgorithm": "AES_GCM",
        });
        let (status, answer) = self.post(at.prefix, at, "encrypt", &body);
        assert_eq!(status, 200, "{answer}");
        let field = |name: &str| from_base64(answer[name].as_str().unwrap());
        Message {
            at,
            plaintext: plaintext.to_vec(),
            fields: [
                field("ciphertext"),
                field("initializationVector"),
                field("authenticationTag"),
                field("ciphertextMetadata"),
                aad.to_vec(),
            ],
        }
    }

    /// Status and answer to the Decrypt of these fields.
    pub fn decrypt(&self, at: Place, fields: &[Vec<u8>; 5]) -> (u16, Value) {
        let [ciphertext, iv, tag, ciphertext_metadata, aad] = fields.each_ref().map(|f| base64(f));
        let body = json!({
            "requestMetadata": metadata(),
            "encryptionAlgorithm": "AES_GCM",
            "ciphertext": ciphertext,
            "initializationVector": iv,
            "authenticationTag": tag,
            "ciphertextMetadata": ciphertext_metadata,
            "additionalAuthenticatedData": aad,
        });
        self.post(at.prefix, at, "decrypt", &body)
    }

    /// A request to a place, signed with the credential of a prefix.
    pub fn post(&self, signer: &str, at: Place, operation: &str, body: &Value) -> (u16, Value) {
        let (_, signer) = self.signers.iter().find(|(p, _)| *p == signer).unwrap();
        let path = format!("{}/kms/xks/v1/keys/{}/{operation}", at.prefix, at.key);
        self.send(&signer.post("localhost", &path, body.to_string()))
    }

    fn send(&self, request: &SignedRequest) -> (u16, Value) {
        let headers = request.headers.iter();
        let headers = headers.map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        let headers: http::HeaderMap = headers.collect();
        let head = RequestHead {
            method: &request.method,
            path: &request.path,
            query: None,
            authority: None,
            client: None,
            headers: &headers,
        };
        let body = async { Ok(Zeroizing::new(request.body.clone())) };
        let answer = self.executor.block_on(answer(&self.runtime, head, body));
        let status = answer.status();
        let told = match answer {
            Answer::Ok(Encoded::Open(json)) => serde_json::from_slice(&json).unwrap(),
            Answer::Ok(Encoded::Secret(json)) => serde_json::from_slice(&json).unwrap(),
            Answer::MethodNotAllowed => Value::Null,
            Answer::Error(error) => json!({
                "errorName": error.name.as_str(),
                "errorMessage": error.message,
            }),
        };
        (status, told)
    }
}

/// What an Encrypt gave, with all that Decrypt has to be given back.
#[derive(Clone, Debug)]
pub struct Message {
    pub at: Place,
    pub plaintext: Vec<u8>,
    /// Ciphertext, initialization vector, tag, metadata, AAD.
    pub fields: [Vec<u8>; 5],
}

pub const FIELDS: [&str; 5] = [
    "ciphertext",
    "initializationVector",
    "authenticationTag",
    "ciphertextMetadata",
    "additionalAuthenticatedData",
];

fn metadata() -> Value {
    json!({
        "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
        "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "kmsOperation": "Decrypt",
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
    })
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.unwrap()
}
