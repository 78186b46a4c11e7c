//! Doors for fuzzing: each parser of the proxy, and whole requests and connections, without a socket. They are no part of the
//! API, and change at any time.
//!
//! libFuzzer and tests need thousands of inputs a second and the same answer to the same input. So the clock stands still, the
//! credential is known, and so is the key. What must hold for every input is asserted here, so that a fuzzer, a property
//! test and a corpus all look for the same.
//!
//! | file | inputs |
//! |---|---|
//! | `signatures` | `Authorization` headers, requests that a second implementation signs |
//! | `bodies` | signed bodies of each operation |
//! | `connection` | the bytes of a connection |
//! | this one | routes, Transit's ciphertexts, configurations |

mod bodies;
mod connection;
mod signatures;
mod text_request;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, Runtime as Executor};
use xks_api::ids::{ExternalKeyId, UriPathPrefix};
use xks_api::route::route;
use zeroize::Zeroizing;

use crate::assemble::KeyManagers;
use crate::cli::dev_certificate;
use crate::config::Config;
use crate::key_manager::embedded::{Embedded, RootKeySource, Usages};
use crate::request_log::{LogFormat, RequestLog, RequestLogGuard};
use crate::runtime::Runtime;

pub use bodies::Ended;
pub use signatures::SignatureDoor;

/// A proxy whose time stands still, with one key, and one credential for each of two key stores.
pub struct Door {
    executor: Executor,
    runtime: Arc<Runtime>,
    folder: PathBuf,
    _log: RequestLogGuard,
}

impl Door {
    /// Keeps its files in an empty folder.
    ///
    /// # Panics
    /// The state that inputs meet cannot be made.
    pub fn new(folder: &Path) -> Self {
        let write = |name: &str, content: &str| {
            std::fs::write(folder.join(name), content).expect("a file in the folder");
        };
        let (chain, key) = dev_certificate().expect("a certificate");
        write("chain.pem", &chain);
        write("key.pem", &key);
        for (file, prefix, id) in [
            ("credential.json", "", ACCESS_KEY_ID),
            ("other-credential.json", OTHER_PREFIX, OTHER_ACCESS_KEY_ID),
        ] {
            let credential = serde_json::json!({
                "XksProxyUriPath": format!("{prefix}/kms/xks/v1"),
                "XksProxyAuthenticationCredential": {
                    "AccessKeyId": id,
                    "RawSecretAccessKey": SECRET_ACCESS_KEY,
                },
            });
            write(file, &credential.to_string());
        }
        let root_key = RootKeySource::File(folder.join("root.key"));
        Embedded::init(folder, &root_key).expect("an empty folder");
        let embedded = Embedded::open(folder, root_key).expect("a store");
        let imported = embedded.administration().import_key(
            &ExternalKeyId::try_from(KEY_ID).expect("a key id"),
            Usages::EncryptDecrypt,
            Zeroizing::new(KEY_MATERIAL),
        );
        imported.expect("a key");
        // A store is open once.
        drop(embedded);
        write("xks-proxy.toml", CONFIGURATION);
        let config = Config::load(&folder.join("xks-proxy.toml"));
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let executor = Builder::new_current_thread().enable_all().build();
        let executor = executor.expect("an executor");
        let key_managers = KeyManagers::default().with(&config).expect("a store");
        let snapshot = key_managers.snapshot(&config).expect("a snapshot");
        let sink = Box::new(std::io::sink());
        let (log, guard) = RequestLog::start(sink, LogFormat::Json).expect("a thread");
        Self {
            executor,
            runtime: Arc::new(Runtime::new(snapshot, log, now)),
            folder: folder.to_owned(),
            _log: guard,
        }
    }

    /// A configuration, as the three readers of it see it.
    ///
    /// # Panics
    /// It is refused without a problem that is told, or what is told of it shows the secret of a file.
    pub fn configuration(&self, content: &[u8]) {
        let file = self.folder.join("input.toml");
        std::fs::write(&file, content).expect("a file in the folder");
        let read = Config::load(&file).map(|config| format!("{config:?}"));
        let keys = Config::load_keys(&file).map(|keys| format!("{keys:?}"));
        let policies = Config::load_policies(&file).map(|_| String::new());
        assert!(
            read.is_err() || (keys.is_ok() && policies.is_ok()),
            "a part of a sound configuration is refused"
        );
        for read in [read, keys, policies] {
            let told = read.unwrap_or_else(|error| {
                assert!(!error.0.is_empty(), "refused without a problem");
                error.to_string()
            });
            assert!(!told.contains(SECRET_ACCESS_KEY), "it shows a secret");
        }
    }
}

/// A method, a space, a path.
///
/// # Panics
/// The path of an operation is not the one that its parts make.
pub fn request_line(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Some((method, path)) = text.split_once(' ') else {
        return;
    };
    if let Ok(route) = route(method, path) {
        assert_eq!(method, "POST");
        let prefix = UriPathPrefix::try_from(route.prefix).expect("a prefix");
        assert_eq!(route.operation.path_below(&prefix.uri_path()), path);
        if let Some(id) = route.operation.external_key_id() {
            assert_eq!(ExternalKeyId::try_from(id.as_str()).as_ref(), Ok(id));
        }
    }
}

/// A ciphertext of Transit: the number of its version and the length of its plaintext, a space after each, then the text.
///
/// # Panics
/// It is taken apart and not put together again as it was.
#[cfg(feature = "transit")]
pub fn transit_ciphertext(input: &[u8]) {
    use crate::key_manager::transit::blob::{KeyVersion, encode, parse};
    let mut parts = std::str::from_utf8(input).unwrap_or("").splitn(3, ' ');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (Some(version), Some(len)) = (number(), number()) else {
        return;
    };
    let (Some(version), Ok(len)) = (KeyVersion::new(version), usize::try_from(len)) else {
        return;
    };
    let text = parts.next().unwrap_or("");
    if let Some(sealed) = parse(text, version, len) {
        assert_eq!(sealed.ciphertext.len(), len);
        assert_eq!(KeyVersion::of_metadata(&sealed.metadata), Some(version));
        assert_eq!(encode(&sealed).as_deref(), Some(text));
    }
}

/// When every input comes, and every signature was made: 2026-11-24, 12:36 UTC.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_523_760)
}

const HOST: &str = "xks.test";
const ACCESS_KEY_ID: &str = "FUZZINGFUZZINGFUZZING";
const OTHER_ACCESS_KEY_ID: &str = "OTHEROTHEROTHEROTHER";
const SECRET_ACCESS_KEY: &str = "Fuzzing+Only/Fuzzing+Only/Fuzzing+Only/Fuzzing=";
const OTHER_PREFIX: &str = "/other";
const KEY_ID: &str = "demo";
const KEY_MATERIAL: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
];

const CONFIGURATION: &str = r#"listen = "127.0.0.1:0"
[tls]
certificate_file = "chain.pem"
private_key_file = "key.pem"
[key_managers.embedded]
type = "embedded"
data_dir = "."
[[key_stores]]
uri_path_prefix = ""
key_manager = "embedded"
credential_files = ["credential.json"]
[[key_stores]]
uri_path_prefix = "/other"
key_manager = "embedded"
keys = ["none"]
credential_files = ["other-credential.json"]
"#;

#[cfg(test)]
mod tests;
