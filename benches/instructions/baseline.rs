//! The committed counts, and how new ones compare with them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What the counts depend on, and the counts.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Baseline {
    /// `rustc --version`
    pub(crate) rustc: String,
    /// The instruction set, as far as libraries choose their code by it.
    pub(crate) processor: String,
    /// Instructions of each stage.
    pub(crate) stages: BTreeMap<String, u64>,
}

/// What a comparison came to.
pub(crate) struct Verdict {
    /// Things to know, whatever the result.
    pub(crate) notes: Vec<String>,
    /// Why it fails.
    pub(crate) failures: Vec<String>,
}

impl Baseline {
    /// The file's content.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}. {UPDATE}", file.display());
        let text = std::fs::read(file).map_err(|error| told(&error))?;
        serde_json::from_slice(&text).map_err(|error| told(&error))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())? + "\n";
        std::fs::write(file, json).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Holds new counts against these.
    pub(crate) fn judge(&self, new: &Self) -> Verdict {
        let mut verdict = Verdict {
            notes: Vec::new(),
            failures: Vec::new(),
        };
        if self.processor != new.processor {
            verdict.notes.push(format!(
                "NOT COMPARED: the baseline was counted on {}, this machine is {}",
                self.processor, new.processor
            ));
            return verdict;
        }
        let mut hint = "";
        if self.rustc != new.rustc {
            hint = "; another compiler may be the reason";
            verdict.notes.push(format!(
                "the baseline was counted with {}, this is {}: a difference may be the compiler's. {UPDATE}",
                self.rustc, new.rustc
            ));
        }
        for (stage, count) in &new.stages {
            let Some(old) = self.stages.get(stage) else {
                let failure =
                    format!("{stage}: {count} instructions, not in the baseline. {UPDATE}");
                verdict.failures.push(failure);
                continue;
            };
            let percent = percent(*count, *old);
            if percent > MOST_PERCENT {
                verdict.failures.push(format!(
                    "{stage}: {old} instructions before, {count} now: {percent:+.1} %, more than {MOST_PERCENT} %{hint}. \
                     If that is what the change is worth: {UPDATE}"
                ));
            } else if percent < -MOST_PERCENT {
                verdict.notes.push(format!(
                    "{stage}: {old} instructions before, {count} now: {percent:+.1} %. To keep it: {UPDATE}"
                ));
            }
        }
        for stage in self
            .stages
            .keys()
            .filter(|stage| !new.stages.contains_key(*stage))
        {
            let failure = format!("{stage} is in the baseline and was not counted. {UPDATE}");
            verdict.failures.push(failure);
        }
        verdict
    }

    /// Stages that must cost what another one costs: it has more keys or prefixes around it.
    pub(crate) fn growth(&self) -> Vec<String> {
        let Some(alone) = self.stages.get(ALONE) else {
            return vec![format!("{ALONE} was not counted")];
        };
        let among = self
            .stages
            .iter()
            .filter(|(stage, _)| stage.contains("_among_"));
        among
            .map(|(stage, count)| (stage, percent(*count, *alone), count))
            .filter(|(_, percent, _)| percent.abs() > MOST_GROWTH_PERCENT)
            .map(|(stage, percent, count)| {
                format!(
                    "{stage}: {count} instructions, {percent:+.1} % of the {alone} of {ALONE}: the cost of a request grows \
                     with what is around it"
                )
            })
            .collect()
    }
}

/// How much more the second is than the first.
pub(crate) fn percent(new: u64, old: u64) -> f64 {
    (new as f64 / old.max(1) as f64 - 1.0) * 100.0
}

const ALONE: &str = "pipeline/encrypt_small";
const MOST_PERCENT: f64 = 3.0;
const MOST_GROWTH_PERCENT: f64 = 5.0;
const UPDATE: &str = "UPDATE_BASELINE=1 cargo bench --bench instructions writes the baseline anew";
