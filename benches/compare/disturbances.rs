//! What a soak does to a proxy beside the load: rotations, reloads, and clients that fail.
//!
//! Every second has one of them, in turn. What an administrator asks for must be done; what a client does wrong must be
//! refused, or end with its connection.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::https::Connection;
use harness::tls::TlsClient;
use harness::{binaries, certificates, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::request::encrypt_body;
use crate::servers::Server;
use crate::soak::metric;

pub(crate) struct Disturbances<'s> {
    server: &'s Server,
    metrics: SocketAddr,
    config: String,
    turn: usize,
    told: BTreeMap<&'static str, usize>,
    /// The credential that is revoked next.
    credential: Option<String>,
}

/// What it is, and what does it.
type Disturbance<'s> = (&'static str, fn(&mut Disturbances<'s>));

impl<'s> Disturbances<'s> {
    pub(crate) fn of(server: &'s Server, metrics: SocketAddr) -> Self {
        let config = std::fs::read_to_string(server.config());
        Self {
            server,
            metrics,
            config: config.expect("a configuration"),
            turn: 0,
            told: BTreeMap::new(),
            credential: None,
        }
    }

    /// How often there was what.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.told.iter().map(|(what, count)| (*what, *count))
    }

    pub(crate) fn one_more(&mut self) {
        let all: [Disturbance<'s>; 12] = [
            ("rotations of the key", Self::rotate),
            ("connections that end in the handshake", Self::no_handshake),
            ("credentials made", Self::make_credential),
            ("requests that end in the middle", Self::half_a_request),
            ("reloads", Self::reload),
            ("requests with a wrong signature", Self::wrong_signature),
            ("credentials revoked", Self::revoke_credential),
            ("bodies that nobody reads", Self::long_body),
            ("reloads that are refused", Self::refused_reload),
            ("messages that are no ciphertext", Self::no_ciphertext),
            ("keys blocked and unblocked", Self::block),
            ("connections that say nothing", Self::silence),
        ];
        let (what, disturb) = all[self.turn % all.len()];
        disturb(self);
        self.turn += 1;
        *self.told.entry(what).or_default() += 1;
    }

    fn rotate(&mut self) {
        self.admin(&["key", "rotate"], &["demo"]);
    }

    fn make_credential(&mut self) {
        let made = self.admin(&["credential", "create"], &["--uri-path-prefix", "/bench"]);
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let id = &made["XksProxyAuthenticationCredential"]["AccessKeyId"];
        self.credential = id.as_str().map(str::to_owned);
    }

    fn revoke_credential(&mut self) {
        let id = self.credential.take().expect("one that was made");
        self.admin(&["credential", "revoke"], &[&id]);
    }

    fn block(&mut self) {
        let other = "key-000000";
        self.admin(&["block"], &[other, "--reason", "soak"]);
        self.admin(&["unblock"], &[other]);
    }

    /// Another certificate and another key store, every time.
    fn reload(&mut self) {
        let mut config = self.config.clone();
        if (self.turn / 12).is_multiple_of(2) {
            config = config.replace("server-ecdsa", "server-rsa");
            config += "[[key_stores]]\nuri_path_prefix = \"/soak\"\nkey_manager = \"embedded\"\n";
        }
        self.reload_with(&config, "ok");
    }

    fn refused_reload(&mut self) {
        self.reload_with("listen = 7\n", "failed");
        std::fs::write(self.server.config(), &self.config).expect("a file");
    }

    /// Waits until the proxy says that it has done so, with this result.
    fn reload_with(&self, config: &str, result: &str) {
        let name = format!("xks_reloads_total{{result=\"{result}\"}}");
        let before = metric(self.metrics, &name);
        std::fs::write(self.server.config(), config).expect("a file");
        let process = i32::try_from(self.server.processes[0]).expect("a process id");
        let process = Pid::from_raw(process).expect("a process id");
        kill_process(process, Signal::HUP).expect("a running proxy");
        wait_for("a reload", LIMIT, || {
            (metric(self.metrics, &name) > before).then_some(())
        });
    }

    fn no_handshake(&mut self) {
        let mut stream = TcpStream::connect(self.server.address).expect("it listens");
        // A record of a handshake whose content is none.
        stream
            .write_all(b"\x16\x03\x01\x00\x05hello")
            .expect("it takes bytes");
        let _ = stream.read(&mut [0; 64]);
    }

    fn silence(&mut self) {
        // One over TCP alone, one over TLS; both end without a word.
        drop(TcpStream::connect(self.server.address).expect("it listens"));
        drop(self.connect());
    }

    fn half_a_request(&mut self) {
        let request = self.encrypt().http1();
        for share in [3, 2] {
            let mut connection = self.connect();
            let some = &request[..request.len() - request.len() / share];
            connection.send(some).expect("it takes bytes");
        }
    }

    fn long_body(&mut self) {
        let mut request = self.encrypt();
        request.body = vec![b' '; 200_000];
        let answer = self.connect().exchange(&request.http1());
        // The answer may be lost with the connection, as TCP has it.
        assert!(answer.is_err() || answer.is_ok_and(|a| a.status == 501));
    }

    fn wrong_signature(&mut self) {
        let mut request = self.encrypt();
        request.body.push(b' ');
        let answer = self.connect().exchange(&request.http1());
        assert_eq!(answer.expect("an answer").status, 401);
    }

    fn no_ciphertext(&mut self) {
        let body: Value = serde_json::from_slice(&encrypt_body(32)).expect("JSON");
        let body = serde_json::json!({
            "requestMetadata": body["requestMetadata"],
            "encryptionAlgorithm": "AES_GCM",
            "ciphertext": "AAAA",
            "initializationVector": "AAAAAAAAAAAAAAAA",
            "authenticationTag": "AAAAAAAAAAAAAAAAAAAAAA==",
        });
        let path = "/bench/kms/xks/v1/keys/demo/decrypt";
        let signer = self.server.signer();
        let request = signer.post("localhost", path, body.to_string());
        let answer = self.connect().exchange(&request.http1());
        assert_eq!(answer.expect("an answer").status, 400);
    }

    fn encrypt(&self) -> harness::signer::SignedRequest {
        let path = "/bench/kms/xks/v1/keys/demo/encrypt";
        self.server
            .signer()
            .post("localhost", path, encrypt_body(32))
    }

    fn connect(&self) -> Connection {
        let config = TlsClient::trusting(&certificates::path("root-ca.crt.pem")).config();
        Connection::tls(self.server.address, "localhost", config).expect("a TLS connection")
    }

    /// A command to the running proxy; gives what it prints.
    fn admin(&self, command: &[&str], arguments: &[&str]) -> String {
        let output = Command::new(binaries::xks_proxy())
            .args(command)
            .args(arguments)
            .arg("--config")
            .arg(self.server.config())
            .stdin(Stdio::null())
            .output()
            .expect("xks-proxy runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

const LIMIT: Duration = Duration::from_secs(30);
