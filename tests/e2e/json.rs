//! `--json`: each command of `xks-proxy` that prints facts prints one JSON document to standard output, and nothing else.
//! Those of `kms-sim ctl` are tried in its own tests.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use harness::process::run;
use harness::{binaries, temp_dir};
use serde_json::Value;

use crate::LIMIT;
use crate::commands::programs;
use crate::kms_commands::Commands;
use crate::scenario::PACE;
use crate::stage::Stage;

#[test]
fn every_command_of_the_proxy_prints_one_document_and_nothing_else() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let folder = temp_dir();
    let file = |name: &str| folder.path().join(name).display().to_string();
    private(&folder.path().join("material"), &[7; 32]);
    fs::write(
        folder.path().join("cases.toml"),
        "[[cases]]\nname = \"n\"\nkey = \"demo\"\noperation = \"Encrypt\"\nprincipal = \"p\"\nexpect = \"allow\"\n",
    )
    .unwrap();
    let mut tried = BTreeSet::new();
    let mut json = |line: &str| -> Value {
        let words: Vec<&str> = line.split(' ').chain(["--json"]).collect();
        let (status, stdout, stderr) = commands.run(&words);
        assert!(status.success(), "{line}: {stdout}{stderr}");
        tried.insert(command(line));
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{line}: {e}\n{stdout}"))
    };
    json("check");
    assert_eq!(json("reload")["reloaded"], true);
    json("key create made");
    json(&format!(
        "key import taken --from-file {}",
        file("material")
    ));
    json("key list");
    for change in ["show", "disable", "enable", "rotate"] {
        assert_eq!(json(&format!("key {change} made"))["id"], "made");
    }
    json("key retire-version made 1");
    json("key delete taken");
    let (backup, key) = (file("backup"), file("backup.key"));
    json(&format!(
        "key export-backup --to {backup} --backup-key-file {key}"
    ));
    let made = json("credential create --uri-path-prefix /dev/tenant-a");
    json("credential list");
    let id = made["XksProxyAuthenticationCredential"]["AccessKeyId"].as_str();
    json(&format!("credential revoke {}", id.expect("an id")));
    json("kms link --uri-endpoint https://xks.test");
    json("kms status");
    json("kms create-key demo");
    json("kms rotate-credential --quiet-for 2s");
    json("kms disconnect");
    json("kms connect");
    let setup = json("kms setup --uri-endpoint https://xks.test --format terraform --key demo");
    assert!(
        setup["text"]
            .as_str()
            .is_some_and(|text| text.contains("aws_kms"))
    );
    assert_eq!(setup["external_keys"][0], "demo");
    json("status");
    json("block made --reason drill");
    json("blocks");
    json("unblock made");
    json(&format!("policy test {}", file("cases.toml")));
    json("policy lint");
    let alice = json("admin create alice");
    let token = alice["token"].as_str().expect("a token");
    let bob = json(&format!("admin create bob --to {}", file("bob.token")));
    assert_eq!(
        (&bob["admin"], &bob["token"]),
        (&"bob".into(), &Value::Null)
    );
    private(&folder.path().join("alice.token"), token.as_bytes());
    json(&format!("admin list --token-file {}", file("alice.token")));
    json("admin remove bob");
    json("approvals list");
    json("root-key rotate");
    let hash = without_configuration(&format!("admin token --to {}", file("carol.token")));
    assert_eq!(hash["token_hash"].as_str().map(str::len), Some(64));

    let config = offline(folder.path());
    let mut offline = |line: &str| {
        tried.insert(command(line));
        without_configuration(&format!("{line} --config {config}"))
    };
    for key_manager in ["a", "b"] {
        offline(&format!("init --no-credential --key-manager {key_manager}"));
    }
    offline("key create made --key-manager a");
    assert!(offline("audit head")["signature"].is_string());
    assert_eq!(
        offline("audit verify")["findings"],
        Value::Array(Vec::new())
    );
    fs::remove_dir_all(folder.path().join("b")).unwrap();
    assert_eq!(offline("store migrate --from a --to b")["keys"], 1);
    tried.insert("key restore".into());
    without_configuration(&format!(
        "key restore --data-dir {} --from {backup} --backup-key-file {key}",
        file("restored")
    ));

    tried.insert("admin token".into());
    // These say nothing to a machine.
    tried.extend(["serve", "dev", "completions"].map(str::to_owned));
    // It takes two people: tests/administration/admins.rs.
    tried.extend(["approve", "reject"].map(str::to_owned));
    let [proxy, ..] = programs();
    let all = proxy.commands().into_iter();
    let all = all.filter(|command| command.below().is_empty());
    let all: BTreeSet<String> = all.map(|command| command.path.join(" ")).collect();
    assert_eq!(tried, all, "every command is tried");
}

/// The words of a line that name a command.
fn command(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let groups = [
        "key",
        "credential",
        "kms",
        "policy",
        "admin",
        "approvals",
        "root-key",
        "store",
        "audit",
    ];
    let length = if groups.contains(&words[0]) { 2 } else { 1 };
    words.into_iter().take(length).collect::<Vec<_>>().join(" ")
}

fn without_configuration(line: &str) -> Value {
    let mut command = Command::new(binaries::xks_proxy());
    command.args(line.split(' ')).arg("--json");
    command.env_remove("XKS_PROXY_CONFIG");
    let (status, stdout, stderr) = run(&mut command, LIMIT);
    assert!(status.success(), "{line}: {stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{line}: {e}\n{stdout}"))
}

/// Two stores that no server has open, and an audit log.
fn offline(folder: &Path) -> String {
    let text = "[audit]\nfolder = \"audit\"\nkey_file = \"audit.key\"\n\
                [key_managers.a]\ntype = \"embedded\"\ndata_dir = \"a\"\n\
                [key_managers.b]\ntype = \"embedded\"\ndata_dir = \"b\"\n\
                [[key_stores]]\nuri_path_prefix = \"/a\"\nkey_manager = \"a\"\n";
    let file = folder.join("offline.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn private(file: &Path, content: &[u8]) {
    fs::write(file, content).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
