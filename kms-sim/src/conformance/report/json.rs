//! Results for programs.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::super::run::{Results, Tried};
use super::{SPECIFICATION, VERSION, address};

/// One object: the counts, and every case.
pub fn document(results: &Results) -> Value {
    json!({
        "proxy": results.proxy,
        "model": results.model,
        "started": results.started.format(&Rfc3339).unwrap_or_default(),
        "seconds": seconds(results.elapsed),
        "specification": {"version": VERSION, "address": SPECIFICATION},
        "strict": results.strict,
        "notice": results.notice,
        "passed": results.passed(),
        "failed": results.failed(),
        "skipped": results.skipped(),
        "warnings": results.warned(),
        "cases": results.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

fn case(tried: &Tried) -> Value {
    let exchanges = tried.exchanges.iter();
    let exchanges = exchanges.map(|e| json!({"request": e.request, "answer": e.answer}));
    let found = tried.verdict.text();
    json!({
        "name": tried.case.name,
        "verdict": tried.verdict.as_str(),
        "level": tried.case.level.as_str(),
        "section": tried.case.section,
        "address": address(tried.case.section),
        "requires": tried.case.requires,
        "found": (!found.is_empty()).then_some(found),
        "seconds": seconds(tried.elapsed),
        "exchanges": exchanges.collect::<Vec<_>>(),
    })
}

/// To the microsecond.
fn seconds(elapsed: std::time::Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e6
}
