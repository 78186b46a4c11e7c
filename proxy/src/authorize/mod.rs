//! Secondary authorization: which of KMS's callers may do what with a key of an external key store.
//!
//! Two levels, each optional, and both have to allow: rules ([`RuleSet`]), and a policy in Rego ([`Rego`]). Without
//! either, whoever KMS's own policies allow is served. GetHealthStatus, which nobody calls but KMS itself, never comes here.

mod lint;
mod rego;
mod rego_functions;
mod rego_lint;
#[cfg(test)]
mod rego_tests;
mod rego_text;
mod rules;

use std::fmt;
use std::time::{Duration, SystemTime};

use xks_api::metadata::RequestMetadata;
use xks_api::route::OperationName;

pub use lint::{Lint, lint};
pub use rego::{Outcome, Rego, RegoError};
pub use rules::{Attribute, Effect, Rule, RuleSet};

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Under which prefix.
    pub uri_path_prefix: &'a str,
    /// With which key.
    pub external_key_id: &'a str,
    /// What is asked of the proxy; never GetHealthStatus.
    pub operation: OperationName,
    /// What KMS says of its caller.
    pub metadata: &'a RequestMetadata<'a>,
    /// When the request came.
    pub now: SystemTime,
}

/// The policy of an external key store; it has at least one level.
#[derive(Debug)]
pub struct Policy {
    rules: Option<RuleSet>,
    rego: Option<Rego>,
}

impl Policy {
    /// Puts the levels together; `None` if there is none.
    pub fn new(rules: Option<RuleSet>, rego: Option<Rego>) -> Option<Self> {
        (rules.is_some() || rego.is_some()).then_some(Self { rules, rego })
    }

    /// The first level.
    pub fn rules(&self) -> Option<&RuleSet> {
        self.rules.as_ref()
    }

    /// The second level.
    pub fn rego(&self) -> Option<&Rego> {
        self.rego.as_ref()
    }

    /// Rules are looked at first, and cost no allocation.
    ///
    /// # Errors
    /// [`Denial`]: whatever is not clearly allowed is denied.
    //= xks §Authorization R36
    pub fn decide(&self, access: &Access<'_>) -> Result<(), Denial> {
        if let Some(rules) = &self.rules {
            rules.decide(access)?;
        }
        if let Some(rego) = &self.rego {
            rego.decide(access)?;
        }
        Ok(())
    }

    /// What decides about an access, and what each rule has to say about it.
    ///
    /// A policy in Rego is asked even if the rules deny the access already.
    pub fn explain(&self, access: &Access<'_>) -> Vec<String> {
        let rules = self.rules.iter().flat_map(|rules| rules.explain(access));
        let rego = self.rego.iter().flat_map(|rego| rego.explain(access));
        rules.chain(rego).collect()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rules) = &self.rules {
            write!(f, "{rules}")?;
        }
        if let Some(rego) = &self.rego {
            let and = if self.rules.is_some() { ", and " } else { "" };
            write!(f, "{and}{rego}")?;
        }
        Ok(())
    }
}

/// Why an access is not allowed, for the log and the tests of a policy. It is not told to KMS.
//= xks §Authorization R37
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The id of the rule, or the Rego statement, that is responsible.
    pub by: String,
    /// In a sentence.
    pub why: String,
}

/// How long a Rego policy may take unless configured otherwise.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_millis(10);
/// What a Rego policy is asked unless configured otherwise.
pub const DEFAULT_REGO_RULE: &str = "data.xks.allow";
