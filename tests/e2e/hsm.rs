//! `proxy/docs/pkcs11.md`: its commands, one after the other, with SoftHSM, both servers and the AWS CLI.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::softhsm;
use harness::{backend, binaries, free_port, temp_dir};

use crate::page::Page;

#[test]
fn the_page_about_hsms_leads_to_a_connected_key_store() {
    let aws = match backend::aws_cli() {
        Ok(aws) => aws,
        Err(reason) => return backend::missing("the AWS CLI", &reason),
    };
    if let Err(reason) = softhsm::library() {
        return backend::missing("SoftHSM", &reason);
    }
    let _alone = crate::alone();
    let page = Page::read("proxy/docs/pkcs11.md");
    let commands = page
        .share("the_page_about_hsms_leads_to_a_connected_key_store")
        .rest();
    let (proxy, simulator) = (free_port(), free_port());

    // As in a clone of the repository, but for what the commands write and where the servers listen.
    let folder = temp_dir();
    for name in ["proxy", "certs"] {
        symlink(harness::workspace().join(name), folder.path().join(name)).unwrap();
    }
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    symlink(binaries::xks_proxy(), programs.join("xks-proxy")).unwrap();
    symlink(binaries::kms_sim(), programs.join("kms-sim")).unwrap();
    symlink(aws, programs.join("aws")).unwrap();
    let script = format!(
        "set -eu\n\
         trap 'kill $(jobs -p)' EXIT\n\
         cp() {{ command cp \"$@\"; sed -i 's/:8443\"/:{proxy}\"/' xks-hsm/xks-proxy.toml; }}\n\
         {}",
        commands
    )
    .replace(":8443", &format!(":{proxy}"))
    .replace(":4599", &format!(":{simulator}"))
    .replace(&format!("s/:{proxy}\"/"), "s/:8443\"/");

    let path = std::env::var("PATH").unwrap();
    let (status, stdout, stderr) = run(
        Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder.path())
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PAGER", ""),
        LIMIT,
    );
    assert!(status.success(), "{stdout}{stderr}");
    // Before the rotation and after it.
    assert_eq!(stdout.matches("Hello, HSM").count(), 2, "{stdout}{stderr}");
    assert!(
        stdout.contains("ok       key manager hsm: encrypts and decrypts"),
        "{stdout}"
    );
    assert!(!stdout.contains("FAILED"), "{stdout}");
    assert!(stdout.contains(r#""keyManager":"hsm""#), "{stdout}");
}

/// For the whole page.
const LIMIT: Duration = Duration::from_secs(300);
