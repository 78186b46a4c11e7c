//! `serve --seed`: the program itself, with a proxy.

use std::time::Duration;

use kms_sim::stub_proxy::{ACCESS_KEY_ID, HOST, SECRET_ACCESS_KEY, StubProxy, URI_PATH};
use serde_json::json;

use crate::program::{Program, command};

const STORE: &str = "cks-0123456789abcdef0";
const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

fn seed() -> String {
    format!(
        "[[custom-key-stores]]\nid = \"{STORE}\"\nname = \"stub\"\nconnected = true\n\
         uri-endpoint = \"https://{HOST}\"\nuri-path = \"{URI_PATH}\"\naccess-key-id = \"{ACCESS_KEY_ID}\"\n\
         secret-access-key = \"{SECRET_ACCESS_KEY}\"\n\
         [[keys]]\nid = \"{KEY}\"\ncustom-key-store = \"{STORE}\"\nxks-key-id = \"demo\"\n"
    )
}

#[test]
fn stores_are_connected_before_the_program_says_that_it_listens() {
    let proxy = StubProxy::start();
    let folder = harness::temp_dir();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("seed.toml"), seed()).expect("it can be written");
    std::fs::write(path("ca.pem"), proxy.ca_pem()).expect("it can be written");
    let arguments = [
        &format!("--seed={}", path("seed.toml")),
        &format!("--trust-ca={}", path("ca.pem")),
        &format!("--resolve={HOST}={}", proxy.address()),
    ];
    let arguments: Vec<&str> = arguments.iter().map(|text| text.as_str()).collect();
    let data = folder.path().join("data");
    let mut program = Program::start(&data, &arguments);
    let mut client = program.client();
    // The very first request.
    let input = json!({"KeyId": KEY, "Plaintext": "c2VjcmV0"});
    let ciphertext = client.ok("Encrypt", &input)["CiphertextBlob"].clone();
    client.ok(
        "UpdateKeyDescription",
        &json!({"KeyId": KEY, "Description": "changed"}),
    );
    program.process.kill();

    // The folder has a state now, which counts.
    let program = Program::start(&data, &arguments);
    let mut client = program.client();
    let key = client.ok("DescribeKey", &json!({"KeyId": KEY}));
    assert_eq!(key["KeyMetadata"]["Description"], "changed");
    assert_eq!(key["KeyMetadata"]["KeyState"], "Enabled");
    client.ok("Decrypt", &json!({"CiphertextBlob": ciphertext}));
}

#[test]
fn a_seed_that_cannot_be_used_ends_the_program_and_leaves_nothing() {
    let folder = harness::temp_dir();
    let file = folder.path().join("seed.toml");
    let data = folder.path().join("data");
    let nobody = format!("--resolve={HOST}=127.0.0.1:{}", harness::free_port());
    let seed_file = format!("--seed={}", file.display());
    let run_for = |seconds: u32, text: &str| {
        std::fs::write(&file, text).expect("it can be written");
        let timeout = format!("--seed-connect-timeout={seconds}");
        let arguments = [&*seed_file, &*timeout, &*nobody];
        let mut command = command(&data, &arguments);
        let (status, stdout, stderr) = harness::process::run(&mut command, Duration::from_secs(60));
        assert!(!status.success() && !stdout.contains("listens"), "{stdout}");
        stderr
    };
    let run = |text| run_for(0, text);
    let stderr = run("[[keys]]\nid = \"x\"\n[[keys]]\nid = \"y\"\n");
    assert!(
        stderr.contains("2 problems") && stderr.contains("keys[1].id"),
        "{stderr}"
    );
    let stderr = run(&seed());
    assert!(stderr.contains("XKS_PROXY_NOT_REACHABLE"), "{stderr}");
    assert!(
        stderr.contains(STORE) && stderr.contains("--resolve"),
        "{stderr}"
    );
    // After some attempts the reason is still what the last one met.
    let stderr = run_for(1, &seed());
    let reason = "its attempt to connect ended with XKS_PROXY_NOT_REACHABLE";
    assert!(stderr.contains(reason), "{stderr}");
    // A later start plants it after all.
    let without = seed().replace("connected = true", "connected = false");
    std::fs::write(&file, without).expect("it can be written");
    let program = Program::start(&data, &[&seed_file]);
    program.client().ok("DescribeKey", &json!({"KeyId": KEY}));
}
