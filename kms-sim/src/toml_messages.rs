//! What is said of every mistake that a seed or a file of accounts can have: the line, the field, what was found, what was
//! expected.
//!
//! Every place in the readers that notes a problem is found in their source and has to be met by a mistake here.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::time::Duration;

use crate::accounts::Accounts;
use crate::seed::Seed;
use crate::stub_proxy::Script;

thread_local! {
    static TOLD: RefCell<BTreeSet<(String, u32)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes which line of a reader has a problem.
#[track_caller]
pub(crate) fn told() {
    let caller = Location::caller();
    TOLD.with_borrow_mut(|told| told.insert((caller.file().to_owned(), caller.line())));
}

#[test]
fn every_mistake_is_told_with_line_field_found_and_expected() {
    let folder = harness::temp_dir();
    std::fs::write(folder.path().join("text"), "hello").unwrap();
    let (stores, many) = (eleven_stores(), fifty_one());
    let seed = |text: &str| {
        let file = folder.path().join("x.toml");
        std::fs::write(&file, text).unwrap();
        let read = Seed::load(&file, "us-east-1", Duration::ZERO);
        read.expect_err(text).to_string()
    };
    let accounts = |text: &str| {
        let file = folder.path().join("x.toml");
        std::fs::write(&file, text).unwrap();
        Accounts::load(&file).expect_err(text).to_string()
    };
    compare(&seed(TABLES), TABLES_MESSAGES);
    compare(&seed(SEED), SEED_MESSAGES);
    compare(&seed(TOGETHER), TOGETHER_MESSAGES);
    compare(
        &seed(&stores),
        &["x.toml:71: custom-key-stores[10]: found an eleventh one; expected at most 10"],
    );
    compare(
        &seed(&many),
        &[
            "x.toml:3: keys[0].aliases: found 51; expected at most 50",
            "x.toml:4: keys[0].tags: found 51; expected at most 50",
        ],
    );
    compare(
        &accounts("principals = 5\n"),
        &[
            "x.toml:1: principals: found 5; expected tables that begin with [[principals]]",
            "x.toml:1: principals: found nothing; expected at least one [[principals]]",
        ],
    );
    compare(&accounts(ACCOUNTS), ACCOUNTS_MESSAGES);
    let script = |text: &str| {
        let file = folder.path().join("x.toml");
        std::fs::write(&file, text).unwrap();
        Script::load(&file).expect_err(text).to_string()
    };
    compare(&script(SCRIPT), SCRIPT_MESSAGES);
    compare(
        &script("keys = 5\nhandshakes = 6\nrules = 7\n"),
        &[
            "x.toml:1: keys: found 5; expected tables that begin with [[keys]]",
            "x.toml:2: handshakes: found 6; expected tables that begin with [[handshakes]]",
            "x.toml:3: rules: found 7; expected tables that begin with [[rules]]",
        ],
    );
    compare(&script(CREDENTIAL), CREDENTIAL_MESSAGES);
    compare(&script(NO_SECRET), NO_SECRET_MESSAGES);
    let told = TOLD.take();
    let is_told = |file: &str, line: u32| {
        let of_file =
            |(told, told_line): &(String, u32)| *told_line == line && told.ends_with(file);
        told.iter().any(of_file)
    };
    let silent: Vec<_> = places()
        .into_iter()
        .filter(|(file, line, source)| {
            let can_be = !NEVER.iter().any(|(never, _)| source.contains(never));
            can_be && !is_told(file, *line)
        })
        .collect();
    assert!(silent.is_empty(), "no mistake meets {silent:#?}");
}

/// That each message is there and no other.
fn compare(text: &str, messages: &[&str]) {
    let lines = text.lines().filter(|line| !line.ends_with(" problems:"));
    // Without the folder.
    let mut told: Vec<&str> = lines
        .map(|line| line.find("x.toml").map_or(line, |at| &line[at..]))
        .collect();
    for message in messages {
        match told.iter().position(|told| told.starts_with(message)) {
            Some(place) => drop(told.swap_remove(place)),
            None => panic!("not told: {message}\n{told:#?}"),
        }
    }
    assert!(told.is_empty(), "not expected: {told:#?}");
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

/// Every line of a reader that may note a problem, with what is there.
fn places() -> Vec<(&'static str, u32, &'static str)> {
    let mut places = Vec::new();
    for (file, source) in SOURCES {
        for (line, text) in (1..).zip(source.lines()) {
            if text.contains("#[cfg(test)]") {
                break;
            }
            let starts = |maker: &&str| {
                ["section", "root"]
                    .iter()
                    .any(|of| text.contains(&format!("{of}{maker}")))
                    || text.trim_start().starts_with(*maker)
            };
            if MAKERS.iter().any(starts) {
                places.push((file, line, text.trim()));
            }
        }
    }
    places
}

/// Eleven stores of the account, of seven lines each.
fn eleven_stores() -> String {
    (0..11)
        .map(|n| {
            format!(
                "[[custom-key-stores]]\nid = \"cks-0123456789abcde{n:02}\"\nname = \"{n}\"\nuri-endpoint = \
                 \"https://xks.test\"\nuri-path = \"/a{n}/kms/xks/v1\"\naccess-key-id = \"ABCDEFGHIJKLMNOPQRST\"\n\
                 secret-access-key = \"SesameSesameSesameSesameSesameSesameSesame7\"\n"
            )
        })
        .collect()
}

/// A key with one alias and one tag too many.
fn fifty_one() -> String {
    let list = |element: fn(u32) -> String| (0..51).map(element).collect::<Vec<_>>().join(", ");
    format!(
        "[[keys]]\nid = \"1234abcd-12ab-34cd-56ef-1234567890ab\"\naliases = [{}]\ntags = {{ {} }}\n",
        list(|n| format!("\"alias/a{n}\"")),
        list(|n| format!("t{n} = \"v\""))
    )
}

const MAKERS: [&str; 11] = [
    ".problem(",
    ".text(",
    ".secret(",
    ".integer(",
    ".boolean(",
    ".texts(",
    ".values(",
    ".pairs(",
    ".sections(",
    ".section(",
    ".required(",
];

const SOURCES: [(&str, &str); 7] = [
    ("seed/mod.rs", include_str!("seed/mod.rs")),
    ("seed/store.rs", include_str!("seed/store.rs")),
    ("seed/cluster.rs", include_str!("seed/cluster.rs")),
    ("seed/key.rs", include_str!("seed/key.rs")),
    ("seed/fixed_key.rs", include_str!("seed/fixed_key.rs")),
    ("accounts/file.rs", include_str!("accounts/file.rs")),
    (
        "stub_proxy/script_file.rs",
        include_str!("stub_proxy/script_file.rs"),
    ),
];

/// What guards against errors that no text has.
const NEVER: [(&str, &str); 2] = [
    (
        "section.problem(\"\", error.to_string(), \"a cluster that can be made\")",
        "what a cluster is made of was looked at before",
    ),
    (
        "Err(error) => section.problem(&place, error.to_string(), POLICY)",
        "every table of TOML can be written as JSON",
    ),
];

/// What is in no message.
const SECRETS: [&str; 3] = ["Sesame", "c2VjcmV0", "hunter"];

const TABLES: &str = "account = 1\nregion = \"EU\"\nclusters = 2\nvpc-endpoint-services = 3\ncustom-key-stores = 4\nkeys = 5\n\
                      bulk-keys = 6\nbulk = 7\n";
const TABLES_MESSAGES: &[&str] = &[
    "x.toml:1: account: found 1; expected an account of 12 digits",
    "x.toml:2: region: found \"EU\"; expected a Region such as us-east-1",
    "x.toml:3: clusters: found 2; expected tables that begin with [[clusters]]",
    "x.toml:4: vpc-endpoint-services: found 3; expected tables that begin with",
    "x.toml:5: custom-key-stores: found 4; expected tables that begin with",
    "x.toml:6: keys: found 5; expected tables that begin with",
    "x.toml:7: bulk-keys: found 6; expected tables that begin with",
    "x.toml:8: bulk: found an unknown field; expected one of account, region, clusters",
];

const SEED: &str = r#"[[clusters]]
hsms = 29
kmsuser-password = "hunter"
certificate-file = "text"
account = "1"
region = "x y"
[[clusters]]
id = "cluster-1"
certificate-file = "none"
availability-zones = [""]
[[clusters]]
id = "cluster-a2b3c4d5e6f"
availability-zones = []
[[vpc-endpoint-services]]
name = "vpce"
private-dns-name = ""
owner = "1"
[[vpc-endpoint-services]]
[[custom-key-stores]]
account = "2"
region = "y z"
connected = "yes"
cluster = 5
key-store-password = "hunter"
[[custom-key-stores]]
id = "cks-1"
name = ""
uri-endpoint = "http://x"
uri-path = "/x"
access-key-id = "short"
secret-access-key = "hunter"
vpc-endpoint-service-owner = "123456789012"
[[custom-key-stores]]
id = "cks-0123456789abcdef0"
name = "one"
secret-access-key-file = "text"
secret-access-key = "hunter2"
vpc-endpoint-service = "vpce"
vpc-endpoint-service-owner = "1"
[[custom-key-stores]]
id = "cks-0123456789abcdef0"
name = "two"
cluster = "cluster-a2b3c4d5e6g"
[[custom-key-stores]]
id = "cks-0123456789abcdef1"
name = "three"
uri-endpoint = "https://xks.test"
uri-path = "/kms/xks/v1"
access-key-id = "ABCDEFGHIJKLMNOPQRST"
secret-access-key-file = "none"
[[keys]]
aliases = ["app"]
description = 1
tags = { "aws:x" = "y" }
enabled = 1
pending-deletion-days = 6
custom-key-store = "cks-1"
xks-key-id = "a/b"
material = "c2VjcmV0"
policy = "{}"
[[keys]]
id = "1234"
xks-key-id = "demo"
policy = 5
material = 6
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a1"
custom-key-store = "cks-00000000000000000"
policy-file = "text"
rotation-period-days = 90
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a2"
key-spec = "RSA_2048"
key-usage = "KEY_AGREEMENT"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a3"
key-spec = "RSA_1"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a4"
key-spec = "ECC_NIST_P256"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a5"
key-spec = "ECC_SECG_P256K1"
private-key-file = "text"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a6"
key-spec = "ECC_SECG_P256K1"
private-key = "hunter"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a7"
key-spec = "HMAC_256"
material = "c2VjcmV0"
key-usage = "SIGN"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a8"
key-spec = "RSA_2048"
key-usage = "SIGN_VERIFY"
custom-key-store = "cks-0123456789abcdef1"
[[bulk-keys]]
alias-prefix = "app"
[[bulk-keys]]
count = 0
"#;
const SEED_MESSAGES: &[&str] = &[
    "x.toml:1: clusters[0].id: found nothing; expected cluster- and 11 to 16 of 2-7 a-z A-Z",
    "x.toml:5: clusters[0].account: found \"1\"; expected an account of 12 digits",
    "x.toml:6: clusters[0].region: found \"x y\"; expected a Region such as us-east-1",
    "x.toml:2: clusters[0].hsms: found 29; expected a whole number from 0 to 28",
    "x.toml:3: clusters[0].kmsuser-password: found another text (not shown: it is a secret); expected 7 to 32",
    "x.toml:4: clusters[0].certificate-file: found no certificate in the file; expected a file with the cluster certificate",
    "x.toml:8: clusters[1].id: found \"cluster-1\"; expected cluster- and 11 to 16 of 2-7 a-z A-Z",
    "x.toml:9: clusters[1].certificate-file: found ",
    "x.toml:10: clusters[1].availability-zones[0]: found \"\"; expected a list with at least one Availability Zone",
    "x.toml:10: clusters[1].availability-zones: found none; expected a list with at least one Availability Zone",
    "x.toml:13: clusters[2].availability-zones: found none; expected a list with at least one Availability Zone",
    "x.toml:15: vpc-endpoint-services[0].name: found \"vpce\"; expected a name such as com.amazonaws.vpce",
    "x.toml:16: vpc-endpoint-services[0].private-dns-name: found \"\"; expected the host name of the proxy",
    "x.toml:17: vpc-endpoint-services[0].owner: found \"1\"; expected an account of 12 digits",
    "x.toml:18: vpc-endpoint-services[1].name: found nothing; expected a name such as com.amazonaws.vpce",
    "x.toml:18: vpc-endpoint-services[1].private-dns-name: found nothing; expected the host name of the proxy",
    "x.toml:20: custom-key-stores[0].account: found \"2\"; expected an account of 12 digits",
    "x.toml:21: custom-key-stores[0].region: found \"y z\"; expected a Region such as us-east-1",
    "x.toml:19: custom-key-stores[0].id: found nothing; expected cks- and 17 of 0-9 a-f",
    "x.toml:19: custom-key-stores[0].name: found nothing; expected 1 to 256 characters",
    "x.toml:22: custom-key-stores[0].connected: found \"yes\"; expected true or false",
    "x.toml:24: custom-key-stores[0].key-store-password: found another text (not shown: it is a secret); expected 7 to",
    "x.toml:23: custom-key-stores[0].cluster: found 5; expected cluster- and 11 to 16 of 2-7 a-z A-Z",
    "x.toml:26: custom-key-stores[1].id: found \"cks-1\"; expected cks- and 17 of 0-9 a-f",
    "x.toml:27: custom-key-stores[1].name: found \"\"; expected 1 to 256 characters",
    "x.toml:28: custom-key-stores[1].uri-endpoint: found \"http://x\"; expected https:// and a host, without a port",
    "x.toml:29: custom-key-stores[1].uri-path: found \"/x\"; expected a path such as /kms/xks/v1",
    "x.toml:30: custom-key-stores[1].access-key-id: found \"short\"; expected 20 to 30 of A-Z 2-7",
    "x.toml:31: custom-key-stores[1].secret-access-key: found another text (not shown: it is a secret); expected 43 to 64",
    "x.toml:32: custom-key-stores[1].vpc-endpoint-service-owner: found no vpc-endpoint-service with it; expected both",
    "x.toml:33: custom-key-stores[2].uri-endpoint: found nothing; expected https:// and a host, without a port",
    "x.toml:33: custom-key-stores[2].uri-path: found nothing; expected a path such as /kms/xks/v1",
    "x.toml:33: custom-key-stores[2].access-key-id: found nothing; expected 20 to 30 of A-Z 2-7",
    "x.toml:37: custom-key-stores[2].secret-access-key: found beside secret-access-key-file; expected one of the two",
    "x.toml:36: custom-key-stores[2].secret-access-key-file: found a file with another content; expected a file with 43",
    "x.toml:39: custom-key-stores[2].vpc-endpoint-service-owner: found \"1\"; expected an account of 12 digits",
    "x.toml:38: custom-key-stores[2].vpc-endpoint-service: found \"vpce\"; expected a name such as com.amazonaws.vpce",
    "x.toml:43: custom-key-stores[3].cluster: found \"cluster-a2b3c4d5e6g\"; expected the id of one of the [[clusters]]",
    "x.toml:41: custom-key-stores[3].id: found \"cks-0123456789abcdef0\", which custom-key-stores[2].id has; expected one that",
    "x.toml:50: custom-key-stores[4].secret-access-key-file: found ",
    "x.toml:51: keys[0].id: found nothing; expected a UUID in lower case",
    "x.toml:58: keys[0].xks-key-id: found \"a/b\"; expected 1 to 128 of A-Z a-z 0-9 - . _",
    "x.toml:57: keys[0].custom-key-store: found \"cks-1\"; expected cks- and 17 of 0-9 a-f",
    "x.toml:59: keys[0].material: found another text (not shown: it is a secret); expected 32 bytes in base64",
    "x.toml:52: keys[0].aliases[0]: found \"app\"; expected alias/ and up to 250",
    "x.toml:53: keys[0].description: found 1; expected at most 8,192 characters",
    "x.toml:60: keys[0].policy: found The policy has no Statement.; expected a key policy in JSON",
    "x.toml:54: keys[0].tags.aws:x: found \"y\"; expected a key of 1 to 128 characters, not beginning with aws:",
    "x.toml:55: keys[0].enabled: found 1; expected true or false",
    "x.toml:56: keys[0].pending-deletion-days: found 6; expected a whole number from 7 to 30",
    "x.toml:62: keys[1].id: found \"1234\"; expected a UUID in lower case",
    "x.toml:61: keys[1].custom-key-store: found nothing; expected the store of the xks-key-id",
    "x.toml:65: keys[1].material: found no text (not shown: it is a secret); expected 32 bytes in base64",
    "x.toml:64: keys[1].policy: found 5; expected a key policy in JSON",
    "x.toml:68: keys[2].custom-key-store: found \"cks-00000000000000000\"; expected the id of one of the [[custom-key-stores]]",
    "x.toml:69: keys[2].policy-file: found The policy is not valid JSON: expected value at line 1 column 1.; expected a key",
    "x.toml:74: keys[3].key-usage: found KEY_AGREEMENT; expected a usage that keys of RSA_2048 have",
    "x.toml:77: keys[4].key-spec: found \"RSA_1\"; expected a KeySpec of KMS",
    "x.toml:78: keys[5].key-usage: found nothing; expected SIGN_VERIFY or KEY_AGREEMENT",
    "x.toml:84: keys[6].private-key-file: found a file with something else; expected a private key of ECC_SECG_P256K1",
    "x.toml:88: keys[7].private-key: found another text (not shown: it is a secret); expected a private key of ECC_SECG_P256K1",
    "x.toml:93: keys[8].key-usage: found \"SIGN\"; expected SIGN_VERIFY, ENCRYPT_DECRYPT",
    "x.toml:92: keys[8].material: found another text (not shown: it is a secret); expected as many bytes as HMAC_256 has",
    "x.toml:96: keys[9].key-spec: found RSA_2048; expected none: keys of custom key stores are SYMMETRIC_DEFAULT",
    "x.toml:99: bulk-keys[0].count: found nothing; expected how many keys",
    "x.toml:100: bulk-keys[0].alias-prefix: found \"app\"; expected alias/ and up to 250",
    "x.toml:102: bulk-keys[1].count: found 0; expected a whole number from 1 to 10000000",
];

/// What does not go together, of stores that are sound.
const TOGETHER: &str = r#"[[clusters]]
id = "cluster-a2b3c4d5e6f"
[[custom-key-stores]]
id = "cks-0123456789abcdef0"
name = "one"
uri-endpoint = "https://xks.test"
uri-path = "/kms/xks/v1"
access-key-id = "ABCDEFGHIJKLMNOPQRST"
secret-access-key = "SesameSesameSesameSesameSesameSesameSesame7"
[[custom-key-stores]]
id = "cks-0123456789abcdef1"
name = "two"
cluster = "cluster-a2b3c4d5e6f"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a1"
custom-key-store = "cks-0123456789abcdef0"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a2"
custom-key-store = "cks-0123456789abcdef1"
xks-key-id = "demo"
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a3"
custom-key-store = "cks-0123456789abcdef0"
xks-key-id = "demo"
rotation-period-days = 90
[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890a4"
policy-file = 5
[[custom-key-stores]]
id = "cks-0123456789abcdef2"
name = "three"
uri-endpoint = "https://xks.test"
uri-path = "/a/kms/xks/v1"
access-key-id = "ABCDEFGHIJKLMNOPQRST"
[[custom-key-stores]]
id = "cks-0123456789abcdef3"
name = "four"
uri-endpoint = "https://xks.test"
uri-path = "/b/kms/xks/v1"
access-key-id = "ABCDEFGHIJKLMNOPQRST"
secret-access-key = 5
secret-access-key-file = "text"
"#;
const TOGETHER_MESSAGES: &[&str] = &[
    "x.toml:14: keys[0].xks-key-id: found nothing; expected 1 to 128 of A-Z a-z 0-9 - . _",
    "x.toml:20: keys[1].xks-key-id: found one; expected none, for a key of a CloudHSM key store",
    "x.toml:25: keys[2].rotation-period-days: found a period; expected none: KMS rotates neither",
    "x.toml:28: keys[3].policy-file: found 5; expected a file with a key policy in JSON",
    "x.toml:29: custom-key-stores[2].secret-access-key: found nothing; expected 43 to 64 of A-Z a-z 0-9 / + =, or the",
    "x.toml:41: custom-key-stores[3].secret-access-key: found no text (not shown: it is a secret); expected 43 to 64 of A-Z a-z 0-9 / + =",
    "x.toml:41: custom-key-stores[3].secret-access-key: found beside secret-access-key-file; expected one of the two",
    "x.toml:42: custom-key-stores[3].secret-access-key-file: found a file with another content; expected a file with",
];

const ACCOUNTS: &str = r#"[[principals]]
access-key-id = "short"
secret-access-key = "hunter"
session-token = ""
user-id = "a b"
session-name = "x y"
policies = 5
policy-files = [1]
source-ip = "here"
source-vpc = "vpce-1"
source-vpc-endpoint = "vpc-1"
via-service = "S3"
tags = 6
[[principals]]
access-key-id = "AKIAIOSFODNN7EXAMPLE"
secret-access-key = "SesameSesame"
principal = "Alice"
[[principals]]
access-key-id = "AKIAIOSFODNN7EXAMPLE"
secret-access-key = "SesameSesame"
principal = "arn:aws:iam::111122223333:role/Operator"
policies = ['{"Statement": [{"Effect": "Maybe"}]}', 7]
policy-files = ["none"]
[[principals]]
access-key-id = "AKIAROOTEXAMPLE00001"
secret-access-key = "SesameSesame"
principal = "arn:aws:iam::111122223333:root"
session-name = "alice"
policies = ['{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}']
[[principals]]
"#;
const ACCOUNTS_MESSAGES: &[&str] = &[
    "x.toml:2: principals[0].access-key-id: found \"short\"; expected an access key id",
    "x.toml:3: principals[0].secret-access-key: found another text (not shown: it is a secret); expected a secret access key",
    "x.toml:4: principals[0].session-token: found another text (not shown: it is a secret); expected 1 to 4,096 characters",
    "x.toml:5: principals[0].user-id: found \"a b\"; expected a unique id such as",
    "x.toml:1: principals[0].principal: found nothing; expected the ARN of a user",
    "x.toml:6: principals[0].session-name: found \"x y\"; expected the name of a session of the role",
    "x.toml:7: principals[0].policies: found 5; expected a list of identity-based policies",
    "x.toml:8: principals[0].policy-files[0]: found 1; expected the names of files",
    "x.toml:9: principals[0].source-ip: found \"here\"; expected an address such as",
    "x.toml:10: principals[0].source-vpc: found \"vpce-1\"; expected a VPC such as",
    "x.toml:11: principals[0].source-vpc-endpoint: found \"vpc-1\"; expected a VPC endpoint such as",
    "x.toml:12: principals[0].via-service: found \"S3\"; expected the name of a service such as s3",
    "x.toml:13: principals[0].tags: found 6; expected a name and a value",
    "x.toml:17: principals[1].principal: found \"Alice\"; expected the ARN of a user",
    "x.toml:19: principals[2].access-key-id: found \"AKIAIOSFODNN7EXAMPLE\", which principals[1].access-key-id has; expected one",
    "x.toml:18: principals[2].session-name: found nothing; expected the name of a session of the role",
    "x.toml:22: principals[2].policies[0]: found Statement[0].Effect must be",
    "x.toml:22: principals[2].policies[1]: found another type; expected an identity-based policy in JSON",
    "x.toml:23: principals[2].policy-files[0]: found ",
    "x.toml:28: principals[3].session-name: found a name; expected none, since the principal is no role",
    "x.toml:29: principals[3].policies: found policies; expected none, since a root user has no",
    "x.toml:30: principals[4].access-key-id: found nothing; expected an access key id",
    "x.toml:30: principals[4].secret-access-key: found nothing; expected a secret access key",
    "x.toml:30: principals[4].principal: found nothing; expected the ARN of a user",
];

const SCRIPT: &str = r#"host = 1
uri-path = "/x"
access-key-id = "short"
secret-access-key = "hunter2"
verify-signatures = "yes"
second-credential = "AKID:hunter2hunter2hunter2"
instances = 5
host-name = "x"
[[keys]]
usage = "ENCRYPT"
spec = 5
status = 6
[[keys]]
id = "a b"
colour = "red"
[[handshakes]]
skip = -1
times = "x"
[[handshakes]]
handshake = "firm"
[[rules]]
[[rules]]
on = ["encrypts"]
key = 1
kms-operation = 2
skip = -1
times = -1
delay-ms = -1
status = 99
error-name = 3
error-message = 4
body = 5
[[rules]]
error-message = "x"
defect = "broken"
not-http = 1
close = 2
"#;
const SCRIPT_MESSAGES: &[&str] = &[
    "x.toml:1: host: found 1; expected a text",
    "x.toml:2: uri-path: found \"/x\"; expected a path such as /stub/kms/xks/v1",
    "x.toml:3: access-key-id: found \"short\"; expected 20 to 30 of A-Z 2-7",
    "x.toml:4: secret-access-key: found another text (not shown: it is a secret); expected 43 to 64",
    "x.toml:5: verify-signatures: found \"yes\"; expected true or false",
    "x.toml:6: second-credential: found a text (not shown: a secret may be in it); expected a table with access-key-id",
    "x.toml:7: instances: found 5; expected a list of health statuses such as ACTIVE",
    "x.toml:8: host-name: found an unknown field; expected one of host",
    "x.toml:9: keys[0].id: found nothing; expected 1 to 128 of A-Z a-z 0-9 - . _",
    "x.toml:10: keys[0].usage: found \"ENCRYPT\"; expected a list of ENCRYPT and DECRYPT",
    "x.toml:11: keys[0].spec: found 5; expected a text",
    "x.toml:12: keys[0].status: found 6; expected a text",
    "x.toml:14: keys[1].id: found \"a b\"; expected 1 to 128",
    "x.toml:15: keys[1].colour: found an unknown field; expected one of id, usage, spec, status",
    "x.toml:16: handshakes[0].handshake: found nothing; expected one of sound, other-name",
    "x.toml:17: handshakes[0].skip: found -1; expected a whole number from 0 to",
    "x.toml:18: handshakes[0].times: found \"x\"; expected a whole number from 0 to",
    "x.toml:20: handshakes[1].handshake: found \"firm\"; expected one of sound, other-name",
    "x.toml:21: rules[0]: found no answer; expected delay-ms, error-name",
    "x.toml:23: rules[1].on[0]: found \"encrypts\"; expected one of health, metadata, encrypt, decrypt",
    "x.toml:24: rules[1].key: found 1; expected a text",
    "x.toml:25: rules[1].kms-operation: found 2; expected a text",
    "x.toml:26: rules[1].skip: found -1; expected a whole number from 0 to",
    "x.toml:27: rules[1].times: found -1; expected a whole number from 0 to",
    "x.toml:28: rules[1].delay-ms: found -1; expected a whole number from 0 to",
    "x.toml:29: rules[1].status: found 99; expected a whole number from 200 to 599",
    "x.toml:30: rules[1].error-name: found 3; expected a text",
    "x.toml:31: rules[1].error-message: found 4; expected a text",
    "x.toml:32: rules[1].body: found 5; expected a text",
    "x.toml:22: rules[1]: found error-name and body; expected one of the two",
    "x.toml:35: rules[2].defect: found \"broken\"; expected one of not-json, empty",
    "x.toml:36: rules[2].not-http: found 1; expected true or false",
    "x.toml:37: rules[2].close: found 2; expected true or false",
    "x.toml:33: rules[2]: found more than one answer; expected one of: error-name",
    "x.toml:33: rules[2]: found error-message alone; expected an error-name with it",
];

/// The second credential of a script, as a table.
const CREDENTIAL: &str = r#"[second-credential]
secret-access-key = "hunter2"
secret = "hunter2"
"#;
const CREDENTIAL_MESSAGES: &[&str] = &[
    "x.toml:1: second-credential.access-key-id: found nothing; expected 20 to 30 of A-Z 2-7",
    "x.toml:2: second-credential.secret-access-key: found another text (not shown: it is a secret); expected 43 to 64",
    "x.toml:3: second-credential.secret: found an unknown field; expected one of access-key-id, secret-access-key",
];

/// Another one, without its secret.
const NO_SECRET: &str = "second-credential = { access-key-id = \"ABCDEFGHIJKLMNOPQRST\" }\n";
const NO_SECRET_MESSAGES: &[&str] = &[
    "x.toml:1: second-credential.secret-access-key: found nothing; expected 43 to 64 of A-Z a-z 0-9 / + =",
];
