//! The configuration: one TOML file and the files that it names, read at once into values that are valid.
//!
//! This is the only reader of configuration files. The shape of the file (`document`, `read`) is not the shape that the
//! rest of the proxy works with ([`Config`]), and all problems are reported together, each with its place.

mod document;
mod files;
mod read;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::sigv4::Regions;

pub use document::Problem;
pub use files::Source;

use crate::key_store::KeySelection;
use crate::request_log::LogFormat;
use crate::runtime::Limits;
use crate::server::Drain;
use crate::tls::TlsMaterial;

/// Everything that a server is started with.
#[derive(Debug)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where `GET /ping` is answered over plain HTTP.
    pub health_listen: Option<SocketAddr>,
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

/// A key manager.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyManagerConfig {
    /// The software key manager that is part of the proxy.
    Embedded {
        /// Its store.
        data_dir: PathBuf,
        /// What its secrets are wrapped under.
        root_key: RootKeySource,
    },
}

/// Where a root key comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RootKeySource {
    /// A file of 32 bytes with mode 0600.
    File(PathBuf),
    /// A file of 32 bytes that the platform gives, such as a systemd credential.
    Credential(PathBuf),
    /// A file whose text is a passphrase.
    Passphrase(PathBuf),
}

/// An external key store.
#[derive(Debug)]
pub struct KeyStoreConfig {
    /// The URI path prefix that names it.
    pub prefix: UriPathPrefix,
    /// A name among [`Config::key_managers`].
    pub key_manager: String,
    /// Which keys it has.
    pub keys: KeySelection,
    /// Which Regions may call it.
    pub regions: Regions,
    /// The credentials of the files that it names; those of the key manager's store come in addition.
    pub credentials: Vec<(AccessKeyId, SecretAccessKey)>,
}

impl Config {
    /// Reads a configuration file and every file that it names.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                return Err(ConfigError(vec![Problem {
                    file: file.to_owned(),
                    line: None,
                    field: String::new(),
                    found: format!("the configuration file cannot be read: {error}"),
                    expected: "a TOML file that this user may read".to_owned(),
                }]));
            }
        };
        read::config(file, &text)
    }
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
