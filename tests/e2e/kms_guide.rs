//! `proxy/docs/kms.md`: its commands are run as they are printed there, one after another.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{binaries, free_port, temp_dir};

use crate::page::Page;

#[test]
fn the_rehearsal_of_the_guide_goes_as_it_is_printed() {
    let _alone = crate::alone();
    let guide = Page::read("proxy/docs/kms.md");
    let mut share = guide.share("the_rehearsal_of_the_guide_goes_as_it_is_printed");
    // It begins with two servers.
    let (proxy, simulator) = (share.next(), share.next());
    let (proxy_port, kms_port) = (free_port().to_string(), free_port().to_string());
    let folder = temp_dir();
    let wait = |port: &str| {
        format!(
            "for i in $(seq 300); do (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done\n"
        )
    };
    let script = [
        "trap 'kill $(jobs -p)' EXIT\n",
        &format!("{} >proxy.log 2>&1 &\n", proxy.trim_end()),
        &wait("8443"),
        &format!("{} >kms-sim.log 2>&1 &\n", simulator.trim_end()),
        &wait("4599"),
        &share.rest(),
    ];
    let script = script.concat();
    let script = script
        .replace("8443", &proxy_port)
        .replace("4599", &kms_port);
    let programs = [binaries::xks_proxy(), binaries::kms_sim()];
    let mut folders: Vec<_> = programs
        .iter()
        .filter_map(|p| Some(p.parent()?.to_owned()))
        .collect();
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let (status, stdout, stderr) = run(
        Command::new("bash")
            .args(["-e", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env_remove("AWS_PROFILE"),
        Duration::from_secs(120),
    );
    let log = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert!(
        status.success(),
        "{stdout}{stderr}{}{}",
        log("proxy.log"),
        log("kms-sim.log")
    );
    for expected in [
        "is CONNECTED",
        "arn:aws:kms:us-east-1:",
        "is DISCONNECTED",
        "signs with",
    ] {
        assert!(stdout.contains(expected), "no {expected} in {stdout}");
    }
    assert!(stderr.contains("4/4"), "{stderr}");
    for (file, expected) in [
        ("link.sh", "aws kms create-custom-key-store"),
        ("kms.tf", "aws_kms_custom_key_store"),
        ("kms.yaml", "AWSTemplateFormatVersion"),
    ] {
        assert!(log(file).contains(expected), "{file}");
    }
}
