//! What a simulator is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::cloudhsm::CloudHsm;
use crate::cors::WebOrigin;
use crate::quota::MAX_KEYS;
use crate::seed::Seed;
use crate::vpc_endpoint_service::VpcEndpointServices;
use crate::xks_tls::ClientCertificate;

/// Settings of a simulator.
#[derive(Debug)]
pub struct Config {
    /// The Region of requests whose credential scope names none.
    pub region: String,
    /// Whether requests that are not signed are served, as the root of account 123456789012 in `region`.
    pub allow_anonymous: bool,
    /// The web pages that may call the API from a browser.
    pub allow_origins: Vec<WebOrigin>,
    /// Who can call, and what each may do; without it everyone can, and may do everything.
    pub accounts: Option<Accounts>,
    /// How long CONNECTING and DISCONNECTING last at least.
    pub transition: Duration,
    /// Where a proxy's host is found: KMS itself always dials port 443 of the host.
    pub resolve: Vec<Resolve>,
    /// Certificate authorities that proxies' certificates may come from.
    pub trust_ca: Vec<CertificateDer<'static>>,
    /// What a proxy that asks for a client certificate is shown.
    pub client_certificate: Option<ClientCertificate>,
    /// What one attempt to get an answer of a proxy may take, over connection, TLS and answer: 250 ms in AWS KMS.
    pub proxy_timeout: Duration,
    /// How often a CONNECTED proxy is asked how it is.
    pub health_interval: Duration,
    /// How many keys an account has in a Region: 100,000 in AWS KMS, until AWS raises it.
    pub max_keys: u32,
    /// The state to start with, unless the data folder has one.
    pub seed: Option<Seed>,
    /// Where the state is kept; in memory alone without it.
    pub data_dir: Option<PathBuf>,
    /// A file that gets every event, as a line of JSON.
    pub events: Option<PathBuf>,
    /// The simulator's time.
    pub clock: Clock,
    /// The clusters that CloudHSM key stores can have; a clone of this makes and breaks them.
    pub cloud_hsm: CloudHsm,
    /// The VPC endpoint services that external key stores can have, likewise.
    pub vpc_endpoint_services: VpcEndpointServices,
    /// What clients may cost.
    pub limits: ClientLimits,
    /// HTTPS instead of HTTP.
    pub tls: Option<ServerTls>,
    /// Names, beside `localhost` and addresses, under which the control API may be called.
    pub control_hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            allow_anonymous: false,
            allow_origins: Vec::new(),
            accounts: None,
            transition: Duration::from_millis(200),
            resolve: Vec::new(),
            trust_ca: Vec::new(),
            client_certificate: None,
            proxy_timeout: Duration::from_millis(250),
            health_interval: Duration::from_secs(180),
            max_keys: MAX_KEYS,
            seed: None,
            data_dir: None,
            events: None,
            clock: Clock::default(),
            cloud_hsm: CloudHsm::default(),
            vpc_endpoint_services: VpcEndpointServices::default(),
            limits: ClientLimits::default(),
            tls: None,
            control_hosts: Vec::new(),
        }
    }
}

/// What clients of the KMS API, and of the control API likewise, may cost.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Connections at a time. Further ones wait, without an answer, until one of these ends.
    pub max_connections: usize,
    /// Until the first byte of a request, and then for its header.
    pub header: Duration,
    /// For the body of a request.
    pub body: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            max_connections: Self::DEFAULT_MAX_CONNECTIONS,
            header: Duration::from_secs(120),
            body: Duration::from_secs(30),
        }
    }
}

impl ClientLimits {
    /// As many as a test suite of thousands of workers has, and half a gigabyte of buffers at the very most.
    pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
}

/// `--resolve host=ip:port`
#[derive(Clone, Debug)]
pub struct Resolve {
    /// As in `XksProxyUriEndpoint`.
    pub host: String,
    /// What is dialled for it.
    pub address: SocketAddr,
}

/// The simulator's own certificate.
#[derive(Debug)]
pub struct ServerTls {
    /// The leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}
