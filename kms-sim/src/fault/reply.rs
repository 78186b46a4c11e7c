//! An answer in place of the one that the proxy gave.

use std::fmt;

use serde::{Deserialize, Serialize};
use xks_api::error::ErrorName;
use zeroize::Zeroizing;

use crate::defect::Defect;

/// What to answer: an error, any status and body, or the proxy's answer with a defect.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Reply {
    #[serde(default)]
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) error_name: Option<String>,
    #[serde(default)]
    pub(crate) body: Option<String>,
    #[serde(default)]
    pub(crate) defect: Option<Defect>,
}

impl Reply {
    /// What is wrong with the reply itself, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let given = [
            self.error_name.is_some(),
            self.body.is_some(),
            self.defect.is_some(),
        ];
        let given = given.into_iter().filter(|given| *given).count();
        if given > 1 {
            return Some("Reply has more than one of ErrorName, Body and Defect.");
        }
        if given == 0 && self.status.is_none() {
            return Some("Reply needs one of Status, ErrorName, Body and Defect.");
        }
        if self.defect.is_some() && self.status.is_some() {
            return Some("Reply with a Defect keeps the proxy's status; leave Status out.");
        }
        match self.status {
            Some(status) if !(200..=599).contains(&status) => {
                Some("Status of Reply must be 200 to 599.")
            }
            _ => None,
        }
    }

    /// Status and body in place of those that came.
    pub(crate) fn replace(
        &self,
        status: u16,
        body: Zeroizing<Vec<u8>>,
    ) -> (u16, Zeroizing<Vec<u8>>) {
        if let Some(defect) = self.defect {
            return (status, Zeroizing::new(defect.apply(&body)));
        }
        match (&self.error_name, &self.body) {
            (Some(name), _) => {
                let known = ErrorName::from_wire(name).map(ErrorName::status);
                let body = serde_json::json!({"errorName": name}).to_string();
                let status = self.status.or(known).unwrap_or(400);
                (status, Zeroizing::new(body.into_bytes()))
            }
            (None, Some(body)) => {
                let body = Zeroizing::new(body.clone().into_bytes());
                (self.status.unwrap_or(200), body)
            }
            (None, None) => (self.status.unwrap_or(status), Zeroizing::default()),
        }
    }
}

/// A fault by the word that sets it.
pub(crate) fn word(fault: impl Serialize) -> String {
    match serde_json::to_value(fault) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, "status {status} ")?;
        }
        match (&self.error_name, &self.body, self.defect) {
            (Some(name), ..) => write!(f, "errorName {}", name.escape_default()),
            (_, Some(body), _) => write!(f, "a body of {} bytes", body.len()),
            (.., Some(defect)) => write!(f, "the proxy's, but {}", word(defect)),
            (None, None, None) => f.write_str("without a body"),
        }
    }
}
