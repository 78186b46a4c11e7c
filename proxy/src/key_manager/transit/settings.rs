//! What a Transit key manager is told: where the servers are, how to log in, which keys there are.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName};
use xks_api::ids::ExternalKeyId;
use xks_api::message::KeyStatus;

use crate::key_manager::circuit::CircuitConfig;
use crate::key_manager::embedded::Usages;

/// Everything that a Transit key manager is opened with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The servers of one cluster; the first one is preferred while none is known to be the active one.
    pub addresses: Vec<Address>,
    /// The CAs that the servers' certificates must come from.
    pub roots: Vec<CertificateDer<'static>>,
    /// `X-Vault-Namespace`.
    pub namespace: Option<ApiPath>,
    /// Where the Transit secrets engine is mounted.
    pub mount: ApiPath,
    /// How to get a token.
    pub login: Login,
    /// Which Transit key an external key is.
    pub keys: KeyMap,
    /// The Transit key that health probes use; no external key is this one.
    pub test_key: TransitKeyName,
    /// For one request to Transit with everything that belongs to it: connecting, failing over.
    pub timeout: Duration,
    /// How old what is known of a key may be: a rotation shows up within this time.
    pub key_max_age: Duration,
    /// Messages that one request may hold, at most [`MAX_BATCH`](Self::MAX_BATCH).
    pub max_batch: usize,
    /// How many requests run and wait, and when the key manager is left alone.
    pub circuit: CircuitConfig,
}

impl Settings {
    /// Leaves room for the second request of an Encrypt with an integrity value, within KMS's 250 ms.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(150);
    /// A rotation shows up this soon.
    pub const DEFAULT_KEY_MAX_AGE: Duration = Duration::from_secs(5);

    /// Messages in a request.
    pub const MAX_BATCH: usize = super::batch::MAX_BATCH;

    /// What is left to decide has defaults.
    pub fn new(addresses: Vec<Address>, login: Login, test_key: TransitKeyName) -> Self {
        Self {
            addresses,
            roots: Vec::new(),
            namespace: None,
            mount: ApiPath("transit".into()),
            login,
            keys: KeyMap::default(),
            test_key,
            timeout: Self::DEFAULT_TIMEOUT,
            key_max_age: Self::DEFAULT_KEY_MAX_AGE,
            max_batch: Self::MAX_BATCH,
            circuit: CircuitConfig::default(),
        }
    }
}

/// How to get a token. What is secret is in files, which are read anew at every login.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Login {
    /// A token that something else put into a file and may replace there.
    TokenFile(PathBuf),
    /// `auth/MOUNT/login` of an AppRole.
    AppRole {
        /// Where the method is mounted.
        mount: ApiPath,
        /// The role's id.
        role_id: String,
        /// Holds the secret id.
        secret_id_file: PathBuf,
    },
    /// `auth/MOUNT/login` with a service account's token.
    Kubernetes {
        /// Where the method is mounted.
        mount: ApiPath,
        /// The role.
        role: String,
        /// The service account's token.
        jwt_file: PathBuf,
    },
}

/// `https://host[:port]`; `http://` to this machine alone, for an agent on it that speaks TLS to the servers.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Address {
    pub(super) tls: Option<ServerName<'static>>,
    pub(super) host: Box<str>,
    pub(super) port: u16,
}

impl Address {
    /// `host:port`, for the `Host` header and for people.
    pub(super) fn authority(&self) -> String {
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{}", self.port),
            Err(_) => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether TLS goes over it.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl TryFrom<&str> for Address {
    type Error = InvalidAddress;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let uri: http::Uri = text.parse().map_err(|_| InvalidAddress)?;
        let authority = uri.authority().ok_or(InvalidAddress)?;
        let plain_path = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !plain_path || authority.as_str().contains('@') {
            return Err(InvalidAddress);
        }
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
        if host.is_empty() || port == 0 {
            return Err(InvalidAddress);
        }
        let tls = match uri.scheme_str() {
            Some("https") => {
                Some(ServerName::try_from(host.to_owned()).map_err(|_| InvalidAddress)?)
            }
            Some("http") if matches!(host, "localhost" | "127.0.0.1" | "::1") => None,
            _ => return Err(InvalidAddress),
        };
        Ok(Self {
            tls,
            host: host.into(),
            port,
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

const DEFAULT_PORT: u16 = 8200;

/// Neither an https address nor an http one of this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("https://HOST:PORT, or http:// with localhost, 127.0.0.1 or [::1]")]
pub struct InvalidAddress;

/// Segments of `A–Z a–z 0–9 - . _`, with `/` between them: a mount, or a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiPath(Box<str>);

impl ApiPath {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ApiPath {
    type Error = InvalidPath;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let text = text.trim_matches('/');
        match text.len() <= 512 && text.split('/').all(is_segment) {
            true => Ok(Self(text.into())),
            false => Err(InvalidPath),
        }
    }
}

/// A key of the Transit secrets engine.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TransitKeyName(Box<str>);

impl TransitKeyName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for TransitKeyName {
    type Error = InvalidPath;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        // As Transit itself: neither of the two signs at either end.
        let edges = text.starts_with(['-', '.']) || text.ends_with(['-', '.']);
        match (1..=128).contains(&text.len()) && is_segment(text) && !edges {
            true => Ok(Self(text.into())),
            false => Err(InvalidPath),
        }
    }
}

/// What Transit takes in a path, and no `..`.
fn is_segment(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    text.bytes().all(allowed) && text.bytes().any(|b| b != b'.')
}

/// The text cannot be a part of a path of the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("letters, digits, `-`, `.` and `_`")]
pub struct InvalidPath;

/// Which Transit key an external key is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyMap {
    /// Those that are listed.
    pub listed: HashMap<ExternalKeyId, MappedKey>,
    /// All others.
    pub unlisted: Unlisted,
}

/// What an external key id that is not listed leads to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unlisted {
    /// The Transit key of that name.
    #[default]
    ByName,
    /// No key.
    Unknown,
}

/// A Transit key as an external key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MappedKey {
    /// Its name in Transit.
    pub name: TransitKeyName,
    /// What it is for.
    pub usages: Usages,
    /// Whether it may be used.
    pub status: KeyStatus,
}

impl KeyMap {
    /// The Transit key of an external key; none if it would be `test_key`.
    pub(super) fn find(&self, id: &ExternalKeyId, test_key: &TransitKeyName) -> Option<MappedKey> {
        let mapped = match (self.listed.get(id), self.unlisted) {
            (Some(mapped), _) => mapped.clone(),
            (None, Unlisted::Unknown) => return None,
            (None, Unlisted::ByName) => MappedKey {
                name: TransitKeyName::try_from(id.as_str()).ok()?,
                usages: Usages::EncryptDecrypt,
                status: KeyStatus::Enabled,
            },
        };
        // Transit takes names as they are: `K` is not `k`.
        (mapped.name != *test_key).then_some(mapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            (
                "https://bao.example.com:8200",
                "https://bao.example.com:8200",
            ),
            ("https://bao.example.com", "https://bao.example.com:8200"),
            ("https://10.0.0.1:443/", "https://10.0.0.1:443"),
            ("https://[2001:db8::1]:8200", "https://[2001:db8::1]:8200"),
            ("http://127.0.0.1:8100", "http://127.0.0.1:8100"),
            ("http://[::1]:8100", "http://[::1]:8100"),
        ] {
            let address = Address::try_from(text).map(|address| format!("{address:?}"));
            assert_eq!(address.as_deref(), Ok(shown), "{text}");
        }
        for bad in [
            "",
            "bao:8200",
            "http://bao.example.com:8200",
            "http://10.0.0.1:8200",
            "ftp://127.0.0.1",
            "https://",
            "https://user@bao:8200",
            "https://bao:8200/v1",
            "https://bao:8200?x=1",
            "https://bao:0",
        ] {
            assert_eq!(Address::try_from(bad), Err(InvalidAddress), "{bad}");
        }
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(ApiPath::try_from("/a/b-c/").unwrap().as_str(), "a/b-c");
        for bad in ["", "/", "a//b", "a/../b", "a b", "a%2fb", "a?b", "ä"] {
            assert_eq!(ApiPath::try_from(bad), Err(InvalidPath), "{bad}");
        }
        for bad in ["", ".", "..", "a/b", "a#b", "-a", "a.", &"k".repeat(129)] {
            assert_eq!(TransitKeyName::try_from(bad), Err(InvalidPath), "{bad}");
        }
    }

    #[test]
    fn the_test_key_is_no_external_key() {
        let name = |text: &str| TransitKeyName::try_from(text).unwrap();
        let id = |text: &str| ExternalKeyId::try_from(text).unwrap();
        let mut keys = KeyMap::default();
        let found = |keys: &KeyMap, text: &str| {
            let mapped = keys.find(&id(text), &name("health"))?;
            Some(mapped.name.as_str().to_owned())
        };
        assert_eq!(found(&keys, "a").as_deref(), Some("a"));
        assert_eq!(found(&keys, "health"), None);
        for (text, to) in [("b", "other"), ("c", "health")] {
            let mapped = MappedKey {
                name: name(to),
                usages: Usages::Encrypt,
                status: KeyStatus::Enabled,
            };
            keys.listed.insert(id(text), mapped);
        }
        keys.unlisted = Unlisted::Unknown;
        assert_eq!(found(&keys, "a"), None);
        assert_eq!(found(&keys, "b").as_deref(), Some("other"));
        assert_eq!(found(&keys, "c"), None);
    }
}
