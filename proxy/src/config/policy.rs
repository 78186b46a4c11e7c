//! The policy of an external key store: its rules, and the files of its policy in Rego.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use xks_api::ids::UriPathPrefix;

use super::document::{Problem, duration, text};
use super::read::{Fields, Reader, keys_of, non_empty, prefix, word};
use crate::authorize::{
    Attribute, DEFAULT_REGO_RULE, DEFAULT_TIME_LIMIT, Effect, Policy, Rego, Rule, RuleSet,
};
use crate::key_store::KeySelection;

/// What the `policy` commands need of an external key store.
#[derive(Debug)]
pub struct PolicyConfig {
    /// The URI path prefix that names it.
    pub prefix: UriPathPrefix,
    /// Which keys it has.
    pub keys: KeySelection,
    /// Who may do what; `None` if that is left to KMS.
    pub policy: Option<Arc<Policy>>,
}

impl Reader<'_> {
    /// What the `policy` commands need of a store.
    pub(super) fn policy_config(&self, fields: &Fields<'_, '_>) -> Option<PolicyConfig> {
        let (prefix, keys, policy) = (prefix(fields), keys_of(fields), self.policy(fields));
        Some(PolicyConfig {
            prefix: prefix?,
            keys,
            policy,
        })
    }

    /// `None` also with a problem.
    pub(super) fn policy(&self, fields: &Fields<'_, '_>) -> Option<Arc<Policy>> {
        let rules = rules(fields);
        let section = fields.section("rego");
        let rego = fields.has("rego").then(|| self.rego(&section));
        if rego.is_some() {
            section.refuse_others();
        }
        Policy::new(rules, rego.flatten()).map(Arc::new)
    }

    fn rego(&self, fields: &Fields<'_, '_>) -> Option<Rego> {
        let expected = "the name of a file with a policy in Rego";
        let files = fields
            .list("files", non_empty, expected)
            .unwrap_or_default();
        if fields.has_none("files") {
            fields.problem(
                fields.place("files"),
                "no file",
                "a list with one or more files in Rego",
            );
        }
        let data_file = fields.optional("data_file", text, "the name of a file with a JSON object");
        let is_rule = |text: &String| {
            let mut names = text.split('.');
            names.next() == Some("data")
                && text.matches('.').count() >= 2
                && !names.any(str::is_empty)
        };
        let expected = "a rule with its package, such as \"data.xks.allow\"";
        let rule = fields.optional("rule", |v| text(v).filter(is_rule), expected);
        let time_limit = fields.optional(
            "time_limit",
            duration(Duration::from_millis(1)..=Duration::from_millis(100)),
            "a time from \"1ms\" to \"100ms\"; KMS waits for 250 ms in all",
        );
        let mut modules = Vec::new();
        for name in &files {
            match self.files.text(&self.folder.join(name)) {
                Ok(text) => modules.push((name.clone(), text)),
                Err(e) => fields.problem(fields.place("files"), e.found, e.expected),
            }
        }
        let data = match data_file {
            None => None,
            Some(name) => match self.files.text(&self.folder.join(name)) {
                Ok(text) => Some(text),
                Err(e) => {
                    fields.problem(fields.place("data_file"), e.found, e.expected);
                    return None;
                }
            },
        };
        if modules.is_empty() || modules.len() < files.len() {
            return None;
        }
        let rule = rule.as_deref().unwrap_or(DEFAULT_REGO_RULE);
        let time_limit = time_limit.unwrap_or(DEFAULT_TIME_LIMIT);
        match Rego::prepare(modules, data.as_deref(), rule, time_limit) {
            Ok(rego) => Some(rego),
            Err(error) => {
                let expected = "a policy in Rego (version 1) that has the rule";
                match &error.module {
                    None => fields.problem(fields.place(""), error.text, expected),
                    Some(name) => fields.add(Problem {
                        file: self.folder.join(Path::new(name)),
                        line: error.line,
                        field: String::new(),
                        found: error.text,
                        expected: expected.to_owned(),
                    }),
                }
                None
            }
        }
    }
}

/// `None` if there is no table of them.
fn rules(fields: &Fields<'_, '_>) -> Option<RuleSet> {
    let sections = fields.sections("rules");
    if sections.is_empty() {
        return None;
    }
    let mut ids = HashSet::new();
    let rules = sections.iter().filter_map(|fields| {
        let rule = rule(fields);
        fields.refuse_others();
        let rule = rule?;
        if !ids.insert(rule.id().to_owned()) {
            let found = format!("{:?} names another rule, too", rule.id());
            fields.problem(
                fields.place("id"),
                found,
                "an id of its own: the log tells it",
            );
        }
        Some(rule)
    });
    Some(RuleSet::new(rules.collect::<Vec<_>>()))
}

fn rule(fields: &Fields<'_, '_>) -> Option<Rule> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let is_id = |text: &String| (1..=64).contains(&text.len()) && text.bytes().all(allowed);
    let expected = "1 to 64 characters of A-Z a-z 0-9 - . _";
    let id = fields.required("id", |v| text(v).filter(is_id), expected);
    let effects = [Effect::Allow, Effect::Deny].map(|effect| (effect.word(), effect));
    let effect = fields.required("effect", word(&effects), "\"allow\" or \"deny\"");
    let mut conditions = Vec::new();
    for attribute in Attribute::ALL {
        let name = attribute.field();
        let expected = match attribute {
            Attribute::Operation => {
                "\"Encrypt\", \"Decrypt\" or \"GetKeyMetadata\"; GetHealthStatus is asked by KMS itself, and always allowed"
            }
            Attribute::ViaService | Attribute::Vpc | Attribute::VpcEndpoint => {
                "a pattern with * and ?, of at most 2048 characters; \"\" for requests without it"
            }
            _ => "a pattern with * and ?, of 1 to 2048 characters",
        };
        let read = |text: &str| pattern(attribute, text);
        let Some(patterns) = fields.list(name, read, expected) else {
            continue;
        };
        if fields.has_none(name) {
            let expected = "one or more patterns, or no such field: then the rule is about any";
            fields.problem(
                fields.place(name),
                "an empty list, so that the rule never matches",
                expected,
            );
        }
        conditions.push((attribute, patterns));
    }
    Some(Rule::new(&id?, effect?, conditions))
}

fn pattern(attribute: Attribute, text: &str) -> Option<String> {
    let taken = match attribute {
        Attribute::Operation => ["Encrypt", "Decrypt", "GetKeyMetadata"].contains(&text),
        Attribute::ViaService | Attribute::Vpc | Attribute::VpcEndpoint => text.len() <= 2_048,
        _ => (1..=2_048).contains(&text.len()),
    };
    taken.then(|| text.to_owned())
}
