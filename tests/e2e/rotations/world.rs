//! A proxy with mutual TLS and an audit log, linked to kms-sim with one KMS key.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use harness::https::{Connection, Response};
use harness::openbao::{Tenant, ca_file};
use harness::postgres::Postgres;
use harness::process::{Process, run};
use harness::programs::Simulator;
use harness::signer::Signer;
use harness::systemd::{Systemd, without_sandbox};
use harness::tls::TlsClient;
use harness::{backend, binaries, certificates, free_port, temp_dir, workspace};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{LIMIT, Options};

/// Everything but the load.
pub(super) struct World {
    folder: TempDir,
    address: SocketAddr,
    key_manager: String,
    /// What KMS gives the proxy.
    proxy_timeout: Duration,
    server: Server,
    simulator: Option<Simulator>,
    control: SocketAddr,
    /// The credential of the console, which KMS does not use.
    signer: Signer,
    /// The ARN of the KMS key.
    pub(super) key: String,
}

enum Server {
    Systemd(Systemd),
    Alone(Process),
    None,
}

/// What rotations change in the configuration.
#[derive(Clone)]
pub(super) struct Settings<'a> {
    pub(super) fleet_size: u32,
    /// Tables below the key store.
    pub(super) policy: &'a str,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            fleet_size: 1,
            policy: "",
        }
    }
}

impl World {
    /// With keys in a folder, as a service of systemd if it can be had.
    pub(super) fn in_a_folder(options: &Options) -> Self {
        let key_manager = "type = \"embedded\"\ndata_dir = \"data\"\n";
        Self::start(options, key_manager.to_owned(), Self::serve_by_systemd)
    }

    /// With keys in a database that has a standby.
    pub(super) fn in_a_database(options: &Options, primary: &Postgres, standby: &Postgres) -> Self {
        let key_manager = format!(
            "type = \"postgres\"\ndata_dir = \"data\"\nroot_key_file = \"root.key\"\n\
             url = \"postgres://{0}@127.0.0.1:{1},127.0.0.1:{2}/{0}\"\n\
             password_file = \"{3}\"\nca_file = \"{4}\"\npoll_interval = \"500ms\"\n",
            Postgres::NAME,
            primary.port(),
            standby.port(),
            primary.password_file().display(),
            primary.ca_file().display(),
        );
        Self::start(options, key_manager, Self::serve_alone)
    }

    /// With keys in a cluster of OpenBao servers at these addresses, and KMS's credentials in a folder.
    pub(super) fn in_transit(options: &Options, tenant: &Tenant, addresses: &[SocketAddr]) -> Self {
        let urls: Vec<_> = addresses
            .iter()
            .map(|a| format!("\"https://{a}\""))
            .collect();
        let key_manager = format!(
            "type = \"transit\"\naddresses = [{}]\nca_file = \"{}\"\ntoken_file = \"bao-token\"\n\
             timeout = \"{}ms\"\n[key_managers.credentials]\ntype = \"embedded\"\ndata_dir = \"data\"\n",
            urls.join(", "),
            ca_file().display(),
            // The default, where the proxy has KMS's 250 ms.
            options.proxy_timeout.as_millis() * 3 / 5,
        );
        for key in [KEY, "xks-proxy-test"] {
            tenant.create_key(key);
        }
        let token = tenant.token(&["xks-proxy"], "1h");
        Self::start(options, key_manager, |world| {
            world.write(&token, "bao-token");
            world.serve_alone()
        })
    }

    fn start(options: &Options, key_manager: String, serve: impl FnOnce(&Self) -> Server) -> Self {
        let folder = temp_dir();
        for name in ["tls", "bin"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder of ours");
        }
        let control = (Ipv4Addr::LOCALHOST, free_port()).into();
        let mut world = Self {
            address: (Ipv4Addr::LOCALHOST, free_port()).into(),
            folder,
            key_manager,
            proxy_timeout: options.proxy_timeout,
            server: Server::None,
            simulator: None,
            control,
            signer: Signer::new("", ""),
            key: String::new(),
        };
        for (from, to) in [
            ("server-ecdsa.crt.pem", "tls/chain.pem"),
            ("server-ecdsa.test-key.pem", "tls/key.pem"),
        ] {
            world.install(&certificates::path(from), to);
        }
        world.install(&binaries::xks_proxy(), "bin/xks-proxy");
        world.make_clients();
        world.configure(&Settings::default());
        let credential: Value =
            serde_json::from_str(&world.proxy(&["init", "--json"])).expect("JSON");
        let credential = &credential["credential"]["XksProxyAuthenticationCredential"];
        let text = |name: &str| credential[name].as_str().expect("a credential").to_owned();
        world.signer = Signer::new(text("AccessKeyId"), text("RawSecretAccessKey"));
        if !world.key_manager.contains("type = \"transit\"") {
            world.proxy(&["key", "create", KEY]);
        }
        world.server = serve(&world);

        let file = |name: &str| world.path(name).display().to_string();
        world.simulator = Some(Simulator::start(&[
            format!("--resolve=xks.test={}", world.address),
            format!(
                "--trust-ca={}",
                certificates::path("root-ca.crt.pem").display()
            ),
            format!("--client-cert={}", file("tls/client.pem")),
            format!("--client-key={}", file("tls/client-key.pem")),
            format!("--control={control}"),
            format!("--proxy-timeout-ms={}", options.proxy_timeout.as_millis()),
            "--transition-ms=0".to_owned(),
        ]));
        world.proxy(&["kms", "link", "--uri-endpoint", "https://xks.test"]);
        let made: Value = serde_json::from_str(&world.proxy(&["kms", "create-key", KEY, "--json"]))
            .expect("JSON");
        world.key = made["arn"].as_str().expect("an ARN").to_owned();
        world
    }

    /// What a load tool takes as endpoint.
    pub(super) fn endpoint_url(&self) -> String {
        self.simulator.as_ref().expect("it runs").endpoint_url()
    }

    /// systemd, if it could be had.
    pub(super) fn systemd(&self) -> Option<&Systemd> {
        match &self.server {
            Server::Systemd(systemd) => Some(systemd),
            Server::Alone(_) | Server::None => None,
        }
    }

    /// A file of the proxy.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file in the place of another, as tools do it: a reader sees the old one or the new one.
    pub(super) fn install(&self, from: &Path, to: &str) {
        let new = self.path("new");
        std::fs::copy(from, &new).expect("a file in a folder of ours");
        std::fs::rename(&new, self.path(to)).expect("a file in a folder of ours");
    }

    /// The same with this text.
    pub(super) fn write(&self, text: &str, to: &str) {
        let new = self.path("new-text");
        std::fs::write(&new, text).expect("a file in a folder of ours");
        self.install(&new, to);
    }

    /// Writes the configuration; a reload takes it up.
    pub(super) fn configure(&self, settings: &Settings<'_>) {
        let Settings { fleet_size, policy } = settings;
        let text = format!(
            "listen = \"{}\"\n\
             [tls]\ncertificate_file = \"tls/chain.pem\"\nprivate_key_file = \"tls/key.pem\"\n\
             [tls.client]\nca_file = \"tls/client-ca.pem\"\n\
             subject_common_names = [\"{CLIENT}\"]\n\
             [health]\nfleet_size = {fleet_size}\n\
             [limits]\nkey_manager_timeout = \"{}ms\"\n\
             [drain]\ndelay = \"2s\"\n\
             [audit]\nfolder = \"audit\"\nkey_file = \"audit.key\"\n\
             [reload]\npoll_interval = \"0s\"\n\
             [key_managers.keys]\n{}\
             [[key_stores]]\nuri_path_prefix = \"{PREFIX}\"\nkey_manager = \"keys\"\n{policy}",
            self.address,
            // The default, where the proxy has KMS's 250 ms.
            self.proxy_timeout.as_millis() * 4 / 5,
            self.key_manager
        );
        self.write(&text, CONFIG);
    }

    /// Runs a command of the proxy; what it printed.
    pub(super) fn proxy(&self, arguments: &[&str]) -> String {
        let printed = self.try_proxy(arguments);
        printed.unwrap_or_else(|said| panic!("{arguments:?}: {said}\n{}", self.log()))
    }

    /// The same where it may fail.
    ///
    /// # Errors
    /// What it said.
    pub(super) fn try_proxy(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(binaries::xks_proxy());
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path(CONFIG));
        self.call_kms_from(&mut command);
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        match status.success() {
            true => Ok(stdout),
            false => Err(stdout + &stderr),
        }
    }

    /// Gives a command what it takes to call KMS.
    pub(super) fn call_kms_from(&self, command: &mut Command) {
        command
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env_remove("AWS_PROFILE");
        if let Some(simulator) = &self.simulator {
            command.env("AWS_ENDPOINT_URL_KMS", simulator.endpoint_url());
        }
    }

    /// Where the proxy listens.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Has the configuration read again by a signal.
    pub(super) fn hang_up(&self) {
        match &self.server {
            Server::Systemd(systemd) => {
                systemd.control(&["kill", "--kill-who=main", "--signal=HUP", SERVICE]);
            }
            Server::Alone(process) => process.signal(rustix::process::Signal::HUP),
            Server::None => unreachable!("it was started"),
        }
    }

    /// A client of KMS's name, or of another certificate.
    pub(super) fn client(&self, name: &str) -> TlsClient {
        let file = |suffix: &str| self.path(&format!("tls/{name}{suffix}.pem"));
        TlsClient::trusting(&certificates::path("root-ca.crt.pem"))
            .identity(&file(""), &file("-key"))
    }

    /// A new connection to the proxy.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn connect(&self, client: &TlsClient) -> std::io::Result<Connection> {
        self.connect_with(client.config())
    }

    /// The same with a configuration that was made before.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn connect_with(&self, config: ClientConfig) -> std::io::Result<Connection> {
        Connection::tls(self.address, "localhost", config)
    }

    /// Asks the proxy on a new connection, signed.
    pub(super) fn ask(&self, operation: &str, body: &Value) -> Response {
        let path = format!("{PREFIX}/kms/xks/v1/{operation}");
        let request = self.signer.post("localhost", &path, body.to_string());
        let mut connection = self.connect(&self.client("client")).expect("a connection");
        connection.exchange(&request.http1()).expect("an answer")
    }

    /// What kms-sim has asked the proxy so far, and how often it had no answer, or not the right one.
    pub(super) fn attempts(&self) -> Attempts {
        let request =
            b"GET /control/v1/metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let metrics = Connection::plain(self.control)
            .and_then(|mut connection| connection.exchange(request))
            .expect("kms-sim's metrics")
            .json();
        let sum = |name: &str, statistic: &str| {
            let all = metrics["Metrics"].as_array().expect("metrics").iter();
            let named = all.filter(|metric| metric["MetricName"] == name);
            named
                .map(|metric| metric["Statistics"][statistic].as_u64().expect("a count"))
                .sum()
        };
        Attempts {
            all: sum("XksProxyLatency", "SampleCount"),
            failed: sum("XksProxyErrors", "Sum"),
        }
    }

    /// The last things that went wrong between kms-sim and the proxy.
    pub(super) fn what_kms_met(&self) -> String {
        let log = self.simulator.as_ref().expect("it runs").output();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// How often the proxy found that it gets too little of the processor.
    pub(super) fn overloads(&self) -> usize {
        self.log().matches("overloaded:").count()
    }

    /// That no line of the audit log was lost or altered by what happened to the proxy.
    pub(super) fn audit_log_is_whole(&self) {
        self.proxy(&["audit", "verify"]);
    }

    /// What the proxy wrote, for a failure's message.
    pub(super) fn log(&self) -> String {
        match &self.server {
            Server::Systemd(_) => {
                let log = std::fs::read_to_string(self.path(LOG)).unwrap_or_default();
                let lines: Vec<_> = log
                    .lines()
                    .filter(|l| !l.contains("\"operation\""))
                    .collect();
                lines.join("\n")
            }
            Server::Alone(process) => process.stderr(),
            Server::None => String::new(),
        }
    }

    /// Ends the programs.
    pub(super) fn end(&mut self) {
        self.server = Server::None;
        self.simulator = None;
    }

    /// The units of the package, but for what a user's manager cannot have.
    fn serve_by_systemd(&self) -> Server {
        let deploy = workspace().join("proxy/deploy");
        let log = self.path(LOG).display().to_string();
        let service = without_sandbox(&deploy.join(SERVICE))
            .replace(
                "/usr/bin/xks-proxy",
                &self.path("bin/xks-proxy").display().to_string(),
            )
            .replace(
                "/etc/xks-proxy/xks-proxy.toml",
                &self.path(CONFIG).display().to_string(),
            )
            .replace(
                "[Service]\n",
                &format!("[Service]\nStandardOutput=append:{log}\nStandardError=append:{log}\n"),
            );
        let socket =
            without_sandbox(&deploy.join(SOCKET)).replace("0.0.0.0:443", &self.address.to_string());
        match Systemd::start(&[(SERVICE, service), (SOCKET, socket)]) {
            Ok(systemd) => {
                systemd.control(&["start", SOCKET]);
                systemd.control(&["start", SERVICE]);
                Server::Systemd(systemd)
            }
            Err(reason) => {
                backend::missing("systemd end to end", &reason);
                self.serve_alone()
            }
        }
    }

    fn serve_alone(&self) -> Server {
        let mut command = Command::new(self.path("bin/xks-proxy"));
        command.args(["serve", "--config"]).arg(self.path(CONFIG));
        let mut process = Process::start(&mut command);
        process.wait_until("an open port", LIMIT, |_| {
            Connection::plain(self.address).is_ok().then_some(())
        });
        Server::Alone(process)
    }

    /// KMS's certificate, whose issuer is certified by two roots, the way that authorities change theirs; and one that
    /// only the old root knows.
    fn make_clients(&self) {
        let root = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            CertifiedIssuer::self_signed(authority(name), key).expect("a root")
        };
        let (old, new) = (root("old root"), root("new root"));
        let key = KeyPair::generate().expect("a key");
        let below = |root: &CertifiedIssuer<'_, KeyPair>| {
            let certificate = authority("issuer").signed_by(&key, root);
            certificate.expect("a certificate").pem()
        };
        let issuers = below(&old) + &below(&new);
        let issuer = Issuer::new(authority("issuer"), &key);

        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, CLIENT);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for (name, both) in [("client", true), ("client-of-old-root", false)] {
            let key = KeyPair::generate().expect("a key");
            let certificate = match both {
                true => params.signed_by(&key, &issuer),
                false => params.signed_by(&key, &old),
            };
            let mut chain = certificate.expect("a certificate").pem();
            if both {
                chain += &issuers;
            }
            self.write(&chain, &format!("tls/{name}.pem"));
            self.write(&key.serialize_pem(), &format!("tls/{name}-key.pem"));
        }
        self.write(&old.pem(), "tls/old-root.pem");
        self.write(&new.pem(), "tls/new-root.pem");
        self.write(&old.pem(), "tls/client-ca.pem");
    }
}

/// A policy's question in a request of the proxy's API.
pub(super) fn request_of(principal: &str) -> Value {
    json!({
        "requestMetadata": {
            "awsPrincipalArn": principal,
            "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Encrypt",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        },
        "plaintext": "SGVsbG8gV29ybGQh",
        "encryptionAlgorithm": "AES_GCM",
    })
}

/// Attempts of KMS to get an answer.
#[derive(Clone, Copy)]
pub(super) struct Attempts {
    pub(super) all: u64,
    pub(super) failed: u64,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// The external key.
pub(super) const KEY: &str = "payroll";
pub(super) const SERVICE: &str = "xks-proxy.service";
const SOCKET: &str = "xks-proxy.socket";
const PREFIX: &str = "/tenant-a";
const CLIENT: &str = "cks.kms.us-east-1.amazonaws.com";
const CONFIG: &str = "xks-proxy.toml";
const LOG: &str = "proxy.log";
/// Shared by probes.
pub(super) type ClientConfig = Arc<rustls::ClientConfig>;
