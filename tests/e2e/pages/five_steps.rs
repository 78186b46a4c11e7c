//! "Deploy the proxy in five steps" of the README, from the package to a KMS key: its commands as they are printed there, with
//! a folder in place of `/etc` and kms-sim in place of AWS.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::programs::Simulator;
use harness::{certificates, free_port, temp_dir, workspace};

use super::stand_ins;
use crate::page::{Page, in_a_shell};
use crate::stage::REGION;

#[test]
fn the_five_steps_of_the_readme_lead_to_a_kms_key() {
    let _alone = crate::alone();
    let page = Page::read("README.md");
    let commands = page
        .share("the_five_steps_of_the_readme_lead_to_a_kms_key")
        .rest();
    let port = free_port();
    let simulator = Simulator::start(&[
        format!("--resolve=xks.test=127.0.0.1:{port}"),
        format!(
            "--trust-ca={}",
            certificates::path("root-ca.crt.pem").display()
        ),
        // A debug build takes its time.
        "--proxy-timeout-ms=10000".to_owned(),
    ]);
    let folder = temp_dir();
    let root = folder.path().display();
    // What the package makes, and what the authority has sent.
    for made in ["etc/xks-proxy/tls", "var/lib/xks-proxy", "proxy/deploy"] {
        fs::create_dir_all(folder.path().join(made)).expect("a folder");
    }
    let key = folder.path().join("etc/xks-proxy/tls/key.pem");
    fs::copy(certificates::path("server-ecdsa.test-key.pem"), &key).expect("a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("a key of ours");
    let chain = folder.path().join("etc/xks-proxy/tls/chain.pem");
    fs::copy(certificates::path("server-ecdsa.crt.pem"), chain).expect("a certificate");
    let example = "proxy/deploy/xks-proxy.example.toml";
    symlink(workspace().join(example), folder.path().join(example)).expect("a link");

    let functions = stand_ins::functions(&[
        &stand_ins::SUDO,
        &stand_ins::SUDOEDIT,
        &stand_ins::RUSTUP,
        &stand_ins::DEBIAN_BUILD,
        &stand_ins::APT_GET,
        &stand_ins::SYSTEMCTL,
        &stand_ins::CURL,
    ]);
    // The fields that step 1 names.
    let edits = format!(
        "edits=('listen = \"127.0.0.1:{port}\"' 'certificate_file = \"tls/chain.pem\"' 'private_key_file = \"tls/key.pem\"' \
         'data_dir = \"{root}/var/lib/xks-proxy\"' 'uri_path_prefix = \"/tenant-a\"')"
    );
    let commands = commands
        .replace("/etc/", &format!("{root}/etc/"))
        .replace("xks.example.com", "xks.test");
    let script = format!(
        "trap 'kill $(jobs -p)' EXIT\nport={port} etc={root}/etc/\n{edits}\n{functions}\n{commands}\n\
         xks-proxy kms status --config {root}/etc/xks-proxy/xks-proxy.toml\n"
    );
    let mut bash = Command::new("bash");
    bash.args(["-e", "-o", "pipefail", "-c", &script]);
    let (status, stdout, stderr) = run(
        in_a_shell(&mut bash, folder.path())
            .env("AWS_ENDPOINT_URL_KMS", simulator.endpoint_url())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any"),
        LIMIT,
    );
    let log = fs::read_to_string(folder.path().join("etc/service.log")).unwrap_or_default();
    assert!(status.success(), "{stdout}{stderr}{log}");
    for expected in ["is CONNECTED", "arn:aws:kms:us-east-1:", "payroll"] {
        assert!(
            stdout.contains(expected),
            "no {expected:?} in {stdout}{stderr}"
        );
    }
}

const LIMIT: Duration = Duration::from_secs(120);
