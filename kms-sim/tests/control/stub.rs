//! `kms-sim stub-proxy`, the program, in front of a simulator.

use std::process::Command;
use std::time::Duration;

use harness::process::Process;
use kms_sim::stub_proxy::Script;
use kms_sim::{Config, Resolve};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::simulator::Simulator;

struct Stub {
    _process: Process,
    env: String,
    ca: CertificateDer<'static>,
}

impl Stub {
    fn start(script: &str, dir: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kms-sim"));
        command.args(["stub-proxy", "--listen", "127.0.0.1:0", "--script", script]);
        let mut process = Process::start(command.arg("--dir").arg(dir));
        process.wait_until("it listens", Duration::from_secs(20), |process| {
            process.stdout().contains("listens on").then_some(())
        });
        Self {
            _process: process,
            env: std::fs::read_to_string(dir.join("env")).expect("an env file"),
            ca: CertificateDer::from_pem_file(dir.join("ca.pem")).expect("a certificate"),
        }
    }

    fn env(&self, name: &str) -> &str {
        let mut lines = self.env.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.expect("a line of env")
    }

    fn simulator(&self) -> Simulator {
        Simulator::start(Config {
            transition: Duration::ZERO,
            resolve: vec![Resolve {
                host: "xks.test".to_owned(),
                address: self.env("XKS_PROXY_ADDRESS").parse().expect("an address"),
            }],
            trust_ca: vec![self.ca.clone()],
            ..Config::default()
        })
    }

    fn store_input(&self) -> Value {
        json!({
            "CustomKeyStoreName": "stub",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyUriEndpoint": self.env("XKS_PROXY_URI_ENDPOINT"),
            "XksProxyUriPath": self.env("XKS_PROXY_URI_PATH"),
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": self.env("XKS_ACCESS_KEY_ID"),
                "RawSecretAccessKey": self.env("XKS_SECRET_ACCESS_KEY"),
            },
        })
    }
}

#[test]
fn the_example_does_what_its_comments_say() {
    let dir = harness::temp_dir();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/stub-proxy.example.toml");
    let stub = Stub::start(example, dir.path());
    let simulator = stub.simulator();
    let created = simulator.ok("CreateCustomKeyStore", stub.store_input());
    let store = created["CustomKeyStoreId"].as_str().unwrap();
    simulator.connect(store);
    let create = |id: &str| {
        let input =
            json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": id});
        simulator.kms("CreateKey", input)
    };
    let key = create("demo").unwrap()["KeyMetadata"]["KeyId"].clone();
    for (id, exception) in [
        ("disabled", "XksKeyInvalidConfigurationException"),
        ("encrypt-only", "XksKeyInvalidConfigurationException"),
        ("small", "XksKeyInvalidConfigurationException"),
        ("absent", "XksKeyNotFoundException"),
        ("nothing", "CustomKeyStoreInvalidStateException"),
    ] {
        assert_eq!(create(id).unwrap_err().0, exception, "{id}");
    }
    let encrypt = json!({"KeyId": key, "Plaintext": "aGVsbG8="});
    let blob = simulator.ok("Encrypt", encrypt)["CiphertextBlob"].clone();
    let (exception, message) = simulator
        .kms(
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
        )
        .unwrap_err();
    assert_eq!(exception, "KMSInvalidStateException");
    assert!(message.contains("very high request rate"), "{message}");
    assert!(!message.contains("for the log"), "{message}");
    let decrypt = || simulator.kms("Decrypt", json!({"CiphertextBlob": blob}));
    // What is no HTTP ends the second connection; the third has a certificate that has expired.
    for what in [
        "cannot interpret",
        "cannot interpret",
        "cannot establish a TLS connection",
        "cannot communicate",
    ] {
        let (_, message) = decrypt().unwrap_err();
        assert!(message.contains(what), "{what}: {message}");
    }
    assert_eq!(decrypt().unwrap()["Plaintext"], "aGVsbG8=");
}

#[test]
fn a_script_in_json_counts_and_one_without_signatures_takes_any() {
    let dir = harness::temp_dir();
    let script = dir.path().join("script.json");
    let rules =
        json!([{"on": ["health"], "skip": 1, "times": 1, "error-name": "InternalException"}]);
    let text = json!({"verify-signatures": false, "rules": rules}).to_string();
    std::fs::write(&script, text).unwrap();
    let stub = Stub::start(script.to_str().unwrap(), dir.path());
    let simulator = stub.simulator();
    let mut input = stub.store_input();
    input["XksProxyAuthenticationCredential"]["RawSecretAccessKey"] = "A".repeat(43).into();
    let created = simulator.ok("CreateCustomKeyStore", input);
    let store = created["CustomKeyStoreId"].as_str().unwrap();
    assert_eq!(
        simulator.connection_outcome(store),
        "XKS_PROXY_INVALID_RESPONSE"
    );
    assert_eq!(simulator.connection_outcome(store), "CONNECTED");
}

#[test]
fn a_script_that_cannot_be_used_is_explained_with_its_place() {
    let dir = harness::temp_dir();
    for (name, text, expected) in [
        (
            "a.toml",
            "host = 1",
            "a.toml:1: host: found 1; expected a text",
        ),
        (
            "b.toml",
            "[[rules]]\non = [\"encrypts\"]\nclose = true",
            "b.toml:2: rules[0].on[0]: found \"encrypts\"; expected one of health, metadata, encrypt, decrypt",
        ),
        (
            "c.toml",
            "[[rules]]\non = [\"encrypt\"]",
            "c.toml:1: rules[0]: found no answer; expected delay-ms",
        ),
        (
            "d.toml",
            "[[rules]]\nclose = true\n[[rules]]\nclose = true\ndefect = \"empty\"",
            "d.toml:3: rules[1]: found more than one answer; expected one of: error-name",
        ),
        (
            "e.toml",
            "access-key-id = \"short\"",
            "access-key-id: found \"short\"; expected 20 to 30 of A-Z 2-7",
        ),
        (
            "f.toml",
            "uri-path = \"/x\"",
            "f.toml:1: uri-path: found \"/x\"; expected",
        ),
        (
            "g.json",
            "{\"rule\": []}",
            "g.json: rule: found an unknown field; expected one of host",
        ),
        (
            "h.toml",
            "[[keys]]\nid = \"a b\"",
            "h.toml:2: keys[0].id: found \"a b\"",
        ),
        (
            "l.json",
            "{\"second-credential\": \"ABCDEFGHIJKLMNOPQRST:s3cr3t\"}",
            "l.json: second-credential: found a text (not shown",
        ),
        (
            "m.json",
            "{\"second-credential\": [\"ABCDEFGHIJKLMNOPQRST\", \"s3cr3t\"]}",
            "m.json: second-credential: found a list; expected a table with access-key-id",
        ),
        (
            "n.json",
            "{\n\"host\": s3cr3t}",
            "n.json:2: found what is no JSON",
        ),
        (
            "o.json",
            "[\"s3cr3t\"]",
            "o.json: found another value; expected an object",
        ),
        (
            "p.json",
            "{\"instances\": [null]}",
            "p.json: found null in a list",
        ),
        ("j.toml", "secret-access-key = \"s3cr3t", "j.toml:1: "),
        (
            "k.toml",
            "secret-access-key = \"s3cr3t\"",
            "secret-access-key: found another text",
        ),
        (
            "i.toml",
            "[[rules]]\nstatus = 99",
            "i.toml:2: rules[0].status: found 99; expected a whole number from 200 to 599",
        ),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let error = Script::load(&file).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    assert!(Script::load(&dir.path().join("none.toml")).is_err());
}
