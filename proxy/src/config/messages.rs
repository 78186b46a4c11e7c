//! What is said of every mistake that a configuration can have: the line, the field, what was found, what was expected.
//!
//! Every place in the readers that makes a problem is found in their source and has to be met by a mistake here.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::path::Path;

use super::{Config, ConfigError, Problem, read_policy_cases};

thread_local! {
    static TOLD: RefCell<BTreeSet<(String, u32)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes which line of a reader makes a problem.
#[track_caller]
pub(super) fn told() {
    let caller = Location::caller();
    let file = Path::new(caller.file()).file_name();
    let file = file.map(|name| name.to_string_lossy().into_owned());
    TOLD.with_borrow_mut(|told| told.insert((file.unwrap_or_default(), caller.line())));
}

/// A mistake or more, and each message: where it is, what was found, how what was expected begins.
struct Mistakes {
    text: &'static str,
    messages: &'static [&'static str],
}

#[test]
fn every_mistake_is_told_with_line_field_found_and_expected() {
    let folder = folder();
    let path = folder.path().display().to_string() + "/";
    let mut problems = Vec::new();
    for Mistakes { text, messages } in CONFIGURATIONS {
        let error = load(folder.path(), text).expect_err(text);
        compare(&error.0, messages, &path);
        problems.extend(error.0);
    }
    for Mistakes { text, messages } in CASES {
        let error = load_cases(folder.path(), text).expect_err(text);
        compare(&error.0, messages, &path);
        problems.extend(error.0);
    }
    std::fs::write(folder.path().join("x.toml"), "key_stores = 1\n").unwrap();
    let error = Config::load_policies(&folder.path().join("x.toml")).unwrap_err();
    let message = "x.toml:1: key_stores: 1; expected tables that each begin with [[key_stores]]";
    compare(&error.0, &[message], &path);
    for problem in &problems {
        let text = problem.to_string();
        assert!(
            !problem.found.is_empty() && !problem.expected.is_empty(),
            "{text}"
        );
        for secret in SECRETS {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let told = TOLD.take();
    let silent: Vec<_> = places()
        .into_iter()
        .filter(|(file, line, source)| {
            let can_be = !NEVER.iter().any(|(never, _)| source.contains(never));
            can_be && !told.contains(&(file.clone(), *line))
        })
        .collect();
    assert!(silent.is_empty(), "no mistake meets {silent:#?}");
}

/// That each message is there and no other; the folder is left out of both.
fn compare(problems: &[Problem], messages: &[&str], folder: &str) {
    let mut told: Vec<String> = problems
        .iter()
        .map(|problem| problem.to_string().replace(folder, ""))
        .collect();
    for message in messages {
        let place = told.iter().position(|told| told.starts_with(message));
        match place {
            Some(place) => drop(told.swap_remove(place)),
            None => panic!("not told: {message}\n{told:#?}"),
        }
    }
    assert!(told.is_empty(), "not expected: {told:#?}");
}

fn load(folder: &Path, text: &str) -> Result<Config, ConfigError> {
    let file = folder.join("x.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file)
}

fn load_cases(folder: &Path, text: &str) -> Result<(), ConfigError> {
    let config =
        "[[key_stores]]\nuri_path_prefix = \"/a\"\n[[key_stores]]\nuri_path_prefix = \"/b\"\n";
    let file = folder.join("x.toml");
    std::fs::write(&file, config).unwrap();
    let policies = Config::load_policies(&file)?;
    std::fs::write(folder.join("cases.toml"), text).unwrap();
    read_policy_cases(&folder.join("cases.toml"), &policies).map(drop)
}

/// The files that the configurations name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let credential = |prefix: &str, id: &str, secret: &str| {
        format!(
            "{{\"XksProxyUriPath\": \"{prefix}/kms/xks/v1\", \"XksProxyAuthenticationCredential\": \
             {{\"AccessKeyId\": \"{id}\", \"RawSecretAccessKey\": \"{secret}\"}}}}"
        )
    };
    for (name, text) in [
        ("chain.pem", CHAIN),
        ("key.pem", KEY),
        ("other-key.pem", OTHER_KEY),
        ("garbage", "hello\n"),
        (
            "broken.pem",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ),
        ("empty", ""),
        ("pin", "hunter1\n"),
        ("two-lines", "hunter2\nhunter3\n"),
        ("good.rego", "package xks\nallow if true\n"),
        ("broken.rego", "package xks\nallow if on(input)\n"),
        ("a.json", &credential("/a", ID, SECRET)),
        ("short-id.json", &credential("/c", "ABC", SECRET)),
        ("short-secret.json", &credential("/c", ID, "hunter2")),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("bytes"), [0xff, 0xfe]).unwrap();
    folder
}

/// Every line of a reader that makes problems, with what is there.
fn places() -> Vec<(String, u32, &'static str)> {
    let mut places = Vec::new();
    for (file, source) in SOURCES {
        for (line, text) in (1..).zip(source.lines()) {
            if text.contains("#[cfg(test)]") {
                break;
            }
            if MAKERS.iter().any(|maker| text.contains(maker)) {
                places.push((file.to_owned(), line, text.trim()));
            }
        }
    }
    places
}

const MAKERS: [&str; 8] = [
    ".problem(",
    ".optional(",
    ".required(",
    ".list(",
    ".section(",
    ".sections(",
    ".named_sections(",
    "fields.add(",
];

/// What takes a field so that it is known, where it is not there.
const NEVER: [(&str, &str); 4] = [
    (
        "fields.optional(\"ca_file\", text, \"the name of a PEM file\");",
        "of a Transit server without TLS that has no ca_file",
    ),
    (
        "fields.optional(\"token_file\", text",
        "where there is no token_file",
    ),
    ("key.optional(\"name\"", "where a Transit key has no name"),
    (
        "fields.optional(\"uri_path_prefix\", named",
        "where a case names no prefix",
    ),
];

const SOURCES: [(&str, &str); 12] = [
    ("admin.rs", include_str!("admin.rs")),
    ("audit.rs", include_str!("audit.rs")),
    ("key_managers.rs", include_str!("key_managers.rs")),
    ("pkcs11.rs", include_str!("pkcs11.rs")),
    ("policy.rs", include_str!("policy.rs")),
    ("policy_cases.rs", include_str!("policy_cases.rs")),
    ("postgres.rs", include_str!("postgres.rs")),
    ("read.rs", include_str!("read.rs")),
    ("traces.rs", include_str!("traces.rs")),
    ("traffic.rs", include_str!("traffic.rs")),
    ("transit.rs", include_str!("transit.rs")),
    ("files.rs", include_str!("files.rs")),
];

const CHAIN: &str = include_str!("../../../certs/server-ecdsa.crt.pem");
const KEY: &str = include_str!("../../../certs/server-ecdsa.test-key.pem");
const OTHER_KEY: &str = include_str!("../../../certs/server-rsa.test-key.pem");
const ID: &str = "ABCDEFGHIJKLMNOPQRST";
const SECRET: &str = "SesameSesameSesameSesameSesameSesameSesameSesame";
/// What is in files, or in a URL, and in no message.
const SECRETS: [&str; 2] = ["Sesame", "hunter"];

const CONFIGURATIONS: &[Mistakes] = &[
    // What is no TOML.
    Mistakes {
        text: "listen = \nport = 1\n",
        messages: &[
            "x.toml:1: string values must be quoted, expected literal string; expected a TOML document",
            "x.toml:1: listen: \"\"; expected an IP address and a port, such as \"0.0.0.0:443\" or \"[::]:443\"",
            "x.toml: tls.certificate_file: it is missing; expected the name of a PEM file",
            "x.toml: tls.private_key_file: it is missing; expected the name of a PEM file",
            "x.toml: key_managers: there is none; expected a table [key_managers.NAME] with type = \"embedded\" or",
            "x.toml: key_stores: there is none; expected one table [[key_stores]] for each external key store",
            "x.toml:2: port: no such field; expected one of listen, health_listen, state_dir, metrics_listen, admin,",
        ],
    },
    // Values in place of tables.
    Mistakes {
        text: r#"listen = "everywhere"
health_listen = 80
metrics_listen = "localhost:9090"
state_dir = ""
proxy_protocol_from = ["10.0.0.1/24", 7]
admin = 1
approval = 2
tls = 3
limits = 4
drain = 5
health = 6
log = 7
audit = 8
traces = 9
reload = 10
key_managers = 11
key_stores = 12
lisen = 13
"#,
        messages: &[
            "x.toml:1: listen: \"everywhere\"; expected an IP address and a port, such as",
            "x.toml:2: health_listen: 80; expected an IP address and a port",
            "x.toml:3: metrics_listen: \"localhost:9090\"; expected an IP address and a port",
            "x.toml:4: state_dir: \"\"; expected the name of a folder",
            "x.toml:5: proxy_protocol_from: \"10.0.0.1/24\"; expected a network, such as",
            "x.toml:5: proxy_protocol_from: 7; expected a network, such as",
            "x.toml:6: admin: 1; expected a table",
            "x.toml:7: approval: 2; expected a table",
            "x.toml:8: tls: 3; expected a table",
            "x.toml:8: tls.certificate_file: it is missing; expected the name of a PEM file",
            "x.toml:8: tls.private_key_file: it is missing; expected the name of a PEM file",
            "x.toml:9: limits: 4; expected a table",
            "x.toml:10: drain: 5; expected a table",
            "x.toml:11: health: 6; expected a table",
            "x.toml:12: log: 7; expected a table",
            "x.toml:13: audit: 8; expected a table",
            "x.toml:13: audit.folder: it is missing; expected the name of a folder",
            "x.toml:13: audit.key_file: it is missing; expected the name of a file, made if it is missing",
            "x.toml:14: traces: 9; expected a table",
            "x.toml:14: traces.endpoint: it is missing; expected the URL of a collector",
            "x.toml:15: reload: 10; expected a table",
            "x.toml:16: key_managers: 11; expected a table",
            "x.toml:16: key_managers: there is none; expected a table [key_managers.NAME] with type =",
            "x.toml:17: key_stores: 12; expected tables that each begin with [[key_stores]]",
            "x.toml:17: key_stores: there is none; expected one table [[key_stores]] for each",
            "x.toml:18: lisen: no such field; expected listen, if that is what is meant",
        ],
    },
    // Values out of bounds, and files with something else in them.
    Mistakes {
        text: r#"[tls]
certificate_file = "garbage"
private_key_file = "chain.pem"
[tls.client]
ca_file = "missing.pem"
crl_files = ["chain.pem", ""]
subject_common_names = []
[limits]
max_connections = 0
max_connections_per_address = 0
max_body_bytes = 1
handshake_timeout = "1"
header_timeout = "0s"
body_timeout = 5
idle_timeout = "2h"
key_manager_timeout = "1ms"
max_http2_streams = "many"
[drain]
delay = "2h"
timeout = "soon"
[health]
probe_interval = "1m"
slow_after = "0s"
fleet_size = 0
[log]
format = "xml"
level = "trace"
[reload]
poll_interval = "2h"
[admin]
listen = "here"
[approval]
operations = ["restart"]
expires_after = "1s"
[audit]
folder = 1
key_file = 2
sync = "often"
sync_interval = "1ms"
when_failing = "ignore"
rotate_bytes = 1
rotate_after = "9000h"
keep_files = -1
forward = ["pigeon"]
[traces]
endpoint = "http://user:hunter2@collector"
ca_file = 3
one_in = 0
service_name = 4
"#,
        messages: &[
            "x.toml: listen: it is missing; expected an IP address and a port",
            "x.toml: key_managers: there is none; expected a table [key_managers.NAME]",
            "x.toml: key_stores: there is none; expected one table",
            "x.toml:2: tls.certificate_file: garbage holds no certificate; expected a PEM file with one or more",
            "x.toml:3: tls.private_key_file: chain.pem holds no private key; expected a PEM file with one",
            "x.toml:5: tls.client.ca_file: missing.pem cannot be read: No such file or directory (os error 2); is the name",
            "x.toml:6: tls.client.crl_files: \"\"; expected the name of a file",
            "x.toml:6: tls.client.crl_files: chain.pem holds no CRL; expected a PEM file with one or more X509 CRL",
            "x.toml:7: tls.client.subject_common_names: no name; expected a list with one or more subject",
            "x.toml:9: limits.max_connections: 0; expected a number from 1 to 1000000",
            "x.toml:10: limits.max_connections_per_address: 0; expected a number from 1 to 1000000",
            "x.toml:11: limits.max_body_bytes: 1; expected 32768 to 1048576 bytes",
            "x.toml:12: limits.handshake_timeout: \"1\"; expected a time from \"1ms\" to \"60m\"",
            "x.toml:13: limits.header_timeout: \"0s\"; expected a time from",
            "x.toml:14: limits.body_timeout: 5; expected a time from",
            "x.toml:15: limits.idle_timeout: \"2h\"; expected a time from",
            "x.toml:16: limits.key_manager_timeout: \"1ms\"; expected a time from \"10ms\" to \"10s\"; KMS waits",
            "x.toml:17: limits.max_http2_streams: \"many\"; expected a number from 1 to 10000",
            "x.toml:19: drain.delay: \"2h\"; expected a time from \"0s\" to \"60m\"",
            "x.toml:20: drain.timeout: \"soon\"; expected a time from \"0s\" to \"60m\"",
            "x.toml:22: health.probe_interval: \"1m\"; expected a time from \"1s\" to \"30s\"",
            "x.toml:23: health.slow_after: \"0s\"; expected a time from \"1ms\" to \"10s\"",
            "x.toml:24: health.fleet_size: 0; expected a number from 1 to 100000",
            "x.toml:26: log.format: \"xml\"; expected \"auto\", \"json\" or \"text\"",
            "x.toml:27: log.level: \"trace\"; expected \"error\", \"warn\", \"info\" or \"debug\"",
            "x.toml:29: reload.poll_interval: \"2h\"; expected a time from \"1s\" to \"60m\", or \"0s\" for never",
            "x.toml:31: admin.listen: \"here\"; expected an IP address and a port",
            "x.toml:33: approval.operations: \"restart\"; expected \"delete-key\", \"export-backup\" or \"unblock\"",
            "x.toml:34: approval.expires_after: \"1s\"; expected a time from \"1m\" to",
            "x.toml:36: audit.folder: 1; expected the name of a folder",
            "x.toml:37: audit.key_file: 2; expected the name of a file",
            "x.toml:38: audit.sync: \"often\"; expected \"always\", \"interval\" or \"rotation\"",
            "x.toml:39: audit.sync_interval: \"1ms\"; expected a time from \"10ms\" to \"60s\"",
            "x.toml:40: audit.when_failing: \"ignore\"; expected \"strict\", to refuse",
            "x.toml:41: audit.rotate_bytes: 1; expected a number of bytes from 65536",
            "x.toml:42: audit.rotate_after: \"9000h\"; expected a time from \"1s\" to \"8784h\"",
            "x.toml:43: audit.keep_files: -1; expected a number from 0 to 1000000",
            "x.toml:44: audit.forward: \"pigeon\"; expected \"stdout\", \"file:/PATH\"",
            "x.toml:46: traces.endpoint: \"http://…@collector\"; expected the URL of a collector",
            "x.toml:47: traces.ca_file: 3; expected the name of a PEM file",
            "x.toml:48: traces.one_in: 0; expected a number from 1 to 1000000",
            "x.toml:49: traces.service_name: 4; expected a name for this service",
        ],
    },
    // What does not go together.
    Mistakes {
        text: r#"listen = "127.0.0.1:443"
[tls]
certificate_file = "chain.pem"
private_key_file = "other-key.pem"
[drain]
delay = "30s"
timeout = "20s"
[key_managers.a]
type = "embedded"
data_dir = "a"
[key_managers.b]
type = "embedded"
data_dir = "a"
[[key_stores]]
uri_path_prefix = "/a"
key_manager = "a"
credential_files = ["a.json", "a.json"]
[[key_stores]]
uri_path_prefix = "/a"
key_manager = "a"
[key_stores.quota]
burst = 5
[[key_stores]]
uri_path_prefix = "/c"
key_manager = "a"
credential_files = ["garbage", "short-id.json", "short-secret.json", "a.json", 5]
[key_stores.quota]
"#,
        messages: &[
            "x.toml:4: tls.private_key_file: the certificate chain and the private key do not go together: ",
            "x.toml:7: drain.timeout: 20s, shorter than the delay of 30s; expected at least drain.delay",
            "x.toml:11: key_managers.b: a belongs to another key manager; expected a folder of its own",
            "x.toml:17: key_stores[1].credential_files: the access key id ABCDEFGHIJKLMNOPQRST is in two files; expected ids that",
            "x.toml:19: key_stores[2].uri_path_prefix: \"/a\" names another key store, too; expected a prefix of its own",
            "x.toml:22: key_stores[2].quota.burst: a burst without a rate; expected requests_per_second, too",
            "x.toml:21: key_stores[2].quota: an empty table; expected requests_per_second, concurrency, or both",
            "x.toml:26: key_stores[3].credential_files: 5; expected the name of a file",
            "x.toml:26: key_stores[3].credential_files: garbage holds other JSON, or none; expected the JSON that",
            "x.toml:26: key_stores[3].credential_files: short-id.json AccessKeyId: ",
            "x.toml:26: key_stores[3].credential_files: short-secret.json RawSecretAccessKey: ",
            "x.toml:26: key_stores[3].credential_files: a.json is for /a/kms/xks/v1; expected the JSON that",
            "x.toml:27: key_stores[3].quota: an empty table; expected requests_per_second, concurrency, or both",
        ],
    },
    // External key stores and their policies.
    Mistakes {
        text: r#"listen = "127.0.0.1:443"
[tls]
certificate_file = "broken.pem"
private_key_file = "key.pem"
[key_managers.a]
type = "embedded"
data_dir = "a"
[[key_stores]]
uri_path_prefix = "tenant-a"
key_manager = "b"
credential_store = "c"
keys = ["a/b", 1]
regions = ["us east"]
uri_endpoint = "https://xks.example.com:443"
custom_key_store_name = ""
vpc_endpoint_service_name = "xks"
vpc_endpoint_service_owner = "1111"
quota = 5
rego = 6
rules = 7
[[key_stores]]
key_manager = "a"
keys = "all"
[key_stores.quota]
requests_per_second = 0
concurrency = "some"
[key_stores.rego]
data_file = 1
rule = "allow"
time_limit = "1s"
[[key_stores]]
uri_path_prefix = "/c"
key_manager = "a"
[[key_stores.rules]]
id = "a b"
effect = "permit"
principals = []
keys = [""]
operations = ["GetHealthStatus"]
vpcs = [1]
[[key_stores.rules]]
id = "twice"
effect = "allow"
[[key_stores.rules]]
id = "twice"
effect = "deny"
[key_stores.rego]
files = ["none.rego", ""]
data_file = "none.json"
[[key_stores]]
uri_path_prefix = "/d"
key_manager = "a"
rego = { files = ["broken.rego"] }
[[key_stores]]
uri_path_prefix = "/e"
key_manager = "a"
rego = { files = ["good.rego"], rule = "data.xks.permit" }
[[key_stores]]
uri_path_prefix = "/f"
key_manager = "a"
rego = { files = ["bytes"] }
"#,
        messages: &[
            "x.toml:3: tls.certificate_file: broken.pem is no PEM: base64 decode error: InvalidCharacter(33); expected a",
            "x.toml:9: key_stores[1].uri_path_prefix: \"tenant-a\"; expected empty, or segments of A-Z a-z 0-9 - _ each",
            "x.toml:10: key_stores[1].key_manager: \"b\"; expected the name of a key manager: a",
            "x.toml:11: key_stores[1].credential_store: \"c\"; expected the name of an embedded key manager: a",
            "x.toml:12: key_stores[1].keys: \"a/b\"; expected a key id, or a pattern with * and ?",
            "x.toml:12: key_stores[1].keys: 1; expected a key id, or a pattern with * and ?",
            "x.toml:13: key_stores[1].regions: \"us east\"; expected a Region, such as \"us-east-1\"",
            "x.toml:20: key_stores[1].rules: 7; expected tables that each begin with [[key_stores.rules]]",
            "x.toml:19: key_stores[1].rego: 6; expected a table that begins with [key_stores.rego]",
            "x.toml:19: key_stores[1].rego.files: no file; expected a list with one or more files in Rego",
            "x.toml:18: key_stores[1].quota: 5; expected a table that begins with [key_stores.quota]",
            "x.toml:18: key_stores[1].quota: an empty table; expected requests_per_second, concurrency, or both; without",
            "x.toml:14: key_stores[1].uri_endpoint: \"https://xks.example.com:443\"; expected https:// and a host name,",
            "x.toml:15: key_stores[1].custom_key_store_name: \"\"; expected 1 to 256 characters",
            "x.toml:16: key_stores[1].vpc_endpoint_service_name: \"xks\"; expected a name such as",
            "x.toml:17: key_stores[1].vpc_endpoint_service_owner: \"1111\"; expected an AWS account id of 12 digits",
            "x.toml:21: key_stores[2].uri_path_prefix: it is missing; expected empty, or segments of A-Z a-z 0-9 - _ each",
            "x.toml:23: key_stores[2].keys: \"all\"; expected a list, each element a key id, or a pattern with * and ?",
            "x.toml:27: key_stores[2].rego.files: no file; expected a list with one or more files in Rego",
            "x.toml:28: key_stores[2].rego.data_file: 1; expected the name of a file with a JSON object",
            "x.toml:29: key_stores[2].rego.rule: \"allow\"; expected a rule with its package, such as \"data.xks.allow\"",
            "x.toml:30: key_stores[2].rego.time_limit: \"1s\"; expected a time from \"1ms\" to \"100ms\"; KMS waits for 250 ms",
            "x.toml:25: key_stores[2].quota.requests_per_second: 0; expected a number from 1 to 1000000",
            "x.toml:26: key_stores[2].quota.concurrency: \"some\"; expected a number from 1 to 1000000",
            "x.toml:35: key_stores[3].rules[1].id: \"a b\"; expected 1 to 64 characters of A-Z a-z 0-9 - . _",
            "x.toml:36: key_stores[3].rules[1].effect: \"permit\"; expected \"allow\" or \"deny\"",
            "x.toml:37: key_stores[3].rules[1].principals: an empty list, so that the rule never matches; expected one or",
            "x.toml:38: key_stores[3].rules[1].keys: \"\"; expected a pattern with * and ?, of 1 to 2048 characters",
            "x.toml:39: key_stores[3].rules[1].operations: \"GetHealthStatus\"; expected \"Encrypt\", \"Decrypt\" or",
            "x.toml:40: key_stores[3].rules[1].vpcs: 1; expected a pattern with * and ?, of at most 2048 characters; \"\"",
            "x.toml:45: key_stores[3].rules[3].id: \"twice\" names another rule, too; expected an id of its own: the log",
            "x.toml:48: key_stores[3].rego.files: \"\"; expected the name of a file with a policy in Rego",
            "x.toml:48: key_stores[3].rego.files: none.rego cannot be read: No such file or directory (os error 2); is the",
            "x.toml:49: key_stores[3].rego.data_file: none.json cannot be read: No such file or directory (os error 2); is",
            "broken.rego:2: there is no function on (those of other packages are called by their full names, such as",
            "x.toml:57: key_stores[5].rego: the policy has no rule data.xks.permit; expected a policy in Rego (version 1)",
            "x.toml:61: key_stores[6].rego.files: bytes holds something else than text; expected a file with text in UTF-8",
        ],
    },
    // Embedded key managers, and their stores in a database.
    Mistakes {
        text: r#"listen = "127.0.0.1:443"
[tls]
certificate_file = "chain.pem"
private_key_file = "key.pem"
[limits]
key_manager_timeout = "100ms"
[key_managers.none]
data_dir = "x"
[key_managers.other]
type = "hsm"
[key_managers.a]
type = "embedded"
root_key_file = "a"
root_key_credential = "b"
root_key_passphrase_file = 3
[key_managers.b]
type = "embedded"
data_dir = "b"
root_key_file = "a"
root_key_wrapped_file = "w"
root_key_wrapped_by = "token"
root_key_wrapping_key = "k"
[key_managers.c]
type = "embedded"
data_dir = "c"
root_key_wrapped_file = 1
root_key_wrapped_by = "nobody"
root_key_wrapping_key = "a/b"
[key_managers.d]
type = "embedded"
data_dir = "d"
root_key_wrapped_file = "w"
[key_managers.e]
type = "postgres"
data_dir = "e"
url = "postgres://xks:hunter2@db.example.com:5432/xks"
password_file = "missing"
ca_file = "garbage"
client_certificate_file = "chain.pem"
schema = "pg_xks"
poll_interval = "1ms"
snapshot_max_age = "0s"
heartbeat_interval = "2h"
missed_heartbeats = 0
[key_managers.f]
type = "postgres"
data_dir = "f"
url = "postgres://xks@db.example.com:5432/xks"
client_private_key_file = "key.pem"
[key_managers.g]
type = "postgres"
data_dir = "g"
url = "postgres://xks@localhost:5432/xks"
poll_interval = "10s"
snapshot_max_age = "15s"
password_file = 5
[key_managers.h]
type = "postgres"
data_dir = "h"
url = "mysql://hunter2"
[key_managers.i]
type = "postgres"
data_dir = "i"
[key_managers.j]
type = "postgres"
data_dir = "j"
url = "postgres://xks@localhost:5432/xks?sslmode=disable"
[key_managers.token]
type = "pkcs11"
library = "garbage"
slot = 0
[[key_stores]]
uri_path_prefix = "/a"
key_manager = "token"
"#,
        messages: &[
            "x.toml:7: key_managers.none.type: it is missing; expected \"embedded\" or \"postgres\" or \"pkcs11\" or \"transit\"",
            "x.toml:10: key_managers.other.type: \"hsm\"; expected \"embedded\" or \"postgres\" or \"pkcs11\" or \"transit\"",
            "x.toml:68: key_managers.token.timeout: 150ms; expected less than limits.key_manager_timeout, 100ms",
            "x.toml:11: key_managers.a.data_dir: it is missing; expected the folder that `init` made",
            "x.toml:15: key_managers.a.root_key_passphrase_file: 3; expected the name of a file",
            "x.toml:11: key_managers.a: more than one root key; expected at most one of root_key_file,",
            "x.toml:16: key_managers.b: more than one root key; expected either root_key_wrapped_file or one of the other",
            "x.toml:26: key_managers.c.root_key_wrapped_file: 1; expected the name of a file",
            "x.toml:27: key_managers.c.root_key_wrapped_by: \"nobody\"; expected the name of a key manager of another type",
            "x.toml:28: key_managers.c.root_key_wrapping_key: \"a/b\"; expected the id of a key of that key manager",
            "x.toml:29: key_managers.d: some of three fields; expected all of root_key_wrapped_file, root_key_wrapped_by",
            "x.toml:36: key_managers.e.url: it has a password in it; expected a URL without a password, and the password",
            "x.toml:37: key_managers.e.password_file: missing is not there; expected a file with the password in one line,",
            "x.toml:38: key_managers.e.ca_file: garbage holds no certificate; expected a PEM file with one or more",
            "x.toml:33: key_managers.e: one without the other; expected both client_certificate_file and",
            "x.toml:40: key_managers.e.schema: \"pg_xks\"; expected a name of 1 to 40 of a-z 0-9 _, without a digit or pg_",
            "x.toml:41: key_managers.e.poll_interval: \"1ms\"; expected a time from \"100ms\" to \"60s\"",
            "x.toml:42: key_managers.e.snapshot_max_age: \"0s\"; expected a time from \"1s\" to \"1440m\"",
            "x.toml:43: key_managers.e.heartbeat_interval: \"2h\"; expected a time from \"100ms\" to \"60s\"",
            "x.toml:44: key_managers.e.missed_heartbeats: 0; expected a number from 1 to 1000",
            "x.toml:45: key_managers.f: one without the other; expected both client_certificate_file and",
            "x.toml:45: key_managers.f.ca_file: it is missing; expected a PEM file with the CA of the database's",
            "x.toml:56: key_managers.g.password_file: 5; expected the name of a file",
            "x.toml:55: key_managers.g.snapshot_max_age: 15s; expected at least twice the poll_interval: a poll that is",
            "x.toml:60: key_managers.h.url: it does not name user, host and database; expected",
            "x.toml:61: key_managers.i.url: it is missing; expected \"postgres://USER@HOST:PORT/DATABASE\", with several",
            "x.toml:67: key_managers.j.url: it has an sslmode; expected a URL without it: with ca_file, TLS is required",
        ],
    },
    // Tokens behind PKCS#11.
    Mistakes {
        text: r#"listen = "127.0.0.1:443"
[tls]
certificate_file = "chain.pem"
private_key_file = "key.pem"
[key_managers.a]
type = "pkcs11"
pin_file = "missing"
test_key_label = ""
unlisted_keys = "all"
sessions = 0
queue = 0
timeout = "1ms"
lookup_interval = "2h"
messages_per_version = 0
iv = "device"
aad = "half"
session_kind = "both"
aws_sample_metadata = ["AQAAAQ=="]
keys = 5
[key_managers.b]
type = "pkcs11"
library = "missing.so"
token_label = "t"
token_serial = ""
slot = -1
pin_file = "pin"
pin_env = "HOME"
[key_managers.b.keys."a b"]
label = ""
id = "0"
usage = "sign"
enabled = "yes"
versions = 3
[key_managers.b.keys.c]
label = "x"
id = "01"
[key_managers.b.keys.d]
versions = [{ version = 0, retired = 1, label = "x" }, { version = 1 }, { version = 2, label = "y" }, { version = 2, id = "02" }]
[key_managers.b.keys.e]
label = "xks-proxy-test"
[key_managers.c]
type = "pkcs11"
library = "garbage"
token_label = "t"
slot = 1
pin_env = "XKS_TEST_NO_SUCH_PIN"
[key_managers.d]
type = "pkcs11"
library = "garbage"
slot = 1
pin_file = 5
pin_env = 6
timeout = "5s"
[key_managers.e]
type = "pkcs11"
library = "garbage"
slot = 1
pin_file = "two-lines"
[key_managers.f]
type = "pkcs11"
library = "garbage"
slot = 1
pin_file = "empty"
[[key_stores]]
uri_path_prefix = "/a"
key_manager = "a"
"#,
        messages: &[
            "x.toml:5: key_managers.a.library: it is missing; expected the path of the device's PKCS#11 library, such as",
            "x.toml:5: key_managers.a: no token is selected; expected one of token_label, token_serial, slot",
            "x.toml:7: key_managers.a.pin_file: missing cannot be read: No such file or directory (os error 2); is the",
            "x.toml:8: key_managers.a.test_key_label: \"\"; expected a label, which is not empty",
            "x.toml:19: key_managers.a.keys: 5; expected a table that begins with [key_managers.a.keys]",
            "x.toml:9: key_managers.a.unlisted_keys: \"all\"; expected \"by-label\" or \"unknown\"",
            "x.toml:15: key_managers.a.iv: \"device\"; expected \"proxy\", \"device-in-place\" or \"device-appended\"",
            "x.toml:16: key_managers.a.aad: \"half\"; expected \"whole\" or \"sha256\"",
            "x.toml:17: key_managers.a.session_kind: \"both\"; expected \"read-only\" or \"read-write\"",
            "x.toml:18: key_managers.a.aws_sample_metadata: \"AQAAAQ==\"; expected base64 of the sample's",
            "x.toml:10: key_managers.a.sessions: 0; expected a number from 1 to 256",
            "x.toml:11: key_managers.a.queue: 0; expected a number from 1 to 65536",
            "x.toml:12: key_managers.a.timeout: \"1ms\"; expected a time from \"10ms\" to \"10s\", shorter than",
            "x.toml:13: key_managers.a.lookup_interval: \"2h\"; expected a time from \"0s\" to \"60m\"",
            "x.toml:14: key_managers.a.messages_per_version: 0; expected a number from 1 to 4294967296, divided among the",
            "x.toml:22: key_managers.b.library: missing.so is not there; expected the path of the device's PKCS#11",
            "x.toml:24: key_managers.b.token_serial: \"\"; expected a serial number",
            "x.toml:25: key_managers.b.slot: -1; expected the number of a slot",
            "x.toml:27: key_managers.b.pin_env: there is a pin_file, too; expected either pin_file or pin_env",
            "x.toml:28: key_managers.b.keys.a b: \"a b\"; expected an external key id: 1 to 128 characters of A-Z a-z 0-9 -",
            "x.toml:31: key_managers.b.keys.a b.usage: \"sign\"; expected \"encrypt-decrypt\", \"encrypt\", \"decrypt\" or \"none\"",
            "x.toml:32: key_managers.b.keys.a b.enabled: \"yes\"; expected true or false",
            "x.toml:33: key_managers.b.keys.a b.versions: 3; expected tables that each begin with [[key_managers.b.keys.a",
            "x.toml:29: key_managers.b.keys.a b.label: \"\"; expected a label, which is not empty",
            "x.toml:30: key_managers.b.keys.a b.id: \"0\"; expected the CKA_ID of a key as an even number of hexadecimal",
            "x.toml:28: key_managers.b.keys.a b: it is not told where the key is; expected one of label, id, versions",
            "x.toml:36: key_managers.b.keys.c.id: there is a label, too; expected one of label, id",
            "x.toml:34: key_managers.b.keys.c: it is not told where the key is; expected one of label, id, versions",
            "x.toml:38: key_managers.b.keys.d.versions[1].version: 0; expected a number from 1 to 16777215, as it is in",
            "x.toml:38: key_managers.b.keys.d.versions[1].retired: 1; expected true or false",
            "x.toml:38: key_managers.b.keys.d.versions[2]: it is not told where the version is; expected one of label, id",
            "x.toml:38: key_managers.b.keys.d.versions[4].version: there is another version 2; expected numbers that occur",
            "x.toml:39: key_managers.b.keys.e: e leads to \"xks-proxy-test\", the test key; expected a key of its own: KMS",
            "x.toml:41: key_managers.c: a token is selected twice; expected one of token_label, token_serial, slot",
            "x.toml:46: key_managers.c.pin_env: the environment has no XKS_TEST_NO_SUCH_PIN, or not as text; expected the",
            "x.toml:51: key_managers.d.pin_file: 5; expected the name of a file",
            "x.toml:52: key_managers.d.pin_env: 6; expected the name of an environment variable",
            "x.toml:53: key_managers.d.timeout: 5s; expected less than limits.key_manager_timeout, 200ms",
            "x.toml:58: key_managers.e.pin_file: two-lines holds more than one line; expected a file that holds the secret",
            "x.toml:63: key_managers.f.pin_file: empty is empty; expected a file that holds the secret and nothing else",
        ],
    },
    // What is read of a selector and of a table that are none.
    Mistakes {
        text: r#"listen = "127.0.0.1:443"
[tls]
certificate_file = "chain.pem"
private_key_file = "key.pem"
client = 5
[key_managers.a]
type = "pkcs11"
library = "garbage"
token_label = ""
[[key_stores]]
uri_path_prefix = "/a"
key_manager = "a"
"#,
        messages: &[
            "x.toml:5: tls.client: 5; expected a table that begins with [tls.client]",
            "x.toml:5: tls.client.ca_file: it is missing; expected the name of a PEM file",
            "x.toml:5: tls.client.subject_common_names: no name; expected a list with one or more subject",
            "x.toml:9: key_managers.a.token_label: \"\"; expected a label, which is not empty",
            "x.toml:6: key_managers.a: no token is selected; expected one of token_label, token_serial, slot",
        ],
    },
    // Transit.
    Mistakes {
        text: r#"listen = "127.0.0.1:443"
[tls]
certificate_file = "chain.pem"
private_key_file = "key.pem"
[key_managers.a]
type = "transit"
addresses = ["http://bao.example.com:8200", 5, "https://user:hunter2@bao.example.com:8200"]
ca_file = "garbage"
test_key = "-"
namespace = "../x"
mount = "//"
unlisted_keys = "all"
timeout = "1ms"
key_max_age = "2h"
max_concurrent = 0
max_waiting = -1
max_batch = 0
keys = 6
[key_managers.b]
type = "transit"
addresses = []
token_file = 5
approle = 7
kubernetes = 8
[key_managers.b.keys."a b"]
name = "x"
[key_managers.b.keys.c]
name = "-"
usage = "sign"
enabled = "yes"
[key_managers.b.keys."d."]
enabled = true
[key_managers.b.keys.e]
name = "xks-proxy-test"
[key_managers.c]
type = "transit"
addresses = ["https://bao.example.com:8200"]
[key_managers.c.kubernetes]
jwt_file = 5
mount = "//"
[[key_stores]]
uri_path_prefix = "/a"
key_manager = "a"
"#,
        messages: &[
            "x.toml:7: key_managers.a.addresses: \"http://bao.example.com:8200\"; expected https://HOST:PORT, or http://",
            "x.toml:7: key_managers.a.addresses: \"https://…@bao.example.com:8200\"; expected https://HOST:PORT, or http://",
            "x.toml:7: key_managers.a.addresses: 5; expected https://HOST:PORT, or http:// with localhost, 127.0.0.1 or",
            "x.toml:8: key_managers.a.ca_file: garbage holds no certificate; expected a PEM file with one or more",
            "x.toml:5: key_managers.a: it is not told how to log in; expected one of token_file, a table approle, a table",
            "x.toml:9: key_managers.a.test_key: \"-\"; expected the name of a Transit key: A-Z a-z 0-9 - . _, at the ends no",
            "x.toml:10: key_managers.a.namespace: \"../x\"; expected names of A-Z a-z 0-9 - . _ with / between them",
            "x.toml:11: key_managers.a.mount: \"//\"; expected names of A-Z a-z 0-9 - . _ with / between them",
            "x.toml:18: key_managers.a.keys: 6; expected a table that begins with [key_managers.a.keys]",
            "x.toml:12: key_managers.a.unlisted_keys: \"all\"; expected \"by-name\" or \"unknown\"",
            "x.toml:13: key_managers.a.timeout: \"1ms\"; expected a time from \"10ms\" to \"10s\", shorter than",
            "x.toml:14: key_managers.a.key_max_age: \"2h\"; expected a time from \"0s\" to \"60m\"",
            "x.toml:15: key_managers.a.max_concurrent: 0; expected a number from 1 to 4096",
            "x.toml:16: key_managers.a.max_waiting: -1; expected a number from 0 to 65536",
            "x.toml:17: key_managers.a.max_batch: 0; expected a number from 1 to 32",
            "x.toml:21: key_managers.b.addresses: no address; expected a list with one or more addresses, such as",
            "x.toml:19: key_managers.b.ca_file: it is missing; expected the name of a PEM file",
            "x.toml:22: key_managers.b.token_file: 5; expected the name of a file",
            "x.toml:23: key_managers.b.approle: 7; expected a table that begins with [key_managers.b.approle]",
            "x.toml:23: key_managers.b.approle.role_id: it is missing; expected the role's id",
            "x.toml:23: key_managers.b.approle.secret_id_file: it is missing; expected the name of a file",
            "x.toml:24: key_managers.b.kubernetes: 8; expected a table that begins with [key_managers.b.kubernetes]",
            "x.toml:24: key_managers.b.kubernetes.role: it is missing; expected the name of a role",
            "x.toml:19: key_managers.b: more than one way to log in; expected one of token_file, a table approle, a table",
            "x.toml:25: key_managers.b.keys.a b: \"a b\"; expected an external key id: 1 to 128 characters of A-Z a-z 0-9 -",
            "x.toml:28: key_managers.b.keys.c.name: \"-\"; expected the name of a Transit key: A-Z a-z 0-9 - . _, at the",
            "x.toml:29: key_managers.b.keys.c.usage: \"sign\"; expected \"encrypt-decrypt\", \"encrypt\", \"decrypt\" or \"none\"",
            "x.toml:30: key_managers.b.keys.c.enabled: \"yes\"; expected true or false",
            "x.toml:31: key_managers.b.keys.d.: d. is no name that Transit takes; expected another id, or its name in",
            "x.toml:33: key_managers.b.keys.e: e leads to the test key; expected a key of its own: KMS cannot name the",
            "x.toml:35: key_managers.c.ca_file: it is missing; expected the name of a PEM file",
            "x.toml:38: key_managers.c.kubernetes.role: it is missing; expected the name of a role",
            "x.toml:39: key_managers.c.kubernetes.jwt_file: 5; expected the name of a file",
            "x.toml:40: key_managers.c.kubernetes.mount: \"//\"; expected names of A-Z a-z 0-9 - . _ with / between them",
        ],
    },
    Mistakes {
        text: r#"listen = "127.0.0.1:443"
[tls]
certificate_file = "chain.pem"
private_key_file = "key.pem"
[key_managers.a]
type = "embedded"
data_dir = "a"
[[key_stores]]
key_manager = "a"
uri_path_prefix = "/a"
credential_store = 5
[tls.client]
ca_file = "garbage"
crl_files = 5
subject_common_names = [""]
"#,
        messages: &[
            "x.toml:13: tls.client.ca_file: garbage holds no certificate; expected a PEM file with one or more CERTIFICATE",
            "x.toml:14: tls.client.crl_files: 5; expected a list, each element the name of a file",
            "x.toml:15: tls.client.subject_common_names: \"\"; expected a subject common name, such as",
            "x.toml:11: key_stores[1].credential_store: 5; expected the name of an embedded key manager: a",
        ],
    },
];

const CASES: &[Mistakes] = &[
    Mistakes {
        text: "cases = 1\ncase = 2\n",
        messages: &[
            "cases.toml:1: cases: 1; expected tables that each begin with [[cases]]",
            "cases.toml:1: cases: there is none; expected one table [[cases]] for each case",
            "cases.toml:2: case: no such field; expected cases, if that is what is meant",
        ],
    },
    Mistakes {
        text: r#"[[cases]]
uri_path_prefix = "/c"
name = 1
key = "a/b"
operation = "Sign"
principal = 2
kms_operation = 3
kms_key = 4
via_service = 5
vpc = 6
vpc_endpoint = 7
time = "noon"
expect = "maybe"
by = 8
"#,
        messages: &[
            "cases.toml:2: cases[1].uri_path_prefix: \"/c\"; expected the prefix of a key store of the configuration: \"/a\", \"/b\"",
            "cases.toml:3: cases[1].name: 1; expected what the case is about",
            "cases.toml:4: cases[1].key: \"a/b\"; expected an external key id",
            "cases.toml:5: cases[1].operation: \"Sign\"; expected \"Encrypt\", \"Decrypt\" or \"GetKeyMetadata\"",
            "cases.toml:6: cases[1].principal: 2; expected an awsPrincipalArn",
            "cases.toml:7: cases[1].kms_operation: 3; expected an operation of KMS",
            "cases.toml:8: cases[1].kms_key: 4; expected the ARN of a KMS key",
            "cases.toml:9: cases[1].via_service: 5; expected a kmsViaService",
            "cases.toml:10: cases[1].vpc: 6; expected an awsSourceVpc",
            "cases.toml:11: cases[1].vpc_endpoint: 7; expected an awsSourceVpce",
            "cases.toml:12: cases[1].time: \"noon\"; expected a time such as",
            "cases.toml:13: cases[1].expect: \"maybe\"; expected \"allow\" or \"deny\"",
            "cases.toml:14: cases[1].by: 8; expected the id of a rule",
        ],
    },
];
