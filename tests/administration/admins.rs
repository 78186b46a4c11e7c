//! Named administrators, on the socket and on the admin listener, and what takes two of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use harness::https::Connection;
use harness::process::{Process, run};
use harness::{certificates, free_port, temp_dir, wait_for};
use serde_json::Value;

use crate::{refused, succeed, text, xks_proxy};

#[test]
fn what_is_under_approval_takes_two_admins() {
    let folder = temp_dir();
    let here = Place::prepare(folder.path());
    let mut server = here.serve();

    // The first two, by whoever has the machine.
    for name in ["alice", "bob"] {
        here.succeed(&["admin", "create", name, "--to", &here.token(name)]);
    }
    let alice = here.token("alice");
    let bob = here.token("bob");
    let secret = std::fs::read_to_string(&alice).expect("the token");
    let admins = here.json(&["admin", "list", "--json"]);
    assert_eq!(admins[0]["name"], "alice");
    assert!(!admins.to_string().contains(secret.trim()));

    // Over the network, with a token and in no other way.
    let remote = |token: &str, arguments: &[&str]| {
        let ca = certificates::path("root-ca.crt.pem");
        let to = format!("localhost:{}", here.admin.port());
        let more = ["--server", &to, "--server-ca", text(&ca)];
        let mut command = xks_proxy(&[arguments, &more[..]].concat());
        if !token.is_empty() {
            command.args(["--token-file", token]);
        }
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        (status.success(), stdout + &stderr)
    };
    let (worked, told) = remote(&alice, &["key", "list"]);
    assert!(worked && told.contains("payroll"), "{told}");
    let forged = folder.path().join("forged.token");
    std::fs::write(&forged, format!("xksa_{}", "0".repeat(64))).expect("a file of ours");
    for token in ["", text(&forged)] {
        let (worked, told) = remote(token, &["key", "list"]);
        assert!(!worked && told.contains("none of an admin"), "{told}");
    }

    // Deleting a key: not by somebody without a name, and not by one alone.
    let delete = ["key", "delete", "payroll", "--force"];
    let told = here.refused(&delete);
    assert!(told.contains("--token-file"), "{told}");
    let told = here.refused_as(&alice, &delete);
    assert!(
        told.contains("needs the approval of another admin"),
        "{told}"
    );
    let id = here.only_request("delete-key", "alice");
    let told = here.refused_as(&alice, &["approve", &id]);
    assert!(told.contains("is your own"), "{told}");
    here.succeed(&["key", "show", "payroll"]);
    let (worked, told) = remote(&bob, &["approve", &id]);
    assert!(worked && told.contains("is approved, and done"), "{told}");
    let told = here.refused(&["key", "show", "payroll"]);
    assert!(told.contains("there is no key payroll"), "{told}");
    let told = here.refused_as(&bob, &["approve", &id]);
    assert!(told.contains("no request"), "once only: {told}");

    // A backup is for the one who asked, once.
    let backup = folder.path().join("backup");
    let key = folder.path().join("backup.key");
    let export = [
        "key",
        "export-backup",
        "--to",
        text(&backup),
        "--backup-key-file",
        text(&key),
    ];
    here.refused_as(&alice, &export);
    let id = here.only_request("export-backup", "alice");
    let told = here.succeed_as(&bob, &["approve", &id, "--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON and nothing else");
    assert_eq!(told["approved"], *id);
    here.refused_as(&bob, &export);
    here.succeed_as(&alice, &export);
    assert!(backup.is_file());
    std::fs::remove_file(&backup).expect("the backup");
    here.refused_as(&alice, &export);
    assert!(!backup.is_file());
    for request in here
        .json(&["approvals", "list", "--json"])
        .as_array()
        .expect("a list")
    {
        let id = request["id"].as_str().expect("an id");
        let told = here.succeed_as(&bob, &["reject", id, "--json"]);
        let told: Value = serde_json::from_str(&told).expect("JSON and nothing else");
        assert_eq!(told["rejected"], *id);
    }

    // Blocking is for anybody, at once; lifting it is not.
    here.succeed(&["block", "all", "--reason", "drill"]);
    here.refused_as(&alice, &["unblock", "all"]);
    let id = here.only_request("unblock", "alice");
    here.succeed_as(&bob, &["reject", &id]);
    assert_eq!(here.json(&["blocks", "--json"])[0]["target"], "all");
    here.refused_as(&alice, &["unblock", "all"]);
    let id = here.only_request("unblock", "alice");
    here.succeed_as(&bob, &["approve", &id]);
    assert_eq!(here.json(&["blocks", "--json"]), serde_json::json!([]));

    // A third name would be a second one for somebody: it takes two, too, and a token that nobody else has.
    let hash = here.succeed(&["admin", "token", "--to", &here.token("carol")]);
    let create = ["admin", "create", "carol", "--hash", hash.trim()];
    here.refused_as(&alice, &create);
    let id = here.only_request("admins", "alice");
    here.succeed_as(&bob, &["approve", &id]);
    let (worked, told) = remote(&here.token("carol"), &["key", "list"]);
    assert!(worked, "{told}");

    // All of it is in the audit log, with both names.
    let log = here.audit_log();
    for (admin, command, phase) in [
        ("alice", "request-approval", "done"),
        ("bob", "approve", "done"),
        ("bob", "delete-key", "done"),
        ("alice", "export-backup", "done"),
        ("bob", "reject", "done"),
        ("bob", "unblock", "done"),
        ("bob", "create-admin", "done"),
    ] {
        let found = log.iter().any(|line| {
            line["admin"] == admin && line["command"] == command && line["phase"] == phase
        });
        assert!(found, "{admin} {command} {phase} in {log:#?}");
    }
    let deleted = log.iter().find(|line| line["command"] == "delete-key");
    assert_eq!(deleted.expect("a line")["requestedBy"], "alice");

    // Tokens outlive the server; what takes two takes a server.
    server.terminate();
    server.wait(LIMIT);
    let told = here.refused(&["key", "delete", "archive", "--force"]);
    assert!(told.contains("the server has to run"), "{told}");
    let _server = here.serve();
    let (worked, told) = remote(&bob, &["key", "list"]);
    assert!(worked && told.contains("archive"), "{told}");
    here.refused_as(&bob, &["admin", "remove", "alice"]);
    let id = here.only_request("admins", "bob");
    here.succeed_as(&here.token("carol"), &["approve", &id]);
    let (worked, told) = remote(&alice, &["key", "list"]);
    assert!(!worked && told.contains("none of an admin"), "{told}");
}

/// A configuration and what is beside it.
struct Place<'f> {
    folder: &'f Path,
    api: SocketAddr,
    admin: SocketAddr,
}

impl<'f> Place<'f> {
    fn prepare(folder: &'f Path) -> Self {
        let [api, admin] = [(); 2].map(|()| (Ipv4Addr::LOCALHOST, free_port()).into());
        let here = Self { folder, api, admin };
        let config = format!(
            "listen = \"{api}\"\n\
             [tls]\ncertificate_file = \"{}\"\nprivate_key_file = \"{}\"\n\
             [drain]\ndelay = \"0s\"\n\
             [admin]\nlisten = \"{admin}\"\n\
             [approval]\noperations = [\"delete-key\", \"export-backup\", \"unblock\"]\n\
             [audit]\nfolder = \"audit\"\nkey_file = \"audit.key\"\n\
             [key_managers.embedded]\ntype = \"embedded\"\ndata_dir = \"data\"\n\
             [[key_stores]]\nuri_path_prefix = \"\"\nkey_manager = \"embedded\"\n",
            certificates::path("server-ecdsa.crt.pem").display(),
            certificates::path("server-ecdsa.test-key.pem").display(),
        );
        std::fs::write(here.config(), config).expect("a file of ours");
        here.succeed(&["init", "--no-credential"]);
        for key in ["payroll", "archive"] {
            here.succeed(&["key", "create", key]);
        }
        here
    }

    fn config(&self) -> String {
        self.folder.join("xks-proxy.toml").display().to_string()
    }

    fn token(&self, name: &str) -> String {
        let path = self.folder.join(format!("{name}.token"));
        path.display().to_string()
    }

    fn serve(&self) -> Process {
        let mut process = Process::start(&mut xks_proxy(&["serve", "--config", &self.config()]));
        process.wait_until("open ports", LIMIT, |_| {
            let all = [self.api, self.admin].map(Connection::plain);
            all.iter().all(Result::is_ok).then_some(())
        });
        process
    }

    /// Commands that know no configuration are left alone.
    fn with_config(&self, arguments: &[&str]) -> Vec<String> {
        let mut all: Vec<_> = arguments.iter().map(|a| (*a).to_owned()).collect();
        if arguments.get(1) != Some(&"token") {
            all.extend(["--config".to_owned(), self.config()]);
        }
        all
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let all = self.with_config(arguments);
        succeed(&all.iter().map(|a| &**a).collect::<Vec<_>>())
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let all = self.with_config(arguments);
        refused(&all.iter().map(|a| &**a).collect::<Vec<_>>())
    }

    fn succeed_as(&self, token: &str, arguments: &[&str]) -> String {
        self.succeed(&[arguments, &["--token-file", token]].concat())
    }

    fn refused_as(&self, token: &str, arguments: &[&str]) -> String {
        self.refused(&[arguments, &["--token-file", token]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.succeed(arguments)).expect("JSON")
    }

    /// The id of the one request that waits.
    fn only_request(&self, operation: &str, by: &str) -> String {
        let waiting = self.json(&["approvals", "list", "--json"]);
        assert_eq!(waiting.as_array().map(Vec::len), Some(1), "{waiting}");
        assert_eq!(waiting[0]["operation"], operation);
        assert_eq!(waiting[0]["requested_by"], by);
        waiting[0]["id"].as_str().expect("an id").to_owned()
    }

    fn audit_log(&self) -> Vec<Value> {
        wait_for("the audit log", LIMIT, || {
            let mut lines = Vec::new();
            for entry in std::fs::read_dir(self.folder.join("audit")).ok()? {
                let text = std::fs::read_to_string(entry.ok()?.path()).unwrap_or_default();
                lines.extend(
                    text.lines()
                        .filter_map(|line| serde_json::from_str(line).ok()),
                );
            }
            let of_admins = |line: &Value| line["event"] == "admin";
            let lines: Vec<Value> = lines.into_iter().filter(of_admins).collect();
            (!lines.is_empty()).then_some(lines)
        })
    }
}

const LIMIT: Duration = Duration::from_secs(60);
