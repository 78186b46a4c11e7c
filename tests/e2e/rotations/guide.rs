//! `proxy/docs/rotations.md`: its commands as they are printed there, on the proxy of these tests.

use std::process::Command;
use std::time::{Duration, SystemTime};

use harness::binaries;
use harness::certificates::{path, server_valid_until};
use harness::process::run;

use super::world::World;
use super::{LIMIT, Options};
use crate::page::Page;
use crate::pages::stand_ins;

#[test]
fn the_commands_of_the_page_rotate_what_they_say() {
    let _alone = crate::alone();
    let world = World::in_a_folder(&Options::of_environment());
    let Some(systemd) = world.systemd() else {
        return;
    };
    let page = Page::read("proxy/docs/rotations.md");
    let commands = page
        .share("the_commands_of_the_page_rotate_what_they_say")
        .rest();
    let commands = commands
        .replace("xks.example.com:443", &world.address())
        // A user's units are started here, not enabled.
        .replace("enable --now", "start")
        .replace("--quiet-for 5s", "--quiet-for 2s");
    let sudo = stand_ins::functions(&[&stand_ins::SUDO]);
    let systemctl = systemd.command().join(" ");
    let script = format!("{sudo}systemctl() {{ {systemctl} \"$@\"; }}\nset -e\n{commands}");
    // What the authorities sent.
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    world.write(
        &server_valid_until(SystemTime::now() + month),
        "new-chain.pem",
    );
    world.install(&path("server-ecdsa.test-key.pem"), "new-key.pem");
    world.install(&world.path("tls/new-root.pem"), "new-root.pem");

    let programs = binaries::xks_proxy();
    let programs = programs.parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .current_dir(world.path(""))
        .env("PATH", format!("{programs}:{path}"))
        .env("XKS_PROXY_CONFIG", world.path("xks-proxy.toml"));
    world.call_kms_from(&mut command);
    let (status, stdout, stderr) = run(&mut command, 2 * LIMIT);
    assert!(status.success(), "{stdout}{stderr}\n{}", world.log());
    for expected in ["reloaded", "notAfter=", "    2     CURRENT", "the root key"] {
        assert!(
            stdout.contains(expected),
            "no {expected:?} in {stdout}{stderr}"
        );
    }
    assert!(stderr.contains("4/4"), "{stderr}");
    // It serves, with what was taken up.
    let leaver = super::world::request_of("arn:aws:iam::111122223333:user/leaver");
    let answer = world.ask("keys/payroll/encrypt", &leaver);
    assert_eq!(answer.json()["errorName"], "AccessDeniedException");
    let other = super::world::request_of("arn:aws:iam::111122223333:user/other");
    assert_eq!(world.ask("keys/payroll/encrypt", &other).status, 200);
}
