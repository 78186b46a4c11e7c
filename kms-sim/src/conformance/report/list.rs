//! The list of all cases, from their tables.

use serde_json::{Value, json};

use super::super::case::Case;
use super::super::cases::cases;
use super::address;

/// Lines for people: name, level, section, requirement.
pub fn lines(chosen: &[&'static Case]) -> String {
    let line = |case: &&Case| {
        let expects = case.expects().map(|what| format!("; expects: {what}"));
        format!(
            "{} ({}; {})\n    {}{}\n",
            case.name,
            case.level.as_str(),
            case.section,
            case.requires,
            expects.unwrap_or_default()
        )
    };
    chosen.iter().map(line).collect()
}

/// The same for programs: a list of objects.
pub fn document(chosen: &[&'static Case]) -> Value {
    let object = |case: &&Case| {
        json!({
            "name": case.name,
            "level": case.level.as_str(),
            "section": case.section,
            "address": address(case.section),
            "requires": case.requires,
            "expects": case.expects(),
        })
    };
    chosen.iter().map(object).collect()
}

/// Tables of Markdown, one for each section of the specification.
pub fn markdown() -> String {
    let mut sections: Vec<&str> = Vec::new();
    for case in cases() {
        if !sections.contains(&case.section) {
            sections.push(case.section);
        }
    }
    let mut text = String::new();
    for section in sections {
        text.push_str(&format!(
            "\n### [{section}]({})\n\n| case | | what is required |\n|---|---|---|\n",
            address(section)
        ));
        for case in cases().filter(|case| case.section == section) {
            text.push_str(&format!(
                "| `{}` | {} | {} |\n",
                case.name,
                case.level.as_str(),
                case.requires
            ));
        }
    }
    text
}
