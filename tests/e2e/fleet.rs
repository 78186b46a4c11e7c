//! A fleet: three proxies on one PostgreSQL behind HAProxy, under load from kms-sim. Proxies are drained and killed in
//! turn; one that is drained loses no request, and no answer is ever wrong.
//!
//! ```text
//! AWS SDK ──▶ kms-sim ──TLS──▶ HAProxy (TCP) ──▶ xks-proxy ×3 ──▶ PostgreSQL
//! ```

mod rotation;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use harness::postgres::Postgres;
use harness::process::{Process, run};
use harness::programs::Simulator;
use harness::signer::Signer;
use harness::tls::TlsClient;
use harness::{backend, binaries, certificates, free_port, https, temp_dir, wait_for};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::clients::{Client, RustSdk};

#[test]
fn drained_proxies_lose_no_request_and_killed_ones_are_gone_soon() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(reason) => return backend::missing("PostgreSQL end to end", &reason),
    };
    if let Err(reason) = haproxy_is_there() {
        return backend::missing("HAProxy", &reason);
    }
    let _alone = crate::alone();
    let mut fleet = Fleet::start(&postgres);
    fleet.wait_for_size(3);
    let simulator = simulator_before(&fleet);
    let mut client = RustSdk::new(simulator.endpoint_url());
    let key = fleet.connect(&mut client);

    let load = Load::default();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (load, url, key) = (&load, simulator.endpoint_url(), &key);
            scope.spawn(move || load.run(RustSdk::new(url), key));
        }
        // Whatever happens below, the load ends.
        let _end = EndOfLoad(&load);
        load.wait_for_more(20);
        for number in 0..3 {
            fleet.drain(number);
            load.wait_for_more(10);
            fleet.wait_for_size(2);
            fleet.restart(number);
            fleet.wait_for_size(3);
            load.wait_for_more(10);
        }
        assert!(load.failures().is_empty(), "drained: {:?}", load.failures());

        for number in 0..3 {
            fleet.kill(number);
            // Those that it had are lost; soon there are no others.
            let before = wait_for("requests that work", SOON, || {
                let failed = load.failures().len();
                load.wait_for_more(10);
                (load.failures().len() == failed).then_some(failed)
            });
            fleet.restart(number);
            fleet.wait_for_size(3);
            load.wait_for_more(10);
            assert!(
                load.failures().len() <= before + CLIENTS,
                "killed: {:?}",
                load.failures()
            );
        }
    });
    assert_eq!(load.wrong.load(Ordering::Relaxed), 0);
    // The same plaintext from everyone: ciphertexts of one proxy are decrypted by all.
    assert!(load.right.load(Ordering::Relaxed) > 100);
}

/// A KMS that reaches the fleet through its balancer.
fn simulator_before(fleet: &Fleet) -> Simulator {
    Simulator::start(&[
        format!("--resolve=xks.test={}", fleet.balancer),
        format!(
            "--trust-ca={}",
            certificates::path("root-ca.crt.pem").display()
        ),
        // The machine of a test does more than serve; what is late is not what this is about.
        "--proxy-timeout-ms=5000".to_owned(),
        "--transition-ms=0".to_owned(),
    ])
}

#[derive(Default)]
struct Load {
    stop: AtomicBool,
    right: AtomicUsize,
    wrong: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

impl Load {
    /// Encrypts and decrypts until it is stopped.
    fn run(&self, mut client: RustSdk, key: &str) {
        let plaintext = "SGVsbG8gV29ybGQh";
        let mut call = |operation: &str, input: Value| {
            let answer = client.call(operation, &members(input));
            answer
                .map_err(|error| {
                    let mut failed = self.failed.lock().unwrap();
                    failed.push(format!("{operation}: {error:?}"));
                })
                .ok()
        };
        while !self.stop.load(Ordering::Relaxed) {
            let encrypted = call("Encrypt", json!({"KeyId": key, "Plaintext": plaintext}));
            let Some(encrypted) = encrypted else {
                // A proxy that was killed refuses until the balancer has noticed.
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            let blob = &encrypted["CiphertextBlob"];
            if let Some(decrypted) = call("Decrypt", json!({"CiphertextBlob": blob})) {
                let right = decrypted["Plaintext"] == plaintext;
                let count = if right { &self.right } else { &self.wrong };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn wait_for_more(&self, number: usize) {
        let before = self.right.load(Ordering::Relaxed);
        wait_for("requests", SOON, || {
            (self.right.load(Ordering::Relaxed) >= before + number).then_some(())
        });
    }

    fn failures(&self) -> Vec<String> {
        self.failed.lock().unwrap().clone()
    }
}

struct EndOfLoad<'a>(&'a Load);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

struct Fleet {
    folder: TempDir,
    proxies: Vec<Member>,
    balancer: SocketAddr,
    signer: Signer,
    _haproxy: Process,
}

struct Member {
    config: std::path::PathBuf,
    api: SocketAddr,
    health: SocketAddr,
    process: Process,
}

impl Fleet {
    fn start(postgres: &Postgres) -> Self {
        let folder = temp_dir();
        let configs: Vec<_> = (0..3)
            .map(|number| configure(folder.path(), postgres, number))
            .collect();
        let (first, ..) = &configs[0];
        let credential = command(&["init", "--json", "--config", &first.display().to_string()]);
        let credential = &credential["credential"]["XksProxyAuthenticationCredential"];
        let text = |name: &str| credential[name].as_str().unwrap().to_owned();
        let signer = Signer::new(text("AccessKeyId"), text("RawSecretAccessKey"));
        let config = first.display().to_string();
        command(&["key", "create", "payroll", "--json", "--config", &config]);
        let proxies: Vec<_> = configs
            .into_iter()
            .map(|(config, api, health)| Member {
                process: serve(&config, health),
                config,
                api,
                health,
            })
            .collect();
        let balancer = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let haproxy = balance(folder.path(), balancer, &proxies);
        Self {
            folder,
            proxies,
            balancer,
            signer,
            _haproxy: haproxy,
        }
    }

    /// Makes a store and a key at KMS; the key's id.
    fn connect(&self, client: &mut RustSdk) -> String {
        let mut call = |operation: &str, input: Value| {
            client.call(operation, &members(input)).expect(operation)
        };
        let store = call(
            "CreateCustomKeyStore",
            json!({
                "CustomKeyStoreName": "fleet",
                "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
                "XksProxyConnectivity": "PUBLIC_ENDPOINT",
                "XksProxyUriEndpoint": "https://xks.test",
                "XksProxyUriPath": "/fleet/kms/xks/v1",
                "XksProxyAuthenticationCredential": {
                    "AccessKeyId": self.signer.access_key_id,
                    "RawSecretAccessKey": self.signer.secret_access_key,
                },
            }),
        );
        let store = store["CustomKeyStoreId"].clone();
        call("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
        let key = wait_for("the connection", SOON, || {
            let key = client.call(
                "CreateKey",
                &members(json!({
                    "Origin": "EXTERNAL_KEY_STORE",
                    "CustomKeyStoreId": store,
                    "XksKeyId": "payroll",
                })),
            );
            key.ok()
        });
        key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    /// What GetHealthStatus of every proxy that runs says.
    fn wait_for_size(&mut self, size: usize) {
        let tls = TlsClient::trusting(&certificates::path("root-ca.crt.pem")).config();
        let body = json!({"requestMetadata": {
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae", "kmsOperation": "KmsHealthCheck",
        }});
        for proxy in &mut self.proxies {
            if proxy.process.exited().is_some() {
                continue;
            }
            wait_for("the fleet's size", SOON, || {
                let path = "/fleet/kms/xks/v1/health";
                let request = self.signer.post("localhost", path, body.to_string());
                let tls = std::sync::Arc::clone(&tls);
                let mut connection = https::Connection::tls(proxy.api, "localhost", tls).ok()?;
                let health = connection.exchange(&request.http1()).ok()?.json();
                let instances = health["ekmFleetDetails"].as_array()?.iter();
                // One that was killed is told of for a while.
                let well = instances.filter(|i| i["healthStatus"] == "ACTIVE").count();
                (health["xksProxyFleetSize"] == size && well == size).then_some(())
            });
        }
    }

    /// SIGTERM, as a rollout does it, and waits for the end.
    fn drain(&mut self, number: usize) {
        let proxy = &mut self.proxies[number];
        proxy.process.terminate();
        let status = proxy.process.wait(SOON);
        assert!(status.success(), "{status}\n{}", proxy.process.outputs());
    }

    fn kill(&mut self, number: usize) {
        self.proxies[number].process.kill();
    }

    fn restart(&mut self, number: usize) {
        let proxy = &mut self.proxies[number];
        proxy.process = serve(&proxy.config, proxy.health);
        assert!(self.folder.path().is_dir());
    }
}

/// A configuration of one machine; with where it listens.
fn configure(
    folder: &Path,
    postgres: &Postgres,
    number: usize,
) -> (std::path::PathBuf, SocketAddr, SocketAddr) {
    let [api, health] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let text = format!(
        r#"
listen = "{api}"
health_listen = "{health}"
[tls]
certificate_file = "{}"
private_key_file = "{}"
[drain]
delay = "1500ms"
timeout = "10s"
[key_managers.fleet]
type = "postgres"
data_dir = "data-{number}"
root_key_file = "root.key"
url = "{}"
password_file = "{}"
ca_file = "{}"
heartbeat_interval = "500ms"
missed_heartbeats = 4
[[key_stores]]
uri_path_prefix = "/fleet"
key_manager = "fleet"
"#,
        certificates::path("server-ecdsa.crt.pem").display(),
        certificates::path("server-ecdsa.test-key.pem").display(),
        postgres.url(),
        postgres.password_file().display(),
        postgres.ca_file().display(),
    );
    let file = folder.join(format!("proxy-{number}.toml"));
    std::fs::write(&file, text).unwrap();
    (file, api, health)
}

fn serve(config: &Path, health: SocketAddr) -> Process {
    let mut command = Command::new(binaries::xks_proxy());
    let mut process = Process::start(command.args(["serve", "--config"]).arg(config));
    process.wait_until("GET /ping", SOON, |_| {
        let mut connection = https::Connection::plain(health).ok()?;
        let ping = b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        (connection.exchange(ping).ok()?.status == 200).then_some(())
    });
    process
}

/// A TCP load balancer as in front of a real fleet: TLS passes through, `/ping` says who takes connections.
fn balance(folder: &Path, address: SocketAddr, proxies: &[Member]) -> Process {
    let mut text = format!(
        "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  retries 3\n  \
         option redispatch 1\nfrontend kms\n  bind {address}\n  default_backend fleet\nbackend fleet\n  \
         balance roundrobin\n  option httpchk GET /ping\n  default-server inter 200ms fall 1 rise 1\n"
    );
    for (number, proxy) in proxies.iter().enumerate() {
        let (api, port) = (proxy.api, proxy.health.port());
        writeln!(text, "  server proxy-{number} {api} check port {port}").unwrap();
    }
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let mut process = Process::start(Command::new(HAPROXY).arg("-db").arg("-f").arg(&file));
    process.wait_until("HAProxy to take connections", SOON, |_| {
        https::Connection::plain(address).ok().map(drop)
    });
    process
}

fn haproxy_is_there() -> Result<(), String> {
    match Command::new(HAPROXY).arg("-v").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{HAPROXY} -v: {}", output.status)),
        Err(error) => Err(format!("{HAPROXY}: {error}")),
    }
}

fn command(arguments: &[&str]) -> Value {
    let (status, stdout, stderr) = run(Command::new(binaries::xks_proxy()).args(arguments), SOON);
    assert!(status.success(), "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} has no members"),
    }
}

const CLIENTS: usize = 4;
const SOON: Duration = Duration::from_secs(60);
/// Where Debian has it; no PATH of a user does.
const HAPROXY: &str = "/usr/sbin/haproxy";
