//! The scenario that every client goes through: reads `scenario.json`, has a [`Client`] make the calls, and compares.
//!
//! | step | meaning |
//! |---|---|
//! | `call` with `input` | the operation succeeds; or `fails` with that exception, by its type in the client |
//! | `refused` | fails with an error that is not in KMS's model: clients have a name for it and no type |
//! | `answers` | the answer has at least these members; lists have as many items, in any order |
//! | `until` | the same, and the call is repeated until then |
//! | `pages` with `size` | the client's own paginator, `size` items a page; `answers` holds all pages together |
//! | `keep` | name → JSON pointer: text of the answer that later steps write as `{name}` |
//! | `proxy` | the byte counter in front of the proxy: see [`Proxy`] |
//! | `why` | for the reader |
//!
//! Blobs are base64, as on the wire; what a client wants instead is the client's affair.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::byte_counter::Counts;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clients::{Client, Exception};
use crate::stage::{Pace, Stage};

/// Takes a client through the scenario; the error says which step differs and how.
pub(crate) fn run(stage: &Stage, client: &mut dyn Client) -> Result<(), String> {
    let chapters: Vec<Chapter> = serde_json::from_str(include_str!("scenario.json"))
        .map_err(|error| format!("scenario.json: {error}"))?;
    let mut run = Run {
        stage,
        client,
        names: given(&stage.description()),
        silent: None,
    };
    for chapter in chapters {
        println!("-- {}", chapter.chapter);
        for (number, step) in chapter.steps.into_iter().enumerate() {
            let at = format!("{:?}, step {}", chapter.chapter, number + 1);
            let shown = step.to_string();
            let kind = step.get("proxy").is_some();
            let wrong = |error: serde_json::Error| format!("scenario.json, {at}: {error}: {shown}");
            let result = if kind {
                let step: ProxyStep = serde_json::from_value(step).map_err(wrong)?;
                run.proxy(step.proxy)
            } else {
                let step: Step = serde_json::from_value(step).map_err(wrong)?;
                run.step(&step)
            };
            result.map_err(|found| format!("{at}: {shown}\n{found}"))?;
        }
    }
    match run.silent {
        None => Ok(()),
        Some(_) => Err("scenario.json says where silence begins and not where it ends".to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chapter {
    chapter: String,
    steps: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxyStep {
    proxy: Proxy,
}

/// What happens between kms-sim and the proxy.
#[derive(Clone, Copy, Deserialize)]
enum Proxy {
    #[serde(rename = "holds every byte")]
    Holds,
    #[serde(rename = "answers")]
    Answers,
    #[serde(rename = "hears nothing from here")]
    HearsNothing,
    #[serde(rename = "heard nothing until here")]
    HeardNothing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    call: Option<String>,
    pages: Option<String>,
    size: Option<u16>,
    #[serde(default)]
    input: Value,
    fails: Option<String>,
    refused: Option<String>,
    answers: Option<Value>,
    until: Option<Value>,
    #[serde(default)]
    keep: BTreeMap<String, String>,
    why: Option<String>,
}

struct Run<'r> {
    stage: &'r Stage,
    client: &'r mut dyn Client,
    /// What `{name}` stands for.
    names: BTreeMap<String, String>,
    /// The counts that must not change.
    silent: Option<Counts>,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let input = match self.filled(&step.input)? {
            Value::Object(input) => input,
            Value::Null => Map::new(),
            other => return Err(format!("the input is no object: {other}")),
        };
        let start = Instant::now();
        let outcome = loop {
            let outcome = self.make(step, &input)?;
            let Some(expected) = &step.until else {
                break outcome;
            };
            match &outcome {
                Ok(answer) if has(answer, &self.filled(expected)?) => break outcome,
                Ok(answer) if start.elapsed() > LIMIT => {
                    return Err(format!("not within {LIMIT:?}: {answer}"));
                }
                Ok(_) => std::thread::sleep(POLL),
                Err(_) => break outcome,
            }
        };
        self.compare(step, outcome)
    }

    fn make(
        &mut self,
        step: &Step,
        input: &Map<String, Value>,
    ) -> Result<Result<Value, Exception>, String> {
        let (operation, outcome) = match (&step.call, &step.pages, step.size) {
            (Some(operation), None, None) => (operation, self.client.call(operation, input)),
            (None, Some(operation), Some(size)) => {
                (operation, self.client.pages(operation, input, size))
            }
            _ => return Err("a step is a call, or pages with a size".to_owned()),
        };
        let told = match &outcome {
            Ok(_) => "works",
            Err(exception) => exception.code.as_deref().unwrap_or("fails"),
        };
        let why = step.why.as_ref().map(|why| format!(" ({why})"));
        println!("      {operation}: {told}{}", why.unwrap_or_default());
        Ok(outcome)
    }

    fn compare(&mut self, step: &Step, outcome: Result<Value, Exception>) -> Result<(), String> {
        let exception = match (&step.fails, &step.refused, outcome) {
            (None, None, Ok(answer)) => {
                if let Some(expected) = &step.answers {
                    let expected = self.filled(expected)?;
                    if !has(&answer, &expected) {
                        return Err(format!("expected: {expected}\nfound:    {answer}"));
                    }
                }
                for (name, pointer) in &step.keep {
                    let found = answer.pointer(pointer).and_then(Value::as_str);
                    let found = found.ok_or_else(|| format!("no text at {pointer} of {answer}"))?;
                    self.names.insert(name.clone(), found.to_owned());
                }
                return Ok(());
            }
            (None, None, Err(found)) => {
                return Err(format!("expected: success\nfound:    {found:?}"));
            }
            (_, _, Ok(answer)) => {
                return Err(format!("expected: an exception\nfound:    {answer}"));
            }
            (_, _, Err(exception)) => exception,
        };
        let (expected, found) = match (&step.fails, &step.refused) {
            (Some(modelled), None) => (modelled, &exception.name),
            (None, Some(code)) => (code, &exception.code),
            _ => return Err("a step either fails or is refused".to_owned()),
        };
        // None of the exceptions here is a fault of the service, so the status is the client's.
        match found.as_ref() == Some(expected)
            && exception.status.is_none_or(|status| status == 400)
        {
            true => Ok(()),
            false => Err(format!(
                "expected: {expected}, 400\nfound:    {exception:?}"
            )),
        }
    }

    fn proxy(&mut self, what: Proxy) -> Result<(), String> {
        match (what, self.silent.take()) {
            (Proxy::Holds, None) => self.stage.hold_proxy(),
            (Proxy::Answers, None) => self.stage.release_proxy(),
            (Proxy::HearsNothing, None) => {
                // The relay learns a moment later than kms-sim that a connection is closed.
                harness::wait_for("every connection to the proxy closed", LIMIT, || {
                    (self.stage.open_connections() == 0).then_some(())
                });
                self.silent = Some(self.stage.counts());
            }
            (Proxy::HeardNothing, Some(before)) => {
                let after = self.stage.counts();
                if before.to_target == 0 || after != before {
                    return Err(format!("expected: {before:?}\nfound:    {after:?}"));
                }
                println!("      not a byte: {after:?}");
            }
            _ => return Err("silence has a beginning, an end, and nothing between".to_owned()),
        }
        Ok(())
    }

    /// The value with `{name}` replaced in every text.
    fn filled(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.filled_text(text)?),
            Value::Array(items) => items
                .iter()
                .map(|item| self.filled(item))
                .collect::<Result<_, _>>()?,
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| Ok((name.clone(), self.filled(member)?)))
                .collect::<Result<Map<_, _>, String>>()?
                .into(),
            other => other.clone(),
        })
    }

    fn filled_text(&self, text: &str) -> Result<String, String> {
        let Some(name) = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        else {
            return Ok(text.to_owned());
        };
        let kept = self.names.get(name).cloned();
        kept.ok_or_else(|| format!("no step before keeps {{{name}}}"))
    }
}

/// What a step can name from the start.
fn given(description: &Value) -> BTreeMap<String, String> {
    let members = description.as_object().into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Whether `found` has every member of `expected`; of lists, as many items, each expected one somewhere.
fn has(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| has(found, value))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && expected
                    .iter()
                    .all(|value| found.iter().any(|found| has(found, value)))
        }
        _ => found == expected,
    }
}

/// The proxy may be held while a client that starts a program for each call makes a few, and a busy machine must not
/// change what the exceptions are; speed is another test's subject.
pub(crate) const PACE: Pace = Pace {
    transition: Duration::from_millis(50),
    proxy_timeout: Duration::from_secs(60),
};
const POLL: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn an_answer_has_what_is_expected_or_has_not() {
    use serde_json::json;
    let found = json!({"Keys": [{"Id": "b"}, {"Id": "a"}], "Truncated": false});
    for expected in [
        json!({}),
        json!({"Truncated": false}),
        json!({"Keys": [{"Id": "a"}, {"Id": "b"}]}),
    ] {
        assert!(has(&found, &expected), "{expected}");
    }
    for expected in [
        json!({"Truncated": true}),
        json!({"NextMarker": null}),
        json!({"Keys": [{"Id": "a"}]}),
        json!({"Keys": [{"Id": "a"}, {"Id": "c"}]}),
        json!([]),
    ] {
        assert!(!has(&found, &expected), "{expected}");
    }
}
