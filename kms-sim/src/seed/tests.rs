//! What a seed makes, and what is said of a file that is none.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Seed;
use crate::test_client::TestClient;
use crate::toml_document::InvalidFile;

fn load(folder: &Path, text: &str) -> Result<Seed, InvalidFile> {
    let file = folder.join("seed.toml");
    std::fs::write(&file, text).unwrap();
    Seed::load(&file, "us-east-1", Duration::from_secs(5))
}

/// The problems of a text, each with its line: `seed.toml:3: account: found …`.
fn problems(text: &str) -> Vec<String> {
    let folder = harness::temp_dir();
    let error = load(folder.path(), text).unwrap_err().to_string();
    let folder = format!("{}/", folder.path().display());
    let lines = error.lines().map(|line| line.replace(&folder, ""));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn planted(seed: Seed) -> TestClient {
    let mut client = TestClient::new();
    client.caller = TestClient::caller("123456789012", "us-east-1");
    client.block_on(client.simulator.plant(seed)).unwrap();
    client
}

fn example() -> Seed {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/seed.example.toml");
    Seed::load(&file, "eu-west-1", Duration::from_secs(5)).unwrap()
}

#[test]
fn the_example_gives_what_it_says() {
    let client = planted(example());
    let stores = client.ok("DescribeCustomKeyStores", json!({}));
    let states: Vec<[&Value; 3]> = stores["CustomKeyStores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            [
                &s["CustomKeyStoreName"],
                &s["CustomKeyStoreType"],
                &s["ConnectionState"],
            ]
        })
        .collect();
    let expected = json!([
        ["external", "EXTERNAL_KEY_STORE", "DISCONNECTED"],
        [
            "external, through a VPC",
            "EXTERNAL_KEY_STORE",
            "DISCONNECTED"
        ],
        ["cloudhsm", "AWS_CLOUDHSM", "CONNECTED"],
    ]);
    assert_eq!(json!(states), expected);
    let described =
        |key: &str| client.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].clone();
    let app = described("alias/app/v1");
    assert_eq!(app["KeyId"], "1234abcd-12ab-34cd-56ef-1234567890ab");
    assert_eq!(app["Description"], "A key of KMS with fixed material");
    let rotation = client.ok("GetKeyRotationStatus", json!({"KeyId": app["KeyId"]}));
    assert_eq!(rotation["RotationPeriodInDays"], 365);
    let tags = client.ok("ListResourceTags", json!({"KeyId": app["KeyId"]}));
    assert_eq!(tags["Tags"].as_array().unwrap().len(), 2);
    let policy = client.ok("GetKeyPolicy", json!({"KeyId": app["KeyId"]}));
    assert!(
        policy["Policy"]
            .as_str()
            .unwrap()
            .contains("\"Principal\": \"*\"")
    );
    for (last, state) in [
        ("c", "PendingDeletion"),
        ("d", "Unavailable"),
        ("e", "Disabled"),
    ] {
        let key = described(&format!("1234abcd-12ab-34cd-56ef-1234567890a{last}"));
        assert_eq!(key["KeyState"], state);
    }
    let xks = described("1234abcd-12ab-34cd-56ef-1234567890ad");
    assert_eq!(xks["XksKeyConfiguration"]["Id"], "demo");
    described("alias/many/2");
    let signer = described("alias/signer");
    assert_eq!(signer["KeySpec"], "ECC_NIST_P256");
    // As `openssl pkey -pubout -outform DER` has it.
    let public = client.ok("GetPublicKey", json!({"KeyId": "alias/signer"}));
    assert_eq!(public["PublicKey"], SIGNER_PUBLIC_KEY);
    let input = json!({
        "KeyId": "1234abcd-12ab-34cd-56ef-1234567890b0", "Message": "c2VjcmV0", "MacAlgorithm": "HMAC_SHA_224",
    });
    // hmac.digest(bytes(range(28)), b"secret", "sha224") in Python
    assert_eq!(
        client.ok("GenerateMac", input)["Mac"],
        "QwlJbTIJOksfKfwaTW1C50HoqA+qZFXcOUu4Lw=="
    );
}

#[test]
fn the_same_seed_gives_the_same_keys() {
    let (one, other) = (planted(example()), planted(example()));
    let keys = |client: &TestClient| client.ok("ListKeys", json!({}));
    assert_eq!(keys(&one), keys(&other));
    // What one encrypts under fixed material the other decrypts.
    let input =
        json!({"KeyId": "alias/app", "Plaintext": "c2VjcmV0", "EncryptionContext": {"a": "b"}});
    let blob = one.ok("Encrypt", input)["CiphertextBlob"].clone();
    let input = json!({"CiphertextBlob": blob, "EncryptionContext": {"a": "b"}});
    assert_eq!(other.ok("Decrypt", input)["Plaintext"], "c2VjcmV0");
    // The material of the cluster is there too.
    let key = json!({"KeyId": "1234abcd-12ab-34cd-56ef-1234567890ae", "Plaintext": "c2VjcmV0"});
    one.ok("EnableKey", json!({"KeyId": key["KeyId"]}));
    one.ok("Encrypt", key);
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let found = problems(
        r#"
        acount = "123456789012"
        account = 123456789012
        [[clusters]]
        id = "cluster-1"
        hsms = 29
        kmsuser-password = "short"
        [[custom-key-stores]]
        id = "cks-1"
        uri-endpoint = "https://xks.test:8443"
        secret-access-key = "theSecretThatIsTooShort"
        connected = "yes"
        [[custom-key-stores]]
        id = "cks-0123456789abcdef2"
        name = "hsm"
        cluster = "cluster-a2b3c4d5e6f"
        [[keys]]
        id = "1234abcd-12ab-34cd-56ef-1234567890ab"
        material = "c2VjcmV0"
        aliases = ["app", "alias/ok", 3]
        tags = { "aws:x" = "y" }
        custom-key-store = "cks-00000000000000000"
        [[keys]]
        id = "1234abcd-12ab-34cd-56ef-1234567890ab"
        pending-deletion-days = 6
        policy = "{}"
        [[keys]]
        id = "1234abcd-12ab-34cd-56ef-1234567890ac"
        key-spec = "RSA_2048"
        key-usage = "KEY_AGREEMENT"
        [[keys]]
        id = "1234abcd-12ab-34cd-56ef-1234567890ad"
        key-spec = "ECC_NIST_P256"
        [[keys]]
        id = "1234abcd-12ab-34cd-56ef-1234567890ae"
        key-spec = "ECC_SECG_P256K1"
        private-key = "c2VjcmV0"
        [[bulk-keys]]
        "#,
    );
    for expected in [
        "seed.toml:3: account: found 123456789012; expected an account of 12 digits",
        "seed.toml:2: acount: found an unknown field",
        "seed.toml:8: custom-key-stores[0].name: found nothing",
        "seed.toml:20: keys[0].aliases[2]: found 3",
        "seed.toml:21: keys[0].tags.aws:x: found",
        "seed.toml:38: bulk-keys[0].count: found nothing",
        "account: found 123456789012; expected an account of 12 digits",
        "acount: found an unknown field; expected one of account, region, clusters",
        "clusters[0].id: found \"cluster-1\"; expected cluster- and 11 to 16",
        "clusters[0].hsms: found 29; expected a whole number from 0 to 28",
        "clusters[0].kmsuser-password: found another text (not shown",
        "custom-key-stores[0].id: found \"cks-1\"; expected cks- and 17",
        "custom-key-stores[0].name: found nothing; expected 1 to 256 characters",
        "custom-key-stores[0].connected: found \"yes\"; expected true or false",
        "custom-key-stores[0].uri-endpoint: found \"https://xks.test:8443\"; expected https:// and a host, without a port",
        "custom-key-stores[0].uri-path: found nothing",
        "custom-key-stores[0].access-key-id: found nothing",
        "custom-key-stores[0].secret-access-key: found another text (not shown",
        "custom-key-stores[1].cluster: found \"cluster-a2b3c4d5e6f\"; expected the id of one of the [[clusters]]",
        "keys[0].material: found another text (not shown",
        "keys[0].aliases[0]: found \"app\"; expected alias/",
        "keys[0].aliases[2]: found 3; expected alias/",
        "keys[0].tags.aws:x: found \"y\"; expected a key of 1 to 128",
        "keys[0].custom-key-store: found \"cks-00000000000000000\"; expected the id of one of",
        "keys[1].id: found \"1234abcd-12ab-34cd-56ef-1234567890ab\", which keys[0].id has",
        "keys[1].pending-deletion-days: found 6; expected a whole number from 7 to 30",
        "keys[1].policy: found The policy has no Statement.; expected a key policy",
        "keys[2].key-usage: found KEY_AGREEMENT; expected a usage that keys of RSA_2048 have",
        "keys[3].key-usage: found nothing; expected SIGN_VERIFY or KEY_AGREEMENT",
        "keys[4].private-key: found another text (not shown",
        "bulk-keys[0].count: found nothing",
    ] {
        assert!(
            found.iter().any(|line| line.contains(expected)),
            "{expected}\n{found:#?}"
        );
    }
    let unknown = found.iter().filter(|line| line.contains("unknown field"));
    assert_eq!(unknown.count(), 1, "{found:#?}");
    let all = found.join("\n");
    assert!(
        !all.contains("theSecret") && !all.contains("c2VjcmV0"),
        "{all}"
    );
}

#[test]
fn what_is_no_toml_or_no_file_is_said() {
    let told = problems("account = \"123456789012\"\nsecret-access-key = \"s3cr3t").join(" ");
    assert!(
        told.starts_with("seed.toml:2: found what is no TOML") && !told.contains("s3cr3t"),
        "{told}"
    );
    let error = Seed::load(Path::new("/nowhere/seed.toml"), "us-east-1", Duration::ZERO);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/seed.toml: ") && error.contains("No such file"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_together_is_refused() {
    let store = |id: u8, name: &str, path: &str| {
        format!(
            "[[custom-key-stores]]\nid = \"cks-0123456789abcdef{id}\"\nname = \"{name}\"\nuri-endpoint = \"https://xks.test\"\n\
             uri-path = \"{path}\"\naccess-key-id = \"EXAMPLEEXAMPLE234567\"\n\
             secret-access-key = \"exampleSecretexampleSecretexampleSecret+/==\"\n"
        )
    };
    let key = |id: u8, external: &str| {
        format!(
            "[[keys]]\nid = \"1234abcd-12ab-34cd-56ef-12345678900{id}\"\ncustom-key-store = \"cks-0123456789abcdef0\"\n\
             xks-key-id = \"{external}\"\n"
        )
    };
    let one = store(0, "one", "/kms/xks/v1");
    for (text, expected) in [
        (
            one.clone() + &store(1, "one", "/a/kms/xks/v1"),
            "custom-key-stores[1].name: found \"one\", which",
        ),
        (
            one.clone() + &store(1, "two", "/kms/xks/v1"),
            "custom-key-stores[1].uri-path: found",
        ),
        (
            one.clone() + &store(0, "two", "/a/kms/xks/v1"),
            "custom-key-stores[1].id: found",
        ),
        (
            one.clone() + &key(1, "demo") + &key(2, "demo"),
            "keys[1].xks-key-id: found",
        ),
        (
            one.clone() + &key(1, "demo") + "rotation-period-days = 90",
            "keys[0].rotation-period-days: found",
        ),
        (
            one + "secret-access-key-file = \"x\"",
            "custom-key-stores[0].secret-access-key: found beside",
        ),
    ] {
        let found = problems(&text);
        assert!(
            found.iter().any(|line| line.contains(expected)),
            "{expected}\n{found:#?}"
        );
    }
}

#[test]
fn secrets_and_policies_come_from_files_too() {
    let folder = harness::temp_dir();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "secret.txt",
        "exampleSecretexampleSecretexampleSecret+/==\n",
    );
    write("policy.json", POLICY);
    let seed = load(
        folder.path(),
        r#"
        [[custom-key-stores]]
        id = "cks-0123456789abcdef0"
        name = "external"
        uri-endpoint = "https://xks.test"
        uri-path = "/kms/xks/v1"
        access-key-id = "EXAMPLEEXAMPLE234567"
        secret-access-key-file = "secret.txt"
        [[keys]]
        id = "1234abcd-12ab-34cd-56ef-1234567890ab"
        policy-file = "policy.json"
        "#,
    );
    let client = planted(seed.unwrap());
    let input = json!({"KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab"});
    assert_eq!(client.ok("GetKeyPolicy", input)["Policy"], POLICY);
}

const SIGNER_PUBLIC_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEa9EwvBEdmZBHCvJHA/3bdGJHTdc2MXe/sZnP8oNCGwmbNT57ChuF5BIOYyt6iR/ZjjSxsmRZ5YX+7oDUUAHrBg==";
const POLICY: &str =
    r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}"#;
