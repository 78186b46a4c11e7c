//! From the shape of the file to a [`Config`]: every field, its bounds and its default.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;
use xks_api::ids::UriPathPrefix;
use xks_api::sigv4::{Region, Regions};

use super::document::{Document, Section, duration, integer, socket_addr, text};
use super::files::{Files, Unusable};
use super::key_managers::KeyManagerTables;
use super::policy::PolicyConfig;
use super::traffic;
use super::{
    Config, ConfigError, DEFAULT_POLL_INTERVAL, HealthConfig, KeyConfig, KeyStoreConfig,
    LinkConfig, LogConfig, UriEndpoint,
};
use crate::key_store::KeySelection;
use crate::request_log::LogFormat;
use crate::runtime::Limits;
use crate::server::Drain;
use crate::tls::{self, ClientAuthentication, TlsError, TlsMaterial};

/// Reads the text of a configuration file. Relative paths in it are relative to the file.
pub(super) fn config(file: &Path, content: &str) -> Result<Config, ConfigError> {
    let document = Document::new(file, content);
    let root = document.root();
    let reader = Reader {
        folder: file.parent().unwrap_or_else(|| Path::new(".")),
        files: Files::default(),
    };
    reader.files.add(file, content.as_bytes());
    let config = reader.config(&Section::root(&document, &root));
    drop(root);
    let problems = document.into_problems();
    match config {
        Some(config) if problems.is_empty() => {
            let (sources, warnings) = reader.files.into_parts();
            Ok(Config {
                sources,
                warnings,
                ..config
            })
        }
        _ => Err(ConfigError(problems)),
    }
}

/// Reads key managers and external key stores alone.
pub(super) fn keys(file: &Path, content: &str) -> Result<KeyConfig, ConfigError> {
    let document = Document::new(file, content);
    let root = document.root();
    let reader = Reader {
        folder: file.parent().unwrap_or_else(|| Path::new(".")),
        files: Files::default(),
    };
    let fields = Section::root(&document, &root);
    let audit = reader.audit(&fields);
    let state_dir = reader.state_dir(&fields);
    let approval = reader.approval(&fields);
    let key_managers = reader.key_managers(&fields, None);
    let key_stores = reader.key_stores(&fields, &key_managers);
    drop(fields);
    drop(root);
    let problems = document.into_problems();
    if !problems.is_empty() {
        return Err(ConfigError(problems));
    }
    Ok(KeyConfig {
        audit,
        approval,
        state_dir: state_dir.or_else(|| first_data_dir(&key_managers)),
        key_managers: key_managers.read,
        key_stores,
    })
}

/// Reads the policies of external key stores alone.
pub(super) fn policies(file: &Path, content: &str) -> Result<Vec<PolicyConfig>, ConfigError> {
    let document = Document::new(file, content);
    let root = document.root();
    let reader = Reader {
        folder: file.parent().unwrap_or_else(|| Path::new(".")),
        files: Files::default(),
    };
    let policies = {
        let stores = Section::root(&document, &root).sections("key_stores");
        let policies = stores
            .iter()
            .filter_map(|fields| reader.policy_config(fields));
        policies.collect()
    };
    drop(root);
    let problems = document.into_problems();
    match problems.is_empty() {
        true => Ok(policies),
        false => Err(ConfigError(problems)),
    }
}

pub(super) struct Reader<'f> {
    pub(super) folder: &'f Path,
    pub(super) files: Files,
}

pub(super) type Fields<'s, 'd> = Section<'s, 'd>;

impl Reader<'_> {
    /// `None` only with at least one problem.
    fn config(&self, root: &Fields<'_, '_>) -> Option<Config> {
        let address = "an IP address and a port, such as \"0.0.0.0:443\" or \"[::]:443\"";
        let listen = root.required("listen", socket_addr, address);
        let health_listen = root.optional("health_listen", socket_addr, address);
        let state_dir = self.state_dir(root);
        let metrics_listen = root.optional("metrics_listen", socket_addr, address);
        let admin_listen = self.admin_listen(root);
        let approval = self.approval(root);
        let tls = self.tls(root.section("tls"));
        let proxy_protocol_from = traffic::proxy_protocol_from(root);
        let limits = Limits {
            proxy_protocol_from,
            ..limits(root.section("limits"))
        };
        let drain = drain(root.section("drain"));
        let health = health(root.section("health"));
        let log = log(root.section("log"));
        let audit = self.audit(root);
        let traces = self.traces(root);
        let poll_interval = poll_interval(root.section("reload"));
        let key_managers = self.key_managers(root, Some(limits.key_manager_timeout));
        let key_stores = self.key_stores(root, &key_managers);
        root.refuse_others();
        Some(Config {
            listen: listen?,
            health_listen,
            metrics_listen,
            tls: tls?,
            limits,
            drain,
            health,
            log,
            audit,
            traces,
            admin_listen,
            approval,
            poll_interval,
            state_dir: state_dir.or_else(|| first_data_dir(&key_managers)),
            key_managers: key_managers.read,
            key_stores,
            sources: Vec::new(),
            warnings: Vec::new(),
        })
    }

    fn state_dir(&self, root: &Fields<'_, '_>) -> Option<PathBuf> {
        let read = |value: &DeValue<'_>| value.as_str().and_then(path);
        let folder = root.optional("state_dir", read, "the name of a folder");
        folder.map(|folder| self.folder.join(folder))
    }

    fn tls(&self, fields: Fields<'_, '_>) -> Option<TlsMaterial> {
        let chain = self.file(&fields, "certificate_file", |path| {
            self.files.certificates(path)
        });
        let key = self.file(&fields, "private_key_file", |path| {
            self.files.private_key(path)
        });
        let section = fields.section("client");
        let client = fields
            .has("client")
            .then(|| self.client_authentication(section));
        fields.refuse_others();
        let material = TlsMaterial {
            chain: chain?,
            key: key?,
            client: match client {
                None => None,
                Some(client) => Some(client?),
            },
        };
        if let Err(error) = tls::server_config(&material) {
            let (field, expected) = match error {
                TlsError::Certificate(_) => (
                    "private_key_file",
                    "the key of the first certificate in certificate_file",
                ),
                TlsError::Root(_) | TlsError::Verifier(_) => {
                    ("client", "a ca_file and crl_files that go together")
                }
                TlsError::Protocol(_) => ("", "a program that has TLS 1.2 and 1.3"),
            };
            fields.problem(fields.place(field), error.to_string(), expected);
            return None;
        }
        Some(material)
    }

    fn client_authentication(&self, fields: Fields<'_, '_>) -> Option<ClientAuthentication> {
        let roots = self.file(&fields, "ca_file", |path| self.files.certificates(path));
        let mut crls = Vec::new();
        let expected = "the name of a file";
        for path in fields.list("crl_files", path, expected).unwrap_or_default() {
            match self.files.crls(&self.folder.join(path)) {
                Ok(list) => crls.extend(list),
                Err(e) => fields.problem(fields.place("crl_files"), e.found, e.expected),
            }
        }
        let expected = "a subject common name, such as \"cks.kms.us-east-1.amazonaws.com\"";
        let names = fields.list("subject_common_names", non_empty, expected);
        if fields.has_none("subject_common_names") {
            let place = fields.place("subject_common_names");
            fields.problem(
                place,
                "no name",
                "a list with one or more subject common names",
            );
        }
        fields.refuse_others();
        Some(ClientAuthentication {
            roots: roots?,
            crls,
            subject_common_names: names?,
        })
    }

    fn key_stores(
        &self,
        root: &Fields<'_, '_>,
        key_managers: &KeyManagerTables,
    ) -> Vec<KeyStoreConfig> {
        let mut key_stores: Vec<KeyStoreConfig> = Vec::new();
        let mut owners = HashMap::new();
        let sections = root.sections("key_stores");
        if sections.is_empty() {
            let expected = "one table [[key_stores]] for each external key store";
            root.problem(root.place("key_stores"), "there is none", expected);
        }
        for fields in sections {
            let Some(store) = self.key_store(&fields, key_managers) else {
                continue;
            };
            let place = fields.place("uri_path_prefix");
            if key_stores.iter().any(|other| other.prefix == store.prefix) {
                let found = format!("{:?} names another key store, too", store.prefix.as_str());
                fields.problem(place.clone(), found, "a prefix of its own");
            }
            for (id, _) in &store.credentials {
                // An id names one secret, whichever prefix it is for.
                if owners.insert(id.clone(), ()).is_some() {
                    let place = fields.place("credential_files");
                    let found = format!("the access key id {id} is in two files");
                    fields.problem(place, found, "ids that occur once");
                }
            }
            key_stores.push(store);
        }
        key_stores
    }

    fn key_store(
        &self,
        fields: &Fields<'_, '_>,
        key_managers: &KeyManagerTables,
    ) -> Option<KeyStoreConfig> {
        let prefix = prefix(fields);
        let names = key_managers.read.iter().map(|(name, _)| name);
        let names: Vec<_> = names.chain(&key_managers.unread).map(|n| &**n).collect();
        let expected = format!("the name of a key manager: {}", names.join(", "));
        let known = |name: &String| names.contains(&&**name);
        let key_manager = fields.required("key_manager", |v| text(v).filter(known), &expected);
        let credential_store = credential_store(fields, key_managers, key_manager.as_deref());
        let keys = keys_of(fields);
        let expected = "a Region, such as \"us-east-1\"";
        let region = |text: &str| Region::try_from(text).ok();
        let regions = match fields.list("regions", region, expected) {
            None => Regions::Any,
            Some(list) => Regions::Only(list),
        };
        let mut credentials = Vec::new();
        let files = fields.list("credential_files", path, "the name of a file");
        if let (Some(files), Some(prefix)) = (files, &prefix) {
            for file in files {
                match self
                    .files
                    .credential(&self.folder.join(file), &prefix.uri_path())
                {
                    Ok(credential) => credentials.push(credential),
                    Err(e) => {
                        fields.problem(fields.place("credential_files"), e.found, e.expected);
                    }
                }
            }
        }
        let policy = self.policy(fields);
        let quota = traffic::quota(fields);
        let link = link(fields);
        fields.refuse_others();
        Some(KeyStoreConfig {
            link,
            prefix: prefix?,
            key_manager: key_manager?,
            credential_store,
            keys,
            regions,
            credentials,
            policy,
            quota,
        })
    }

    /// A field that names a file, and what is in the file.
    pub(super) fn file<T>(
        &self,
        fields: &Fields<'_, '_>,
        name: &'static str,
        read: impl FnOnce(&Path) -> Result<T, Unusable>,
    ) -> Option<T> {
        let expected = "the name of a PEM file";
        let path = fields.required(name, text, expected)?;
        match read(&self.folder.join(path)) {
            Ok(value) => Some(value),
            Err(e) => {
                fields.problem(fields.place(name), e.found, e.expected);
                None
            }
        }
    }
}

pub(super) fn prefix(fields: &Fields<'_, '_>) -> Option<UriPathPrefix> {
    let expected = "empty, or segments of A-Z a-z 0-9 - _ each after one slash, such as \
                    \"/tenant-a\", without /kms/xks/v1";
    fields.required(
        "uri_path_prefix",
        |v| UriPathPrefix::try_from(v.as_str()?).ok(),
        expected,
    )
}

/// All, unless they are named.
pub(super) fn keys_of(fields: &Fields<'_, '_>) -> KeySelection {
    let expected = "a key id, or a pattern with * and ?";
    let Some(patterns) = fields.list("keys", keys_pattern, expected) else {
        return match fields.has("keys") {
            true => KeySelection::default(),
            false => KeySelection::all(),
        };
    };
    let mut keys = KeySelection::default();
    for pattern in patterns {
        // Each was tried before.
        let _ = keys.add(&pattern);
    }
    keys
}

/// How KMS knows a key store.
fn link(fields: &Fields<'_, '_>) -> LinkConfig {
    let account = |text: &String| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    let service = |text: &String| text.contains(".vpce.") && text.contains(".vpce-svc-");
    LinkConfig {
        uri_endpoint: fields.optional(
            "uri_endpoint",
            |v| UriEndpoint::try_from(v.as_str()?).ok(),
            "https:// and a host name, without port and path, such as \"https://xks.example.com\"",
        ),
        custom_key_store_name: fields.optional(
            "custom_key_store_name",
            |v| text(v).filter(|name| (1..=256).contains(&name.chars().count())),
            "1 to 256 characters",
        ),
        vpc_endpoint_service_name: fields.optional(
            "vpc_endpoint_service_name",
            |v| text(v).filter(service),
            "a name such as \"com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0\"",
        ),
        vpc_endpoint_service_owner: fields.optional(
            "vpc_endpoint_service_owner",
            |v| text(v).filter(account),
            "an AWS account id of 12 digits",
        ),
    }
}

/// The embedded key manager that keeps a store's credentials: the named one, else the store's own, else the only one.
fn credential_store(
    fields: &Fields<'_, '_>,
    key_managers: &KeyManagerTables,
    key_manager: Option<&str>,
) -> Option<String> {
    let embedded: Vec<_> = key_managers
        .read
        .iter()
        .filter(|(_, config)| config.keeps_credentials())
        .map(|(name, _)| &**name)
        .collect();
    let expected = match &*embedded {
        [] => "no such field: credentials are kept by a key manager of type \"embedded\", and there is none"
            .to_owned(),
        names => format!("the name of an embedded key manager: {}", names.join(", ")),
    };
    let known = |name: &String| embedded.contains(&&**name) || key_managers.is_unread(name);
    let named = fields.optional("credential_store", |v| text(v).filter(known), &expected);
    if named.is_some() || fields.has("credential_store") {
        return named;
    }
    let own = key_manager.filter(|name| embedded.contains(name));
    let only = match &*embedded {
        [only] => Some(*only),
        _ => None,
    };
    own.or(only).map(str::to_owned)
}

fn limits(fields: Fields<'_, '_>) -> Limits {
    let default = Limits::default();
    let time = |name, default| {
        let bounds = Duration::from_millis(1)..=Duration::from_secs(3_600);
        fields
            .optional(name, duration(bounds), "a time from \"1ms\" to \"60m\"")
            .unwrap_or(default)
    };
    let limits = Limits {
        max_connections: count(&fields, "max_connections", 1..=1_000_000)
            .unwrap_or(default.max_connections),
        max_connections_per_address: traffic::number(&fields, "max_connections_per_address"),
        proxy_protocol_from: default.proxy_protocol_from,
        max_body_bytes: fields
            .optional(
                "max_body_bytes",
                integer(MIN_BODY_BYTES..=MAX_BODY_BYTES),
                "32768 to 1048576 bytes: the specification's largest messages need 32 KiB",
            )
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(default.max_body_bytes),
        handshake_timeout: time("handshake_timeout", default.handshake_timeout),
        header_timeout: time("header_timeout", default.header_timeout),
        body_timeout: time("body_timeout", default.body_timeout),
        idle_timeout: time("idle_timeout", default.idle_timeout),
        key_manager_timeout: fields
            .optional(
                "key_manager_timeout",
                duration(Duration::from_millis(10)..=Duration::from_secs(10)),
                "a time from \"10ms\" to \"10s\"; KMS waits for 250 ms in all",
            )
            .unwrap_or(default.key_manager_timeout),
        max_http2_streams: count(&fields, "max_http2_streams", 1..=10_000)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(default.max_http2_streams),
    };
    fields.refuse_others();
    limits
}

fn drain(fields: Fields<'_, '_>) -> Drain {
    let default = Drain::default();
    let bounds = || Duration::ZERO..=Duration::from_secs(3_600);
    let expected = "a time from \"0s\" to \"60m\"";
    let drain = Drain {
        delay: fields
            .optional("delay", duration(bounds()), expected)
            .unwrap_or(default.delay),
        timeout: fields
            .optional("timeout", duration(bounds()), expected)
            .unwrap_or(default.timeout),
    };
    if drain.timeout < drain.delay {
        let found = format!(
            "{:?}, shorter than the delay of {:?}",
            drain.timeout, drain.delay
        );
        let expected = "at least drain.delay: the timeout counts from the signal";
        fields.problem(fields.place("timeout"), found, expected);
    }
    fields.refuse_others();
    drain
}

fn health(fields: Fields<'_, '_>) -> HealthConfig {
    let default = HealthConfig::default();
    let health = HealthConfig {
        probe_interval: fields
            .optional(
                "probe_interval",
                duration(Duration::from_secs(1)..=Duration::from_secs(30)),
                "a time from \"1s\" to \"30s\": no status may be older than a minute",
            )
            .unwrap_or(default.probe_interval),
        slow_after: fields
            .optional(
                "slow_after",
                duration(Duration::from_millis(1)..=Duration::from_secs(10)),
                "a time from \"1ms\" to \"10s\"",
            )
            .unwrap_or(default.slow_after),
        fleet_size: count(&fields, "fleet_size", 1..=100_000)
            .and_then(|n| u32::try_from(n).ok())
            .and_then(NonZeroU32::new)
            .unwrap_or(default.fleet_size),
    };
    fields.refuse_others();
    health
}

fn log(fields: Fields<'_, '_>) -> LogConfig {
    let formats = [
        ("auto", None),
        ("json", Some(LogFormat::Json)),
        ("text", Some(LogFormat::Text)),
    ];
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
    ];
    let default = LogConfig::default();
    let log = LogConfig {
        format: fields
            .optional("format", word(&formats), "\"auto\", \"json\" or \"text\"")
            .unwrap_or(default.format),
        level: fields
            .optional(
                "level",
                word(&levels),
                "\"error\", \"warn\", \"info\" or \"debug\"",
            )
            .unwrap_or(default.level),
    };
    fields.refuse_others();
    log
}

fn poll_interval(fields: Fields<'_, '_>) -> Option<Duration> {
    let interval = fields
        .optional(
            "poll_interval",
            duration(Duration::ZERO..=Duration::from_secs(3_600)),
            "a time from \"1s\" to \"60m\", or \"0s\" for never",
        )
        .unwrap_or(DEFAULT_POLL_INTERVAL);
    fields.refuse_others();
    (!interval.is_zero()).then_some(interval)
}

pub(super) fn count(
    fields: &Fields<'_, '_>,
    name: &'static str,
    bounds: std::ops::RangeInclusive<u64>,
) -> Option<usize> {
    let expected = format!("a number from {} to {}", bounds.start(), bounds.end());
    let number = fields.optional(name, integer(bounds), &expected)?;
    usize::try_from(number).ok()
}

/// One of a few words.
pub(super) fn word<'w, T: Copy>(
    words: &'w [(&'static str, T)],
) -> impl Fn(&toml::de::DeValue<'_>) -> Option<T> + 'w {
    move |value| {
        let text = value.as_str()?;
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, t)| *t)
    }
}

/// A folder that is there anyway.
fn first_data_dir(key_managers: &KeyManagerTables) -> Option<PathBuf> {
    let mut places = key_managers.read.iter().filter_map(|(_, k)| k.embedded());
    places.next().map(|place| place.data_dir.clone())
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

pub(super) fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn keys_pattern(text: &str) -> Option<String> {
    KeySelection::default().add(text).ok()?;
    Some(text.to_owned())
}

const MIN_BODY_BYTES: u64 = 32 * 1024;
const MAX_BODY_BYTES: u64 = 1024 * 1024;
