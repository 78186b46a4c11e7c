//! `xks-proxy policy test`.

use std::time::SystemTime;

use clap::Args;
use serde::Serialize;

use super::super::{Failure, File, output};
use super::ConfigArguments;
use crate::authorize::{Access, Effect};
use crate::config::{Config, PolicyCase, PolicyConfig, read_policy_cases};

/// Run cases: who wants to do what, whether the policy should allow it, and what should be responsible.
///
/// Prints for each case what was decided, and what every rule has to say about it. A case is a table in a TOML file:
///
///   [[cases]]
///   name = "the payroll application gets data keys"
///   uri_path_prefix = "/tenant-a"
///   key = "payroll"
///   operation = "Encrypt"
///   kms_operation = "GenerateDataKey"
///   principal = "arn:aws:iam::111122223333:role/payroll-app"
///   expect = "allow"
///
/// It may have kms_key, via_service, vpc, vpc_endpoint and time, too, and in `by` the rule that should decide.
/// Exits with 1 if a case fails, with 2 if a file cannot be read.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(in super::super) struct Arguments {
    /// The file with the cases
    #[arg(value_name = "CASES")]
    cases: File,
    #[command(flatten)]
    config: ConfigArguments,
}

/// What came of a case.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ran {
    name: String,
    passed: bool,
    expected: &'static str,
    decision: &'static str,
    /// The rule or statement that is responsible.
    by: String,
    explanation: Vec<String>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let policies = Config::load_policies(&arguments.config.config)?;
    let cases = read_policy_cases(&arguments.cases, &policies)?;
    let ran: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let store = policies.iter().find(|store| store.prefix == case.prefix)?;
            Some(try_case(case, store))
        })
        .collect();
    match arguments.config.output.is_json() {
        true => output::json(&ran)?,
        false => output::print(ran.iter().map(text).collect::<String>().as_bytes())?,
    }
    match ran.iter().filter(|ran| !ran.passed).count() {
        0 => Ok(()),
        1 => Err(Failure::Failed("one case failed".into())),
        n => Err(Failure::Failed(format!("{n} cases failed"))),
    }
}

fn try_case(case: &PolicyCase, store: &PolicyConfig) -> Ran {
    let access = Access {
        uri_path_prefix: case.prefix.as_str(),
        external_key_id: case.key.as_str(),
        operation: case.operation,
        metadata: &case.metadata,
        now: case.time.unwrap_or_else(SystemTime::now),
    };
    let (decision, by, explanation) = decide(&access, case, store);
    let as_told = case.by.as_ref().is_none_or(|expected| *expected == by);
    Ran {
        name: case.name.clone(),
        passed: decision == case.expect && as_told,
        expected: case.expect.word(),
        decision: decision.word(),
        by,
        explanation,
    }
}

fn decide(
    access: &Access<'_>,
    case: &PolicyCase,
    store: &PolicyConfig,
) -> (Effect, String, Vec<String>) {
    if !store.keys.contains(&case.key) {
        let text = "the external key store has no such key (KeyNotFoundException), whatever its policy says";
        return (Effect::Deny, "(no key)".into(), vec![text.into()]);
    }
    let Some(policy) = &store.policy else {
        let text =
            "the external key store has no policy: whoever KMS's own policies allow is served";
        return (Effect::Allow, "(no policy)".into(), vec![text.into()]);
    };
    let explanation = policy.explain(access);
    match policy.decide(access) {
        Err(denial) => (Effect::Deny, denial.by, explanation),
        Ok(()) => {
            let rule = policy.rules().and_then(|rules| rules.deciding(access));
            let entry = policy.rego().map(|rego| rego.entry());
            let by = rule.map(|rule| rule.id()).or(entry).unwrap_or_default();
            (Effect::Allow, by.to_owned(), explanation)
        }
    }
}

fn text(ran: &Ran) -> String {
    let word = if ran.passed { "ok     " } else { "FAILED " };
    let expected = match ran.expected == ran.decision {
        _ if ran.passed => String::new(),
        true => ", but by something else than expected".to_owned(),
        false => format!(", expected {}", ran.expected),
    };
    let mut text = format!(
        "{word} {}: {} by {}{expected}\n",
        ran.name, ran.decision, ran.by
    );
    for line in &ran.explanation {
        text.push_str(&format!("          {line}\n"));
    }
    text
}
