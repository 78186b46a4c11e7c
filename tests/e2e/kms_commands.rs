//! `xks-proxy kms …` against kms-sim, with a proxy that runs: what it makes is looked at with the AWS SDK.

use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::binaries;
use harness::process::{Process, run};
use serde_json::{Map, Value, json};

use crate::clients::{Client, RustSdk};
use crate::scenario::PACE;
use crate::stage::{REGION, Stage};

/// The commands, as somebody runs them beside the proxy of a stage.
pub(crate) struct Commands<'s>(&'s Stage);

impl<'s> Commands<'s> {
    pub(crate) fn of(stage: &'s Stage) -> Self {
        Self(stage)
    }

    /// `xks-proxy ARGUMENTS --config FILE`, with credentials, Region and endpoint in the environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::xks_proxy());
        command
            .args(arguments)
            .arg("--config")
            .arg(self.0.proxy_config())
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_REGION", REGION)
            .env("AWS_ENDPOINT_URL_KMS", self.0.endpoint_url())
            .env("HOME", "/nonexistent");
        for other in ["AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SESSION_TOKEN"] {
            command.env_remove(other);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (ExitStatus, String, String) {
        run(&mut self.command(arguments), LIMIT)
    }

    /// Its standard output, if it succeeds.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(arguments);
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let stdout = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&stdout).expect(&stdout)
    }

    /// Everything that it says, if it fails.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(arguments);
        assert_eq!(status.code(), Some(1), "{arguments:?}: {stdout}{stderr}");
        format!("{stdout}{stderr}")
    }

    pub(crate) fn link(&self) -> String {
        let linked = self.json(&["kms", "link", "--uri-endpoint", ENDPOINT]);
        assert_eq!(linked["connection_state"], "CONNECTED", "{linked}");
        text(&linked["custom_key_store_id"])
    }

    /// The access key ids that the proxy takes.
    pub(crate) fn credentials(&self) -> Vec<String> {
        let list = self.json(&["credential", "list"]);
        let list = list.as_array().expect("a list").iter();
        let mut ids: Vec<_> = list.map(|c| text(&c["access_key_id"])).collect();
        ids.sort_unstable();
        ids
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

pub(crate) fn object(members: Value) -> Map<String, Value> {
    members.as_object().expect("an object").clone()
}

/// The one store of the account, as KMS describes it.
fn store(kms: &mut RustSdk) -> Value {
    let stores = kms.call("DescribeCustomKeyStores", &Map::new()).unwrap();
    stores["CustomKeyStores"][0].clone()
}

pub(crate) fn signs_with(kms: &mut RustSdk) -> String {
    text(&store(kms)["XksProxyConfiguration"]["AccessKeyId"])
}

#[test]
fn a_key_store_is_linked_once_and_its_keys_are_made() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let mut kms = RustSdk::new(stage.endpoint_url());
    let before = commands.credentials();

    let linked = commands.json(&["kms", "link", "--uri-endpoint", ENDPOINT, "--name", "nile"]);
    assert_eq!(linked["created"], true);
    assert_eq!(linked["connection_state"], "CONNECTED");
    let there = store(&mut kms);
    assert_eq!(there["CustomKeyStoreId"], linked["custom_key_store_id"]);
    assert_eq!(there["CustomKeyStoreName"], "nile");
    assert_eq!(
        there["XksProxyConfiguration"]["Connectivity"],
        "PUBLIC_ENDPOINT"
    );
    assert_eq!(
        there["XksProxyConfiguration"]["UriPath"],
        "/dev/tenant-a/kms/xks/v1"
    );
    // It has a credential of its own.
    let own = text(&linked["access_key_id"]);
    assert!(!before.contains(&own));
    assert_eq!(there["XksProxyConfiguration"]["AccessKeyId"], *own);

    let again = commands.json(&["kms", "link", "--uri-endpoint", ENDPOINT]);
    assert_eq!(again["created"], false);
    assert_eq!(again["custom_key_store_id"], linked["custom_key_store_id"]);
    assert_eq!(commands.credentials().len(), before.len() + 1);

    let create = ["kms", "create-key", "demo", "--alias", "payroll"];
    let made = commands.json(&create);
    assert_eq!(made["created"], true);
    let encrypted = kms.call(
        "Encrypt",
        &object(json!({"KeyId": "alias/payroll", "Plaintext": "SGVsbG8="})),
    );
    assert_eq!(encrypted.unwrap()["KeyId"], made["arn"]);
    let again = commands.json(&create);
    assert_eq!(again["created"], false);
    assert_eq!(again["arn"], made["arn"]);

    commands.ok(&["key", "create", "other"]);
    let failed = commands.fails(&["kms", "create-key", "other", "--alias", "payroll"]);
    assert!(failed.contains("AlreadyExistsException"), "{failed}");
    assert!(failed.contains("aws kms update-alias"), "{failed}");
    for (key, expected) in [
        ("nobody", "xks-proxy key create nobody"),
        ("encrypt-only", "not for both encryption and decryption"),
    ] {
        let failed = commands.fails(&["kms", "create-key", key]);
        assert!(failed.contains(expected), "{failed}");
    }
}

#[test]
fn status_compares_both_sides_and_says_why_a_key_cannot_be_used() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    commands.link();
    commands.ok(&["kms", "create-key", "demo"]);

    let status = commands.json(&["kms", "status"]);
    assert_eq!(status["problems"], json!([]));
    assert_eq!(status["custom_key_store"]["connection_state"], "CONNECTED");
    let credentials = status["credentials"].as_array().unwrap();
    let in_kms: Vec<_> = credentials.iter().filter(|c| c["in_kms"] == true).collect();
    assert_eq!(in_kms.len(), 1, "{status}");
    assert_eq!(in_kms[0]["age_days"], 0);
    // KMS has asked the proxy with it.
    assert!(in_kms[0]["last_used"].is_string(), "{status}");
    let key = |status: &Value, name: &str| {
        let mut keys = status["keys"].as_array().unwrap().iter();
        keys.find(|key| key["external_key"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(key(&status, "demo")["kms_key_state"], "Enabled");
    let none = key(&status, "no-usage");
    assert_eq!(none["kms_key_arn"], Value::Null);
    assert!(
        text(&none["note"]).contains("no KMS key can have it"),
        "{none}"
    );

    commands.ok(&["key", "disable", "demo"]);
    let said = commands.fails(&["kms", "status"]);
    assert!(said.contains("the external key demo is disabled"), "{said}");
    commands.ok(&["key", "enable", "demo"]);
    commands.ok(&["key", "delete", "demo", "--force"]);
    let said = commands.fails(&["kms", "status"]);
    assert!(said.contains("the proxy has no key demo"), "{said}");
    assert!(said.contains("one problem"), "{said}");

    commands.ok(&["kms", "disconnect"]);
    let said = commands.fails(&["kms", "status"]);
    assert!(said.contains("is DISCONNECTED"), "{said}");
    assert!(said.contains("Unavailable"), "{said}");
    commands.ok(&["key", "create", "late"]);
    let said = commands.fails(&["kms", "create-key", "late"]);
    assert!(said.contains("xks-proxy kms connect"), "{said}");
    assert!(commands.ok(&["kms", "connect"]).contains("is CONNECTED"));
}

#[test]
fn r35_a_credential_is_rotated_under_load_without_a_failed_request() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let mut kms = RustSdk::new(stage.endpoint_url());
    commands.link();
    let key = commands.json(&["kms", "create-key", "demo"])["arn"].clone();
    let old = signs_with(&mut kms);
    let unrelated: Vec<_> = commands.credentials();

    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rotated = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut kms = RustSdk::new(stage.endpoint_url());
            let input = object(json!({"KeyId": key, "Plaintext": "SGVsbG8="}));
            while !done.load(Ordering::Relaxed) {
                kms.call("Encrypt", &input).expect("no request fails");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (status, stdout, stderr) =
            commands.run(&["kms", "rotate-credential", "--quiet-for", "2s", "--json"]);
        done.store(true, Ordering::Relaxed);
        load.join().expect("no request fails");
        assert!(status.success(), "{stdout}{stderr}");
        for step in ["1/4", "2/4", "3/4", "4/4"] {
            assert!(stderr.contains(step), "{stderr}");
        }
        serde_json::from_str::<Value>(&stdout).unwrap()
    });
    assert!(calls.load(Ordering::Relaxed) > 10);
    assert_eq!(rotated["old"], *old);
    assert_eq!(rotated["revoked"], true);
    let new = signs_with(&mut kms);
    assert_eq!(rotated["new"], *new);
    let mut expected: Vec<_> = unrelated.into_iter().filter(|id| *id != old).collect();
    expected.push(new);
    expected.sort_unstable();
    assert_eq!(commands.credentials(), expected);
}

#[test]
fn an_interrupted_rotation_goes_on_where_it_was() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let mut kms = RustSdk::new(stage.endpoint_url());
    let id = commands.link();
    let old = signs_with(&mut kms);

    // After KMS has the new one: both are good until the next run is through.
    let waiting = [
        "kms",
        "rotate-credential",
        "--quiet-for",
        "1h",
        "--wait",
        "1h",
    ];
    let mut interrupted = Process::start(&mut commands.command(&waiting));
    interrupted.wait_until("the third step", LIMIT, |p| {
        p.stderr().contains("3/4").then_some(())
    });
    let said = commands.fails(&["kms", "rotate-credential"]);
    assert!(said.contains("is under way"), "{said}");
    interrupted.kill();
    let new = signs_with(&mut kms);
    assert_ne!(new, old);
    assert!(
        [&old, &new]
            .iter()
            .all(|id| commands.credentials().contains(id))
    );
    // One that does not wait long enough revokes nothing, either.
    let said = commands.fails(&[
        "kms",
        "rotate-credential",
        "--quiet-for",
        "1h",
        "--wait",
        "1s",
    ]);
    assert!(said.contains("Going on"), "{said}");
    assert!(said.contains("Nothing is revoked"), "{said}");
    assert!(commands.credentials().contains(&old));
    let rotated = commands.json(&["kms", "rotate-credential", "--quiet-for", "1s"]);
    assert_eq!(
        (&rotated["old"], &rotated["new"]),
        (&json!(old), &json!(new))
    );
    assert!(!commands.credentials().contains(&old));

    // Before KMS has it: nobody knows the secret any more, so it goes, and another one is made.
    let create = ["credential", "create", "--uri-path-prefix", "/dev/tenant-a"];
    let orphan = commands.json(&create);
    let orphan = text(&orphan["XksProxyAuthenticationCredential"]["AccessKeyId"]);
    let record = stage
        .proxy_config()
        .with_file_name(format!("rotation-{id}.json"));
    assert!(!record.exists());
    let written = json!({"custom_key_store_id": id, "old": new, "new": orphan});
    std::fs::write(&record, written.to_string()).unwrap();
    let rotated = commands.json(&["kms", "rotate-credential", "--quiet-for", "1s"]);
    assert_eq!(rotated["old"], *new);
    assert_eq!(rotated["new"], *signs_with(&mut kms));
    let left = commands.credentials();
    assert!(!left.contains(&orphan) && !left.contains(&new), "{left:?}");
    assert!(!record.exists());
}

#[test]
fn credentials_in_files_are_given_and_exchanged() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let mut kms = RustSdk::new(stage.endpoint_url());
    let folder = harness::temp_dir();
    let file = |name: &str, prefix: &str| {
        let path = folder.path().join(name).display().to_string();
        let create = [
            "credential",
            "create",
            "--uri-path-prefix",
            prefix,
            "--to",
            &path,
        ];
        commands.ok(&create);
        let made: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (
            path,
            text(&made["XksProxyAuthenticationCredential"]["AccessKeyId"]),
        )
    };
    let (foreign, _) = file("foreign.json", "/elsewhere");
    let (first, first_id) = file("first.json", "/dev/tenant-a");
    let (second, second_id) = file("second.json", "/dev/tenant-a");
    let count = commands.credentials().len();

    let link = ["kms", "link", "--uri-endpoint", ENDPOINT, "--credential"];
    let (status, _, stderr) = commands.run(&[&link[..], &[&foreign]].concat());
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("is for /elsewhere/kms/xks/v1"), "{stderr}");
    commands.ok(&[&link[..], &[&first]].concat());
    assert_eq!(signs_with(&mut kms), first_id);
    commands.ok(&["kms", "create-key", "demo"]);
    commands.ok(&["kms", "rotate-credential", "--credential", &second]);
    assert_eq!(signs_with(&mut kms), second_id);
    // Files are their owner's: nothing was made, nothing revoked.
    assert_eq!(commands.credentials().len(), count);
}

pub(crate) const ENDPOINT: &str = "https://xks.test";
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
