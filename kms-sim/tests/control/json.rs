//! `--json`: each command of `kms-sim ctl` prints JSON to standard output, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kms_sim::Config;
use serde_json::Value;

use crate::ctl::ctl;
use crate::simulator::Simulator;

#[test]
fn every_command_prints_json_and_nothing_else() {
    let simulator = Simulator::start(Config::default());
    let folder = harness::temp_dir();
    let snapshot = folder.path().join("snapshot").display().to_string();
    let run = |line: &str| -> Value {
        let words = ["--json"].into_iter().chain(line.split(' '));
        let words: Vec<&str> = words.collect();
        let (success, stdout, stderr) = ctl(simulator.control, &words);
        assert!(success, "{line}: {stderr}");
        // One document, or a line for each of many.
        match serde_json::from_str(&stdout) {
            Ok(document) => document,
            Err(_) => stdout
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).expect(&stdout))
                .collect(),
        }
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let cluster = text(&run("cloudhsm create-cluster")["ClusterId"]);
    let described = run(&format!("cloudhsm describe-cluster --cluster {cluster}"));
    let hsm = text(&described["Hsms"][0]["HsmId"]);
    let zone = text(&described["Hsms"][0]["AvailabilityZone"]);
    let service = text(&run("vpc create --private-dns-name xks.test")["Name"]);
    let mut lines = vec![
        "clock advance 1d",
        "clock freeze",
        "clock resume",
        "clock reset",
        "link set --loss 1",
        "link clear",
        "consistency --lag-ms 5",
        "cloudhsm list-clusters",
        "cloudhsm list-backups",
        "vpc list",
        "stores",
        "metrics",
        "requests",
        "events",
        "transition hold",
        "transition release",
        "transition fail --code INTERNAL_ERROR",
        "transition reset",
        "quota set --per-second 5",
        "quota set-account --per-second 5",
        "quota set-keys --max 5",
        "quota reset",
    ];
    let of_cluster = [
        format!("cloudhsm create-backup --cluster {cluster}"),
        format!("cloudhsm set --cluster {cluster} --reachable true"),
        format!("cloudhsm set-password --cluster {cluster} --password password7"),
        format!("cloudhsm add-hsm --cluster {cluster}"),
        format!("cloudhsm set-hsm --cluster {cluster} --hsm {hsm} --state ACTIVE"),
        format!("cloudhsm set-subnet --cluster {cluster} --zone {zone} --free-addresses 5"),
        format!("cloudhsm delete-hsm --cluster {cluster} --hsm {hsm}"),
        format!("cloudhsm delete-cluster --cluster {cluster}"),
        format!("vpc describe --service {service}"),
        format!("vpc set --service {service} --interface true"),
        format!("vpc delete --service {service}"),
        format!("snapshot {snapshot}"),
        format!("restore {snapshot}"),
    ];
    lines.extend(of_cluster.iter().map(String::as_str));
    lines.push("reset");
    for line in &lines {
        run(line);
    }
    let told = run(&format!("snapshot {snapshot}"));
    assert_eq!(told["Snapshot"], *snapshot);
    // What has no answer here has one elsewhere: a key in a cluster takes a connected store.
    lines.extend([
        "cloudhsm create-cluster",
        "cloudhsm describe-cluster",
        "cloudhsm delete-key",
        "vpc create",
    ]);
    let tried: BTreeSet<String> = lines.iter().map(|line| command(line)).collect();
    assert_eq!(tried, commands(folder.path()), "every command is tried");
}

/// The words of a line that name a command.
fn command(line: &str) -> String {
    let words = line.split(' ').take_while(|word| !word.starts_with('-'));
    let groups = ["clock", "link", "cloudhsm", "vpc", "transition", "quota"];
    let words: Vec<&str> = words.collect();
    let length = match words.first() {
        Some(group) if groups.contains(group) => 2,
        _ => 1,
    };
    words.into_iter().take(length).collect::<Vec<_>>().join(" ")
}

/// The commands of `ctl` that do something themselves, by their manual pages.
fn commands(folder: &Path) -> BTreeSet<String> {
    let mut make = Command::new(env!("CARGO_BIN_EXE_kms-sim"));
    make.arg("man").arg(folder);
    let (status, _, stderr) = harness::process::run(&mut make, Duration::from_secs(20));
    assert!(status.success(), "{stderr}");
    let mut commands = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let Some(name) = name
            .strip_prefix("kms-sim-ctl-")
            .and_then(|name| name.strip_suffix(".1"))
        else {
            continue;
        };
        let page = std::fs::read_to_string(&path).expect("a page");
        if !page.contains(".SH SUBCOMMANDS") {
            let (_, synopsis) = page.split_once(".SH SYNOPSIS").expect("a synopsis");
            let words = synopsis.split("\\fR").next().expect("the bold part");
            let words = words.replace("\\fB", "").replace("\\-", "-");
            let words = words.trim().replacen("kms-sim ctl ", "", 1);
            assert_eq!(words.replace(' ', "-"), name);
            commands.insert(words);
        }
    }
    commands
}
