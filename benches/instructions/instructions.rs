//! How many instructions each stage of the hot path takes, against the committed `baseline.json`. Unlike times, the counts do
//! not depend on what else the machine does, so that CI can hold a change against them.
//!
//! gungraun runs each stage under callgrind. `cargo bench --bench instructions` prints the counts and fails where one has
//! risen by more than 3 %; with `UPDATE_BASELINE=1` it writes the file anew. `-- --test` runs each stage once without valgrind.
//!
//! Needs valgrind and the runner of gungraun in the PATH: `.ci/run` installs both.

mod baseline;
#[path = "../fixture/decrypt.rs"]
mod decrypt;
#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../fixture/stage.rs"]
mod stage;
mod stages;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};

use baseline::Baseline;
use serde_json::Value;

fn main() -> ExitCode {
    // The runner starts this program again for each stage.
    if std::env::args().any(|argument| argument == "--gungraun-run")
        || std::env::var_os(MEASURE).is_some()
    {
        stages::run();
        return ExitCode::SUCCESS;
    }
    let smoke = std::env::args().any(|argument| argument == "--test");
    let ended = match measure(smoke) {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(counts)) => judge(counts),
        Err(problem) => Err(problem),
    };
    ended.unwrap_or_else(|problem| {
        eprintln!("instructions: {problem}");
        ExitCode::FAILURE
    })
}

/// Counts all stages; nothing is counted where they only have to run.
fn measure(smoke: bool) -> Result<Option<BTreeMap<String, u64>>, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command
        .arg("--bench")
        .env(MEASURE, "1")
        .env("GUNGRAUN_OUTPUT_FORMAT", "json")
        .env("GUNGRAUN_TEST", if smoke { "yes" } else { "no" })
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(format!(
            "the runner of gungraun ended with {}\n{said}",
            output.status
        ));
    }
    if smoke {
        return Ok(None);
    }
    let mut counts = BTreeMap::new();
    for summary in serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>() {
        let summary = summary.map_err(|error| format!("the runner's output: {error}"))?;
        let (name, count) = count(&summary)
            .ok_or_else(|| format!("the runner's output has no count: {summary}"))?;
        counts.insert(name, count);
    }
    match counts.is_empty() {
        true => Err("the runner counted nothing".into()),
        false => Ok(Some(counts)),
    }
}

/// Name and instructions in what the runner says of a stage.
fn count(summary: &Value) -> Option<(String, u64)> {
    let function = summary["function_name"].as_str()?;
    let name = match summary["id"].as_str() {
        Some(id) => format!("{function}/{id}"),
        None => function.to_owned(),
    };
    let profiles = summary["profiles"].as_array()?;
    let callgrind = profiles.iter().find(|one| one["tool"] == "Callgrind")?;
    let count = &callgrind["data"]["total"]["metrics"]["Ir"]["values"]["new"];
    let calls = match function {
        "pipeline" => stages::PIPELINE_CALLS,
        _ => 1,
    };
    Some((name, count.as_u64()? / calls))
}

fn judge(stages: BTreeMap<String, u64>) -> Result<ExitCode, String> {
    let new = Baseline {
        rustc: rustc()?,
        processor: processor(),
        stages,
    };
    let file = harness::workspace().join("benches/instructions/baseline.json");
    let update = std::env::var_os("UPDATE_BASELINE").is_some_and(|value| value == "1");
    let old = Baseline::read(&file);
    for (stage, count) in &new.stages {
        let before = old.as_ref().ok().and_then(|old| old.stages.get(stage));
        let change = before.map_or_else(String::new, |old| {
            format!("{:+.2} %", baseline::percent(*count, *old))
        });
        println!("{stage:48}{count:>10}  {change}");
    }
    let growth = new.growth();
    let verdict = match (update, old) {
        (true, _) => {
            new.write(&file)?;
            println!("{} is written", file.display());
            None
        }
        (false, old) => Some(old?.judge(&new)),
    };
    let (notes, failures) = verdict.map_or_else(Default::default, |v| (v.notes, v.failures));
    for note in notes {
        println!("note: {note}");
    }
    let failures = [failures, growth].concat();
    for failure in &failures {
        eprintln!("FAILED: {failure}");
    }
    match failures.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn rustc() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("--version")
        .current_dir(harness::workspace())
        .output()
        .map_err(|error| format!("rustc --version: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// valgrind shows programs what it can emulate: AVX2 where the processor has it, and nothing newer.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let more = match std::arch::is_x86_feature_detected!("avx2") {
        true => " with AVX2",
        false => " without AVX2",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let more = "";
    format!("{}{more}", std::env::consts::ARCH)
}

/// Set for the copy of this program that hands the stages to the runner.
const MEASURE: &str = "XKS_COUNT_INSTRUCTIONS";
