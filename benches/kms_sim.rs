//! What kms-sim serves and what that costs: requests per second and CPU time for each, with one key, 100,000 and a
//! million, 16 connections and 1,000; and the memory that keys and stores take.
//!
//! Not a criterion bench: the figures are the kernel's accounting of another process. The clients speak HTTP/1.1 without
//! TLS, as SDKs do with a simulator on the same machine, and send requests that were made before the time begins, for keys
//! that are spread over all that there are. In Encrypt through a proxy, `xks-proxy dev` is asked over TLS for each; its
//! CPU time is given for itself. Logs go to /dev/null, at the level that is the default.
//!
//! `cargo bench --bench kms_sim` prints three rounds of each and their median. `-- --test` makes short rounds with few keys.

#[path = "fixture/process.rs"]
mod process;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::https::Connection;
use harness::programs::DevEnv;
use harness::{binaries, free_port, temp_dir, wait_for};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--test");
    let (rounds, time, keys, connections) = match smoke {
        true => (1, Duration::from_millis(100), [1, 100, 1_000], [16, 64]),
        false => (
            3,
            Duration::from_secs(3),
            [1, 100_000, 1_000_000],
            [16, 1_000],
        ),
    };
    let runtime = Runtime::new().expect("a runtime");
    let measure = |what: &str, servers: &[&Server], requests: &[Vec<u8>], connections: usize| {
        let address = servers[0].address;
        let mut found: Vec<Round> = (0..rounds)
            .map(|_| runtime.block_on(round(address, servers, requests, connections, time)))
            .collect();
        found.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let Round { rate, micros } = &found[found.len() / 2];
        let micros: Vec<_> = micros.iter().map(|m| format!("{m:.1} µs")).collect();
        println!(
            "{what}, {connections} connections: {rate:.0}/s, CPU {}",
            micros.join(" + ")
        );
    };

    let mut alone = 0;
    for count in keys {
        let folder = temp_dir();
        let seed = format!("[[bulk-keys]]\ncount = {count}\n");
        let start = Instant::now();
        let server = Server::kms_sim(folder.path(), &seed, &[]);
        let ready = start.elapsed();
        let memory = resident(server.child.id());
        if count == 1 {
            alone = memory;
        }
        println!(
            "{count} keys: ready after {:.1} s, {:.1} MB, {} bytes a key",
            ready.as_secs_f64(),
            memory as f64 / 1e6,
            memory.saturating_sub(alone) / count,
        );
        let ids = server.spread_ids(1_000);
        let requests = |operation: &str, input: fn(&str) -> Value| -> Vec<Vec<u8>> {
            ids.iter()
                .map(|id| request(operation, &input(id)))
                .collect()
        };
        let describe = requests("DescribeKey", |id| json!({"KeyId": id}));
        let encrypt = requests("Encrypt", encrypt);
        let list = [request("ListKeys", &json!({"Limit": 100}))];
        for connections in connections {
            let with = |what: &str| format!("{what}, {count} keys");
            measure(&with("DescribeKey"), &[&server], &describe, connections);
            measure(&with("Encrypt"), &[&server], &encrypt, connections);
        }
        let with = format!("ListKeys of 100, {count} keys");
        measure(&with, &[&server], &list, connections[0]);
    }

    let folder = temp_dir();
    let (proxy, env) = Server::proxy(folder.path());
    let server = Server::kms_sim(folder.path(), &external_key(&env), &resolve(&env));
    server.lift_quota();
    let through = [request("Encrypt", &encrypt(EXTERNAL_KEY))];
    for connections in connections {
        let what = "Encrypt through the proxy";
        measure(what, &[&server, &proxy], &through, connections);
    }
    drop(server);

    let stores: String = (0..10).map(cluster_and_store).collect();
    let server = Server::kms_sim(folder.path(), &stores, &[]);
    let memory = resident(server.child.id());
    println!(
        "10 CloudHSM key stores: {} bytes a store with its cluster",
        memory.saturating_sub(alone) / 10
    );
}

/// What a round came to.
struct Round {
    /// Requests per second, which the clients determine as much where they share the processors.
    rate: f64,
    /// CPU microseconds of each server for each request.
    micros: Vec<f64>,
}

async fn round(
    address: SocketAddr,
    servers: &[&Server],
    requests: &[Vec<u8>],
    connections: usize,
    time: Duration,
) -> Round {
    let requests: Arc<[Vec<u8>]> = requests.into();
    let ended = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for number in 0..connections {
        let mut client = Client::open(address).await;
        let (ended, answered) = (Arc::clone(&ended), Arc::clone(&answered));
        let requests = Arc::clone(&requests);
        clients.spawn(async move {
            let from = number * requests.len() / connections;
            let mut turn = requests.iter().cycle().skip(from);
            while !ended.load(Ordering::Relaxed) {
                client.exchange(turn.next().expect("a request")).await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Connections and first requests are not part of the figure.
    tokio::time::sleep(time / 4).await;
    let spent = || {
        servers
            .iter()
            .map(|s| process::cpu(&[s.child.id()]))
            .collect::<Vec<_>>()
    };
    let (before, count, start) = (spent(), answered.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    let after = spent();
    let count = (answered.load(Ordering::Relaxed) - count) as f64;
    let rate = count / start.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("a client");
    }
    let each = |(after, before): (Duration, Duration)| (after - before).as_secs_f64() * 1e6 / count;
    Round {
        rate,
        micros: after.into_iter().zip(before).map(each).collect(),
    }
}

/// A connection that costs its own side as little as can be: what it spends, the server cannot have.
struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("a connection");
        socket.set_nodelay(true).expect("TCP_NODELAY");
        let buffer = Vec::with_capacity(64 << 10);
        Self { socket, buffer }
    }

    /// Sends a request and reads its answer, which must be a success.
    async fn exchange(&mut self, request: &[u8]) {
        self.socket.write_all(request).await.expect("it takes it");
        self.buffer.clear();
        loop {
            let read = self.socket.read_buf(&mut self.buffer).await;
            assert_ne!(read.expect("an answer"), 0, "it ends the connection");
            let Some(head) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&self.buffer[..head]).expect("a head");
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().expect("a length"))
            });
            if self.buffer.len() >= head + 4 + length.expect("a content-length") {
                return;
            }
        }
    }
}

/// As an SDK sends it; signatures are read and not verified.
fn request(operation: &str, input: &Value) -> Vec<u8> {
    let body = input.to_string();
    format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: TrentService.{operation}\r\nx-amz-date: 20261124T000000Z\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/kms/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
         Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// 32 bytes of plaintext and a small encryption context.
fn encrypt(key: &str) -> Value {
    json!({
        "KeyId": key,
        "Plaintext": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "EncryptionContext": {"tenant": "bench"},
    })
}

/// A connected store at the proxy and a key in it.
fn external_key(env: &DevEnv) -> String {
    let DevEnv {
        uri_path,
        signer,
        key_id,
        ..
    } = env;
    let (id, secret) = (&signer.access_key_id, &signer.secret_access_key);
    format!(
        "[[custom-key-stores]]\nid = \"cks-0123456789abcdef0\"\nname = \"bench\"\nconnected = true\n\
         uri-endpoint = \"https://localhost\"\nuri-path = \"{uri_path}\"\naccess-key-id = \"{id}\"\n\
         secret-access-key = \"{secret}\"\n\
         [[keys]]\nid = \"{EXTERNAL_KEY}\"\ncustom-key-store = \"cks-0123456789abcdef0\"\n\
         xks-key-id = \"{key_id}\"\n"
    )
}

fn resolve(env: &DevEnv) -> [String; 4] {
    let ca_file = env.ca_file.display().to_string();
    let resolve = format!("localhost={}", env.address);
    ["--resolve".into(), resolve, "--trust-ca".into(), ca_file]
}

fn cluster_and_store(number: u32) -> String {
    format!(
        "[[clusters]]\nid = \"cluster-a2b3c4d5e6{letter}\"\nkmsuser-password = \"kmsuserPassword1\"\n\
         [[custom-key-stores]]\nid = \"cks-0123456789abcdef{number}\"\nname = \"Store {number}\"\n\
         cluster = \"cluster-a2b3c4d5e6{letter}\"\nkey-store-password = \"kmsuserPassword1\"\n",
        letter = char::from_u32(u32::from('a') + number).expect("a letter"),
    )
}

/// A program whose output nobody keeps.
struct Server {
    child: Child,
    address: SocketAddr,
    control: SocketAddr,
}

impl Server {
    fn kms_sim(folder: &Path, seed: &str, arguments: &[String]) -> Self {
        let file = folder.join("seed.toml");
        std::fs::write(&file, seed).expect("a file");
        let [address, control] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let child = Command::new(binaries::kms_sim())
            // With more patience than KMS: a thousand clients on two processors make each other wait.
            .args(["serve", "--proxy-timeout-ms", "2000"])
            .args(["--listen", &address.to_string()])
            .args(["--control", &control.to_string()])
            .arg("--seed")
            .arg(file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut server = Self {
            child: child.expect("kms-sim"),
            address,
            control,
        };
        wait_for("kms-sim", Duration::from_secs(300), || {
            assert_eq!(server.child.try_wait().expect("a child"), None, "it ended");
            std::net::TcpStream::connect(control).ok()
        });
        server
    }

    fn proxy(folder: &Path) -> (Self, DevEnv) {
        let child = Command::new(binaries::xks_proxy())
            .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("proxy"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("xks-proxy");
        let env = wait_for("xks-proxy dev", Duration::from_secs(30), || {
            assert_eq!(child.try_wait().expect("a child"), None, "it ended");
            DevEnv::read(&folder.join("proxy/env")).ok()
        });
        let address = env.address;
        let server = Self {
            child,
            address,
            control: address,
        };
        (server, env)
    }

    fn call(&self, operation: &str, input: &Value) -> Value {
        let mut connection = Connection::plain(self.address).expect("it listens");
        let answer = connection.exchange(&request(operation, input));
        answer.expect("an answer").json()
    }

    /// Some key ids, spread evenly over the pages of all.
    fn spread_ids(&self, most: usize) -> Vec<String> {
        let mut ids = Vec::new();
        let mut input = json!({"Limit": 1000});
        loop {
            let mut page = self.call("ListKeys", &input);
            let keys = page["Keys"].as_array().expect("keys");
            ids.extend(
                keys.iter()
                    .map(|key| key["KeyId"].as_str().expect("an id").to_owned()),
            );
            input["Marker"] = page["NextMarker"].take();
            if input["Marker"].is_null() {
                break;
            }
        }
        let step = ids.len().div_ceil(most);
        ids.into_iter().step_by(step).collect()
    }

    /// A store takes 1,800 requests a second, unless it is told otherwise.
    fn lift_quota(&self) {
        let body = json!({"RequestsPerSecond": null}).to_string();
        let request = format!(
            "PUT /control/v1/quota HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.control,
            body.len()
        );
        let mut connection = Connection::plain(self.control).expect("it listens");
        let answer = connection.exchange(request.as_bytes());
        assert_eq!(answer.expect("an answer").status, 200);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Bytes of a process that are in memory.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    kilobytes
        .and_then(|n| n.parse::<u64>().ok())
        .expect("VmRSS")
        * 1_024
}

const EXTERNAL_KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ad";
