//! The two programs started the usual ways: `xks-proxy dev` and `kms-sim serve`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::https::{Connection, Response};
use crate::process::Process;
use crate::signer::Signer;
use crate::tls::TlsClient;
use crate::{binaries, free_port};

/// `xks-proxy dev` in a data folder, always on the same port.
pub struct DevProxy {
    process: Process,
    data_dir: PathBuf,
    /// What `DIR/env` says.
    pub env: DevEnv,
}

/// The variables that `xks-proxy dev` writes to `DIR/env`.
#[derive(Clone, Debug)]
pub struct DevEnv {
    /// `https://host:port`
    pub endpoint: String,
    /// Where the proxy listens.
    pub address: SocketAddr,
    /// `XKS_PROXY_URI_PATH`
    pub uri_path: String,
    /// The credential.
    pub signer: Signer,
    /// `XKS_KEY_ID`
    pub key_id: String,
    /// `XKS_CA_FILE`
    pub ca_file: PathBuf,
}

impl DevProxy {
    /// Starts it in `data_dir` and waits until it answers `GET /ping`.
    pub fn start(data_dir: &Path) -> Self {
        let address = (Ipv4Addr::LOCALHOST, free_port()).into();
        let (process, env) = launch(data_dir, address);
        Self {
            process,
            data_dir: data_dir.to_owned(),
            env,
        }
    }

    /// The same after the shell's `ulimit` with these arguments.
    pub fn start_with_limit(data_dir: &Path, ulimit: &str) -> Self {
        let address = (Ipv4Addr::LOCALHOST, free_port()).into();
        let mut shell = Command::new("sh");
        let limit = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
        shell.arg("-c").arg(limit).arg(binaries::xks_proxy());
        let (process, env) = launch_by(shell, data_dir, address);
        Self {
            process,
            data_dir: data_dir.to_owned(),
            env,
        }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Everything that it has written so far.
    pub fn output(&self) -> String {
        self.process.outputs()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again in the same folder, on the same port.
    pub fn restart(&mut self) {
        self.process.kill();
        let (process, env) = launch(&self.data_dir, self.env.address);
        self.process = process;
        self.env = env;
    }

    /// A TLS connection to it, as `localhost`.
    pub fn connect(&self) -> Connection {
        self.env.connect()
    }
}

impl DevEnv {
    /// Reads `DIR/env`.
    ///
    /// # Errors
    /// What is missing in it.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let variables: BTreeMap<&str, &str> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                (name, value.trim_matches(['\'', '"']))
            })
            .collect();
        let find = |name: &str| {
            let value = variables.get(name).copied().map(str::to_owned);
            value.ok_or_else(|| format!("{} has no {name}:\n{text}", file.display()))
        };
        let endpoint = find("XKS_PROXY_ENDPOINT")?;
        let port = endpoint
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| format!("XKS_PROXY_ENDPOINT has no port: {endpoint}"))?;
        Ok(Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            endpoint,
            uri_path: find("XKS_PROXY_URI_PATH")?,
            signer: Signer::new(find("XKS_ACCESS_KEY_ID")?, find("XKS_SECRET_ACCESS_KEY")?),
            key_id: find("XKS_KEY_ID")?,
            ca_file: find("XKS_CA_FILE")?.into(),
        })
    }

    /// A TLS connection, as `localhost`.
    pub fn connect(&self) -> Connection {
        let config = TlsClient::trusting(&self.ca_file).config();
        Connection::tls(self.address, "localhost", config).expect("a TLS connection to the proxy")
    }

    /// POSTs `body` to `operation` (`health`, `keys/demo/encrypt`, …) on a connection of its own, signed.
    pub fn call(&self, operation: &str, body: &serde_json::Value) -> Response {
        let path = format!("{}/{operation}", self.uri_path);
        let request = self.signer.post("localhost", &path, body.to_string());
        self.connect()
            .exchange(&request.http1())
            .expect("an answer of the proxy")
    }
}

fn launch(data_dir: &Path, address: SocketAddr) -> (Process, DevEnv) {
    launch_by(Command::new(binaries::xks_proxy()), data_dir, address)
}

fn launch_by(mut program: Command, data_dir: &Path, address: SocketAddr) -> (Process, DevEnv) {
    let mut process = Process::start(
        program
            .arg("dev")
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--listen", &address.to_string()]),
    );
    let env_file = data_dir.join("env");
    let env = process.wait_until("GET /ping of xks-proxy dev", START_LIMIT, |_| {
        // A folder of an earlier run has the file before the port is open.
        let env = DevEnv::read(&env_file)
            .ok()
            .filter(|env| env.address == address)?;
        let config = TlsClient::trusting(&env.ca_file).config();
        let mut connection = Connection::tls(address, "localhost", config).ok()?;
        let ping = b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        (connection.exchange(ping).ok()?.status == 200).then_some(env)
    });
    (process, env)
}

/// `kms-sim serve` on a loopback port.
pub struct Simulator {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Simulator {
    /// Starts it with more arguments and waits until `GET /health` answers 200.
    pub fn start<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Self {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let mut process = Process::start(
            Command::new(binaries::kms_sim())
                .arg("serve")
                .args(["--listen", &address.to_string()])
                .args(arguments),
        );
        process.wait_until("GET /health of kms-sim serve", START_LIMIT, |_| {
            let mut connection = Connection::plain(address).ok()?;
            let health = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            (connection.exchange(health).ok()?.status == 200).then_some(())
        });
        Self { process, address }
    }

    /// What a client takes as `endpoint_url`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Everything that it has written so far.
    pub fn output(&self) -> String {
        self.process.outputs()
    }
}

/// How long a program may take to be ready: generous, for a machine that also compiles.
const START_LIMIT: Duration = Duration::from_secs(30);
