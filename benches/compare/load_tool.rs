//! Runs `xks-load` against a server and reads its report.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::servers::{Placement, Server, program};

/// What a run of it is asked for, beside the server.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Requests per second; as many as there can be without it.
    pub(crate) rate: Option<f64>,
    pub(crate) connections: usize,
    /// At a time on each connection: over HTTP/1.1 where it is one, else over HTTP/2.
    pub(crate) streams: usize,
    pub(crate) presigned: bool,
    pub(crate) timeout: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// Of the tool.
    pub(crate) placement: Placement,
}

/// What it reports; latencies in microseconds.
#[derive(Deserialize)]
pub(crate) struct Report {
    pub(crate) rate: f64,
    pub(crate) answered: u64,
    pub(crate) errors: u64,
    pub(crate) errors_by_kind: Vec<(String, u64)>,
    pub(crate) latency: Latency,
    /// How late the tool itself was, at most.
    pub(crate) worst_schedule_micros: Option<f64>,
}

#[derive(Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) p99_99: f64,
    pub(crate) max: f64,
}

impl Load {
    /// Puts the load on a server, and waits for the report.
    pub(crate) fn run(self, server: &Server) -> Report {
        self.start(server).report()
    }

    pub(crate) fn start(self, server: &Server) -> Loading {
        let tool = program("XKS_LOAD_BIN", env!("CARGO_BIN_EXE_xks-load"));
        let mut command: Command = self.placement.command(&tool);
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        let signer = server.signer();
        command
            .args(server.load_arguments())
            .args(["--access-key-id", &signer.access_key_id])
            .args(["--key-id", "demo", "--json"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--timeout", &millis(self.timeout)])
            .args(["--warm-up", &millis(self.warm_up)])
            .args(["--duration", &millis(self.time)])
            .env("XKS_SECRET_ACCESS_KEY", &signer.secret_access_key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if self.streams > 1 {
            command.args(["--http", "2", "--streams", &self.streams.to_string()]);
        }
        if let Some(rate) = self.rate {
            command.args(["--rate", &format!("{rate:.0}")]);
        }
        if self.presigned {
            command.arg("--presigned");
        }
        Loading(command.spawn().expect("xks-load"))
    }
}

/// A load that is being put on a server.
pub(crate) struct Loading(Child);

impl Loading {
    pub(crate) fn report(self) -> Report {
        let output = self.0.wait_with_output().expect("xks-load");
        assert!(output.status.success(), "xks-load: {}", output.status);
        serde_json::from_slice(&output.stdout).expect("its report")
    }
}
