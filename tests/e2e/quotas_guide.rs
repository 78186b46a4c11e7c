//! `proxy/docs/quotas.md`: its commands are run as they are printed there.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{binaries, free_port, temp_dir};

use crate::page::blocks;

#[test]
fn the_page_about_quotas_does_as_it_says() {
    let _alone = crate::alone();
    let page = harness::workspace().join("proxy/docs/quotas.md");
    let page = std::fs::read_to_string(page).unwrap();
    let script = blocks(&page, "sh").concat();
    let script = script.replace("8443", &free_port().to_string());
    let script = format!("trap 'kill $(jobs -p)' EXIT\n{script}");
    let folder = temp_dir();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!(
        "{}:{path}",
        binaries::xks_proxy().parent().unwrap().display()
    );
    let (status, stdout, stderr) = run(
        Command::new("bash")
            .args(["-e", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", path),
        Duration::from_secs(120),
    );
    assert!(status.success(), "{stdout}{stderr}");
    let served = stdout.matches("\"keySpec\":\"AES_256\"").count();
    let [refusal] = *blocks(&page, "text") else {
        panic!("one answer is shown")
    };
    let refused = stdout.matches(refusal.trim_end()).count();
    // The burst, and one for each second that the ten requests take.
    assert!(
        served >= 5 && refused >= 1 && served + refused == 10,
        "{stdout}{stderr}"
    );
}
