//! A proxy with an admin listener, two admins, and three external key stores, one on a key manager that is not there.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::https::{Connection, Response};
use harness::process::{Process, run};
use harness::signer::Signer;
use harness::tls::TlsClient;
use harness::{binaries, certificates, free_port, temp_dir, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything but who looks.
pub(super) struct World {
    folder: TempDir,
    pub(super) api: SocketAddr,
    pub(super) admin: SocketAddr,
    _process: Process,
}

/// A folder with the configuration, and nothing made of it yet.
pub(super) struct Place {
    folder: TempDir,
    api: SocketAddr,
    admin: SocketAddr,
}

impl Place {
    pub(super) fn empty() -> Self {
        let folder = temp_dir();
        let [api, admin, dead] = [(); 3].map(|()| (Ipv4Addr::LOCALHOST, free_port()).into());
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file of ours");
        };
        write("xks-proxy.toml", &config(api, admin, dead));
        write("bao-token", "hvs.SECRET-OF-TRANSIT-0123456789");
        Self { folder, api, admin }
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        command(&self.folder, arguments)
    }

    /// What is there.
    pub(super) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("our folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("a name of ours")
        };
        let mut files: Vec<_> = entries.map(name).collect();
        files.sort();
        files
    }
}

impl World {
    pub(super) fn start() -> Self {
        let Place { folder, api, admin } = Place::empty();
        let ok = |arguments: &[&str]| {
            let (status, _, stderr) = run(&mut command(&folder, arguments), LIMIT);
            assert!(status.success(), "{arguments:?}: {stderr}");
        };
        ok(&["init", "--no-credential"]);
        for key in ["payroll", "archive"] {
            ok(&["key", "create", key]);
        }
        for prefix in ["tenant-a", "tenant-b", "dead"] {
            let (of, to) = (format!("/{prefix}"), format!("{prefix}.json"));
            ok(&[
                "credential",
                "create",
                "--uri-path-prefix",
                &of,
                "--to",
                &to,
            ]);
        }
        for name in ["alice", "bob"] {
            ok(&["admin", "create", name, "--to", &format!("{name}.token")]);
        }
        let mut process = Process::start(&mut command(&folder, &["serve"]));
        process.wait_until("open ports", LIMIT, |_| {
            let all = [api, admin].map(Connection::plain);
            // The socket is the last to be there.
            UnixStream::connect(folder.path().join(SOCKET)).ok()?;
            all.iter().all(Result::is_ok).then_some(())
        });
        Self {
            folder,
            api,
            admin,
            _process: process,
        }
    }

    /// What a command prints that succeeds.
    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = run(&mut command(&self.folder, arguments), LIMIT);
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    /// What a command says that is refused.
    pub(super) fn refused(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = run(&mut command(&self.folder, arguments), LIMIT);
        assert!(!status.success(), "{arguments:?}: {stdout}{stderr}");
        stderr
    }

    /// A command over the admin listener.
    pub(super) fn remote(&self, admin: &str, arguments: &[&str]) -> String {
        let server = format!("localhost:{}", self.admin.port());
        let token = format!("{admin}.token");
        let ca = certificates::path("root-ca.crt.pem");
        let mut command = Command::new(binaries::xks_proxy());
        command
            .args(arguments)
            .args(["--server", &server, "--token-file", &token, "--server-ca"])
            .arg(ca)
            .env_remove("XKS_PROXY_CONFIG")
            .current_dir(self.folder.path());
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    /// Makes so many keys, named `many-0000` and so on, over one socket after another.
    pub(super) fn many_keys(&self, count: usize) {
        let socket = self.file(SOCKET);
        for number in 0..count {
            let mut stream = UnixStream::connect(&socket).expect("the socket");
            let id = format!("many-{number:04}");
            let create = json!({"command": "create-key", "id": id, "usage": "ENCRYPT,DECRYPT"});
            writeln!(stream, "{create}").expect("a command");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            assert!(answer.starts_with("{\"ok\""), "{answer}");
        }
    }

    pub(super) fn token(&self, admin: &str) -> String {
        let token = std::fs::read_to_string(self.file(&format!("{admin}.token")));
        token.expect("a token").trim().to_owned()
    }

    /// What a browser sends for this name and the token of that admin.
    pub(super) fn basic(&self, name: &str, token_of: &str) -> String {
        let token = self.token(token_of);
        format!("Basic {}", STANDARD.encode(format!("{name}:{token}")))
    }

    /// A connection to the admin listener, as browsers make one.
    pub(super) fn connect(&self) -> Connection {
        let client = TlsClient::trusting(&certificates::path("root-ca.crt.pem"));
        let config = client.alpn(&["h2", "http/1.1"]).config();
        let connection = Connection::tls(self.admin, "localhost", config).expect("a connection");
        let session = connection.session().expect("TLS");
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        connection
    }

    pub(super) fn ask(&self, method: &str, path: &str, credentials: Option<&str>) -> Response {
        let credentials = credentials.map(|given| format!("authorization: {given}\r\n"));
        let credentials = credentials.unwrap_or_default();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{credentials}\r\n");
        let mut connection = self.connect();
        connection.send(request.as_bytes()).expect("a request");
        let answer = connection.receive_answer_to(method);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// What is at that path.
    pub(super) fn page(&self, path: &str, credentials: &str) -> String {
        let answer = self.ask("GET", path, Some(credentials));
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).expect("text")
    }

    pub(super) fn json(&self, path: &str, credentials: &str) -> Value {
        serde_json::from_str(&self.page(path, credentials)).expect("JSON")
    }

    /// The credential of a prefix.
    pub(super) fn signer(&self, prefix: &str) -> Signer {
        let file = self.file(&format!("{}.json", prefix.trim_start_matches('/')));
        let text = std::fs::read_to_string(file).expect("a credential");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let of = |name: &str| {
            let credential = &json["XksProxyAuthenticationCredential"];
            credential[name].as_str().expect("a text").to_owned()
        };
        Signer::new(of("AccessKeyId"), of("RawSecretAccessKey"))
    }

    /// Asks the API to encrypt, as KMS does; the status of the answer.
    pub(super) fn encrypt(&self, prefix: &str, key: &str, operation: &str, id: &str) -> u16 {
        let body = json!({
            "requestMetadata": {
                "awsPrincipalArn": PRINCIPAL,
                "kmsOperation": operation,
                "kmsRequestId": id,
                "kmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            },
            "plaintext": STANDARD.encode(PLAINTEXT),
            "encryptionAlgorithm": "AES_GCM",
        });
        let path = format!("{prefix}/kms/xks/v1/keys/{key}/encrypt");
        let signer = self.signer(prefix);
        let request = signer.post("localhost", &path, body.to_string());
        let client = TlsClient::trusting(&certificates::path("root-ca.crt.pem"));
        let mut connection =
            Connection::tls(self.api, "localhost", client.config()).expect("a connection");
        let answer = connection.exchange(&request.http1()).expect("an answer");
        answer.status
    }

    pub(super) fn audit_log(&self) -> Vec<Value> {
        wait_for("the audit log", LIMIT, || {
            let mut lines = Vec::new();
            for entry in std::fs::read_dir(self.file("audit")).ok()? {
                let text = std::fs::read_to_string(entry.ok()?.path()).unwrap_or_default();
                let json = text
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok());
                lines.extend(json);
            }
            (!lines.is_empty()).then_some(lines)
        })
    }

    /// Everything that nobody may be told, in the forms that it could be told in.
    pub(super) fn secrets(&self) -> Vec<(String, String)> {
        let mut secrets = Vec::new();
        let mut add = |name: &str, secret: String| secrets.push((name.to_owned(), secret));
        for name in ["alice", "bob"] {
            let token = self.token(name);
            let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
            add(name, hex(hash.as_ref()));
            add(name, token.trim_start_matches("xksa_").to_owned());
        }
        for prefix in ["/tenant-a", "/tenant-b", "/dead"] {
            add(prefix, self.signer(prefix).secret_access_key);
        }
        for file in ["root.key", "data/root.key", "audit.key", "bao-token"] {
            let Ok(bytes) = std::fs::read(self.file(file)) else {
                continue;
            };
            if let Ok(text) = std::str::from_utf8(&bytes) {
                add(file, text.trim().to_owned());
            }
            add(file, hex(&bytes));
            add(file, STANDARD.encode(&bytes));
        }
        let key = std::fs::read_to_string(certificates::path("server-ecdsa.test-key.pem"));
        let key = key.expect("a private key");
        let line = key.lines().find(|line| !line.starts_with("---"));
        add("the listener's key", line.expect("base64").to_owned());
        add(
            "a plaintext",
            String::from_utf8_lossy(PLAINTEXT).into_owned(),
        );
        add("a plaintext", STANDARD.encode(PLAINTEXT));
        secrets
    }

    pub(super) fn config(&self) -> PathBuf {
        self.file("xks-proxy.toml")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// `xks-proxy ARGUMENTS` in the folder of the configuration, and for it.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::xks_proxy());
    command
        .args(arguments)
        .env("XKS_PROXY_CONFIG", folder.path().join("xks-proxy.toml"))
        .current_dir(folder.path());
    command
}

fn config(api: SocketAddr, admin: SocketAddr, dead: SocketAddr) -> String {
    let [certificate, key] = ["server-ecdsa.crt.pem", "server-ecdsa.test-key.pem"];
    let [certificate, key] = [certificate, key].map(certificates::path);
    format!(
        "listen = \"{api}\"\n\
         state_dir = \"state\"\n\
         [tls]\ncertificate_file = \"{}\"\nprivate_key_file = \"{}\"\n\
         [drain]\ndelay = \"0s\"\n\
         [admin]\nlisten = \"{admin}\"\n\
         [audit]\nfolder = \"audit\"\nkey_file = \"audit.key\"\n\
         [key_managers.embedded]\ntype = \"embedded\"\ndata_dir = \"data\"\n\
         [key_managers.bao]\ntype = \"transit\"\naddresses = [\"http://{dead}\"]\ntoken_file = \"bao-token\"\n\
         [[key_stores]]\nuri_path_prefix = \"/tenant-a\"\nkey_manager = \"embedded\"\nkeys = [\"payroll\", \"many-*\"]\n\
         [[key_stores.rules]]\nid = \"app\"\neffect = \"allow\"\noperations = [\"Encrypt\", \"Decrypt\", \"GetKeyMetadata\"]\n\
         [[key_stores.rules]]\nid = \"no-data-keys\"\neffect = \"deny\"\nkms_operations = [\"GenerateDataKey*\"]\n\
         [[key_stores]]\nuri_path_prefix = \"/tenant-b\"\nkey_manager = \"embedded\"\nkeys = [\"archive\"]\n\
         [[key_stores]]\nuri_path_prefix = \"/dead\"\nkey_manager = \"bao\"\nkeys = [\"elsewhere\"]\n\
         credential_store = \"embedded\"\n",
        certificate.display(),
        key.display(),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) const PRINCIPAL: &str = "arn:aws:sts::111122223333:assumed-role/payroll-app/session";
const SOCKET: &str = "data/admin.sock";
const PLAINTEXT: &[u8] = b"a plaintext that is told to nobody";
pub(super) const LIMIT: Duration = Duration::from_secs(60);
