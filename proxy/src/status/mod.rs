//! How a proxy does, for its administrators: facts of one moment, as JSON, as pages, and as text of a command.
//!
//! | module | owns |
//! |---|---|
//! | `gather` | reading them from a running proxy |
//! | `certificates` | which ones there are, and when they expire |
//! | `credentials` | how old they are, and when they were used |
//! | `denials` | what policies denied, some of each external key store |
//! | `keys` | the part of them that can be long |
//! | `problems` | what somebody has to look at |
//! | `traffic` | counts and latencies of requests |
//! | `pages` | the same as pages for people, rendered here |
//!
//! There is no secret in any of it, and nothing of a request's body but what KMS says of its caller.

mod certificates;
mod credentials;
mod denials;
mod gather;
mod keys;
mod pages;
mod problems;
mod traffic;

use serde::{Deserialize, Serialize};

pub(crate) use gather::gather;
pub(crate) use pages::{Page, Pages};
pub use traffic::{ErrorCount, Latency, Minute, OfOperation, Requests, Traffic};

use crate::control::BlockInfo;
use crate::key_manager::embedded::KeyInfo;

/// Which part of the facts somebody wants; everything, but of long lists the beginning, by default.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// One external key store, by its prefix; `/` is the empty one.
    pub prefix: Option<String>,
    /// External key stores whose prefix has this in it.
    pub store: Option<String>,
    /// Keys whose id has this in it.
    pub key: Option<String>,
    /// External key stores after this one.
    pub after_store: Option<String>,
    /// Keys after this one, as `next` says.
    pub after_key: Option<String>,
}

/// How a proxy does.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Status {
    /// Of the proxy.
    pub version: String,
    /// When this was read; RFC 3339, as all times here.
    pub now: String,
    /// When the process began; `None` where nothing is counted.
    pub started: Option<String>,
    /// How long ago that was.
    pub uptime_seconds: Option<u64>,
    /// Whether it takes its leave.
    pub draining: bool,
    /// What keeps the proxy from doing all that it should, or soon will.
    pub problems: Vec<Problem>,
    /// Requests to the external key stores that are wanted, all together; `None` where nothing is counted.
    pub traffic: Option<Traffic>,
    /// The same by minute: the last 60, the earliest first, the last one not over yet.
    pub minutes: Vec<Minute>,
    /// Requests under no prefix that there is, since the process began.
    pub unrouted: Vec<ErrorCount>,
    /// Everything that holds keys.
    pub key_managers: Vec<KeyManagerStatus>,
    /// What listeners show, and what they take.
    pub certificates: Vec<CertificateStatus>,
    /// External key stores, by their prefix.
    pub key_stores: Listed<KeyStoreStatus>,
    /// Keys, by their id.
    pub keys: Listed<KeyStatus>,
    /// What is blocked; of one external key store, what concerns it.
    pub blocks: Listed<BlockInfo>,
    /// The last requests that policies denied, the newest first: 50 of one external key store, of several 10 each at most.
    pub denials: Vec<DenialStatus>,
    /// The audit log, if there is one.
    pub audit: Option<AuditStatus>,
}

/// The beginning of a list, or a part of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Listed<T> {
    /// How many there are in all, wanted or not.
    pub total: usize,
    /// Some of those that are wanted.
    pub rows: Vec<T>,
    /// After which one it goes on; `None` if these are the last ones.
    pub next: Option<String>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            total: 0,
            rows: Vec::new(),
            next: None,
        }
    }
}

impl<T> Listed<T> {
    /// The first rows of so many.
    fn beginning(
        total: usize,
        rows: impl Iterator<Item = T>,
        name: impl FnOnce(&T) -> String,
    ) -> Self {
        let rows: Vec<_> = rows.collect();
        let more = total > rows.len();
        let next = rows.last().filter(|_| more).map(name);
        Self { total, rows, next }
    }
}

/// Something to look at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// In a sentence that says what to do.
    pub text: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Requests fail for it.
    Failure,
    /// They do not yet.
    Warning,
}

/// One key manager.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeyManagerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `type` in the configuration.
    pub kind: String,
    /// ACTIVE, DEGRADED or UNAVAILABLE, as GetHealthStatus tells; UNKNOWN before the first probe.
    pub state: String,
    /// Who made it.
    pub vendor: String,
    /// The servers, tokens or proxies that it consists of; the first ten.
    pub instances: Vec<InstanceStatus>,
    /// Its queue and its circuit breaker; `None` where nothing ever waits for it.
    pub circuit: Option<CircuitStatus>,
    /// How many keys it has; `None` where it alone knows.
    pub keys: Option<usize>,
}

/// One instance of a key manager.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct InstanceStatus {
    /// Names it.
    pub id: String,
    /// Product and version.
    pub model: String,
    /// As the state of a key manager.
    pub state: String,
}

/// Queue and circuit breaker of a key manager.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CircuitStatus {
    /// Whether it is left alone since it mostly fails.
    pub open: bool,
    /// Calls that were not answered yet.
    pub running: usize,
    /// Calls that wait for one of these to end.
    pub waiting: usize,
}

/// One certificate, or a list of revoked ones.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CertificateStatus {
    /// What it is for.
    pub of: String,
    /// What it is.
    pub kind: CertificateKind,
    /// Its subject; the issuer of a list.
    pub subject: String,
    /// When it expires.
    pub not_after: String,
    /// How long that is; negative afterwards.
    pub seconds_left: i64,
}

/// What has an end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateKind {
    /// A certificate.
    Certificate,
    /// A certificate revocation list.
    RevocationList,
}

impl CertificateStatus {
    /// How many seconds before its end it is to be renewed; lists are made anew every few days anyway.
    const fn renew_within(&self) -> u64 {
        match self.kind {
            CertificateKind::Certificate => RENEW_WITHIN,
            CertificateKind::RevocationList => DAY,
        }
    }
}

/// One external key store.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeyStoreStatus {
    /// Names it.
    pub uri_path_prefix: String,
    /// The name of its key manager.
    pub key_manager: String,
    /// The key ids and patterns of its keys; the first ten.
    pub keys: Vec<String>,
    /// How many of these there are.
    pub key_patterns: usize,
    /// What its policy is, in short; `None`: whoever KMS's own policies allow.
    pub policy: Option<String>,
    /// What its quota is, in short.
    pub quota: Option<String>,
    /// Whether a block concerns all of it.
    pub blocked: bool,
    /// Its credentials; the oldest 20.
    pub credentials: Listed<CredentialStatus>,
    /// Its requests; `None` where nothing is counted.
    pub traffic: Option<Traffic>,
    /// The same by operation, for those that were called.
    pub operations: Vec<OfOperation>,
    /// How many of its requests were denied by its policy, of those that are remembered.
    pub denials: usize,
}

/// One credential of an external key store, without its secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CredentialStatus {
    /// Names it.
    pub access_key_id: String,
    /// The name of the key manager that keeps it; `None` for one in a file.
    pub kept_by: Option<String>,
    /// When it was made; `None` for one in a file, which does not say it.
    pub created: Option<String>,
    /// How long ago that was.
    pub age_seconds: Option<u64>,
    /// When this process last took a signature of it; `None` if not since its start.
    pub last_used: Option<String>,
}

/// One key.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeyStatus {
    /// The external key id.
    pub id: String,
    /// The name of its key manager.
    pub key_manager: String,
    /// External key stores that have it; the first ten.
    pub uri_path_prefixes: Vec<String>,
    /// What the proxy knows itself, with the newest 20 versions; `None` where the key manager alone knows.
    pub known: Option<KeyInfo>,
    /// Whether it is blocked in one of these external key stores.
    pub blocked: bool,
}

/// A request that a policy denied.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DenialStatus {
    /// When.
    pub at: String,
    /// The external key store.
    pub uri_path_prefix: String,
    /// What was asked of the proxy.
    pub operation: String,
    /// What was asked of KMS.
    pub kms_operation: String,
    /// The key.
    pub external_key_id: String,
    /// Who asked KMS.
    pub aws_principal_arn: String,
    /// The rule, or the Rego statement, that is responsible.
    pub denied_by: String,
    /// In a sentence.
    pub why: String,
    /// As CloudTrail and the request log have it.
    pub kms_request_id: String,
}

/// How the audit log does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AuditStatus {
    /// The number of its last line.
    pub sequence: u64,
    /// Whether it cannot be written.
    pub failing: bool,
    /// Lines that it lacks.
    pub dropped: u64,
    /// Requests that were refused since they could not be recorded.
    pub refused: u64,
}

impl Status {
    /// The external key store that was asked for by its prefix.
    pub fn only_store(&self) -> Option<&KeyStoreStatus> {
        match &*self.key_stores.rows {
            [store] => Some(store),
            _ => None,
        }
    }
}

/// Rows of a part of a list.
pub(crate) const PAGE: usize = 50;
/// A certificate that lives shorter than this is soon to be renewed; as in the alerts.
const RENEW_WITHIN: u64 = 14 * DAY;
/// A credential that is older than this is to be rotated; as in the alerts.
const ROTATE_AFTER: u64 = 180 * DAY;
const DAY: u64 = 24 * 60 * 60;
