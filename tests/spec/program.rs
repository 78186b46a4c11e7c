//! The program: exit statuses, `dev`, signals, reload.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::https::Connection;
use harness::process::{Process, run};
use harness::programs::{DevEnv, DevProxy};
use harness::tls::TlsClient;
use harness::{binaries, certificates, free_port, temp_dir, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::proxy::read_certificates;

const LIMIT: Duration = Duration::from_secs(20);

pub fn encrypt() -> Value {
    json!({
        "requestMetadata": {
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Encrypt",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        },
        "plaintext": "SGVsbG8gV29ybGQh",
        "encryptionAlgorithm": "AES_GCM",
    })
}

#[test]
fn dev_keeps_what_it_made_and_says_how_to_call_it() {
    let folder = temp_dir();
    let mut proxy = DevProxy::start(folder.path());
    let sealed = proxy.env.call("keys/demo/encrypt", &encrypt());
    assert_eq!(sealed.status, 200);
    let first = std::fs::read_to_string(folder.path().join("env")).unwrap();
    for (key, status) in [
        ("encrypt-only", 200),
        ("decrypt-only", 400),
        ("no-usage", 400),
    ] {
        let response = proxy.env.call(&format!("keys/{key}/encrypt"), &encrypt());
        assert_eq!(response.status, status, "{key}");
    }
    proxy.restart();
    assert_eq!(
        std::fs::read_to_string(folder.path().join("env")).unwrap(),
        first
    );
    let mut decrypt = encrypt();
    decrypt.as_object_mut().unwrap().remove("plaintext");
    for (name, value) in sealed.json().as_object().unwrap() {
        decrypt[name] = value.clone();
    }
    let opened = proxy.env.call("keys/demo/decrypt", &decrypt);
    assert_eq!(opened.json(), json!({"plaintext": "SGVsbG8gV29ybGQh"}));
    let process = proxy.process();
    process.wait_until("how to call it", LIMIT, |process| {
        let told = process.stderr();
        (told.contains("--aws-sigv4") && told.contains("XKS_PROXY_ENDPOINT")).then_some(())
    });
    process.terminate();
    assert!(process.wait(LIMIT).success());
    let lines = process.stdout();
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["operation"], "Decrypt");
}

#[test]
fn the_curl_command_that_dev_prints_works() {
    if run(Command::new("curl").arg("--version"), LIMIT)
        .1
        .is_empty()
    {
        return harness::backend::missing("curl", "it is not installed");
    }
    let folder = temp_dir();
    let mut proxy = DevProxy::start(folder.path());
    // The proxy serves before it has told all.
    let command = proxy.process().wait_until("the command", LIMIT, |process| {
        let told = process.stderr();
        let begin = told.find("  . ")?;
        let end = told.find("\nNothing here")?;
        Some(told[begin..end].to_owned())
    });
    let (_, answer, errors) = run(Command::new("sh").args(["-c", &command]), LIMIT);
    let answer: Value = serde_json::from_str(&answer).expect(&errors);
    assert_eq!(answer["ekmFleetDetails"][0]["healthStatus"], "ACTIVE");
}

#[test]
fn a_wrong_configuration_is_told_whole_and_exits_with_2() {
    let folder = temp_dir();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "listen = 443\nport = 1\n").unwrap();
    let mut command = Command::new(binaries::xks_proxy());
    command.args(["serve", "--config"]).arg(&file);
    let (status, _, errors) = run(&mut command, LIMIT);
    assert_eq!(status.code(), Some(2));
    for part in [
        "x.toml:1: listen: 443",
        "x.toml:2: port: no such field",
        "key_stores",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    let (status, ..) = run(Command::new(binaries::xks_proxy()).arg("fly"), LIMIT);
    assert_eq!(status.code(), Some(2));
}

#[test]
fn check_tells_what_works_and_what_does_not() {
    let folder = temp_dir();
    let mut dev = DevProxy::start(folder.path());
    let file = folder.path().join("xks-proxy.toml");
    let check = |arguments: &[&str]| {
        let mut command = Command::new(binaries::xks_proxy());
        command
            .args(["check", "--json", "--config"])
            .arg(&file)
            .args(arguments);
        let (status, output, errors) = run(&mut command, LIMIT);
        let findings: Vec<Value> = serde_json::from_str(&output).expect(&errors);
        let texts = findings
            .iter()
            .map(|f| format!("{} {}", f["severity"], f["text"]));
        (status.code(), texts.collect::<Vec<_>>().join("\n"))
    };
    // The server has the store open, and is asked.
    let (status, text) = check(&["--host", "localhost"]);
    assert_eq!(status, Some(0), "{text}");
    for part in [
        "encrypts and decrypts in the running server in",
        "one credential",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    dev.process().terminate();
    dev.process().wait(LIMIT);
    let (status, text) = check(&["--host", "xks.test"]);
    assert_eq!(status, Some(0), "{text}");
    for part in [
        "for xks.test",
        "TLS13_AES_256_GCM_SHA384",
        "encrypts and decrypts in",
        "one credential",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (status, text) = check(&["--host", "xks.example.com"]);
    assert!(
        status == Some(1) && text.contains("expected xks.example.com"),
        "{text}"
    );
    let config = std::fs::read_to_string(&file).unwrap();
    let config = config.replace("/dev/tenant-a", "/dev/tenant-b") + "keys = [\"demo\", \"gone\"]\n";
    std::fs::write(&file, config).unwrap();
    let (status, text) = check(&[]);
    assert_eq!(
        status,
        Some(0),
        "nothing fails that is still to be made: {text}"
    );
    let to_make = "credential create --uri-path-prefix";
    for part in [
        "it has no credential",
        "xks-proxy kms link",
        to_make,
        "it lists the key gone, which is not there",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("the key demo,"), "{text}");
    let mut make = Command::new(binaries::xks_proxy());
    make.args(to_make.split(' '))
        .args(["/dev/tenant-b", "--config"])
        .arg(&file);
    let (status, _, errors) = run(&mut make, LIMIT);
    assert!(status.success(), "{errors}");
    let (_, text) = check(&[]);
    assert!(text.contains("it has one credential"), "{text}");
    std::fs::write(&file, "listen = 1\nnonsense = 2").unwrap();
    let (status, text) = check(&[]);
    assert_eq!(status, Some(2));
    for part in [":1: listen: ", ":2: nonsense: "] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// A folder that `dev` prepared, with a configuration to change, for `serve`.
pub struct Prepared {
    pub folder: tempfile::TempDir,
    pub env: DevEnv,
}

impl Prepared {
    pub fn new(change: impl Fn(&str) -> String) -> Self {
        let folder = temp_dir();
        let mut dev = DevProxy::start(folder.path());
        let mut env = dev.env.clone();
        dev.process().terminate();
        dev.process().wait(LIMIT);
        env.address = SocketAddr::new(env.address.ip(), free_port());
        std::fs::copy(
            folder.path().join("ca.pem"),
            folder.path().join("served-ca.pem"),
        )
        .unwrap();
        env.ca_file = folder.path().join("served-ca.pem");
        let text = format!(
            "listen = \"{}\"\n\n\
             [tls]\ncertificate_file = \"chain.pem\"\nprivate_key_file = \"key.pem\"\n\n\
             [drain]\ndelay = \"0s\"\ntimeout = \"5s\"\n\n\
             [key_managers.embedded]\ntype = \"embedded\"\ndata_dir = \".\"\n\n\
             [[key_stores]]\nuri_path_prefix = \"/dev/tenant-a\"\nkey_manager = \"embedded\"\n",
            env.address
        );
        std::fs::write(folder.path().join("served.toml"), change(&text)).unwrap();
        for (from, to) in [("tls-chain.pem", "chain.pem"), ("tls-key.pem", "key.pem")] {
            std::fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
        }
        Self { folder, env }
    }

    pub fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("served.toml")
    }
}

/// The same, served.
struct Served {
    folder: tempfile::TempDir,
    process: Process,
    env: DevEnv,
}

impl Served {
    fn start(change: impl Fn(&str) -> String) -> Self {
        let prepared = Prepared::new(change);
        let mut command = Command::new(binaries::xks_proxy());
        command.args(["serve", "--config"]).arg(prepared.config());
        let Prepared { folder, env } = prepared;
        let mut process = Process::start(&mut command);
        process.wait_until("an open port", LIMIT, |_| {
            Connection::plain(env.address).is_ok().then_some(())
        });
        Self {
            folder,
            process,
            env,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn install(&self, from: &Path, to: &str) {
        // As tools do it: a reader sees the old file or the new one.
        let new = self.path("new");
        std::fs::copy(from, &new).unwrap();
        std::fs::rename(&new, self.path(to)).unwrap();
    }

    fn shows(&self, certificate: &str) -> bool {
        let config = TlsClient::trusting(&certificates::path("root-ca.crt.pem")).config();
        let Ok(connection) = Connection::tls(self.env.address, "localhost", config) else {
            return false;
        };
        let shown = connection.session().unwrap().peer_certificates().unwrap();
        shown[0] == read_certificates(certificate)[0]
    }

    fn wait_for_log(&mut self, text: &str) {
        self.process.wait_until(text, LIMIT, |process| {
            process.stderr().contains(text).then_some(())
        });
    }
}

#[test]
fn hangup_reloads_and_a_wrong_configuration_changes_nothing() {
    let mut served = Served::start(|text| format!("{text}\n[reload]\npoll_interval = \"0s\"\n"));
    assert_eq!(served.env.call("keys/demo/encrypt", &encrypt()).status, 200);
    // A certificate without its key.
    served.install(&certificates::path("server-ecdsa.crt.pem"), "chain.pem");
    served.process.signal(Signal::HUP);
    served.wait_for_log("not reloaded, everything stays as it was");
    assert_eq!(served.env.call("keys/demo/encrypt", &encrypt()).status, 200);
    // With its key, and with fewer keys.
    served.install(&certificates::path("server-ecdsa.test-key.pem"), "key.pem");
    let text = std::fs::read_to_string(served.path("served.toml")).unwrap();
    let text = text.replace("[reload]", "keys = [\"encrypt-only\"]\n\n[reload]");
    std::fs::write(served.path("served.toml"), text).unwrap();
    served.process.signal(Signal::HUP);
    wait_for("the new certificate", LIMIT, || {
        served.shows("server-ecdsa.crt.pem").then_some(())
    });
    served.env.ca_file = certificates::path("root-ca.crt.pem");
    assert_eq!(served.env.call("keys/demo/encrypt", &encrypt()).status, 404);
    assert_eq!(
        served
            .env
            .call("keys/encrypt-only/encrypt", &encrypt())
            .status,
        200
    );
    // The command says what came of it.
    let mut reload = Command::new(binaries::xks_proxy());
    reload
        .args(["reload", "--config"])
        .arg(served.path("served.toml"));
    let (status, output, _) = run(&mut reload, LIMIT);
    assert!(
        status.success() && output.starts_with("reloaded\n"),
        "{output}"
    );
    let text = std::fs::read_to_string(served.path("served.toml")).unwrap();
    let text = text.replace("delay = \"0s\"", "delay = \"1s\"");
    std::fs::write(served.path("served.toml"), text).unwrap();
    let (status, output, _) = run(&mut reload, LIMIT);
    assert!(
        status.success() && output.contains("drain has changed"),
        "{output}"
    );
    served.install(&certificates::path("server-rsa.crt.pem"), "chain.pem");
    let (status, _, errors) = run(&mut reload, LIMIT);
    assert_eq!(status.code(), Some(1));
    assert!(
        errors.contains("served.toml") && errors.contains("tls"),
        "{errors}"
    );
    served.process.terminate();
    assert!(served.process.wait(LIMIT).success());
    let (status, _, errors) = run(&mut reload, LIMIT);
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("no server is running"), "{errors}");
    // The folder of the records is that of the state as well, and is named once.
    assert!(!errors.contains(" or "), "{errors}");
}

#[test]
fn a_file_that_changes_is_taken_up_without_a_word() {
    let served = Served::start(|text| format!("{text}\n[reload]\npoll_interval = \"1s\"\n"));
    served.install(&certificates::path("server-rsa.test-key.pem"), "key.pem");
    served.install(&certificates::path("server-rsa.crt.pem"), "chain.pem");
    wait_for("the new certificate", LIMIT, || {
        served.shows("server-rsa.crt.pem").then_some(())
    });
}
