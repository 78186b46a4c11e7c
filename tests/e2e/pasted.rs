//! What users are told to paste does what it says: the README's client code, and the lines that the demo prints.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use harness::process::{Process, run};
use harness::programs::{DevProxy, Simulator};
use harness::{backend, binaries, free_port, temp_dir, wait_for};

use crate::guide::fenced_after;

#[test]
fn the_client_code_of_the_readme_runs() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let _alone = crate::alone();
    let readme = std::fs::read_to_string(harness::workspace().join("README.md")).unwrap();
    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    let simulator = Simulator::start(&[
        format!("--resolve=xks.test={}", proxy.env.address),
        format!("--trust-ca={}", proxy.env.ca_file.display()),
    ]);
    let here = |block: &str| block.replace("127.0.0.1:4599", &simulator.address.to_string());

    let code = here(fenced_after(&readme, "With boto3:"));
    let (status, stdout, stderr) = run(
        Command::new(&clients.python)
            .args(["-c", &code])
            .env("XKS_PROXY_URI_PATH", &proxy.env.uri_path)
            .env("XKS_ACCESS_KEY_ID", &proxy.env.signer.access_key_id)
            .env("XKS_SECRET_ACCESS_KEY", &proxy.env.signer.secret_access_key),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    for expected in [
        "(KMSInvalidStateException)",
        "is not connected to its external key store proxy",
        "(CustomKeyStoreInvalidStateException)",
        "b'Hello, world'",
    ] {
        assert!(stdout.contains(expected), "no {expected:?} in:\n{stdout}");
    }

    let script = here(fenced_after(&readme, "With the AWS CLI:"));
    let (status, stdout, stderr) = clients.shell(&format!("set -e\n{script}"));
    assert!(status.success(), "{stdout}{stderr}");
    assert!(
        stdout.contains("\"CustomKeyStoreName\": \"nile\""),
        "{stdout}"
    );
    assert!(
        stdout.contains("\"ConnectionState\": \"DISCONNECT"),
        "{stdout}"
    );
}

#[test]
fn the_lines_that_the_demo_prints_can_be_pasted() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let _alone = crate::alone();
    let mut demo = Process::start(
        Command::new(binaries::kms_sim())
            .args(["demo", "--listen", &format!("127.0.0.1:{}", free_port())])
            .arg("--xks-proxy")
            .arg(binaries::xks_proxy()),
    );
    let story = demo.wait_until("the end of the demo's story", LIMIT, |demo| {
        let told = demo.stdout();
        told.contains("# KMSInvalidStateException\n")
            .then_some(told)
    });
    let (_, yours) = story
        .split_once("AWS CLI:\n")
        .expect("the lines for the CLI");
    let (cli, boto3) = yours.split_once("boto3:\n").expect("the lines for boto3");

    let (status, stdout, stderr) = clients.shell(&unindented(cli));
    assert!(status.success(), "{stdout}{stderr}");
    assert!(
        stdout.contains("Hello, world"),
        "the demo's ciphertext decrypts:\n{stdout}{stderr}"
    );
    assert_eq!(
        stderr.matches("(KMSInvalidStateException)").count(),
        1,
        "{stderr}"
    );

    // The last of those lines connects again, which takes a moment.
    let exports: Vec<&str> = cli
        .lines()
        .filter(|line| line.contains("export "))
        .collect();
    let state = format!(
        "{}\naws kms describe-custom-key-stores --query CustomKeyStores[].ConnectionState",
        unindented(&exports.join("\n"))
    );
    wait_for("CONNECTED", LIMIT, || {
        clients
            .shell(&state)
            .1
            .contains("\"CONNECTED\"")
            .then_some(())
    });
    let (status, _, stderr) = run(
        Command::new(&clients.python).args(["-c", &unindented_block(boto3)]),
        LIMIT,
    );
    assert!(!status.success(), "the last line should raise");
    let last = stderr.trim().lines().last().unwrap_or_default();
    assert!(last.contains("KMSInvalidStateException"), "{stderr}");

    let started = story.lines().rev().find_map(|line| {
        line.trim()
            .strip_prefix("xks-proxy runs again, as process ")?
            .strip_suffix('.')
    });
    let proxy = format!(
        "/proc/{}",
        started.expect("the process id of the demo's proxy")
    );
    assert!(Path::new(&proxy).exists(), "{proxy}");
    demo.terminate();
    let status = demo.wait(LIMIT);
    assert!(status.success(), "{status}\n{}", demo.outputs());
    wait_for("the end of the demo's proxy", LIMIT, || {
        (!Path::new(&proxy).exists()).then_some(())
    });
}

/// The foreign clients, found once.
struct Clients {
    python: std::path::PathBuf,
    aws: std::path::PathBuf,
}

impl Clients {
    fn find() -> Option<Self> {
        match backend::python_with(&["boto3"]).and_then(|python| {
            Ok(Self {
                python,
                aws: backend::aws_cli()?,
            })
        }) {
            Ok(clients) => Some(clients),
            Err(reason) => {
                backend::missing("boto3 and the AWS CLI", &reason);
                None
            }
        }
    }

    /// Runs a script in bash, where `aws` is the CLI that was found and has no configuration of its user.
    fn shell(&self, script: &str) -> (ExitStatus, String, String) {
        // `command`, or a function named like the program would call itself.
        let function = format!("aws() {{ command '{}' \"$@\"; }}", self.aws.display());
        run(
            Command::new("bash")
                .args(["-c", &format!("{function}\n{script}")])
                .env("AWS_CONFIG_FILE", "/dev/null")
                .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
                .env("AWS_PAGER", ""),
            LIMIT,
        )
    }
}

fn unindented(lines: &str) -> String {
    lines
        .lines()
        .map(str::trim_start)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The indented lines at the start, as far as they go.
fn unindented_block(lines: &str) -> String {
    let block: Vec<&str> = lines
        .lines()
        .take_while(|line| line.starts_with(' '))
        .collect();
    unindented(&block.join("\n"))
}

/// For one script or one stage of the demo.
const LIMIT: Duration = Duration::from_secs(60);
