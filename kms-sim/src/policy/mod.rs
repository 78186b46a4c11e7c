//! IAM's policy language: JSON documents, and what one of them says about a request.
//!
//! Pure: no type of the simulator, no clock, no I/O. Who combines the verdicts of key policy, identity policies and grants
//! is `access`. Sources: IAM User Guide, "IAM JSON policy element reference" and "Policy evaluation logic"; AWS KMS
//! Developer Guide, "Key policies in AWS KMS".

mod condition;
mod context;
mod document;
mod literal;
mod pattern;
mod principal;
mod verdict;

pub(crate) use context::Context;
pub(crate) use document::{Document, Kind};
pub(crate) use principal::{Identity, IdentityKind, PrincipalMatch, PrincipalRef};
pub(crate) use verdict::{Request, Verdict};

#[cfg(test)]
mod tests;
