//! OpenBao servers on loopback, over TLS: one in memory, or several with integrated Raft storage.
//!
//! Tests share one server in memory, each in a namespace of its own ([`Tenant`]); who seals, stops or kills a server
//! starts its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::https::{Connection, Response};
use crate::process::Process;
use crate::small_disk::SmallDisk;
use crate::tls::TlsClient;
use crate::{backend, certificates, free_port, temp_dir, wait_for};

/// A running server, unsealed.
pub struct OpenBao {
    program: PathBuf,
    process: Process,
    disk: Option<SmallDisk>,
    folder: TempDir,
    /// Where its API is, over TLS, with a certificate for 127.0.0.1.
    pub address: SocketAddr,
    /// The root token.
    pub root_token: String,
    unseal_key: String,
}

impl OpenBao {
    /// A server in memory.
    ///
    /// # Errors
    /// Why there is no `bao` here.
    pub fn start() -> Result<Self, String> {
        let mut bao = Self::launch(|_| Ok(("storage \"inmem\" {}".to_owned(), None)))?;
        bao.initialize();
        Ok(bao)
    }

    /// A server whose Raft storage and audit log are on a small disk; without an audit log it answers nobody.
    ///
    /// # Errors
    /// Why there is no `bao` here, or why nothing can be mounted.
    pub fn start_on_small_disk() -> Result<Self, String> {
        let mut bao = Self::launch(|folder| {
            let path = folder.join("disk");
            std::fs::create_dir(&path).map_err(|e| e.to_string())?;
            let disk = SmallDisk::mount(&path, 64, None)?;
            Ok((raft_storage(&path, 1) + &audit_log(&path), Some(disk)))
        })?;
        bao.initialize();
        Ok(bao)
    }

    /// A server that writes down what it is asked.
    ///
    /// # Errors
    /// Why there is no `bao` here.
    pub fn start_with_audit_log() -> Result<Self, String> {
        let mut bao = Self::launch(|folder| {
            Ok((
                "storage \"inmem\" {}\n".to_owned() + &audit_log(folder),
                None,
            ))
        })?;
        bao.initialize();
        Ok(bao)
    }

    /// How many messages each request to a path had, by the audit log of a server that has one.
    pub fn audited(&self, path: &str) -> Vec<usize> {
        let log =
            std::fs::read_to_string(self.folder.path().join(AUDIT_LOG)).expect("an audit log");
        let lines = log
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let requests = lines
            .filter(|line: &Value| line["type"] == "request" && line["request"]["path"] == path);
        let messages = |line: Value| {
            line["request"]["data"]["batch_input"]
                .as_array()
                .map_or(1, Vec::len)
        };
        requests.map(messages).collect()
    }

    /// The server that tests share, started by whoever needs it first and ended with its last user.
    ///
    /// # Errors
    /// Why there is no `bao` here.
    pub fn shared() -> Result<Arc<Self>, String> {
        static SHARED: Mutex<Weak<OpenBao>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bao) = shared.upgrade() {
            return Ok(bao);
        }
        let bao = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&bao);
        Ok(bao)
    }

    /// `count` servers of one cluster with integrated Raft storage; the first one begins as the leader.
    ///
    /// # Errors
    /// Why there is no `bao` here.
    pub fn cluster(count: usize) -> Result<Vec<Self>, String> {
        let mut nodes: Vec<Self> = Vec::new();
        for number in 1..=count {
            let mut node = Self::launch(|folder| Ok((raft_storage(folder, number), None)))?;
            match nodes.first() {
                None => node.initialize(),
                Some(leader) => node.join(leader),
            }
            nodes.push(node);
        }
        let root_token = nodes[0].root_token.clone();
        wait_for("every server of the cluster to be a voter", LIMIT, || {
            let path = "sys/storage/raft/configuration";
            let (_, answer) = nodes[0].call("GET", path, &root_token, None, &Value::Null);
            let servers = answer["data"]["config"]["servers"].as_array()?;
            let voters = servers.iter().filter(|server| server["voter"] == true);
            (voters.count() == count).then_some(())
        });
        Ok(nodes)
    }

    /// Starts it with what is made in its folder: storage for its configuration, and the disk that it is on.
    fn launch(
        made: impl FnOnce(&Path) -> Result<(String, Option<SmallDisk>), String>,
    ) -> Result<Self, String> {
        let program = backend::openbao()?;
        let folder = temp_dir();
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let cluster: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        // One of its own, which can be replaced.
        let certificate = folder.path().join("server.crt.pem");
        let copied = std::fs::copy(certificates::path("server-ecdsa.crt.pem"), &certificate);
        copied.expect("a file in a folder of ours");
        let key = certificates::path("server-ecdsa.test-key.pem");
        let (storage, disk) = made(folder.path())?;
        let config = format!(
            "api_addr = \"https://{address}\"\n\
             cluster_addr = \"https://{cluster}\"\n\
             {storage}\n\
             listener \"tcp\" {{\n\
               address = \"{address}\"\n\
               cluster_address = \"{cluster}\"\n\
               tls_cert_file = \"{}\"\n\
               tls_key_file = \"{}\"\n\
             }}\n",
            certificate.display(),
            key.display(),
        );
        std::fs::write(folder.path().join("bao.hcl"), config).expect("a file in a folder of ours");
        let process = serve(&program, folder.path());
        let mut bao = Self {
            program,
            process,
            disk,
            folder,
            address,
            root_token: String::new(),
            unseal_key: String::new(),
        };
        bao.wait_until_it_answers();
        Ok(bao)
    }

    fn wait_until_it_answers(&mut self) {
        let address = self.address;
        self.process.wait_until("its API", LIMIT, |_| {
            exchange(address, "GET", "sys/seal-status", "", None, "").map(|_| ())
        });
    }

    fn initialize(&mut self) {
        let body = json!({"secret_shares": 1, "secret_threshold": 1});
        let (status, answer) = self.call("POST", "sys/init", "", None, &body);
        assert_eq!(status, 200, "{answer}");
        self.unseal_key = text(&answer["keys_base64"][0]);
        self.root_token = text(&answer["root_token"]);
        self.unseal();
    }

    fn join(&mut self, leader: &Self) {
        let ca = certificates::path("root-ca.crt.pem");
        let ca = std::fs::read_to_string(ca).expect("a certificate");
        let body = json!({
            "leader_api_addr": format!("https://{}", leader.address),
            "leader_ca_cert": ca,
        });
        let (status, answer) = self.call("POST", "sys/storage/raft/join", "", None, &body);
        assert_eq!(status, 200, "{answer}");
        self.unseal_key.clone_from(&leader.unseal_key);
        self.root_token.clone_from(&leader.root_token);
        self.unseal();
    }

    /// Unseals it and waits until it serves, or knows who does.
    pub fn unseal(&self) {
        let body = json!({"key": self.unseal_key});
        let (status, answer) = self.call("POST", "sys/unseal", "", None, &body);
        assert_eq!(status, 200, "{answer}");
        // A standby serves reads by itself, but writes need a leader.
        wait_for("an active server", LIMIT, || {
            let (status, answer) = self.call("GET", "sys/leader", "", None, &Value::Null);
            let alone = answer["ha_enabled"] == false && self.is_active();
            let led = !answer["leader_address"]
                .as_str()
                .unwrap_or_default()
                .is_empty();
            (status == 200 && (alone || led)).then_some(())
        });
        wait_for("the root token to be taken", LIMIT, || {
            let path = "auth/token/lookup-self";
            let (status, _) = self.call("GET", path, &self.root_token, None, &Value::Null);
            (status == 200).then_some(())
        });
    }

    /// Seals it.
    pub fn seal(&self) {
        self.root("POST", "sys/seal", &Value::Null);
    }

    /// Whether this one is the active one of its cluster.
    pub fn is_active(&self) -> bool {
        let response = exchange(self.address, "GET", "sys/health", "", None, "");
        response.is_some_and(|response| response.status == 200)
    }

    /// The disk of [`start_on_small_disk`](Self::start_on_small_disk).
    ///
    /// # Panics
    /// If it is on none.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("it is on a small disk")
    }

    /// Takes another certificate for new connections; PEM, for the same key.
    pub fn replace_certificate(&self, certificate: &str) {
        let path = self.folder.path().join("server.crt.pem");
        std::fs::write(path, certificate).expect("a file in a folder of ours");
        self.signal(Signal::HUP);
    }

    /// Sends its process a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Starts it again on the same port with the same storage, and unseals it.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = serve(&self.program, self.folder.path());
        self.wait_until_it_answers();
        self.unseal();
    }

    /// One call; status and JSON, null without any.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        namespace: Option<&str>,
        body: &Value,
    ) -> (u16, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let Some(response) = exchange(self.address, method, path, token, namespace, &body) else {
            return (0, Value::Null);
        };
        let json = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        (response.status, json)
    }

    /// A call with the root token that must succeed.
    pub fn root(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, &self.root_token, None, body);
        assert!(matches!(status, 200 | 204), "{path}: {status} {answer}");
        answer
    }
}

/// A namespace with Transit and the shipped policy in it.
pub struct Tenant {
    /// The server.
    pub bao: Arc<OpenBao>,
    /// The namespace; `None` for the root namespace.
    pub namespace: Option<String>,
}

impl Tenant {
    /// The root namespace of a server of one's own.
    pub fn root_of(bao: Arc<OpenBao>) -> Self {
        Self::prepared(bao, None)
    }

    /// One of its own on the shared server.
    ///
    /// # Errors
    /// Why there is no `bao` here.
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let bao = OpenBao::shared()?;
        let namespace = format!("tenant-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        bao.root("POST", &format!("sys/namespaces/{namespace}"), &json!({}));
        Ok(Self::prepared(bao, Some(namespace)))
    }

    fn prepared(bao: Arc<OpenBao>, namespace: Option<String>) -> Self {
        let tenant = Self { bao, namespace };
        tenant.post("sys/mounts/transit", &json!({"type": "transit"}));
        tenant.post(
            "sys/policies/acl/xks-proxy",
            &json!({"policy": shipped_policy()}),
        );
        tenant
    }

    /// A POST as root of the namespace; must succeed.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, body)
    }

    /// A call as root of the namespace; must succeed.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let namespace = self.namespace.as_deref();
        let (status, answer) = self
            .bao
            .call(method, path, &self.bao.root_token, namespace, body);
        assert!(matches!(status, 200 | 204), "{path}: {status} {answer}");
        answer
    }

    /// Makes an AES-256-GCM key.
    pub fn create_key(&self, name: &str) {
        self.post(
            &format!("transit/keys/{name}"),
            &json!({"type": "aes256-gcm96"}),
        );
    }

    /// Whether there is a key of this name.
    pub fn has_key(&self, name: &str) -> bool {
        let path = format!("transit/keys/{name}");
        let namespace = self.namespace.as_deref();
        let token = &self.bao.root_token;
        let (status, answer) = self.bao.call("GET", &path, token, namespace, &Value::Null);
        assert!(matches!(status, 200 | 404), "{status} {answer}");
        status == 200
    }

    /// A token with these policies alone.
    pub fn token(&self, policies: &[&str], ttl: &str) -> String {
        let body = json!({"policies": policies, "ttl": ttl, "no_default_policy": true});
        let answer = self.post("auth/token/create", &body);
        text(&answer["auth"]["client_token"])
    }
}

/// The policy that comes with the proxy.
pub fn shipped_policy() -> String {
    let path = crate::workspace().join("proxy/deploy/openbao/xks-proxy.hcl");
    std::fs::read_to_string(path).expect("the shipped policy")
}

/// The CA of the servers' certificate.
pub fn ca_file() -> PathBuf {
    certificates::path("root-ca.crt.pem")
}

fn audit_log(folder: &Path) -> String {
    let path = folder.join(AUDIT_LOG);
    format!(
        "audit \"file\" \"log\" {{\n  options {{\n    file_path = \"{}\"\n  }}\n}}\n",
        path.display()
    )
}

const AUDIT_LOG: &str = "audit.log";

fn raft_storage(folder: &Path, number: usize) -> String {
    let path = folder.join("raft");
    std::fs::create_dir(&path).expect("a folder in a folder of ours");
    format!(
        "storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"node{number}\"\n  performance_multiplier = 1\n}}",
        path.display()
    )
}

fn serve(program: &Path, folder: &Path) -> Process {
    Process::start(
        Command::new(program)
            .args(["server", "-log-level=warn", "-config"])
            .arg(folder.join("bao.hcl"))
            // So that nothing of this machine's user counts.
            .env_remove("BAO_ADDR")
            .env_remove("VAULT_ADDR"),
    )
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    namespace: Option<&str>,
    body: &str,
) -> Option<Response> {
    let config = TlsClient::trusting(&ca_file()).config();
    let mut connection = Connection::tls(address, "127.0.0.1", config).ok()?;
    let namespace = namespace.map_or(String::new(), |n| format!("x-vault-namespace: {n}\r\n"));
    let token = match token {
        "" => String::new(),
        token => format!("x-vault-token: {token}\r\n"),
    };
    let length = body.len();
    let request = format!(
        "{method} /v1/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{namespace}{token}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.exchange(request.as_bytes()).ok()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .expect("a text in an answer of OpenBao")
        .to_owned()
}

/// For a server to start, or to know its leader: generous, for a machine that also compiles.
const LIMIT: Duration = Duration::from_secs(60);
