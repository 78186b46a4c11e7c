//! A policy in Rego, the language of the Open Policy Agent, evaluated in this process. Whatever is not `true` is a denial.
//!
//! Modules are parsed, scheduled and tried once. An evaluation takes one of the prepared engines, or a copy of one; an
//! engine in which one failed is not used again.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use xks_api::metadata::RequestMetadata;

use super::{Access, Denial, rego_functions};

/// A prepared policy.
pub struct Rego {
    entry: String,
    /// The rule of the same package that tells why, if there is one.
    reasons: Option<String>,
    time_limit: Duration,
    prepared: Engine,
    idle: Mutex<Vec<Engine>>,
    modules: Vec<(String, String)>,
}

/// What an evaluation came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// `true`
    Allowed,
    /// `false`
    Refused,
    /// No value.
    Undefined,
    /// A value that is no Boolean, as JSON.
    NoBoolean(String),
    /// The time limit passed.
    TimedOut,
    /// It failed.
    Failed(String),
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct RegoError {
    /// The module that is wrong, if it is one alone.
    pub module: Option<String>,
    /// The line in it.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl Rego {
    /// Prepares a policy from its modules, each with the name of its file, and its data document.
    ///
    /// # Errors
    /// If anything of it cannot be parsed or put together, or if there is no rule `entry`.
    pub fn prepare(
        modules: Vec<(String, String)>,
        data: Option<&str>,
        entry: &str,
        time_limit: Duration,
    ) -> Result<Self, RegoError> {
        let mut engine = Engine::new();
        // In OPA, a built-in function that fails has no value, and `not` of that is true.
        engine.set_strict_builtin_errors(true);
        // `print` writes nowhere.
        engine.set_gather_prints(true);
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: time_limit,
            check_interval: CHECK_INTERVAL,
        });
        for (name, text) in &modules {
            let added = engine.add_policy(name.clone(), text.clone());
            added.map_err(|error| RegoError {
                module: Some(name.clone()),
                ..RegoError::new(&error)
            })?;
        }
        if let Some(data) = data {
            let data = Value::from_json_str(data);
            let added = data.and_then(|data| engine.add_data(data));
            added.map_err(|error| RegoError {
                module: None,
                line: None,
                text: format!("the data: {}", one_line(&error)),
            })?;
        }
        let has =
            |engine: &Engine, rule: &str| engine.clone().compile_with_entrypoint(&rule.into());
        if let Err(error) = has(&engine, entry) {
            return Err(match has(&engine, MISSING) {
                // Nothing else is wrong with it.
                Err(other) if other.to_string() == error.to_string() => RegoError {
                    module: None,
                    line: None,
                    text: format!("the policy has no rule {entry}"),
                },
                _ => RegoError::new(&error),
            });
        }
        if let Some(missing) = rego_functions::missing(&engine, &modules) {
            return Err(RegoError {
                text: format!(
                    "there is no function {} (those of other packages are called by their full names, such as \
                     data.lib.f)",
                    missing.name
                ),
                module: Some(missing.module),
                line: Some(missing.line),
            });
        }
        let package = entry.rsplit_once('.').map_or(entry, |(package, _)| package);
        let reasons = format!("{package}.reasons");
        let reasons = has(&engine, &reasons).is_ok().then_some(reasons);
        // Puts it in order for every evaluation to come. What an empty input makes of it does not matter otherwise.
        engine.set_input(Value::new_object());
        if let Err(error) = engine.eval_rule(entry.to_owned())
            && error.to_string().contains("recursion detected")
        {
            return Err(RegoError::new(&error));
        }
        Ok(Self {
            entry: entry.to_owned(),
            reasons,
            time_limit,
            prepared: engine,
            idle: Mutex::default(),
            modules,
        })
    }

    /// The rule that is asked.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// The modules, each with the name of its file.
    pub(super) fn modules(&self) -> &[(String, String)] {
        &self.modules
    }

    pub(super) fn decide(&self, access: &Access<'_>) -> Result<(), Denial> {
        match self.evaluate(access) {
            (Outcome::Allowed, _) => Ok(()),
            (outcome, reasons) => Err(Denial {
                by: match &*reasons {
                    [] => self.entry.clone(),
                    reasons => reasons.join("; "),
                },
                why: format!("{} {outcome}", self.entry),
            }),
        }
    }

    pub(super) fn explain(&self, access: &Access<'_>) -> Vec<String> {
        let (outcome, reasons) = self.evaluate(access);
        let said = format!("{} {outcome}", self.entry);
        let reasons = reasons
            .into_iter()
            .map(|reason| format!("reason: {reason}"));
        [said].into_iter().chain(reasons).collect()
    }

    /// What it says to an access, and why, where it refuses.
    pub fn evaluate(&self, access: &Access<'_>) -> (Outcome, Vec<String>) {
        let input = match Value::from_json_str(&input(access)) {
            Ok(input) => input,
            Err(error) => return (Outcome::Failed(one_line(&error)), Vec::new()),
        };
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut engine = taken.unwrap_or_else(|| self.prepared.clone());
        engine.set_input(input);
        let outcome = self.ask(&mut engine);
        let reasons = match (&outcome, &self.reasons) {
            (Outcome::Refused | Outcome::Undefined, Some(reasons)) => engine
                .eval_rule(reasons.clone())
                .map_or_else(|_| Vec::new(), texts),
            _ => Vec::new(),
        };
        let usable = matches!(
            outcome,
            Outcome::Allowed | Outcome::Refused | Outcome::Undefined
        );
        // What was printed is forgotten, and with it an engine that cannot forget.
        if usable && engine.take_prints().is_ok() {
            let mut idle = idle();
            if idle.len() < MAX_IDLE {
                idle.push(engine);
            }
        }
        (outcome, reasons)
    }

    fn ask(&self, engine: &mut Engine) -> Outcome {
        let started = Instant::now();
        let result = engine.eval_rule(self.entry.clone());
        // The limit is looked at between steps; a step may be a long one.
        if started.elapsed() > self.time_limit {
            return Outcome::TimedOut;
        }
        match result {
            Ok(Value::Bool(true)) => Outcome::Allowed,
            Ok(Value::Bool(false)) => Outcome::Refused,
            Ok(Value::Undefined) => Outcome::Undefined,
            Ok(other) => Outcome::NoBoolean(other.to_string()),
            Err(error) => match error.downcast_ref::<LimitError>() {
                Some(LimitError::TimeLimitExceeded { .. }) => Outcome::TimedOut,
                _ => Outcome::Failed(one_line(&error)),
            },
        }
    }
}

impl fmt::Debug for Rego {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.modules.iter().map(|(name, _)| name);
        f.debug_struct("Rego")
            .field("entry", &self.entry)
            .field("time_limit", &self.time_limit)
            .field("files", &files.collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Display for Rego {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in Rego decides within {:?}",
            self.entry, self.time_limit
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("is true"),
            Self::Refused => f.write_str("is false"),
            Self::Undefined => f.write_str("is undefined"),
            Self::NoBoolean(value) => write!(f, "is no Boolean: {value}"),
            Self::TimedOut => f.write_str("was not decided within the time limit"),
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}

impl RegoError {
    /// What the parser says is a position, the line with a mark under it, and a sentence.
    fn new(error: &impl ToString) -> Self {
        let text = error.to_string();
        let place = text.lines().find_map(|line| {
            let place = line.trim_start().strip_prefix("--> ")?;
            let mut parts = place.rsplitn(3, ':');
            parts.next()?;
            let line = parts.next()?.parse().ok()?;
            Some((parts.next()?.to_owned(), line))
        });
        let mut sentences = text.lines().filter_map(|line| line.split_once("error: "));
        let sentence = sentences
            .next()
            .map(|(_, s)| s.trim_end_matches(':').to_owned());
        Self {
            line: place.as_ref().map(|(_, line)| *line),
            module: place.map(|(module, _)| module),
            text: sentence.unwrap_or_else(|| one_line(error)),
        }
    }
}

/// What a policy can look at: the specification's names, and what the request itself says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    uri_path_prefix: &'a str,
    external_key_id: &'a str,
    operation: &'a str,
    request_metadata: &'a RequestMetadata<'a>,
    time: Time,
}

/// In UTC.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Time {
    unix_seconds: i64,
    rfc3339: String,
    weekday: String,
    hour: u8,
    minute: u8,
}

/// The input document of an access, as JSON.
pub(super) fn input(access: &Access<'_>) -> String {
    let now = OffsetDateTime::from(access.now);
    let input = Input {
        uri_path_prefix: access.uri_path_prefix,
        external_key_id: access.external_key_id,
        operation: access.operation.as_str(),
        request_metadata: access.metadata,
        time: Time {
            unix_seconds: now.unix_timestamp(),
            rfc3339: now.format(&Rfc3339).unwrap_or_default(),
            weekday: now.weekday().to_string(),
            hour: now.hour(),
            minute: now.minute(),
        },
    };
    serde_json::to_string(&input).expect("texts and numbers always encode")
}

/// A text, or each of a set or list of them.
fn texts(value: Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    };
    match &value {
        Value::Undefined => Vec::new(),
        Value::Set(values) => values.iter().map(text).collect(),
        Value::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    }
}

fn one_line(error: &impl ToString) -> String {
    let text = error.to_string();
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

/// Steps between two looks at the clock.
const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(64).expect("not zero");
/// As many evaluations as run at a time on a machine of some size.
const MAX_IDLE: usize = 64;
/// A rule that no policy can have.
const MISSING: &str = "data.";
