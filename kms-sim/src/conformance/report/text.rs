//! Results for people, in lines.

use std::io::{self, Write};

use super::super::run::{Results, Tried, Verdict};
use super::address;

/// Whether words have colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Colours {
    /// On a terminal.
    Yes,
    /// Elsewhere.
    No,
}

/// Writes what failed, what deserves a look, and what was skipped; the last line is the summary.
///
/// # Errors
/// Of the writer.
pub fn write(results: &Results, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    notice(results, out)?;
    for tried in &results.cases {
        match tried.verdict {
            Verdict::Failed(_) | Verdict::Warned(_) => finding(tried, colours, out)?,
            Verdict::Passed | Verdict::Skipped(_) => {}
        }
    }
    skipped(results, out)?;
    let model = results.model.as_deref().unwrap_or("an unknown proxy");
    writeln!(
        out,
        "{} ({model}): {} cases in {:.1} s",
        results.proxy,
        results.cases.len(),
        results.elapsed.as_secs_f64()
    )?;
    notice(results, out)?;
    let warned = results.warned();
    if warned > 0 {
        writeln!(
            out,
            "{warned} of those that passed have a warning: a SHOULD that is not met; --strict makes it a failure"
        )?;
    }
    writeln!(out, "{}", results.summary())
}

/// At the top, and where people look first: at the end.
fn notice(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    match &results.notice {
        Some(notice) => writeln!(out, "NOTICE {}", printable(notice)),
        None => Ok(()),
    }
}

/// One case that did not pass.
fn finding(tried: &Tried, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let case = tried.case;
    let word = match (&tried.verdict, colours) {
        (Verdict::Failed(_), Colours::Yes) => "\u{1b}[31;1mFAILED\u{1b}[0m",
        (Verdict::Failed(_), Colours::No) => "FAILED",
        (_, Colours::Yes) => "\u{1b}[33;1mWARNING\u{1b}[0m",
        (_, Colours::No) => "WARNING",
    };
    writeln!(out, "{word} {} ({})", case.name, case.level.as_str())?;
    writeln!(out, "  required: {}", case.requires)?;
    writeln!(out, "  where: {}, {}", case.section, address(case.section))?;
    writeln!(out, "  found: {}", printable(tried.verdict.text()))?;
    if let Some(exchange) = tried.exchanges.last() {
        writeln!(out, "  request:")?;
        indented(&exchange.request, out)?;
        writeln!(out, "  answer:")?;
        indented(&exchange.answer, out)?;
    }
    writeln!(out)
}

/// Reasons, each with the cases that it concerns.
fn skipped(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for tried in &results.cases {
        if let Verdict::Skipped(why) = &tried.verdict {
            let known = reasons.iter_mut().find(|(reason, _)| *reason == why);
            match known {
                Some((_, names)) => names.push(tried.case.name),
                None => reasons.push((why, vec![tried.case.name])),
            }
        }
    }
    for (reason, names) in &reasons {
        let shown: Vec<_> = names.iter().take(12).copied().collect();
        let more = match names.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(out, "skipped: {}", printable(reason))?;
        writeln!(out, "  {}{more}", shown.join(", "))?;
    }
    if !reasons.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

fn indented(text: &str, out: &mut dyn Write) -> io::Result<()> {
    for line in text.trim_end().lines() {
        writeln!(out, "    {}", printable(line))?;
    }
    Ok(())
}

/// What a proxy says must not command a terminal.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}
