//! What a test, or a script, can make of a connection and of a request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::defect::Defect;

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// As the specification says.
    Sound,
    /// Soundly, but later.
    Late(Duration),
    /// With this status and `errorName`, and a message that no caller of KMS may see.
    Error(u16, &'static str),
    /// With this status and body.
    Body(u16, String),
    /// Soundly, after a change of the JSON.
    Changed(fn(&mut Value)),
    /// Soundly, but for a defect.
    Defect(Defect),
    /// With these bytes in place of HTTP.
    Bytes(&'static [u8]),
    /// Not at all: the connection is closed.
    Hangup,
    /// Soundly, and then the connection is closed without saying so before.
    SoundThenHangup,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Handshake {
    /// TLS with a certificate for the proxy's host.
    Sound,
    /// TLS with a certificate for another name.
    OtherName,
    /// TLS with a certificate of an authority that nobody trusts.
    OtherAuthority,
    /// TLS with a certificate that has expired.
    Expired,
    /// TLS with a certificate of the future.
    NotYetValid,
    /// TLS that asks for a client certificate of the proxy's own authority.
    ClientCertificate,
    /// The version of TLS that is offered is refused.
    OldVersion,
    /// The connection is closed.
    Hangup,
    /// Silence.
    Silence,
    /// An answer in plain HTTP.
    PlainHttp,
}

/// One request that reached the proxy.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The path.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The JSON body.
    pub body: Value,
}
