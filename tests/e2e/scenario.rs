//! Runs a scenario script against the two programs, and does for it what a client cannot: kill the proxy, count bytes.
//!
//! The script writes `> command` to its standard output and reads one line of JSON back; every other line is for the
//! reader of the test's output.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use harness::byte_counter::ByteCounter;
use harness::programs::{DevProxy, Simulator};
use harness::{free_port, temp_dir};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Both programs and the counter between them.
pub(crate) struct Scenario {
    simulator: Simulator,
    counter: ByteCounter,
    proxy: DevProxy,
    _data_dir: TempDir,
}

impl Scenario {
    pub(crate) fn start() -> Self {
        let data_dir = temp_dir();
        let proxy = DevProxy::start(data_dir.path());
        let counter = ByteCounter::start(proxy.env.address);
        let nobody: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let resolve = |host: &str, to: SocketAddr| format!("--resolve={host}={to}");
        let simulator = Simulator::start(&[
            resolve("xks.test", counter.address()),
            resolve("localhost", counter.address()),
            resolve("nobody.test", nobody),
            format!("--trust-ca={}", proxy.env.ca_file.display()),
            format!("--transition-ms={}", TRANSITION.as_millis()),
        ]);
        Self {
            simulator,
            counter,
            proxy,
            _data_dir: data_dir,
        }
    }

    /// What both programs wrote, for a failure's message.
    pub(crate) fn server_outputs(&mut self) -> String {
        let simulator = self.simulator.process().outputs();
        let proxy = self.proxy.process().outputs();
        format!("=== kms-sim\n{simulator}\n=== xks-proxy\n{proxy}")
    }

    /// Runs the script to its end; the error holds all that it said.
    pub(crate) fn run(&mut self, python: &Path, script: &str) -> Result<(), String> {
        let mut child = Command::new(python)
            .arg(script)
            .arg(self.description().to_string())
            .current_dir(harness::workspace())
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map(KilledOnDrop)
            .map_err(|error| format!("cannot start {}: {error}", python.display()))?;
        let mut replies = child.0.stdin.take().expect("stdin is piped");
        let lines = lines_of(&mut child.0);

        let mut said = String::new();
        let deadline = Instant::now() + LIMIT;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix("> ") {
                    Some(command) => {
                        let reply = self.obey(command);
                        // A script that is gone has its reason in its status.
                        drop(writeln!(replies, "{reply}"));
                    }
                    None => {
                        println!("{line}");
                        said.push_str(&line);
                        said.push('\n');
                    }
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{said}{script} still runs after {LIMIT:?}"));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = child.0.wait().map_err(|error| error.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{said}{script} ended: {status}"))
        }
    }

    fn description(&self) -> Value {
        let env = &self.proxy.env;
        json!({
            "kms_endpoint_url": self.simulator.endpoint_url(),
            "region": "us-east-1",
            "proxy_uri_endpoint": "https://xks.test",
            "other_proxy_uri_endpoint": "https://localhost",
            "dead_uri_endpoint": "https://nobody.test",
            "proxy_uri_path": env.uri_path,
            "access_key_id": env.signer.access_key_id,
            "secret_access_key": env.signer.secret_access_key,
            "external_key_id": env.key_id,
        })
    }

    fn obey(&mut self, command: &str) -> Value {
        match command {
            "counts" => {}
            "kill-proxy" => {
                self.proxy.kill();
                self.counter.refuse();
            }
            "restart-proxy" => {
                self.proxy.restart();
                self.counter.accept_again();
            }
            "stall" => self.counter.stall(),
            "resume" => self.counter.resume(),
            unknown => panic!("the script asks for {unknown:?}"),
        }
        let counts = self.counter.counts();
        json!({
            "connections": counts.connections,
            "to_proxy": counts.to_target,
            "to_kms": counts.to_client,
            "open": self.counter.open_connections().len(),
        })
    }
}

/// The lines of both outputs, in the order read; ends when both are closed.
fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let stderr = child.stderr.take().expect("stderr is piped");
    let errors = sender.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            drop(errors.send(line));
        }
    });
    let stdout = child.stdout.take().expect("stdout is piped");
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    receiver
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// CONNECTING and DISCONNECTING last this long: a client sees them with time to spare.
const TRANSITION: Duration = Duration::from_millis(600);
/// The whole script, on a machine that is busy with other things too.
const LIMIT: Duration = Duration::from_secs(180);
