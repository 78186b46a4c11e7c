//! The configuration: one TOML file and the files that it names, read at once into values that are valid.
//!
//! This is the only reader of configuration files. The shape of the file (`document`, `read`) is not the shape that the
//! rest of the proxy works with ([`Config`]), and all problems are reported together, each with its place.

mod admin;
mod audit;
mod document;
mod files;
mod key_managers;
#[cfg(test)]
mod messages;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod policy;
mod policy_cases;
mod postgres;
mod read;
mod traces;
mod traffic;
#[cfg(feature = "transit")]
mod transit;
mod uri_endpoint;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::sigv4::Regions;

pub use document::Problem;
pub use files::Source;
pub use key_managers::{KeyManagerConfig, WrappingKeyManager};
pub use policy::PolicyConfig;
pub use policy_cases::{PolicyCase, read_policy_cases};
pub use uri_endpoint::{InvalidUriEndpoint, UriEndpoint};

use crate::admin::ApprovalPolicy;
use crate::audit::Settings as AuditSettings;
use crate::authorize::Policy;
use crate::key_store::KeySelection;
use crate::os_error::Advised;
use crate::request_log::LogFormat;
use crate::runtime::Limits;
use crate::server::Drain;
use crate::throttle::QuotaConfig;
use crate::tls::TlsMaterial;
use crate::traces::Settings as TraceSettings;

/// Everything that a server is started with.
#[derive(Debug)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where `GET /ping` is answered over plain HTTP.
    pub health_listen: Option<SocketAddr>,
    /// Where `GET /metrics` is answered over plain HTTP.
    pub metrics_listen: Option<SocketAddr>,
    /// Certificates, already read.
    pub tls: TlsMaterial,
    /// What a client may use.
    pub limits: Limits,
    /// How the server ends.
    pub drain: Drain,
    /// Probes, and what GetHealthStatus says.
    pub health: HealthConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The audit log, if there is one.
    pub audit: Option<AuditSettings>,
    /// Where traces go, if they go anywhere.
    pub traces: Option<TraceSettings>,
    /// Where administrators with a token are listened to, over TLS.
    pub admin_listen: Option<SocketAddr>,
    /// What is under two-person approval.
    pub approval: ApprovalPolicy,
    /// How often the files that the configuration names are looked at; never, if `None`.
    pub poll_interval: Option<Duration>,
    /// Where blocks are kept of key managers that keep no keyring of ours.
    pub state_dir: Option<PathBuf>,
    /// Who holds keys, by name.
    pub key_managers: Vec<(String, KeyManagerConfig)>,
    /// Who answers under which prefix.
    pub key_stores: Vec<KeyStoreConfig>,
    /// Every file that was read, to notice when one changes.
    pub sources: Vec<Source>,
    /// What is allowed, but hardly wanted.
    pub warnings: Vec<String>,
}

/// Probes, and what GetHealthStatus says of the proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthConfig {
    /// From one probe to the next; at most 30 seconds.
    pub probe_interval: Duration,
    /// A slower probe makes a key manager DEGRADED.
    pub slow_after: Duration,
    /// How many proxies there are.
    pub fleet_size: NonZeroU32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(15),
            slow_after: Duration::from_millis(100),
            fleet_size: NonZeroU32::MIN,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// `None`: text on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
    /// Of operational events; requests are always logged.
    pub level: tracing::Level,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: None,
            level: tracing::Level::INFO,
        }
    }
}

const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(30);

/// An external key store.
#[derive(Debug)]
pub struct KeyStoreConfig {
    /// The URI path prefix that names it.
    pub prefix: UriPathPrefix,
    /// A name among [`Config::key_managers`].
    pub key_manager: String,
    /// The embedded key manager, if there is one, whose credentials for the prefix count.
    pub credential_store: Option<String>,
    /// Which keys it has.
    pub keys: KeySelection,
    /// Which Regions may call it.
    pub regions: Regions,
    /// The credentials of the files that it names; those of `credential_store` come in addition.
    pub credentials: Vec<(AccessKeyId, SecretAccessKey)>,
    /// Who may do what with its keys; `None` if that is left to KMS.
    pub policy: Option<Arc<Policy>>,
    /// How many requests are served; as many as there are, if `None`.
    pub quota: Option<QuotaConfig>,
    /// How KMS knows it, for the `kms` commands alone.
    pub link: LinkConfig,
}

/// What KMS is told of an external key store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LinkConfig {
    /// The XksProxyUriEndpoint: `https://` and a host.
    pub uri_endpoint: Option<UriEndpoint>,
    /// Its friendly name.
    pub custom_key_store_name: Option<String>,
    /// Where KMS reaches the proxy through Amazon VPC.
    pub vpc_endpoint_service_name: Option<String>,
    /// The account that has the endpoint service, if it is another one.
    pub vpc_endpoint_service_owner: Option<String>,
}

impl Config {
    /// Reads a configuration file and every file that it names.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        read::config(file, &read_text(file)?)
    }

    /// Reads of a configuration file what administering keys needs, whatever the rest of it is.
    ///
    /// # Errors
    /// All problems of that part at once.
    pub fn load_keys(file: &Path) -> Result<KeyConfig, ConfigError> {
        read::keys(file, &read_text(file)?)
    }

    /// Reads the policies of a configuration file, whatever the rest of it is: it takes no secret.
    ///
    /// # Errors
    /// All problems of that part at once.
    pub fn load_policies(file: &Path) -> Result<Vec<PolicyConfig>, ConfigError> {
        read::policies(file, &read_text(file)?)
    }
}

/// Key managers, the external key stores that use them, and where what is done to them is recorded.
#[derive(Debug)]
pub struct KeyConfig {
    /// The audit log, if there is one.
    pub audit: Option<AuditSettings>,
    /// As in [`Config`].
    pub approval: ApprovalPolicy,
    /// As in [`Config`].
    pub state_dir: Option<PathBuf>,
    /// Who holds keys, by name.
    pub key_managers: Vec<(String, KeyManagerConfig)>,
    /// Who answers under which prefix.
    pub key_stores: Vec<KeyStoreConfig>,
}

/// Reads the credential of one file, as `credential create` writes them, for this prefix.
///
/// # Errors
/// What is wrong with the file.
pub fn read_credential(
    file: &Path,
    prefix: &UriPathPrefix,
) -> Result<(AccessKeyId, SecretAccessKey), ConfigError> {
    let credential = files::Files::default().credential(file, &prefix.uri_path());
    credential.map_err(|unusable| {
        ConfigError(vec![Problem {
            file: file.to_owned(),
            line: None,
            field: String::new(),
            found: unusable.found,
            expected: unusable.expected.to_owned(),
        }])
    })
}

fn read_text(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|error| {
        ConfigError(vec![Problem {
            file: file.to_owned(),
            line: None,
            field: String::new(),
            found: format!("it cannot be read: {}", Advised(&error)),
            expected: "a TOML file that this user may read".to_owned(),
        }])
    })
}

/// What is wrong with a configuration.
#[derive(Debug)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(
            f,
            "the configuration has {count} problem{}:",
            if count == 1 { "" } else { "s" }
        )?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::WhenFailing;
    use crate::key_manager::embedded::{RootKeySource, StorePlace};
    use crate::throttle::Rate;

    const EXAMPLE: &str = include_str!("../../deploy/xks-proxy.example.toml");
    const CHAIN: &str = include_str!("../../../certs/server-ecdsa.crt.pem");
    const KEY: &str = include_str!("../../../certs/server-ecdsa.test-key.pem");
    const OTHER_KEY: &str = include_str!("../../../certs/server-rsa.test-key.pem");
    const CLIENT_CA: &str = include_str!("../../../certs/client-ca.crt.pem");

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("tls")).unwrap();
        write("tls/chain.pem", CHAIN);
        write("tls/key.pem", KEY);
        write("tls/other-key.pem", OTHER_KEY);
        write("tls/client-ca.pem", CLIENT_CA);
        write(
            "credential.json",
            &serde_json::json!({
                "XksProxyUriPath": "/tenant-a/kms/xks/v1",
                "XksProxyAuthenticationCredential": {
                    "AccessKeyId": "ABCDEFGHIJKLMNOPQRST",
                    "RawSecretAccessKey": SECRET,
                }
            })
            .to_string(),
        );
        write("policy.rego", "package xks\nallow if data.on\n");
        write("broken.rego", "package xks\nallow if on(input)\n");
        write("policy-data.json", "{\"on\": true}");
        write("x.toml", text);
        let mut config = Config::load(&folder.path().join("x.toml"))?;
        // So that two folders compare as equal.
        for (_, key_manager) in &mut config.key_managers {
            let KeyManagerConfig::Embedded(place) = key_manager else {
                continue;
            };
            let StorePlace {
                data_dir, root_key, ..
            } = &mut **place;
            let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_owned();
            *data_dir = relative(data_dir);
            if let RootKeySource::File(path) = root_key {
                *path = relative(path);
            }
        }
        Ok(config)
    }

    const SECRET: &str = "SesameSesameSesameSesameSesameSesameSesameSesame";

    /// The settings of a configuration, as far as they can be compared.
    fn settings(config: &Config) -> String {
        let Config {
            listen,
            health_listen,
            metrics_listen,
            tls,
            limits,
            drain,
            health,
            log,
            audit,
            traces,
            admin_listen,
            approval,
            poll_interval,
            state_dir: _,
            key_managers,
            key_stores,
            sources: _,
            warnings: _,
        } = config;
        format!(
            "{listen:?} {health_listen:?} {metrics_listen:?} {:?} {limits:?} {drain:?} {health:?} {log:?} {audit:?} {traces:?} \
             {admin_listen:?} {approval:?} \
             {poll_interval:?} {key_managers:?} {key_stores:?}",
            tls.client
        )
    }

    /// The example with the lines that begin so uncommented, in the tables that they stand in.
    fn uncommented(begin: &str) -> String {
        let field = |line: &str| line.contains(" = ") || line.starts_with('[');
        EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix(begin) {
                Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) && field(rest) => {
                    rest
                }
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let example = load(EXAMPLE).unwrap();
        assert_eq!(example.limits, Limits::default());
        assert_eq!(example.drain, Drain::default());
        assert_eq!(example.health, HealthConfig::default());
        assert_eq!(example.log, LogConfig::default());
        assert_eq!(example.poll_interval, Some(DEFAULT_POLL_INTERVAL));
        assert_eq!(example.key_stores[0].keys, KeySelection::all());
        assert_eq!(example.key_stores[0].regions, Regions::Any);
        let complete = uncommented("#");
        assert!(complete.lines().count() == EXAMPLE.lines().count() && complete != EXAMPLE);
        assert_eq!(settings(&load(&complete).unwrap()), settings(&example));
    }

    #[test]
    fn the_example_has_every_field() {
        // What refuses a wrong name lists the right ones.
        let mut text = "zzzzzzzz = 1\n".to_owned();
        let shown = [
            "[tls.client]",
            "[admin]",
            "[audit]",
            "[traces]",
            "[key_stores.quota]",
            "[[key_stores.rules]]",
            "[key_stores.rego]",
        ];
        let example = shown.iter().fold(EXAMPLE.to_owned(), |example, table| {
            example.replace(&format!("# {table}"), table)
        });
        for line in example.lines() {
            text.push_str(line);
            text.push_str(if line.starts_with('[') {
                "\nzzzzzzzz = 1\n"
            } else {
                "\n"
            });
        }
        let error = load(&text).unwrap_err();
        let mut tables = 0;
        for problem in error.0.iter().filter(|p| p.found == "no such field") {
            tables += 1;
            for name in problem.expected.trim_start_matches("one of ").split(", ") {
                let shown = EXAMPLE.lines().any(|line| {
                    let line = line.trim_start_matches(['#', ' ', '[']);
                    let below = ["", "tls.", "key_stores."];
                    let mut names = below.iter().filter_map(|table| line.strip_prefix(table));
                    let rest = names.find_map(|line| line.strip_prefix(name));
                    rest.is_some_and(|rest| rest.starts_with([' ', ']', '.']))
                });
                assert!(shown, "{name} is not in the example");
            }
        }
        assert_eq!(tables, 17, "{error}");
    }

    #[test]
    fn client_certificates_and_credential_files() {
        let text = EXAMPLE
            .replace("# [tls.client]", "[tls.client]")
            .replacen("# ca_file", "ca_file", 1)
            .replace("# subject_common_names", "subject_common_names")
            .replace(
                "#credential_files = []",
                "credential_files = [\"credential.json\"]",
            )
            .replace("# regions", "regions");
        let config = load(&text).unwrap();
        let client = config.tls.client.as_ref().unwrap();
        assert_eq!(
            client.subject_common_names,
            ["cks.kms.us-east-1.amazonaws.com"]
        );
        let store = &config.key_stores[0];
        assert_eq!(store.credentials[0].0.as_str(), "ABCDEFGHIJKLMNOPQRST");
        assert_eq!(
            store.regions,
            Regions::Only(vec!["us-east-1".try_into().unwrap()])
        );
        assert!(!format!("{config:?}").contains("Sesame"));
        let files: Vec<_> = config
            .sources
            .iter()
            .map(|source| source.path.file_name().unwrap())
            .collect();
        assert_eq!(
            files,
            [
                "x.toml",
                "chain.pem",
                "key.pem",
                "client-ca.pem",
                "credential.json"
            ]
        );
    }

    #[test]
    fn the_example_shows_the_defaults_of_an_audit_log() {
        assert_eq!(load(EXAMPLE).unwrap().audit, None);
        let required = [
            "# [audit]",
            "# folder = \"audit\"",
            "# key_file = \"audit.key\"",
        ];
        let with = |lines: &[&str]| {
            let uncomment = |text: String, line: &&str| text.replacen(line, &line[2..], 1);
            load(&lines.iter().fold(EXAMPLE.to_owned(), uncomment))
        };
        let least = with(&required).unwrap().audit.unwrap();
        assert_eq!(least.when_failing, WhenFailing::Strict);
        let optional = [
            "# sync = ",
            "# sync_interval = ",
            "# when_failing = ",
            "# rotate_bytes = ",
            "# rotate_after = ",
            "# keep_files = ",
            "# forward = ",
        ];
        let all = with(&[&required[..], &optional].concat()).unwrap();
        let mut all = all.audit.unwrap();
        // Each is in a folder of its own.
        all.folder.clone_from(&least.folder);
        all.key_file.clone_from(&least.key_file);
        assert_eq!(all, least);
        let error = with(&required[..1]).unwrap_err();
        assert_eq!(error.0.len(), 2, "{error}");
    }

    #[test]
    fn what_kms_is_told_is_of_the_key_store() {
        let mut text = EXAMPLE.to_owned();
        for field in [
            "uri_endpoint",
            "custom_key_store_name",
            "vpc_endpoint_service_name",
            "vpc_endpoint_service_owner",
        ] {
            text = text.replace(&format!("# {field}"), field);
        }
        let link = load(&text).unwrap().key_stores.remove(0).link;
        assert_eq!(link.uri_endpoint.unwrap().host(), "xks.example.com");
        assert_eq!(link.custom_key_store_name.unwrap(), "tenant-a");
        assert!(link.vpc_endpoint_service_name.is_some());
        assert_eq!(link.vpc_endpoint_service_owner.unwrap(), "111122223333");
        let wrong = text
            .replace("https://xks.example.com", "https://xks.example.com:443")
            .replace("com.amazonaws.vpce.us", "us")
            .replace("111122223333", "1111");
        let error = load(&wrong).unwrap_err();
        assert_eq!(error.0.len(), 3, "{error}");
    }

    /// The example with its rules and its policy in Rego.
    fn with_policy() -> String {
        let start = EXAMPLE.find("# [[key_stores.rules]]").unwrap();
        let (before, policy) = EXAMPLE.split_at(start);
        let shown = |line: &&str| line.contains(" = ") || line.contains("# [");
        let lines = policy.lines().filter(shown);
        let lines: Vec<_> = lines.map(|line| line.trim_start_matches("# ")).collect();
        format!("{before}{}", lines.join("\n"))
    }

    #[test]
    fn a_policy_is_rules_and_rego() {
        let config = load(&with_policy()).unwrap();
        let policy = config.key_stores[0].policy.as_ref().unwrap();
        let rules: Vec<_> = policy.rules().unwrap().iter().map(|r| r.id()).collect();
        assert_eq!(rules, ["payroll-app"]);
        assert_eq!(policy.rego().unwrap().entry(), "data.xks.allow");
        let files = config.sources.iter().map(|s| s.path.file_name().unwrap());
        let files: Vec<_> = files.collect();
        assert!(
            files.contains(&"policy.rego".as_ref()) && files.contains(&"policy-data.json".as_ref())
        );
        assert!(load(EXAMPLE).unwrap().key_stores[0].policy.is_none());
        for (from, to, field) in [
            (
                "id = \"payroll-app\"",
                "id = \"a b\"",
                "key_stores[1].rules[1].id",
            ),
            (
                "effect = \"allow\"",
                "effect = \"permit\"",
                "key_stores[1].rules[1].effect",
            ),
            (
                "operations = [\"Encrypt\",",
                "operations = [\"GetHealthStatus\",",
                "key_stores[1].rules[1].operations",
            ),
            (
                "vpcs = [\"vpc-0123456789abcdef0\"]",
                "vpcs = []",
                "key_stores[1].rules[1].vpcs",
            ),
            (
                "keys = [\"payroll\"",
                "keys = [\"\"",
                "key_stores[1].rules[1].keys",
            ),
            (
                "principals",
                "principal",
                "key_stores[1].rules[1].principal",
            ),
            (
                "files = [\"policy.rego\"]",
                "files = []",
                "key_stores[1].rego.files",
            ),
            (
                "files = [\"policy.rego\"]",
                "files = [\"none.rego\"]",
                "key_stores[1].rego.files",
            ),
            (
                "policy-data.json",
                "none.json",
                "key_stores[1].rego.data_file",
            ),
            ("data.xks.allow", "xks.allow", "key_stores[1].rego.rule"),
            ("data.xks.allow", "data.xks.permit", "key_stores[1].rego"),
            ("10ms", "1s", "key_stores[1].rego.time_limit"),
        ] {
            let error = load(&with_policy().replace(from, to)).unwrap_err();
            let fields: Vec<_> = error.0.iter().map(|p| &*p.field).collect();
            assert_eq!(fields, [field], "{error}");
        }
        // The place of what is wrong with Rego is in its file.
        let error = load(&with_policy().replace("policy.rego", "broken.rego")).unwrap_err();
        assert!(error.to_string().contains("broken.rego:2: "), "{error}");
    }

    #[test]
    fn quotas_and_peers_that_speak_for_others() {
        let quota = |fields: &str| {
            let text = format!("{EXAMPLE}\n[key_stores.quota]\n{fields}");
            load(&text).map(|config| config.key_stores[0].quota)
        };
        let number = |n| NonZeroU32::new(n).unwrap();
        let rate = |per_second, burst| {
            Some(Rate {
                per_second: number(per_second),
                burst: number(burst),
            })
        };
        for (fields, rate, concurrency) in [
            ("requests_per_second = 1800", rate(1_800, 1_800), None),
            ("requests_per_second = 5\nburst = 1", rate(5, 1), None),
            ("concurrency = 64", None, Some(number(64))),
            (
                "requests_per_second = 5\nconcurrency = 1",
                rate(5, 5),
                Some(number(1)),
            ),
        ] {
            let expected = QuotaConfig { rate, concurrency };
            assert_eq!(quota(fields).unwrap(), Some(expected), "{fields}");
        }
        assert_eq!(load(EXAMPLE).unwrap().key_stores[0].quota, None);
        for (fields, field) in [
            ("", "key_stores[1].quota"),
            ("burst = 5", "key_stores[1].quota.burst"),
            (
                "requests_per_second = 0",
                "key_stores[1].quota.requests_per_second",
            ),
            (
                "request_per_second = 9",
                "key_stores[1].quota.request_per_second",
            ),
        ] {
            let error = quota(fields).unwrap_err();
            assert!(error.0.iter().any(|p| p.field == field), "{error}");
        }
        let peers = |list: &str| {
            let shown = "# proxy_protocol_from = [\"10.0.0.0/24\"]";
            load(&EXAMPLE.replace(shown, &format!("proxy_protocol_from = [{list}]")))
        };
        let named = peers("\"10.0.0.0/24\", \"::1\"")
            .unwrap()
            .limits
            .proxy_protocol_from;
        assert_eq!(named.len(), 2);
        assert_eq!(load(EXAMPLE).unwrap().limits.proxy_protocol_from.len(), 0);
        let error = peers("\"10.0.0.1/24\"").unwrap_err();
        assert_eq!(error.0[0].field, "proxy_protocol_from", "{error}");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = EXAMPLE
            .replace("listen = \"0.0.0.0:443\"", "listen = \"everywhere\"")
            .replace("tls/key.pem", "tls/other-key.pem")
            .replace("#max_body_bytes = 65536", "max_body_bytes = 1024")
            .replace("#delay = \"5s\"", "delay = \"1m\"")
            .replace("#format = \"auto\"", "formatt = \"json\"")
            .replace("key_manager = \"embedded\"", "key_manager = \"hsm\"")
            .replace("#keys = [\"*\"]", "keys = [\"a\", \"b/c\"]")
            .replace(
                "#credential_files = []",
                "credential_files = [\"tls/key.pem\", \"none\"]",
            );
        let error = load(&text).unwrap_err();
        let mut fields: Vec<_> = error.0.iter().map(|p| &*p.field).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "drain.timeout",
                "key_stores[1].credential_files",
                "key_stores[1].credential_files",
                "key_stores[1].key_manager",
                "key_stores[1].keys",
                "limits.max_body_bytes",
                "listen",
                "log.formatt",
                "tls.private_key_file",
            ],
            "{error}"
        );
        for problem in &error.0 {
            assert!(
                problem.line.is_some() || problem.field == "drain.timeout",
                "{problem}"
            );
        }
    }

    #[cfg(feature = "pkcs11")]
    #[test]
    fn a_key_manager_is_given_up_before_its_request_is() {
        // Any file that is there will do for a library that is not loaded here.
        let with = |timeout: &str| {
            format!(
                "{EXAMPLE}\n[key_managers.hsm]\ntype = \"pkcs11\"\nlibrary = \"tls/chain.pem\"\n\
                 token_label = \"xks\"\ntimeout = \"{timeout}\"\n"
            )
        };
        load(&with("199ms")).unwrap();
        let error = load(&with("200ms")).unwrap_err();
        let fields: Vec<_> = error.0.iter().map(|p| &*p.field).collect();
        assert_eq!(fields, ["key_managers.hsm.timeout"], "{error}");
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        std::fs::write(&path, CHAIN).unwrap();
        let files = files::Files::default();
        files.certificates(&path).map_err(|e| e.found).unwrap();
        let (sources, _) = files.into_parts();
        assert!(!sources[0].changed());
        std::fs::write(&path, CLIENT_CA).unwrap();
        assert!(sources[0].changed());
    }
}
