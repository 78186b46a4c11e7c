//! What a request costs the server: user and system time of the real program, divided by the requests it answered.
//!
//! Not a criterion bench: the figure is the kernel's accounting of another process. Sixteen clients in a closed loop
//! keep their connections; requests are signed before the time begins. The request log goes to /dev/null.
//!
//! `cargo bench --bench server_cpu` prints five rounds of each kind and their median. `-- --test` makes a short round.

#[path = "fixture/request.rs"]
mod request;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use harness::programs::DevEnv;
use harness::tls::TlsClient;
use harness::{binaries, temp_dir, wait_for};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use request::{SIZES, encrypt_body, http1};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--test");
    let (rounds, time) = if smoke {
        (1, Duration::from_millis(100))
    } else {
        (5, Duration::from_secs(4))
    };
    let folder = temp_dir();
    let server = Server::start(folder.path());
    let executor = tokio::runtime::Runtime::new().expect("an executor");
    for (protocol, len) in [
        ("http/1.1", SIZES[0]),
        ("http/1.1", SIZES[1]),
        ("h2", SIZES[0]),
    ] {
        let path = format!("{}/keys/{}/encrypt", server.env.uri_path, server.env.key_id);
        let mut figures = Vec::new();
        for _ in 0..rounds {
            // Signed anew: a signature lives for five minutes.
            let request = server
                .env
                .signer
                .post("localhost", &path, encrypt_body(len));
            let request = match protocol {
                "h2" => request.http2().map(Full::new),
                _ => http1(&request).map(Full::new),
            };
            figures.push(executor.block_on(round(&server, protocol, &request, time)));
        }
        figures.sort_by(f64::total_cmp);
        let list: Vec<_> = figures.iter().map(|f| format!("{f:.1}")).collect();
        println!(
            "server CPU per Encrypt {len} B, {protocol}, {CONNECTIONS} connections: median {:.1} µs of {}",
            figures[figures.len() / 2],
            list.join(" "),
        );
    }
}

/// CPU microseconds of the server for each request of a round.
async fn round(
    server: &Server,
    protocol: &'static str,
    request: &http::Request<Full<Bytes>>,
    time: Duration,
) -> f64 {
    let ended = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::open(&server.env, protocol).await;
        let (ended, answered) = (Arc::clone(&ended), Arc::clone(&answered));
        let request = request.clone();
        clients.spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                client.exchange(request.clone()).await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Connections and first requests are not part of the figure.
    tokio::time::sleep(time / 4).await;
    let (cpu, count, start) = (
        server.cpu(),
        answered.load(Ordering::Relaxed),
        Instant::now(),
    );
    tokio::time::sleep(time).await;
    let (cpu, count) = (server.cpu() - cpu, answered.load(Ordering::Relaxed) - count);
    let rate = count as f64 / start.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("a client");
    }
    let micros = cpu.as_secs_f64() * 1e6 / count as f64;
    println!("  {count} requests, {rate:.0}/s, {micros:.1} µs");
    micros
}

enum Client {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    async fn open(env: &DevEnv, protocol: &str) -> Self {
        let socket = TcpStream::connect(env.address).await.expect("a connection");
        socket.set_nodelay(true).expect("TCP_NODELAY");
        let config = TlsClient::trusting(&env.ca_file).alpn(&[protocol]).config();
        let connector = tokio_rustls::TlsConnector::from(config);
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = connector.connect(name, socket).await.expect("TLS");
        let io = TokioIo::new(stream);
        if protocol == "h2" {
            let handshake = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = handshake.expect("HTTP/2");
            tokio::spawn(connection);
            return Self::Http2(sender);
        }
        let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    async fn exchange(&mut self, request: http::Request<Full<Bytes>>) {
        let answer = match self {
            Self::Http1(sender) => {
                sender.ready().await.expect("a connection");
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await.expect("a connection");
                sender.send_request(request).await
            }
        };
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("a body");
    }
}

/// `xks-proxy dev`, whose output nobody keeps.
struct Server {
    child: Child,
    env: DevEnv,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(binaries::xks_proxy())
            .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("xks-proxy");
        let env = wait_for("xks-proxy dev", Duration::from_secs(30), || {
            assert_eq!(child.try_wait().expect("a child"), None, "it ended");
            DevEnv::read(&folder.join("env")).ok()
        });
        Self { child, env }
    }

    /// User and system time so far.
    fn cpu(&self) -> Duration {
        let file = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(file).expect("a running process");
        // The name, which may hold anything, is in parentheses; utime and stime are fields 14 and 15.
        let (_, rest) = stat.rsplit_once(')').expect("a name");
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|t| t.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const CONNECTIONS: usize = 16;
/// USER_HZ, which is 100 on every architecture of Linux that matters here.
const TICKS_PER_SECOND: u64 = 100;
