//! What a configuration says of a token: where it is, who may use it, which keys it has, and what is special about it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cryptoki::types::AuthPin;
use secrecy::ExposeSecret as _;
use xks_api::fields::CiphertextMetadata;

use super::key_map::KeyMap;

/// A token behind a PKCS#11 library, and how it is used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The shared library of the device's maker.
    pub library: PathBuf,
    /// Which of the library's tokens.
    pub token: TokenSelector,
    /// Whom to log in as; nobody, if `None`.
    pub pin: Option<Pin>,
    /// External key ids, and where their keys are.
    pub keys: KeyMap,
    /// The label of the key that health probes use, which no external key id leads to.
    pub test_key_label: String,
    /// What is special about the device.
    pub device: Device,
    /// The `ciphertextMetadata` of messages that the public sample proxy made with the same keys.
    pub aws_sample_metadata: Vec<CiphertextMetadata>,
    /// Sessions, each with a thread of its own.
    pub sessions: usize,
    /// Calls that may wait for a session.
    pub queue: usize,
    /// From a call to its answer.
    pub timeout: Duration,
    /// As long, what was found out about a key counts without another look.
    pub lookup_interval: Duration,
    /// How many messages this process should encrypt with one version of a key; more are told of, not refused.
    pub messages_per_version: u64,
}

/// One token among those of a library.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenSelector {
    /// By `label` of `CK_TOKEN_INFO`.
    Label(String),
    /// By `serialNumber` of `CK_TOKEN_INFO`.
    Serial(String),
    /// By slot id.
    Slot(u64),
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "a token with the label {label:?}"),
            Self::Serial(serial) => write!(f, "a token with the serial number {serial:?}"),
            Self::Slot(slot) => write!(f, "a token in slot {slot}"),
        }
    }
}

/// A PIN: wiped on drop, never printed.
#[derive(Clone)]
pub struct Pin(AuthPin);

impl Pin {
    /// Takes a PIN as the token wants it.
    pub fn new(pin: String) -> Self {
        Self(pin.into())
    }

    pub(super) fn as_auth_pin(&self) -> &AuthPin {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin([redacted])")
    }
}

/// So that a reload notices another one.
impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Pin {}

/// Where devices differ in what PKCS#11 leaves open about AES-GCM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Device {
    /// Who makes the initialization vector.
    pub iv: IvSource,
    /// How a message is bound to its AAD.
    pub aad: AadMode,
    /// Which sessions it opens; nothing is written in any of them.
    pub sessions: SessionKind,
}

/// A kind of session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionKind {
    /// Enough for cryptography.
    ReadOnly,
    /// For devices that open no others.
    ReadWrite,
}

/// Who makes the initialization vector, and how it gets here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IvSource {
    /// This process: 12 random bytes.
    Proxy,
    /// The device, which wants twelve zero bytes and puts its own in their place.
    DeviceInPlace,
    /// The device, which wants none and appends its own to ciphertext and tag.
    DeviceAppended,
}

/// What the device authenticates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AadMode {
    /// The framed AAD itself: framing version 1.
    Whole,
    /// Its SHA-256, for devices that take short AAD alone: framing version 2.
    Sha256,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            iv: IvSource::Proxy,
            aad: AadMode::Whole,
            sessions: SessionKind::ReadOnly,
        }
    }
}

impl Settings {
    /// The label of the test key unless a configuration names another one.
    pub const TEST_KEY_LABEL: &'static str = "xks-proxy-test";
    /// As many threads as a device that works one request at a time still gains from.
    pub const SESSIONS: usize = 8;
    /// What a burst may hold without waiting longer than [`TIMEOUT`](Self::TIMEOUT).
    pub const QUEUE: usize = 256;
    /// Ends before the 200 ms that a request has.
    pub const TIMEOUT: Duration = Duration::from_millis(150);
    /// So that a new version encrypts soon, and a look up costs nothing.
    pub const LOOKUP_INTERVAL: Duration = Duration::from_secs(10);
    /// What random 96-bit initialization vectors are good for: NIST SP 800-38D, 8.3.
    pub const MESSAGES_PER_VERSION: u64 = 1 << 32;
}
