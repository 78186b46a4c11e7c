//! `proxy/docs/embedded.md`: its commands are run as they are printed there, one after another.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{binaries, free_port, temp_dir};

use crate::page::blocks;

#[test]
fn the_page_about_the_embedded_key_manager_leads_to_a_connected_key_store() {
    let _alone = crate::alone();
    let page = harness::workspace().join("proxy/docs/embedded.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = blocks(&page, "sh");
    assert_eq!(blocks.len(), 4);
    let script = blocks
        .concat()
        .replace(":8443", &format!(":{}", free_port()))
        .replace(":4599", &format!(":{}", free_port()));
    let script = format!("trap 'kill $(jobs -p) || true' EXIT\n{script}");
    let mut path = std::env::var("PATH").unwrap_or_default();
    for program in [binaries::xks_proxy(), binaries::kms_sim()] {
        path = format!("{}:{path}", program.parent().unwrap().display());
    }
    let folder = temp_dir();
    let (status, stdout, stderr) = run(
        Command::new("bash")
            .args(["-e", "-o", "pipefail", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", path)
            .env_remove("AWS_PROFILE"),
        Duration::from_secs(120),
    );
    assert!(status.success(), "{stdout}{stderr}");
    for expected in [
        "it has no credential yet",
        "is CONNECTED",
        "arn:aws:kms:us-east-1:",
        "restored has 1 keys and 1 credentials of backup",
    ] {
        assert!(
            stdout.contains(expected),
            "no {expected:?} in {stdout}{stderr}"
        );
    }
    // The server that runs, the command that asked it, and the backup tell of the same key.
    assert_eq!(stdout.matches("    2     CURRENT").count(), 2, "{stdout}");
}
