//! `proxy/docs/kill-switch.md`: its commands as they are printed there, and its table of what KMS's callers see as it is
//! found here. `UPDATE_PAGES=1` writes what was found.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use harness::process::{Process, run};
use harness::{binaries, certificates, free_port, temp_dir, wait_for};
use serde_json::{Map, Value, json};

use crate::clients::{Client as _, RustSdk};
use crate::page::{Page, in_a_shell};
use crate::pages::shown::{commands, without_numbers};
use crate::stage::{Pace, Stage};

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let _alone = crate::alone();
    let ran =
        Page::read("proxy/docs/kill-switch.md").run("the_commands_of_the_page_do_what_it_says");
    ran.says(&[
        "demo is blocked in embedded",
        "BLOCKED since",
        ": leaver's laptop, INC-1234",
        "all is unblocked in embedded",
        "under attack",
        "demo    alice",
    ]);
}

#[test]
fn admins_elsewhere_and_two_of_them_do_as_the_page_says() {
    let _alone = crate::alone();
    let page = Page::read("proxy/docs/kill-switch.md");
    let mut share = page.share("admins_elsewhere_and_two_of_them_do_as_the_page_says");
    let (api, admin) = (free_port(), free_port());
    let [approval] = *page.blocks("toml") else {
        panic!("one configuration");
    };
    let folder = temp_dir();
    let config = format!(
        "listen = \"127.0.0.1:{api}\"\n[tls]\ncertificate_file = \"{}\"\nprivate_key_file = \"{}\"\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n{approval}\
         [key_managers.embedded]\ntype = \"embedded\"\ndata_dir = \"data\"\n\
         [[key_stores]]\nuri_path_prefix = \"/tenant-a\"\nkey_manager = \"embedded\"\n",
        certificates::path("server-ecdsa.crt.pem").display(),
        certificates::path("server-ecdsa.test-key.pem").display(),
    );
    std::fs::write(folder.path().join("xks-proxy.toml"), config).unwrap();
    std::fs::copy(
        certificates::path("root-ca.crt.pem"),
        folder.path().join("ca.pem"),
    )
    .unwrap();
    let bash = |command: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", command]);
        let bash = in_a_shell(&mut bash, folder.path()).env("XKS_PROXY_CONFIG", "xks-proxy.toml");
        run(bash, Duration::from_secs(60))
    };
    let succeeds = |command: &str| {
        let (status, stdout, stderr) = bash(command);
        assert!(status.success(), "{command}: {stdout}{stderr}");
        stdout + &stderr
    };
    succeeds("xks-proxy init --no-credential");
    let mut serve = Command::new(binaries::xks_proxy());
    let mut server = Process::start(
        serve
            .args(["serve", "--config"])
            .arg(folder.path().join("xks-proxy.toml")),
    );
    server.wait_until("both ports", Duration::from_secs(60), |_| {
        [api, admin]
            .iter()
            .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
            .then_some(())
    });
    succeeds(
        "xks-proxy admin create alice --to alice.token\nxks-proxy admin create bob --to bob.token",
    );

    let block = share
        .next()
        .replace("xks.example.com:8444", &format!("localhost:{admin}"));
    succeeds(&block);
    assert!(succeeds("xks-proxy blocks").contains("under attack"));
    let shown = commands(share.next());
    let [(unblock, needs), (list, _), (approve, _)] = &*shown else {
        panic!("three commands");
    };
    let (status, _, stderr) = bash(unblock);
    assert!(!status.success());
    assert_eq!(without_numbers(&stderr), without_numbers(needs));
    let id = |said: &str| {
        let (_, rest) = said
            .split_once("approve ")
            .expect("the command of the other admin");
        rest.split([' ', '`']).next().unwrap_or_default().to_owned()
    };
    assert!(succeeds(list).contains(&id(&stderr)));
    succeeds(&approve.replace(&id(approve), &id(&stderr)));
    assert!(!succeeds("xks-proxy blocks").contains("under attack"));
}

#[test]
fn the_table_of_what_callers_see_is_what_they_see() {
    let _alone = crate::alone();
    let pace = Pace {
        transition: Duration::from_millis(50),
        proxy_timeout: Duration::from_secs(5),
    };
    let stage = Stage::start(&pace);
    let mut kms = Kms {
        client: RustSdk::new(stage.endpoint_url()),
        store: Value::Null,
        key: Value::Null,
        blob: Value::Null,
        looks: 0,
    };
    kms.link(&stage);
    let before = kms.look(&stage);

    proxy(&stage, &["block", "all", "--reason", "drill"]);
    let blocked = kms.look(&stage);
    let bytes = stage.counts();
    kms.call_twice();
    let blocked_reaches = yes(stage.counts() != bytes);
    proxy(&stage, &["unblock", "all"]);
    let unblocked = kms.look(&stage);
    assert_eq!(unblocked, before);

    kms.call_store("DisconnectCustomKeyStore");
    kms.wait_for_state("DISCONNECTED");
    let disconnected = kms.look(&stage);
    let bytes = stage.counts();
    kms.call_twice();
    let disconnected_reaches = yes(stage.counts() != bytes);

    let mut table = HEAD.to_owned();
    for (row, (blocked, disconnected)) in ROWS.iter().zip(blocked.iter().zip(&disconnected)) {
        table.push_str(&format!("| {row} | {blocked} | {disconnected} |\n"));
    }
    table.push_str(&format!(
        "| does a call reach the proxy | {blocked_reaches} | {disconnected_reaches} |\n"
    ));
    // What brings the service back; a store that is blocked does not connect, and does once it is not.
    proxy(&stage, &["block", "all", "--reason", "drill"]);
    kms.call_store("ConnectCustomKeyStore");
    let state = kms.wait_for_state("FAILED");
    let code = state["ConnectionErrorCode"].as_str().unwrap_or_default();
    proxy(&stage, &["unblock", "all"]);
    kms.call_store("DisconnectCustomKeyStore");
    kms.wait_for_state("DISCONNECTED");
    kms.call_store("ConnectCustomKeyStore");
    kms.wait_for_state("CONNECTED");
    assert_eq!(kms.look(&stage), before);
    table.push_str(&format!(
        "| ConnectCustomKeyStore of a store that is disconnected | FAILED, {code} | CONNECTED |\n"
    ));
    compare(&table);
}

const HEAD: &str =
    "| what is asked of KMS | `xks-proxy block all` | DisconnectCustomKeyStore |\n|---|---|---|\n";

const ROWS: [&str; 8] = [
    "Encrypt",
    "Decrypt",
    "GenerateDataKey",
    "CreateKey in the store",
    "DescribeKey, KeyState",
    "DescribeCustomKeyStores, ConnectionState",
    "DescribeKey of the alias",
    "UpdateKeyDescription",
];

struct Kms {
    client: RustSdk,
    store: Value,
    key: Value,
    blob: Value,
    looks: usize,
}

impl Kms {
    fn link(&mut self, stage: &Stage) {
        let description = stage.description();
        let made = self.call(
            "CreateCustomKeyStore",
            json!({
                "CustomKeyStoreName": "switch",
                "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
                "XksProxyConnectivity": "PUBLIC_ENDPOINT",
                "XksProxyUriEndpoint": description["proxy_uri_endpoint"],
                "XksProxyUriPath": description["proxy_uri_path"],
                "XksProxyAuthenticationCredential": {
                    "AccessKeyId": description["access_key_id"],
                    "RawSecretAccessKey": description["secret_access_key"],
                },
            }),
        );
        self.store = made.unwrap()["CustomKeyStoreId"].clone();
        let store = json!({"CustomKeyStoreId": self.store});
        self.call("ConnectCustomKeyStore", store).unwrap();
        self.wait_for_state("CONNECTED");
        let key = self.call("CreateKey", self.new_key("demo")).unwrap();
        self.key = key["KeyMetadata"]["KeyId"].clone();
        let alias = json!({"AliasName": "alias/demo", "TargetKeyId": self.key});
        self.call("CreateAlias", alias).unwrap();
        let encrypt = json!({"KeyId": self.key, "Plaintext": "SGVsbG8="});
        self.blob = self.call("Encrypt", encrypt).unwrap()["CiphertextBlob"].clone();
    }

    fn new_key(&self, id: &str) -> Value {
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": self.store, "XksKeyId": id})
    }

    /// What each row shows.
    fn look(&mut self, stage: &Stage) -> Vec<String> {
        let (key, blob, store) = (self.key.clone(), self.blob.clone(), self.store.clone());
        let mut cells = Vec::new();
        let mut cell = |result: Result<Value, String>, path: &str| {
            cells.push(match result {
                Err(exception) => format!("`{exception}`"),
                Ok(_) if path.is_empty() => "works".to_owned(),
                Ok(answer) => answer
                    .pointer(path)
                    .and_then(Value::as_str)
                    .unwrap()
                    .to_owned(),
            });
        };
        cell(
            self.call("Encrypt", json!({"KeyId": key, "Plaintext": "SGVsbG8="})),
            "",
        );
        cell(self.call("Decrypt", json!({"CiphertextBlob": blob})), "");
        let data_key = json!({"KeyId": key, "KeySpec": "AES_256"});
        cell(self.call("GenerateDataKey", data_key), "");
        // A key that the proxy has and KMS does not know yet.
        self.looks += 1;
        let id = format!("look-{}", self.looks);
        proxy(stage, &["key", "create", &id]);
        cell(self.call("CreateKey", self.new_key(&id)), "");
        let described = self.call("DescribeKey", json!({"KeyId": key}));
        cell(described, "/KeyMetadata/KeyState");
        let stores = self.call(
            "DescribeCustomKeyStores",
            json!({"CustomKeyStoreId": store}),
        );
        cell(stores, "/CustomKeyStores/0/ConnectionState");
        cell(self.call("DescribeKey", json!({"KeyId": "alias/demo"})), "");
        let description = json!({"KeyId": key, "Description": "a key"});
        cell(self.call("UpdateKeyDescription", description), "");
        cells
    }

    /// Makes two calls, whatever comes of them.
    fn call_twice(&mut self) {
        let (key, blob) = (self.key.clone(), self.blob.clone());
        let _ = self.call("Encrypt", json!({"KeyId": key, "Plaintext": "SGVsbG8="}));
        let _ = self.call("Decrypt", json!({"CiphertextBlob": blob}));
    }

    fn call_store(&mut self, operation: &str) {
        let store = json!({"CustomKeyStoreId": self.store});
        self.call(operation, store).expect(operation);
    }

    fn call(&mut self, operation: &str, input: Value) -> Result<Value, String> {
        let input: Map<String, Value> = input.as_object().expect("an object").clone();
        let answer = self.client.call(operation, &input);
        answer.map_err(|e| e.name.clone().unwrap_or_else(|| format!("{e:?}")))
    }

    fn wait_for_state(&mut self, state: &str) -> Value {
        let store = json!({"CustomKeyStoreId": self.store});
        wait_for(state, Duration::from_secs(30), || {
            let stores = self.call("DescribeCustomKeyStores", store.clone());
            let found = stores.ok()?["CustomKeyStores"][0].clone();
            (found["ConnectionState"] == state).then_some(found)
        })
    }
}

fn yes(reaches: bool) -> &'static str {
    if reaches { "yes" } else { "no" }
}

fn proxy(stage: &Stage, arguments: &[&str]) {
    let mut command = Command::new(binaries::xks_proxy());
    command
        .args(arguments)
        .arg("--config")
        .arg(stage.proxy_config());
    let (status, stdout, stderr) = run(&mut command, Duration::from_secs(60));
    assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
}

fn path() -> std::path::PathBuf {
    harness::workspace().join("proxy/docs/kill-switch.md")
}

fn page() -> String {
    std::fs::read_to_string(path()).unwrap()
}

fn compare(table: &str) {
    let page = page();
    let (before, rest) = page.split_once(BEGIN).expect("the beginning of the table");
    let (printed, after) = rest.split_once(END).expect("the end of the table");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        let page = [before, BEGIN, table, END, after].concat();
        std::fs::write(path(), page).unwrap();
        return;
    }
    assert_eq!(printed, table, "UPDATE_PAGES=1 writes what was found");
}

const BEGIN: &str = "<!-- kill switch: begin -->\n";
const END: &str = "<!-- kill switch: end -->";
