//! `proxy/docs/audit.md`: its commands are run as they are printed there, one after another.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{binaries, free_port, temp_dir};

use crate::page::blocks;

#[test]
fn the_page_about_the_audit_log_leads_to_lines_that_are_verified() {
    let _alone = crate::alone();
    let page = harness::workspace().join("proxy/docs/audit.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = blocks(&page, "sh");
    assert_eq!(blocks.len(), 5);
    let script = blocks
        .concat()
        .replace(":8443", &format!(":{}", free_port()))
        .replace(":4599", &format!(":{}", free_port()))
        .replace(":4600", &format!(":{}", free_port()));
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
        "audit log: lines go to",
        "each is as it was written, and none is missing",
        // What KMS asked for CreateKey.
        "\"operation\":\"GetKeyMetadata\"",
        "\"findings\": []",
        // Both lines of the command that was altered, by file, line and number.
        "altered  altered/audit-00000000000000000001.jsonl:",
        "exit status 1",
    ] {
        assert!(
            stdout.contains(expected),
            "no {expected:?} in {stdout}{stderr}"
        );
    }
    assert_eq!(stdout.matches("altered  altered/").count(), 2, "{stdout}");
    let log = folder
        .path()
        .join("xks-audit/audit/audit-00000000000000000001.jsonl");
    let log = std::fs::read_to_string(log).unwrap();
    for command in ["create-key", "create-credential", "disable-key"] {
        let lines = log
            .lines()
            .filter(|line| line.contains(&format!("\"command\":\"{command}\"")));
        let phases: Vec<_> = lines
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["phase"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(phases, ["requested", "done"], "{command}");
    }
}
