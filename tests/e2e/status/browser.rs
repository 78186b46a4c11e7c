//! The status page in headless Chromium: `drive.mjs` does what a person does, and looks at what they see.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{backend, binaries, workspace};
use serde_json::json;

use super::world::{PRINCIPAL, World};

#[test]
fn a_person_looks_at_the_status_in_a_browser() {
    let (chromium, modules) = match backend::chromium() {
        Ok(found) => found,
        Err(reason) => {
            backend::missing("the status page in a browser", &reason);
            return;
        }
    };
    let _alone = crate::alone();
    let world = World::start();
    for number in 0..40 {
        let id = format!("request-{number}");
        assert_eq!(world.encrypt("/tenant-a", "payroll", "Encrypt", &id), 200);
    }
    world.encrypt("/tenant-a", "payroll", "GenerateDataKey", "denied");
    world.encrypt("/tenant-b", "no-such-key", "Encrypt", "unknown");
    world.ok(&["key", "rotate", "payroll"]);
    world.many_keys(60);
    let picture = match std::env::var_os("UPDATE_PAGES") {
        None => PathBuf::new(),
        Some(_) => workspace().join("proxy/docs/status.png"),
    };
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("status");
    std::fs::create_dir_all(&screenshots).expect("a folder for screenshots");
    let site = format!("https://localhost:{}", world.admin.port());
    let described = json!({
        "principal": PRINCIPAL,
        "program": binaries::xks_proxy(),
        "config": world.config(),
    });
    let mut node = Command::new("node");
    node.arg("tests/e2e/status/drive.mjs")
        .current_dir(workspace())
        .env("XKS_TEST_NODE", modules)
        .env("CHROMIUM", chromium)
        .env("SITE", site)
        .env("TOKEN", world.token("alice"))
        .env("WORLD", described.to_string())
        .env("SCREENSHOTS", &screenshots)
        .env("PICTURE", picture);
    let (status, stdout, stderr) = run(&mut node, LIMIT);
    let shots = screenshots.display();
    assert!(status.success(), "{stdout}{stderr}\nscreenshots: {shots}");
    // Past libtest's capture, for who wants to look.
    let line = format!("screenshots of the status page: {shots}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}

const LIMIT: Duration = Duration::from_secs(600);
