//! The two programs as processes and the byte counter between them; what a client cannot do is done here: hold, kill
//! and restart the proxy, count bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use harness::byte_counter::{ByteCounter, Counts};
use harness::process::Process;
use harness::programs::{DevProxy, Simulator};
use harness::{free_port, temp_dir};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything but the client.
pub(crate) struct Stage {
    simulator: Simulator,
    counter: ByteCounter,
    proxy: DevProxy,
    data_dir: TempDir,
}

/// How long things take.
pub(crate) struct Pace {
    /// CONNECTING and DISCONNECTING, at least.
    pub(crate) transition: Duration,
    /// What the proxy has for an answer.
    pub(crate) proxy_timeout: Duration,
}

impl Stage {
    pub(crate) fn start(pace: &Pace) -> Self {
        Self::start_with(pace, &[])
    }

    /// With more arguments for `kms-sim serve`.
    pub(crate) fn start_with(pace: &Pace, more: &[String]) -> Self {
        let data_dir = temp_dir();
        let proxy = DevProxy::start(data_dir.path());
        let counter = ByteCounter::start(proxy.env.address);
        let nobody: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let resolve = |host: &str, to: SocketAddr| format!("--resolve={host}={to}");
        let mut arguments = vec![
            resolve("xks.test", counter.address()),
            resolve("localhost", counter.address()),
            resolve("nobody.test", nobody),
            format!("--trust-ca={}", proxy.env.ca_file.display()),
            format!("--transition-ms={}", pace.transition.as_millis()),
            format!("--proxy-timeout-ms={}", pace.proxy_timeout.as_millis()),
        ];
        arguments.extend_from_slice(more);
        let simulator = Simulator::start(&arguments);
        Self {
            simulator,
            counter,
            proxy,
            data_dir,
        }
    }

    /// What both programs wrote, for a failure's message.
    pub(crate) fn server_outputs(&mut self) -> String {
        let simulator = self.simulator.process().outputs();
        let proxy = self.proxy.process().outputs();
        format!("=== kms-sim\n{simulator}\n=== xks-proxy\n{proxy}")
    }

    /// Where everything is, and the proxy's credential.
    pub(crate) fn description(&self) -> Value {
        let env = &self.proxy.env;
        json!({
            "kms_endpoint_url": self.endpoint_url(),
            "region": REGION,
            "proxy_uri_endpoint": "https://xks.test",
            "other_proxy_uri_endpoint": "https://localhost",
            "dead_uri_endpoint": "https://nobody.test",
            "proxy_uri_path": env.uri_path,
            "access_key_id": env.signer.access_key_id,
            "secret_access_key": env.signer.secret_access_key,
            "external_key_id": env.key_id,
        })
    }

    /// The configuration of the proxy.
    pub(crate) fn proxy_config(&self) -> PathBuf {
        self.data_dir.path().join("xks-proxy.toml")
    }

    pub(crate) fn proxy_process(&mut self) -> &mut Process {
        self.proxy.process()
    }

    pub(crate) fn endpoint_url(&self) -> String {
        self.simulator.endpoint_url()
    }

    /// Totals between kms-sim and the proxy.
    pub(crate) fn counts(&self) -> Counts {
        self.counter.counts()
    }

    /// Connections between kms-sim and the proxy that are open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.counter.open_connections().len()
    }

    pub(crate) fn kill_proxy(&mut self) {
        self.proxy.kill();
        self.counter.refuse();
    }

    pub(crate) fn restart_proxy(&mut self) {
        self.proxy.restart();
        self.counter.accept_again();
    }

    /// From now on nothing passes between kms-sim and the proxy, and nothing is lost.
    pub(crate) fn hold_proxy(&self) {
        self.counter.stall();
    }

    /// What was held passes.
    pub(crate) fn release_proxy(&self) {
        self.counter.resume();
    }
}

pub(crate) const REGION: &str = "us-east-1";
