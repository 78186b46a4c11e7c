//! `proxy/docs/deployment.md`: packages, images and overlays that it names are there, and systemd takes its drop-in and that
//! of `rotations.md`. What is in them is tried by `proxy/deploy/check`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{backend, binaries, temp_dir};

use super::stand_ins;
use crate::page::{Page, in_a_shell};

#[test]
fn the_page_about_deployment_names_what_there_is() {
    let _alone = crate::alone();
    let page = Page::read("proxy/docs/deployment.md");
    let commands = page
        .share("the_page_about_deployment_names_what_there_is")
        .rest();
    let folder = temp_dir();
    for place in ["proxy/deploy/docker", "proxy/deploy/kustomize"] {
        fs::create_dir_all(folder.path().join("proxy/deploy")).expect("a folder");
        symlink(harness::workspace().join(place), folder.path().join(place)).expect("a link");
    }
    let functions = stand_ins::functions(&[
        &stand_ins::SUDO,
        &stand_ins::RUSTUP,
        &stand_ins::DEBIAN_BUILD,
        &stand_ins::APT_GET,
        &stand_ins::DOCKER,
        &stand_ins::KUBECTL,
    ]);
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", &format!("{functions}{commands}")]);
    let (status, stdout, stderr) = run(in_a_shell(&mut bash, folder.path()), LIMIT);
    assert!(status.success(), "{stdout}{stderr}");
}

#[test]
fn systemd_takes_the_drop_ins_of_the_pages() {
    let _alone = crate::alone();
    if let Err(error) = Command::new("systemd-analyze").arg("--version").output() {
        return backend::missing("systemd-analyze", &error.to_string());
    }
    let test = "systemd_takes_the_drop_ins_of_the_pages";
    for (page, unit) in [
        ("proxy/docs/deployment.md", "xks-proxy.service"),
        ("proxy/docs/rotations.md", "xks-proxy.socket"),
    ] {
        let page = Page::read(page);
        let drop_in = page.share(test).rest();
        assert_eq!(verify(unit, &drop_in), "", "{}", page.path);
        let unknown = verify(unit, &format!("{drop_in}Colour=blue\n"));
        assert!(unknown.contains("Colour"), "{unknown:?}");
    }
}

/// What `systemd-analyze verify` says of a unit of ours with a drop-in.
fn verify(unit: &str, drop_in: &str) -> String {
    let folder = temp_dir();
    let program = binaries::xks_proxy().display().to_string();
    for name in ["xks-proxy.service", "xks-proxy.socket"] {
        let text = fs::read_to_string(harness::workspace().join("proxy/deploy").join(name))
            .expect("a unit");
        fs::write(
            folder.path().join(name),
            text.replace("/usr/bin/xks-proxy", &program),
        )
        .expect("a file");
    }
    let of_the_unit = folder.path().join(format!("{unit}.d"));
    fs::create_dir(&of_the_unit).expect("a folder");
    fs::write(of_the_unit.join("page.conf"), drop_in).expect("a file");
    let mut command = Command::new("systemd-analyze");
    command
        .args(["verify", "--recursive-errors=no"])
        .arg(folder.path().join(unit));
    let (_, stdout, stderr) = run(&mut command, LIMIT);
    stdout + &stderr
}

const LIMIT: Duration = Duration::from_secs(60);
