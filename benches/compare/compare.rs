//! What a request costs the server: user and system time of the real program, divided by the requests it answered.
//!
//! Not a criterion bench: the figure is the kernel's accounting of other processes. Requests are signed before the time
//! begins. The request log goes to /dev/null. Two servers that do no work but answer a constant are measured in turn with
//! it: a floor of hyper and rustls (`benches/floor`), and nginx, where it is installed.
//!
//! `cargo bench --bench server_cpu` prints seven rounds of each kind, their medians and ratios. `-- --test` makes a
//! short round. Figures of packages: `XKS_PROXY_BIN=target/dist/xks-proxy XKS_FLOOR_BIN=target/dist/xks-floor`.

#[path = "fixture/closed_loop.rs"]
mod closed_loop;
#[path = "fixture/constant.rs"]
mod constant;
#[path = "fixture/process.rs"]
mod process;
#[path = "fixture/request.rs"]
mod request;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use closed_loop::{CONNECTIONS, Destination, Round, round};
use constant::ANSWER;
use harness::programs::DevEnv;
use harness::signer::{SignedRequest, Signer};
use harness::{binaries, certificates, free_port, temp_dir, wait_for};
use http_body_util::Full;
use request::{SIZES, encrypt_body, http1};

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--test");
    let (rounds, time) = if smoke {
        (1, Duration::from_millis(100))
    } else {
        (7, Duration::from_secs(4))
    };
    let folder = temp_dir();
    let proxy = Server::proxy(folder.path());
    let mut peers = vec![Server::floor()];
    match Server::nginx(folder.path()) {
        Some(nginx) => peers.push(nginx),
        None => println!("nginx is not installed: not compared"),
    }
    let executor = tokio::runtime::Runtime::new().expect("an executor");
    let measure = |server: &Server, protocol, body: &[u8]| {
        let request = server.request(protocol, body);
        executor.block_on(round(
            &server.destination(protocol),
            &server.processes,
            &request,
            time,
        ))
    };

    // In turn, so that what else happens on the machine happens to all of them.
    let body = encrypt_body(SIZES[0]);
    let mut figures = vec![Vec::new(); peers.len() + 1];
    for _ in 0..rounds {
        for (server, figures) in [&proxy].into_iter().chain(&peers).zip(&mut figures) {
            figures.push(measure(server, "http/1.1", &body));
        }
    }
    let what = format!(
        "Encrypt {} B, http/1.1, {CONNECTIONS} connections",
        SIZES[0]
    );
    let ours = told(&format!("xks-proxy: {what}"), &figures[0]);
    for (peer, figures) in peers.iter().zip(&figures[1..]) {
        let theirs = told(&format!("{}: a constant", peer.name), figures);
        println!("ratio of xks-proxy to {}: {:.2}", peer.name, ours / theirs);
    }
    for (what, protocol, body) in [
        (
            format!("Encrypt {} B, http/1.1", SIZES[1]),
            "http/1.1",
            encrypt_body(SIZES[1]),
        ),
        (format!("Encrypt {} B, h2", SIZES[0]), "h2", body),
    ] {
        let figures: Vec<_> = (0..rounds)
            .map(|_| measure(&proxy, protocol, &body))
            .collect();
        told(
            &format!("xks-proxy: {what}, {CONNECTIONS} connections"),
            &figures,
        );
    }
}

/// Prints rounds; gives the median of their CPU microseconds.
fn told(what: &str, rounds: &[Round]) -> f64 {
    let mut micros: Vec<_> = rounds.iter().map(|round| round.micros).collect();
    let best = rounds.iter().map(|round| round.rate).fold(0.0, f64::max);
    micros.sort_by(f64::total_cmp);
    let median = micros[micros.len() / 2];
    let (least, most) = (micros[0], micros[micros.len() - 1]);
    println!(
        "{what}: median {median:.1} µs of server CPU ({least:.1}–{most:.1}), at most {best:.0} requests/s"
    );
    median
}

/// A server in processes of its own.
struct Server {
    name: &'static str,
    address: SocketAddr,
    ca_file: PathBuf,
    signer: Signer,
    path: String,
    /// Those that do the work.
    processes: Vec<u32>,
    child: Child,
}

impl Server {
    /// `xks-proxy dev`, whose output nobody keeps.
    fn proxy(folder: &Path) -> Self {
        let mut command = Command::new(binaries::xks_proxy());
        let mut child = start(
            command
                .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
                .arg(folder),
        );
        let env = wait_for("xks-proxy dev", START_LIMIT, || {
            assert_eq!(child.try_wait().expect("a child"), None, "it ended");
            DevEnv::read(&folder.join("env")).ok()
        });
        Self {
            name: "xks-proxy",
            address: env.address,
            ca_file: env.ca_file,
            path: format!("{}/keys/{}/encrypt", env.uri_path, env.key_id),
            signer: env.signer,
            processes: vec![child.id()],
            child,
        }
    }

    /// The plainest server of hyper and rustls.
    fn floor() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let program = std::env::var_os("XKS_FLOOR_BIN")
            .map_or_else(|| env!("CARGO_BIN_EXE_xks-floor").into(), PathBuf::from);
        let mut command = Command::new(program);
        let child = start(command.arg(address.to_string()).args(identity()));
        Self::constant("floor", address, vec![child.id()], child)
    }

    fn nginx(folder: &Path) -> Option<Self> {
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
            folder = folder.display(),
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration).expect("nginx's configuration");
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
            .into_iter()
            .find(|file| Path::new(file).exists())?;
        let child = start(
            Command::new(program)
                .arg("-c")
                .arg(&file)
                .arg("-p")
                .arg(folder),
        );
        let workers = wait_for("nginx's workers", START_LIMIT, || {
            let file = format!("/proc/{0}/task/{0}/children", child.id());
            let children = std::fs::read_to_string(file).unwrap_or_default();
            let workers: Vec<u32> = children
                .split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect();
            (workers.len() == 2).then_some(workers)
        });
        Some(Self::constant("nginx", address, workers, child))
    }

    fn constant(
        name: &'static str,
        address: SocketAddr,
        processes: Vec<u32>,
        child: Child,
    ) -> Self {
        let server = Self {
            name,
            address,
            ca_file: certificates::path("root-ca.crt.pem"),
            signer: Signer::new(
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
            path: "/a/kms/xks/v1/keys/demo/encrypt".into(),
            processes,
            child,
        };
        wait_for(name, START_LIMIT, || {
            std::net::TcpStream::connect(address).ok()
        });
        server
    }

    fn destination(&self, protocol: &'static str) -> Destination {
        Destination {
            address: self.address,
            name: "localhost",
            ca_file: self.ca_file.clone(),
            protocol,
        }
    }

    /// Signed anew for each round: a signature lives for five minutes.
    fn request(&self, protocol: &str, body: &[u8]) -> http::Request<Full<Bytes>> {
        let request: SignedRequest = self.signer.post("localhost", &self.path, body);
        let request = if protocol == "h2" {
            request.http2()
        } else {
            http1(&request)
        };
        request.map(Full::new)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.name == "nginx" {
            // Its workers end with it only if it is asked.
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .expect("a running nginx");
        } else {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

fn start(command: &mut Command) -> Child {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.spawn().expect("a program that starts")
}

/// ECDSA P-256, as the proxy's own.
fn identity() -> [PathBuf; 2] {
    [
        certificates::path("server-ecdsa.crt.pem"),
        certificates::path("server-ecdsa.test-key.pem"),
    ]
}

const START_LIMIT: Duration = Duration::from_secs(30);
