//! One case of the suite, as a value: what the specification requires, the request, and what may come back.

use std::fmt;

use xks_api::error::ErrorName;

use super::kit::Kit;
use super::wire::{Wire, without_signatures};

/// One requirement, tried once. The tables in `cases/` hold them all.
#[derive(Clone, Copy)]
pub struct Case {
    /// Never changes once it is published: words in lower case, with dashes.
    pub name: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The section of the specification.
    pub section: &'static str,
    /// What is required, in one sentence.
    pub requires: &'static str,
    pub(super) check: Check,
}

/// How much a case matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// A MUST of the specification, or what follows from one.
    Must,
    /// A SHOULD, or what a careful proxy does where the specification leaves it open.
    Should,
    /// What AWS KMS itself expects before it creates a store or a key, or returns a ciphertext.
    Kms,
}

impl Level {
    /// As reports write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Kms => "KMS",
        }
    }
}

/// What a case does.
#[derive(Clone, Copy)]
pub(super) enum Check {
    /// One request, and the refusals that are right.
    Refused(fn(&Kit<'_>) -> Sending, &'static [Refusal]),
    /// One request that is answered as its operation is.
    Served(fn(&Kit<'_>) -> Sending),
    /// More than that.
    Story(fn(&Kit<'_>) -> Outcome),
}

/// A request ready to be sent; or why there is none.
pub(super) type Sending = Result<Wire, Finding>;

/// Nothing to report, or something.
pub(super) type Outcome = Result<(), Finding>;

/// Why a case did not pass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Finding {
    /// The proxy did something else than is required.
    Failed(String),
    /// The case could not be tried; the text says what would make it run.
    Skipped(String),
}

impl Finding {
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }

    /// Without what could be sent again: a proxy may repeat what it was sent.
    pub(super) fn without_signatures(self) -> Self {
        match self {
            Self::Failed(what) => Self::Failed(without_signatures(&what)),
            Self::Skipped(why) => Self::Skipped(why),
        }
    }

    /// For a case that needs an option.
    pub(super) fn needs(option: &str, why: &str) -> Self {
        Self::Skipped(format!("{why}; give {option} to run it"))
    }
}

/// How a request may be refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// With this error, in JSON and with its status.
    Named(ErrorName),
    /// With this status, whatever the body is.
    Status(u16),
    /// With any status from 400 to 499, or with 501.
    AnyClientError,
    /// With an end of the connection and without an answer.
    Hangup,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "{} {}", name.status(), name.as_str()),
            Self::Status(status) => write!(f, "{status}"),
            Self::AnyClientError => f.write_str("a status of 400 to 499, or 501"),
            Self::Hangup => f.write_str("an end of the connection"),
        }
    }
}

/// "this, or that"
pub(super) fn any_of(refusals: &[Refusal]) -> String {
    let texts: Vec<_> = refusals.iter().map(Refusal::to_string).collect();
    texts.join(", or ")
}

impl Case {
    /// What may come back, for lists; nothing of a case that is more than one request.
    pub fn expects(&self) -> Option<String> {
        match self.check {
            Check::Refused(_, refusals) => Some(any_of(refusals)),
            Check::Served(_) => Some("200".to_owned()),
            Check::Story(_) => None,
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A case for a MUST.
pub(super) const fn must(
    name: &'static str,
    section: &'static str,
    requires: &'static str,
    check: Check,
) -> Case {
    Case {
        name,
        level: Level::Must,
        section,
        requires,
        check,
    }
}

/// A case for a SHOULD.
pub(super) const fn should(
    name: &'static str,
    section: &'static str,
    requires: &'static str,
    check: Check,
) -> Case {
    Case {
        level: Level::Should,
        ..must(name, section, requires, check)
    }
}

/// A case for an expectation of KMS.
pub(super) const fn kms(
    name: &'static str,
    section: &'static str,
    requires: &'static str,
    check: Check,
) -> Case {
    Case {
        level: Level::Kms,
        ..must(name, section, requires, check)
    }
}

/// 401 alone.
pub(super) const AUTHENTICATION: &[Refusal] = &[Refusal::Named(ErrorName::AuthenticationFailed)];
/// What is wrong with the form of a request.
pub(super) const INVALID: &[Refusal] = &[Refusal::Named(ErrorName::Validation)];
/// What is invalid, or not implemented.
pub(super) const INVALID_OR_UNSUPPORTED: &[Refusal] = &[
    Refusal::Named(ErrorName::Validation),
    Refusal::Named(ErrorName::UnsupportedOperation),
];
/// What does not verify.
pub(super) const CIPHERTEXT: &[Refusal] = &[Refusal::Named(ErrorName::InvalidCiphertext)];
/// What does not verify, told by its form or by the cipher.
pub(super) const CIPHERTEXT_OR_INVALID: &[Refusal] = &[
    Refusal::Named(ErrorName::InvalidCiphertext),
    Refusal::Named(ErrorName::Validation),
];
/// No such key.
pub(super) const NO_KEY: &[Refusal] = &[Refusal::Named(ErrorName::KeyNotFound)];
/// No such path.
pub(super) const NO_PATH: &[Refusal] = &[Refusal::Named(ErrorName::InvalidUriPath)];
/// Whatever says that the request is at fault.
pub(super) const CLIENT_ERROR: &[Refusal] = &[Refusal::AnyClientError];
/// The same, or an end of the connection: for what is no proper HTTP.
pub(super) const CLIENT_ERROR_OR_HANGUP: &[Refusal] = &[Refusal::AnyClientError, Refusal::Hangup];
