//! The servers that are compared, each in processes of its own: the proxy, the floor server, nginx.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::signer::{SignedRequest, Signer};
use harness::{binaries, certificates, free_port, temp_dir, wait_for};
use http_body_util::Full;
use tempfile::TempDir;

use crate::clients::{Destination, Protocol, Request};
use crate::constant::ANSWER;
use crate::request::http1;
use crate::store::Crowd;

/// A running server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Those that do the work.
    pub(crate) processes: Vec<u32>,
    /// From the start of the program to the first connection that it took.
    pub(crate) ready_after: Duration,
    /// Who signs for each prefix of the crowd.
    signers: Vec<Signer>,
    crowd: Crowd,
    child: Child,
    folder: TempDir,
}

/// What a proxy is started with.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) crowd: Crowd,
    /// Who holds the keys; `embedded` unless it is said here and configured in `more`.
    pub(crate) key_manager: Option<&'static str>,
    /// What the configuration begins with.
    pub(crate) before: String,
    /// The rest of the configuration.
    pub(crate) more: String,
    pub(crate) environment: Vec<(&'static str, std::ffi::OsString)>,
    pub(crate) placement: Placement,
}

/// Where a program runs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Placement {
    /// The one core that it may use.
    pub(crate) core: Option<usize>,
    /// How much it steps back behind others.
    pub(crate) nice: Option<u8>,
}

impl Placement {
    pub(crate) const fn core(core: usize) -> Self {
        Self {
            core: Some(core),
            nice: None,
        }
    }

    /// The command that runs a program so; its process is the program's.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if let Some(nice) = self.nice {
            words.extend(["nice".into(), "-n".into(), nice.to_string().into()]);
        }
        if let Some(core) = self.core {
            words.extend(["taskset".into(), "-c".into(), core.to_string().into()]);
        }
        words.push(program.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }
}

impl Server {
    /// `xks-proxy serve`, whose output nobody keeps.
    pub(crate) fn proxy(crowd: Crowd) -> Self {
        Self::proxy_with(Setup {
            crowd,
            ..Setup::default()
        })
    }

    pub(crate) fn proxy_with(setup: Setup) -> Self {
        let folder = temp_dir();
        let signers = setup.crowd.create(folder.path());
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = folder.path().join("xks-proxy.toml");
        let key_manager = setup.key_manager.unwrap_or("embedded");
        let config = setup.crowd.config(&address.to_string(), key_manager);
        std::fs::write(&file, setup.before + &config + &setup.more).expect("a file");
        let mut command = setup.placement.command(&binaries::xks_proxy());
        command.args(["serve", "--log-format", "json", "--config"]);
        command.arg(file).envs(setup.environment);
        let mut server = Self::start("xks-proxy", command, address, folder);
        server.signers = signers;
        server.crowd = setup.crowd;
        server
    }

    /// The plainest server of hyper and rustls.
    pub(crate) fn floor() -> Self {
        let folder = temp_dir();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let program = program("XKS_FLOOR_BIN", env!("CARGO_BIN_EXE_xks-floor"));
        let mut command = Command::new(program);
        command.arg(address.to_string()).args(identity());
        Self::start("floor", command, address, folder)
    }

    /// nginx, where it is installed.
    pub(crate) fn nginx() -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
            .into_iter()
            .find(|file| Path::new(file).exists())?;
        let folder = temp_dir();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let [certificate, key] = identity();
        let configuration = format!(
            "daemon off;\nmaster_process on;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log stderr error;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log off;\n  keepalive_requests 100000000;\n  server {{\n    listen {address} ssl;\n    \
             ssl_certificate {};\n    ssl_certificate_key {};\n    ssl_protocols TLSv1.3;\n    \
             location / {{ default_type application/json; return 200 '{ANSWER}'; }}\n  }}\n}}\n",
            certificate.display(),
            key.display(),
            folder = folder.path().display(),
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).expect("nginx's configuration");
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).arg("-p").arg(folder.path());
        let mut server = Self::start("nginx", command, address, folder);
        server.processes = wait_for("nginx's workers", START_LIMIT, || {
            let file = format!("/proc/{0}/task/{0}/children", server.child.id());
            let children = std::fs::read_to_string(file).unwrap_or_default();
            let workers: Vec<u32> = children
                .split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect();
            (workers.len() == 2).then_some(workers)
        });
        Some(server)
    }

    fn start(
        name: &'static str,
        mut command: Command,
        address: SocketAddr,
        folder: TempDir,
    ) -> Self {
        // The request log is written for nobody; what goes wrong at the start is told.
        let said = folder.path().join("stderr");
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).expect("a file"));
        let start = Instant::now();
        let mut child = quiet.spawn().expect("a program that starts");
        let end = start + START_LIMIT;
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = child.try_wait().expect("a child") {
                let said = std::fs::read_to_string(&said).unwrap_or_default();
                panic!("{name} ended with {status}: {said}");
            }
            assert!(Instant::now() < end, "{name} does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        Self {
            name,
            address,
            processes: vec![child.id()],
            ready_after: start.elapsed(),
            signers: vec![Signer::new(
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            )],
            crowd: Crowd::default(),
            child,
            folder,
        }
    }

    pub(crate) fn destination(&self) -> Destination {
        Destination {
            address: self.address,
            ca_file: certificates::path("root-ca.crt.pem"),
        }
    }

    /// `operation` (`encrypt` or `decrypt`) with the key `demo` of the first prefix. Signed anew for each round: a signature
    /// lives for five minutes.
    pub(crate) fn request(&self, protocol: Protocol, operation: &str, body: &[u8]) -> Request {
        let path = format!("/bench/kms/xks/v1/keys/demo/{operation}");
        sendable(&self.signers[0].post("localhost", &path, body), protocol)
    }

    /// As many Encrypts as there are keys and prefixes, at most `most`, spread evenly over them.
    pub(crate) fn spread(&self, most: usize, body: &[u8]) -> Arc<[Request]> {
        let keys: Vec<_> = self.crowd.key_ids().collect();
        let prefixes: Vec<_> = self.crowd.prefixes().collect();
        let count = most.min(keys.len().max(prefixes.len()));
        (0..count)
            .map(|number| {
                let key = &keys[number * keys.len() / count];
                let at = number * prefixes.len() / count;
                let path = format!("{}/kms/xks/v1/keys/{key}/encrypt", prefixes[at]);
                let signed = self.signers[at].post("localhost", &path, body);
                sendable(&signed, Protocol::Http1)
            })
            .collect()
    }

    /// What `xks-load` needs to reach it.
    pub(crate) fn load_arguments(&self) -> [String; 8] {
        let ca = certificates::path("root-ca.crt.pem");
        [
            "--endpoint".into(),
            "https://localhost".into(),
            "--connect".into(),
            self.address.to_string(),
            "--trust-ca".into(),
            ca.display().to_string(),
            "--uri-path".into(),
            "/bench/kms/xks/v1".into(),
        ]
    }

    /// The configuration of a proxy.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("xks-proxy.toml")
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signers[0]
    }
}

fn sendable(signed: &SignedRequest, protocol: Protocol) -> Request {
    let request = match protocol {
        Protocol::Http1 => http1(signed),
        Protocol::Http2 => signed.http2(),
    };
    request.map(Full::new)
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.name == "nginx" {
            // Its workers end with it only if it is asked.
            let pid = rustix::process::Pid::from_child(&self.child);
            let asked = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            asked.expect("a running nginx");
        } else {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// A program of this package, or the one that a variable names.
pub(crate) fn program(variable: &str, built: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| built.into(), PathBuf::from)
}

/// ECDSA P-256.
fn identity() -> [PathBuf; 2] {
    [
        certificates::path("server-ecdsa.crt.pem"),
        certificates::path("server-ecdsa.test-key.pem"),
    ]
}

/// Generous: an HSM, or a hundred thousand keys on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
