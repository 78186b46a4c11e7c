//! A proxy in this process, on a port of its own, with a key manager that does as it is told.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use harness::https::{Connection, Response};
use harness::signer::{SignedRequest, Signer};
use harness::{certificates, tls};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use xks_api::ids::UriPathPrefix;
use xks_api::sigv4::Regions;
use xks_proxy::audit::{self, AuditGuard, AuditLog};
use xks_proxy::authenticate::Credentials;
use xks_proxy::authorize::Policy;
use xks_proxy::health::{Monitored, ProxyIdentity};
use xks_proxy::key_store::{ExternalKeyStore, KeySelection, KeyStores};
use xks_proxy::request_log::{LogFormat, RequestLog, RequestLogGuard};
use xks_proxy::runtime::{Limits, Runtime, Snapshot};
use xks_proxy::server::{self, Drain, Leave, Listeners};
use xks_proxy::throttle::{Quota, QuotaConfig};
use xks_proxy::tls::{ClientAuthentication, TlsMaterial, server_config};
use xks_proxy::traces::{self, Traces, TracesGuard};

use crate::key_manager::ScriptedKeyManager;

/// What a test wants to have otherwise.
pub struct Setup {
    pub limits: Limits,
    pub drain: Drain,
    pub client: Option<ClientAuthentication>,
    pub key_stores: Vec<Store>,
    pub fleet_size: u32,
    pub clock: fn() -> SystemTime,
    pub certificate: &'static str,
    pub audit: Option<audit::Settings>,
    pub traces: Option<traces::Settings>,
}

/// An external key store.
pub struct Store {
    pub prefix: &'static str,
    pub keys: &'static [&'static str],
    pub regions: Regions,
    pub credentials: Vec<(&'static str, &'static str)>,
    pub policy: Option<Arc<Policy>>,
    pub quota: Option<QuotaConfig>,
}

pub const ID: &str = "ABCDEFGHIJKLMNOPQRST";
pub const SECRET: &str = "Spec+Tests/Only=Spec+Tests/Only=Spec+Tests/Only=";
pub const OTHER_ID: &str = "TSRQPONMLKJIHGFEDCBA";
pub const OTHER_SECRET: &str = "Other+Tests/Only=Other+Tests/Only=Other+Tests/Only=";
pub const PREFIX: &str = "/example/uri/path/prefix";
pub const OTHER_PREFIX: &str = "/other";
pub const HOST: &str = "localhost";

impl Default for Setup {
    fn default() -> Self {
        let store = |prefix, id, secret| Store {
            prefix,
            keys: &["*"],
            regions: Regions::Any,
            credentials: vec![(id, secret)],
            policy: None,
            quota: None,
        };
        Self {
            limits: Limits::default(),
            drain: Drain {
                delay: Duration::ZERO,
                timeout: Duration::from_secs(5),
            },
            client: None,
            key_stores: vec![
                store(PREFIX, ID, SECRET),
                store(OTHER_PREFIX, OTHER_ID, OTHER_SECRET),
            ],
            fleet_size: 2,
            clock: SystemTime::now,
            certificate: "server-ecdsa",
            audit: None,
            traces: None,
        }
    }
}

/// The running proxy; ends with its drain when dropped.
pub struct Proxy {
    pub address: SocketAddr,
    pub health_address: SocketAddr,
    pub key_manager: Arc<ScriptedKeyManager>,
    pub runtime: Arc<Runtime>,
    log: Log,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    log_guard: Option<RequestLogGuard>,
    audit_guard: Option<AuditGuard>,
    pub traces_guard: Option<TracesGuard>,
    setup: Setup,
    monitored: Arc<Monitored>,
}

impl Proxy {
    pub fn start() -> Self {
        Self::start_with(Setup::default())
    }

    pub fn start_with(setup: Setup) -> Self {
        let api = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let leave = setup.drain.clone().into();
        Self::start_on(setup, api, leave)
    }

    /// On a socket that is open already, and that way to end.
    pub fn start_on(setup: Setup, api: StdListener, leave: Leave) -> Self {
        let key_manager = Arc::new(ScriptedKeyManager::default());
        let monitored = Arc::new(Monitored::new(
            "scripted",
            Arc::clone(&key_manager) as _,
            Duration::from_millis(100),
        ));
        let log = Log::default();
        let (request_log, log_guard) =
            RequestLog::start(Box::new(log.clone()), LogFormat::Json).expect("a thread");
        let audit = setup.audit.clone().map(AuditLog::open);
        let (audit, audit_guard) = audit.map(|opened| opened.expect("an audit log")).unzip();
        let traces = setup.traces.clone().map(Traces::start);
        let (traces, mut traces_guard) = traces.map(|started| started.expect("traces")).unzip();
        if let (Leave::HandOver(_), Some(guard)) = (&leave, &mut traces_guard) {
            TracesGuard::hasten(guard);
        }
        let runtime = Runtime::new(snapshot(&setup, &monitored), request_log, setup.clock);
        let runtime = Arc::new(runtime.audited(audit).traced(traces));
        let (shutdown, signal) = oneshot::channel();
        let (started, addresses) = std::sync::mpsc::channel();
        let thread = {
            let runtime = Arc::clone(&runtime);
            std::thread::spawn(move || {
                let executor = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .expect("an executor");
                executor.block_on(async {
                    let any = (Ipv4Addr::LOCALHOST, 0);
                    api.set_nonblocking(true).expect("a socket");
                    let api = TcpListener::from_std(api).expect("a socket");
                    let health = TcpListener::bind(any).await.expect("a port");
                    let addresses = (api.local_addr().unwrap(), health.local_addr().unwrap());
                    started.send(addresses).expect("the test waits");
                    let listeners = Listeners {
                        api,
                        health: Some(health),
                    };
                    let shutdown = async { drop(signal.await) };
                    server::run(listeners, runtime, leave, shutdown).await;
                });
            })
        };
        let (address, health_address) = addresses.recv().expect("the server starts");
        Self {
            address,
            health_address,
            key_manager,
            runtime,
            log,
            shutdown: Some(shutdown),
            thread: Some(thread),
            log_guard: Some(log_guard),
            audit_guard,
            traces_guard,
            setup,
            monitored,
        }
    }

    /// Changes the setup of the running proxy.
    pub fn change(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        self.runtime.replace(snapshot(&self.setup, &self.monitored));
    }

    pub fn tls() -> tls::TlsClient {
        tls::TlsClient::trusting(&certificates::path("root-ca.crt.pem"))
    }

    pub fn connect(&self) -> Connection {
        Connection::tls(self.address, HOST, Self::tls().config()).expect("a connection")
    }

    /// Sends a request signed for the first key store, and reads the answer.
    pub fn post(&self, path_below_prefix: &str, body: impl Into<Vec<u8>>) -> Response {
        self.exchange(&signed(path_below_prefix, body))
    }

    pub fn exchange(&self, request: &SignedRequest) -> Response {
        self.connect()
            .exchange(&request.http1())
            .expect("an answer")
    }

    /// Begins the drain.
    pub fn shut_down(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            // The server may have ended already.
            let _ = shutdown.send(());
        }
    }

    /// Waits until the server has ended.
    pub fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends without a panic");
        }
    }

    /// Ends the server and gives every line of the request log.
    pub fn end_and_read_log(mut self) -> Vec<serde_json::Value> {
        self.shut_down();
        self.wait();
        drop(self.log_guard.take());
        drop(self.audit_guard.take());
        let text = self.log.text();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take() {
            // A failing test must not hide its reason behind a second panic.
            drop(thread.join());
        }
    }
}

/// A request to the first key store, signed with its credential, as KMS signs it.
pub fn signed(path_below_prefix: &str, body: impl Into<Vec<u8>>) -> SignedRequest {
    let path = format!("{PREFIX}/kms/xks/v1{path_below_prefix}");
    Signer::new(ID, SECRET).post(HOST, &path, body)
}

fn snapshot(setup: &Setup, monitored: &Arc<Monitored>) -> Snapshot {
    let material = TlsMaterial {
        chain: read_certificates(&format!("{}.crt.pem", setup.certificate)),
        key: PrivateKeyDer::from_pem_file(certificates::path(&format!(
            "{}.test-key.pem",
            setup.certificate
        )))
        .expect("a private key"),
        client: setup.client.clone(),
    };
    let key_stores = setup.key_stores.iter().map(|store| {
        let mut keys = KeySelection::default();
        store
            .keys
            .iter()
            .for_each(|key| keys.add(key).expect("a key or a pattern"));
        let prefix = UriPathPrefix::try_from(store.prefix).expect("a prefix");
        let credentials = store.credentials.iter().map(|(id, secret)| {
            let id = (*id).try_into().expect("an access key id");
            (id, (*secret).try_into().expect("a secret access key"))
        });
        ExternalKeyStore {
            measures: Arc::default(),
            prefix: prefix.clone(),
            key_manager: Arc::clone(monitored),
            keys,
            policy: store.policy.clone(),
            quota: store.quota.map(Quota::new),
            credentials: Credentials::new(
                prefix,
                store.regions.clone(),
                credentials.collect(),
                None,
            )
            .expect("credentials"),
            blocks: Arc::default(),
        }
    });
    Snapshot {
        tls: Arc::new(server_config(&material).expect("certificates that fit")),
        admin_tls: None,
        client_authentication: setup.client.clone(),
        key_stores: KeyStores::new(key_stores),
        key_managers: vec![Arc::clone(monitored)],
        identity: ProxyIdentity {
            fleet_size: NonZeroU32::new(setup.fleet_size).expect("not zero"),
            vendor: "xks-proxy".into(),
            model: "xks-proxy 0.1".into(),
        },
        limits: setup.limits.clone(),
    }
}

pub fn read_certificates(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(certificates::path(name))
        .expect("a PEM file")
        .collect::<Result<_, _>>()
        .expect("certificates")
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("ASCII")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
