//! What users are told to paste does what it says: the README's client code, and the lines that the demo prints.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use harness::process::{Process, run};
use harness::{backend, binaries, free_port, temp_dir, wait_for};

use crate::page::Page;

/// From the first command of the README's guide to its last: two servers in terminals of their own, and clients.
#[test]
fn the_client_code_of_the_readme_runs() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let _alone = crate::alone();
    let page = Page::read("README.md");
    let mut share = page.share("the_client_code_of_the_readme_runs");
    let folder = temp_dir();
    let (proxy_address, kms_address) = (free_address(), free_address());
    let data_dir = folder.path().join("xks").display().to_string();
    let here = |block: &str| {
        let block = block.replace("/tmp/xks", &data_dir);
        let block = block.replace("127.0.0.1:8443", &proxy_address);
        block.replace("127.0.0.1:4599", &kms_address)
    };
    let servers = here(share.after("## kms-sim for your own tests"));
    let [build, proxy, kms_sim, variables] = *servers.lines().collect::<Vec<_>>() else {
        panic!("a build, two servers, and variables for clients");
    };
    // Cargo has built the programs of these tests in another profile.
    assert_eq!(build, "cargo build --release --bins");
    let _proxy = terminal(proxy, binaries::xks_proxy(), &proxy_address);
    let _kms_sim = terminal(kms_sim, binaries::kms_sim(), &kms_address);

    let python = format!("{variables}\n'{}' -c \"$CODE\"", clients.python.display());
    let code = here(share.after("With boto3:"));
    let (status, stdout, stderr) = run(
        Command::new("bash")
            .args(["-e", "-c", &python])
            .env("CODE", code),
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

    let script = here(share.after("With the AWS CLI:"));
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

    let exports = here(share.after("**Your own programs need nothing"));
    let who = "export AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any\n\
               aws sts get-caller-identity --query Account --output text";
    let (status, stdout, stderr) = clients.shell(&format!("set -e\n{exports}{who}"));
    assert!(status.success(), "{stdout}{stderr}");
    assert_eq!(stdout, "123456789012\n");
}

/// A line of the README that starts a server, on a port that is free.
fn terminal(line: &str, program: PathBuf, address: &str) -> Process {
    let command = line.split(" #").next().unwrap_or_default();
    let mut words = command.split_whitespace();
    let printed = words.next().unwrap_or_default();
    assert_eq!(Path::new(printed).file_name(), program.file_name());
    let mut command = Command::new(program);
    // KMS's 250 ms are for an optimized build.
    let patience = ["--proxy-timeout-ms", "10000"];
    let patience = if printed.ends_with("kms-sim") {
        &patience[..]
    } else {
        &[]
    };
    command
        .args(words)
        .args(["--listen", address])
        .args(patience);
    let mut process = Process::start(&mut command);
    process.wait_until("an open port", LIMIT, |_| TcpStream::connect(address).ok());
    process
}

fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
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
    python: PathBuf,
    aws: PathBuf,
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
