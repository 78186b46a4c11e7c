//! What a test, or a script, can make of a connection and of a request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::sound::Sound;
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
    /// As this function says, which may look at the request and at what is sound; not at all if it says nothing.
    Broken(fn(&Call<'_>) -> Option<Reply>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// Their names as they were written.
    pub names: Vec<String>,
    /// The body, all of it.
    pub body: Vec<u8>,
}

impl Incoming {
    /// The path alone.
    pub fn path(&self) -> &str {
        let end = self.target.find('?').unwrap_or(self.target.len());
        self.target.get(..end).unwrap_or_default()
    }

    /// What follows the `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(sent, _)| sent == name);
        found.map(|(_, value)| &**value)
    }
}

/// An answer before it is written.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// All but `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// JSON.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }
}

/// A request, for a function that answers it in the proxy's place.
pub struct Call<'c> {
    /// As it came.
    pub request: &'c Incoming,
    pub(super) sound: &'c Sound,
}

impl Call<'_> {
    /// What a sound proxy answers.
    pub fn sound(&self) -> Reply {
        self.sound.answer(self.request)
    }

    /// What it answers to another request.
    pub fn sound_to(&self, request: &Incoming) -> Reply {
        self.sound.answer(request)
    }

    /// What it answers if it does not ask who sent the request.
    pub fn trusting(&self) -> Reply {
        self.sound.answer_anyone(self.request)
    }

    /// The same to another request.
    pub fn trusting_to(&self, request: &Incoming) -> Reply {
        self.sound.answer_anyone(request)
    }
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
    /// TLS that asks for a client certificate of the proxy's own authority with KMS's subject.
    ClientCertificate,
    /// TLS that asks for a client certificate of the proxy's own authority with any subject.
    ClientCertificateOfAnyone,
    /// TLS 1.2 alone.
    OnlyTls12,
    /// TLS 1.3 alone.
    OnlyTls13,
    /// TLS without the cipher suites of the specification.
    OtherSuites,
    /// TLS whose clients have to agree on a protocol by ALPN.
    InsistsOnAlpn,
    /// A ServerHello of TLS 1.1, whatever is offered.
    AgreesToTls11,
    /// HTTP without TLS.
    WithoutTls,
    /// TLS, and a server that waits no time for the rest of a request.
    Impatient,
    /// TLS, and a server that fails where it should refuse what is no request.
    Fragile,
    /// TLS, and a server that serves one connection at a time.
    OneAtATime,
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
