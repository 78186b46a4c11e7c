//! Names between backticks: settings of the configuration are in its example, and variables of the environment in some source.

use std::collections::BTreeSet;
use std::path::Path;

use super::inline_code;
use crate::page::Page;

#[test]
fn every_setting_that_a_page_names_is_in_the_example() {
    let known = settings();
    assert!(known.contains("limits.max_connections") && known.contains("key_stores.rules"));
    let (mut problems, mut checked) = (Vec::new(), 0);
    for page in Page::all() {
        for code in inline_code(&page) {
            let Some(name) = setting(&code, &known) else {
                continue;
            };
            checked += 1;
            if !known.contains(&name) {
                problems.push(format!("{}: {code}", page.path));
            }
        }
    }
    assert!(
        problems.is_empty(),
        "no such settings:\n{}",
        problems.join("\n")
    );
    assert!(checked > 25, "{checked} settings");
}

#[test]
fn every_variable_that_a_page_names_is_read_by_something() {
    let mut sources = String::new();
    for folder in ["proxy", "kms-sim", "benches", "tests", ".ci"] {
        read(&harness::workspace().join(folder), &mut sources);
    }
    let words: BTreeSet<&str> = sources.split(|c: char| !is_of_a_variable(c)).collect();
    let mut checked = BTreeSet::new();
    for page in Page::all() {
        for name in page
            .text
            .split(|c: char| !is_of_a_variable(c))
            .filter(|name| is_ours(name))
        {
            // What a page itself sets, for its own commands.
            let own = page.text.contains(&format!("${name}"));
            assert!(
                own || words.contains(name),
                "{}: nothing reads {name}",
                page.path
            );
            checked.insert(name.to_owned());
        }
    }
    assert!(checked.len() > 15, "{checked:?}");
}

#[test]
fn a_setting_that_no_example_has_is_found() {
    let known = settings();
    assert_eq!(
        setting("limits.colour", &known).as_deref(),
        Some("limits.colour")
    );
    assert_eq!(setting("[colours]", &known).as_deref(), Some("colours"));
    assert_eq!(setting("example.com", &known), None);
    assert!(!known.contains("limits.colour"));
}

/// `table.field`, or `[table]`, as the example would have it.
fn setting(code: &str, known: &BTreeSet<String>) -> Option<String> {
    let allowed = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b"_.".contains(&b))
    };
    let table = code
        .strip_prefix('[')
        .and_then(|code| code.strip_suffix(']'));
    if let Some(table) = table {
        let table = table.trim_matches(['[', ']']);
        // Names of key managers are anybody's.
        return (allowed(table) && !table.starts_with("key_managers.")).then(|| table.to_owned());
    }
    let (table, _) = code.split_once('.').filter(|_| allowed(code))?;
    known.contains(table).then(|| code.to_owned())
}

/// Tables of the example, and their fields.
fn settings() -> BTreeSet<String> {
    let example = harness::workspace().join("proxy/deploy/xks-proxy.example.toml");
    let example = std::fs::read_to_string(example).expect("the example");
    let (mut known, mut table) = (BTreeSet::new(), String::new());
    for line in example.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some((name, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            table = name.trim_matches('[').to_owned();
            known.insert(table.clone());
        } else if let Some((field, _)) = line.split_once(" = ") {
            known.insert(format!("{table}.{field}"));
        }
    }
    known
}

/// Of our programs and tests; XKS_PROXY_NOT_REACHABLE and its like are codes of KMS, which the sources have as well.
fn is_ours(name: &str) -> bool {
    ["XKS_", "KMS_SIM_", "UPDATE_", "FUZZ_"]
        .iter()
        .any(|begin| name.starts_with(begin) && name.len() > begin.len())
}

const fn is_of_a_variable(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

fn read(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() && !["target", "corpus"].contains(&name) {
            read(&path, sources);
        } else if path.is_file() && !name.ends_with(".md") {
            // Pictures and the like are no text.
            sources.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
            sources.push('\n');
        }
    }
}
