//! A proxy process with two external key stores: one on the key manager that a test is about, one on keys of the proxy's
//! own, which nothing that happens to the other may slow down. Both are called as KMS calls them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::https::Connection;
use harness::process::{Process, run};
use harness::programs::{DevEnv, DevProxy};
use harness::signer::Signer;
use harness::tls::TlsClient;
use harness::{binaries, temp_dir};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The key manager that a test is about.
pub(crate) struct Tried<'a> {
    /// The members of its table, `type` among them.
    pub(crate) table: &'a str,
    /// A key that it has.
    pub(crate) key: &'a str,
    /// Members of `[limits]`; other tables may follow.
    pub(crate) limits: &'a str,
    /// What the proxy's environment has besides.
    pub(crate) environment: &'a [(&'a str, PathBuf)],
}

/// The proxy.
pub(crate) struct Proxy {
    pub(crate) process: Process,
    environment: Vec<(String, PathBuf)>,
    /// Where its files are.
    pub(crate) folder: TempDir,
    pub(crate) env: DevEnv,
    /// On the key manager that is tried.
    pub(crate) tried: Store,
    /// On keys of the proxy's own.
    pub(crate) embedded: Store,
}

impl Proxy {
    /// `prepare` makes what the key manager needs, in the folder of the configuration.
    pub(crate) fn start(tried: &Tried<'_>, prepare: impl FnOnce(&Path)) -> Self {
        // `dev` makes certificate, store and credential; what it wrote is then served with more in it.
        let folder = temp_dir();
        let mut dev = DevProxy::start(folder.path());
        let env = dev.env.clone();
        dev.process().terminate();
        dev.process().wait(LIMIT);
        let signer = Signer::new(
            "ABCDEFGHIJKLMNOPQRST",
            "SesameSesameSesameSesameSesameSesameSesameSesame",
        );
        let uri_path = "/tried/kms/xks/v1";
        let credential = json!({
            "XksProxyUriPath": uri_path,
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": signer.access_key_id,
                "RawSecretAccessKey": signer.secret_access_key,
            },
        });
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file in a folder of ours");
            path
        };
        write("tried-credential.json", &credential.to_string());
        write(CONFIG, &config(&env, tried));
        prepare(folder.path());
        let environment: Vec<_> = tried
            .environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let mut process = serve(folder.path(), &environment);
        wait_for_port(&mut process, &env);
        let store = |uri_path: &str, signer: &Signer, key: &str| Store {
            env: env.clone(),
            uri_path: uri_path.to_owned(),
            signer: signer.clone(),
            key: key.to_owned(),
        };
        Self {
            tried: store(uri_path, &signer, tried.key),
            embedded: store(&env.uri_path, &env.signer, &env.key_id),
            process,
            environment,
            folder,
            env,
        }
    }

    /// Ends it, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.end();
        self.process = serve(self.folder.path(), &self.environment);
        wait_for_port(&mut self.process, &self.env);
    }

    /// Ends it, and starts it again in vain; what it said.
    pub(crate) fn restart_fails(&mut self) -> String {
        self.end();
        self.process = serve(self.folder.path(), &self.environment);
        let status = self.process.wait(LIMIT);
        assert!(!status.success());
        self.process.outputs()
    }

    /// Starts it again after it was killed.
    pub(crate) fn start_again(&mut self) {
        self.process.wait(LIMIT);
        self.process = serve(self.folder.path(), &self.environment);
        wait_for_port(&mut self.process, &self.env);
    }

    fn end(&mut self) {
        self.process.terminate();
        self.process.wait(LIMIT);
    }

    /// Changes the text of the configuration; only a reload takes it up.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let file = self.folder.path().join(CONFIG);
        let text = std::fs::read_to_string(&file).expect("the configuration");
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
        std::fs::write(&file, text.replace(from, to)).expect("the configuration");
    }

    /// A command of the proxy on its configuration; whether it worked, and what it said.
    pub(crate) fn command(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = command(self.folder.path(), arguments, &self.environment);
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        (status.success(), stdout + &stderr)
    }

    /// That it ran through all of it without a panic.
    pub(crate) fn has_not_panicked(&mut self) {
        assert!(self.process.exited().is_none());
        let told = self.process.outputs();
        assert!(!told.contains("panicked"), "{told}");
    }
}

/// A command of the proxy on the configuration of this folder.
pub(crate) fn command<'e>(
    folder: &Path,
    arguments: &[&str],
    environment: impl IntoIterator<Item = &'e (String, PathBuf)>,
) -> Command {
    let mut command = Command::new(binaries::xks_proxy());
    command
        .args(arguments)
        .arg("--config")
        .arg(folder.join(CONFIG));
    for (name, value) in environment {
        command.env(name, value);
    }
    command
}

/// Makes the keyring of the key manager that is tried, and the key `payments` in it.
pub(crate) fn initialize(folder: &Path, environment: &[(&str, PathBuf)]) {
    let owned = |(name, value): &(&str, PathBuf)| ((*name).to_owned(), value.clone());
    let environment: Vec<_> = environment.iter().map(owned).collect();
    for arguments in [&["init"][..], &["key", "create", "payments"]] {
        let arguments = [arguments, &["--key-manager", "tried"]].concat();
        let mut command = command(folder, &arguments, &environment);
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
    }
}

fn serve(folder: &Path, environment: &[(String, PathBuf)]) -> Process {
    Process::start(&mut command(folder, &["serve"], environment))
}

fn wait_for_port(process: &mut Process, env: &DevEnv) {
    process.wait_until("an open port", LIMIT, |_| {
        Connection::plain(env.address).is_ok().then_some(())
    });
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.process.outputs());
        }
    }
}

fn config(env: &DevEnv, tried: &Tried<'_>) -> String {
    format!(
        "listen = \"{}\"\n\
         [tls]\ncertificate_file = \"tls-chain.pem\"\nprivate_key_file = \"tls-key.pem\"\n\
         [limits]\n{}\n\
         [health]\nprobe_interval = \"1s\"\n\
         [key_managers.embedded]\ntype = \"embedded\"\ndata_dir = \".\"\n\
         [key_managers.tried]\n{}\n\
         [[key_stores]]\nuri_path_prefix = \"{}\"\nkey_manager = \"embedded\"\n\
         [[key_stores]]\nuri_path_prefix = \"/tried\"\nkey_manager = \"tried\"\n\
         credential_files = [\"tried-credential.json\"]\n",
        env.address,
        tried.limits,
        tried.table,
        env.uri_path.trim_end_matches("/kms/xks/v1"),
    )
}

/// An external key store, called as KMS calls it.
pub(crate) struct Store {
    env: DevEnv,
    pub(crate) uri_path: String,
    pub(crate) signer: Signer,
    key: String,
}

/// What an operation answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// The name of the error; empty without one.
    pub(crate) error: String,
    /// From the connection's beginning to the answer's end.
    pub(crate) took: Duration,
    body: Value,
}

impl Answered {
    fn of((status, body): (u16, Value), start: Instant) -> Self {
        Self {
            status,
            error: body["errorName"].as_str().unwrap_or_default().to_owned(),
            took: start.elapsed(),
            body,
        }
    }

    pub(crate) fn is(&self, status: u16, error: &str) -> bool {
        self.status == status && self.error == error
    }
}

impl Store {
    pub(crate) fn encrypt(&self) -> Answered {
        let mut body = self.request("Encrypt");
        body["plaintext"] = PLAINTEXT.into();
        body["ciphertextDataIntegrityValueAlgorithm"] = "SHA_256".into();
        self.operation("encrypt", &body)
    }

    /// Encrypts for a request of KMS that has this id; the status, unless the proxy goes away.
    pub(crate) fn try_encrypt(&self, kms_request_id: &str) -> Option<u16> {
        let mut body = self.request("Encrypt");
        body["plaintext"] = PLAINTEXT.into();
        body["requestMetadata"]["kmsRequestId"] = kms_request_id.into();
        let path = format!("{}/keys/{}/encrypt", self.uri_path, self.key);
        let request = self.signer.post("localhost", &path, body.to_string());
        let tls = TlsClient::trusting(&self.env.ca_file);
        let connection = Connection::tls(self.env.address, "localhost", tls.config());
        let answer = connection.ok()?.exchange(&request.http1());
        Some(answer.ok()?.status)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) answered.
    ///
    /// # Panics
    /// If that gives another plaintext.
    pub(crate) fn decrypt(&self, sealed: &Answered) -> Answered {
        let mut body = self.request("Decrypt");
        for (from, to) in [
            ("ciphertext", "ciphertext"),
            ("ciphertextMetadata", "ciphertextMetadata"),
            ("initializationVector", "initializationVector"),
            ("authenticationTag", "authenticationTag"),
        ] {
            body[to] = sealed.body[from].clone();
        }
        let answered = self.operation("decrypt", &body);
        if answered.status == 200 {
            assert_eq!(answered.body["plaintext"], PLAINTEXT, "a wrong answer");
        }
        answered
    }

    /// GetKeyMetadata.
    pub(crate) fn key_metadata(&self) -> Answered {
        let mut body = self.request("DescribeKey");
        body.as_object_mut()
            .expect("an object")
            .remove("encryptionAlgorithm");
        self.operation("metadata", &body)
    }

    /// GetHealthStatus, whatever it answers.
    pub(crate) fn get_health_status(&self) -> Answered {
        let start = Instant::now();
        Answered::of(self.call("health", &health_check()), start)
    }

    /// A message there and back, or the error.
    pub(crate) fn round_trip(&self) -> Result<(), Answered> {
        let sealed = self.encrypt();
        let opened = match sealed.status {
            200 => self.decrypt(&sealed),
            _ => return Err(sealed),
        };
        match opened.status {
            200 => Ok(()),
            _ => Err(opened),
        }
    }

    /// The status of the first instance.
    pub(crate) fn health(&self) -> String {
        let status = &self.instances()[0]["healthStatus"];
        status.as_str().unwrap_or_default().to_owned()
    }

    /// `ekmFleetDetails`.
    pub(crate) fn instances(&self) -> Vec<Value> {
        let (status, answer) = self.call("health", &health_check());
        assert_eq!(status, 200, "{answer}");
        let details = answer["ekmFleetDetails"].as_array().cloned();
        details.unwrap_or_default()
    }

    fn request(&self, operation: &str) -> Value {
        json!({
            "requestMetadata": {
                "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
                "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                "kmsOperation": operation,
                "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
            },
            "encryptionAlgorithm": "AES_GCM",
        })
    }

    fn operation(&self, operation: &str, body: &Value) -> Answered {
        let start = Instant::now();
        let path = format!("keys/{}/{operation}", self.key);
        Answered::of(self.call(&path, body), start)
    }

    fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        let path = format!("{}/{operation}", self.uri_path);
        let request = self.signer.post("localhost", &path, body.to_string());
        let mut connection = self.env.connect();
        let answer = connection.exchange(&request.http1());
        let answer = answer.expect("an answer of the proxy");
        (answer.status, answer.json())
    }
}

fn health_check() -> Value {
    json!({"requestMetadata": {
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        "kmsOperation": "KmsHealthCheck",
    }})
}

/// The name of the configuration.
const CONFIG: &str = "two-stores.toml";
const PLAINTEXT: &str = "SGVsbG8gV29ybGQh";
const LIMIT: Duration = Duration::from_secs(60);
