//! The proxy of the demo: found or built, run as a process of its own, ended with the demo.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::screen::Screen;

/// Finds the program: the one that was named; under Cargo the one that is built now; else the one beside this
/// program, else the one in PATH.
pub(super) async fn find(named: Option<&Path>, screen: &Screen) -> Result<PathBuf, ProxyError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let cargo = std::env::var_os("CARGO");
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR");
    if let Some((cargo, manifest)) = cargo.zip(manifest) {
        return build(Path::new(&cargo), Path::new(&manifest), screen).await;
    }
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name(PROGRAM));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|d| d.join(PROGRAM)));
    candidates
        .into_iter()
        .find(|file| file.is_file())
        .ok_or(ProxyError::NotFound)
}

/// Builds the proxy in the profile of this program, so that it is never older than its source.
async fn build(cargo: &Path, manifest: &Path, screen: &Screen) -> Result<PathBuf, ProxyError> {
    let own = std::env::current_exe().map_err(ProxyError::Build)?;
    let folder = own
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let profile = match folder {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    screen.note(&format!(
        "Building {PROGRAM} with Cargo (profile {profile}), so that it is up to date…"
    ));
    // From the folder of the workspace Cargo selects the same packages as for this program, and builds no dependency twice.
    let workspace = manifest
        .parent()
        .filter(|parent| parent.join("Cargo.toml").is_file());
    let output = Command::new(cargo)
        .args(["build", "--bin", PROGRAM, "--profile", profile])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace.unwrap_or(manifest))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(ProxyError::Build)?;
    if !output.status.success() {
        return Err(ProxyError::BuildFailed);
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(executable)
        .ok_or(ProxyError::BuildFailed)
}

/// The path in Cargo's message about the program that it has built.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message.pointer("/target/name")?.as_str()? != PROGRAM {
        return None;
    }
    Some(message.get("executable")?.as_str()?.into())
}

/// A running `xks-proxy dev`.
pub(super) struct Proxy {
    program: PathBuf,
    folder: PathBuf,
    process: Process,
    address: SocketAddr,
    env: Env,
}

impl Proxy {
    /// Starts it on a free loopback port, with its data and its log in `folder`.
    pub(super) async fn start(program: &Path, folder: &Path) -> Result<Self, ProxyError> {
        let child = spawn(program, folder, (Ipv4Addr::LOCALHOST, 0).into())?;
        let mut process = Process {
            child,
            log: log_file(folder),
        };
        let deadline = Instant::now() + START_LIMIT;
        let env = loop {
            match Env::read(&data_dir(folder).join("env")) {
                Ok(env) => break env,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => process.alive()?,
            }
            sleep(POLL).await;
        };
        let address = (Ipv4Addr::LOCALHOST, env.port).into();
        process.listens(address).await?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            process,
            address,
            env,
        })
    }

    /// `None` once it has ended.
    pub(super) fn process_id(&self) -> Option<u32> {
        self.process.child.id()
    }

    /// Where its variables are, for a shell to source.
    pub(super) fn env_file(&self) -> PathBuf {
        data_dir(&self.folder).join("env")
    }

    /// What it logs.
    pub(super) fn log_file(&self) -> &Path {
        &self.process.log
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) const fn env(&self) -> &Env {
        &self.env
    }

    /// Ends the process at once, as a crash would.
    pub(super) async fn kill(&mut self) -> Result<(), ProxyError> {
        self.process.child.kill().await.map_err(ProxyError::Kill)
    }

    /// Starts it again where it was, with the same data.
    pub(super) async fn restart(&mut self) -> Result<(), ProxyError> {
        self.process.child = spawn(&self.program, &self.folder, self.address)?;
        self.process.listens(self.address).await
    }
}

/// The process and where it writes.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    async fn listens(&mut self, address: SocketAddr) -> Result<(), ProxyError> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).await.is_err() {
            self.alive()?;
            if Instant::now() > deadline {
                return Err(ProxyError::NotReady);
            }
            sleep(POLL).await;
        }
        // Someone else may have the port.
        self.alive()
    }

    /// # Errors
    /// What a process that has ended wrote.
    fn alive(&mut self) -> Result<(), ProxyError> {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            return Ok(());
        }
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        Err(ProxyError::Ended(said.trim().to_owned()))
    }
}

/// What it writes goes to a file: a pipe that nobody reads would stop it in the end.
fn spawn(program: &Path, folder: &Path, listen: SocketAddr) -> Result<Child, ProxyError> {
    let failed = |cause| ProxyError::Start {
        program: program.to_owned(),
        cause,
    };
    let log = log_file(folder);
    let log = File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(failed)?;
    Command::new(program)
        .arg("dev")
        .arg("--data-dir")
        .arg(data_dir(folder))
        .args(["--listen", &listen.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("xks-proxy.log")
}

fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// What `DIR/env` says.
pub(super) struct Env {
    port: u16,
    pub(super) uri_path: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) key_id: String,
    pub(super) ca_file: PathBuf,
}

impl Env {
    fn read(file: &Path) -> Result<Self, ProxyError> {
        let text = std::fs::read_to_string(file).map_err(|_| ProxyError::NotReady)?;
        let variables: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches(['\'', '"'])))
            .collect();
        let find = |name: &'static str| match variables.get(name) {
            Some(value) => Ok((*value).to_owned()),
            None => Err(ProxyError::NoVariable(name)),
        };
        let endpoint = find("XKS_PROXY_ENDPOINT")?;
        let port = endpoint
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        Ok(Self {
            port: port.ok_or(ProxyError::NoVariable("XKS_PROXY_ENDPOINT with a port"))?,
            uri_path: find("XKS_PROXY_URI_PATH")?,
            access_key_id: find("XKS_ACCESS_KEY_ID")?,
            secret_access_key: find("XKS_SECRET_ACCESS_KEY")?,
            key_id: find("XKS_KEY_ID")?,
            ca_file: find("XKS_CA_FILE")?.into(),
        })
    }
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error(
        "xks-proxy is neither beside kms-sim nor in PATH; install it there, name it with \
         --xks-proxy FILE, or run the demo with Cargo, which builds it"
    )]
    NotFound,
    #[error("Cargo cannot be started to build xks-proxy: {0}")]
    Build(io::Error),
    #[error("Cargo could not build xks-proxy; its messages are above")]
    BuildFailed,
    #[error("{}: cannot be started: {cause}", program.display())]
    Start { program: PathBuf, cause: io::Error },
    #[error("xks-proxy was not ready after {} seconds", START_LIMIT.as_secs())]
    NotReady,
    #[error("xks-proxy has written an env file without {0}")]
    NoVariable(&'static str),
    #[error("xks-proxy has ended: {0}")]
    Ended(String),
    #[error("xks-proxy cannot be ended: {0}")]
    Kill(io::Error),
}

const PROGRAM: &str = "xks-proxy";
const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
