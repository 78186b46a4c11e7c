//! Each requirement has a line `//= xks §Section Rn` beside the code that meets it and a test named after it, or a
//! reason among the exceptions. The tables in the README and in `proxy/docs/requirements.md` are made from here:
//! `UPDATE_COVERAGE=1 cargo test --test spec coverage` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::requirements::{EXCEPTIONS, REQUIREMENTS};

/// Where a requirement is met and tried.
#[derive(Default)]
struct Evidence {
    code: BTreeSet<String>,
    tests: BTreeSet<String>,
}

#[test]
fn every_requirement_has_code_and_a_test_or_a_reason() {
    let evidence = evidence();
    let mut problems = Vec::new();
    for requirement in &REQUIREMENTS {
        let number = requirement.number;
        let excepted = EXCEPTIONS.iter().any(|(n, _)| *n == number);
        let found = evidence.get(&number);
        let code = found.is_some_and(|e| !e.code.is_empty());
        let tests = found.is_some_and(|e| !e.tests.is_empty());
        if !excepted && !code {
            problems.push(format!(
                "R{number}: no line `//= xks §{} R{number}`",
                requirement.section
            ));
        }
        if !excepted && !tests {
            problems.push(format!("R{number}: no test named r{number:02}_…"));
        }
        if excepted && tests && code {
            problems.push(format!("R{number}: an exception that has code and a test"));
        }
    }
    for number in evidence.keys() {
        if !REQUIREMENTS.iter().any(|r| r.number == *number) {
            problems.push(format!("R{number}: no such requirement"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn markers_name_the_section_of_their_requirement() {
    let mut markers = 0;
    for (file, text) in sources("proxy") {
        for marker in text.lines().filter_map(marker) {
            markers += 1;
            for number in numbers(marker) {
                let requirement = REQUIREMENTS.iter().find(|r| r.number == number);
                let section = requirement.map_or("", |r| r.section);
                // R17 and R44 are stated in two sections each.
                let elsewhere = match number {
                    17 => "Appendix C",
                    44 => "Authentication",
                    _ => section,
                };
                assert!(
                    [section, elsewhere]
                        .iter()
                        .any(|s| marker.starts_with(&format!("{s} R"))),
                    "{file}: R{number} is of section {section}: {marker}"
                );
            }
        }
    }
    assert!(markers >= REQUIREMENTS.len());
}

#[test]
fn the_tables_are_those_of_this_tree() {
    let evidence = evidence();
    check("README.md", &by_section(&evidence));
    check("proxy/docs/requirements.md", &one_by_one(&evidence));
}

/// Compares what stands between the marks of a page with what should, or writes it.
fn check(page: &str, table: &str) {
    let path = root().join(page);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{page}: {e}"));
    let (before, rest) = text
        .split_once(BEGIN)
        .unwrap_or_else(|| panic!("{page} lacks {BEGIN}"));
    let (_, after) = rest
        .split_once(END)
        .unwrap_or_else(|| panic!("{page} lacks {END}"));
    let expected = format!("{before}{BEGIN}\n{table}{END}{after}");
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        fs::write(&path, expected).unwrap();
        return;
    }
    assert!(
        text == expected,
        "the table in {page} is not that of this tree; UPDATE_COVERAGE=1 cargo test --test spec coverage writes it anew"
    );
}

fn by_section(evidence: &BTreeMap<u8, Evidence>) -> String {
    let mut sections: Vec<&str> = Vec::new();
    for requirement in &REQUIREMENTS {
        if !sections.contains(&requirement.section) {
            sections.push(requirement.section);
        }
    }
    let mut table = String::from(
        "| section of the specification | requirements | tests | not met in full |\n|---|---|---|---|\n",
    );
    for section in sections {
        let of_section = || {
            REQUIREMENTS
                .iter()
                .filter(|r| r.section == section)
                .map(|r| r.number)
        };
        let names = of_section().map(|n| format!("R{n}")).collect::<Vec<_>>();
        let tests: BTreeSet<_> = of_section()
            .filter_map(|n| evidence.get(&n))
            .flat_map(|e| &e.tests)
            .collect();
        let excepted = of_section()
            .filter(|n| EXCEPTIONS.iter().any(|(excepted, _)| excepted == n))
            .map(|n| format!("R{n}"))
            .collect::<Vec<_>>();
        let names = match &names[..] {
            [first, .., last] => format!("{first}–{last}"),
            _ => names.concat(),
        };
        let _ = writeln!(
            table,
            "| {section} | {names} | {} | {} |",
            tests.len(),
            excepted.join(", ")
        );
    }
    table
}

fn one_by_one(evidence: &BTreeMap<u8, Evidence>) -> String {
    let mut table =
        String::from("| no. | section | requirement | code | tests |\n|---|---|---|---|---|\n");
    for r in &REQUIREMENTS {
        let list = |names: &BTreeSet<String>| {
            names
                .iter()
                .map(|n| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join("<br>")
        };
        let (code, mut tests) = evidence
            .get(&r.number)
            .map_or_else(Default::default, |e| (list(&e.code), list(&e.tests)));
        if let Some((_, reason)) = EXCEPTIONS.iter().find(|(n, _)| *n == r.number) {
            let separator = if tests.is_empty() { "" } else { "<br>" };
            let _ = write!(tests, "{separator}*exception:* {reason}");
        }
        let _ = writeln!(
            table,
            "| R{} {} | {} | {} | {code} | {tests} |",
            r.number,
            r.level.word(),
            r.section,
            r.text
        );
    }
    table
}

fn evidence() -> BTreeMap<u8, Evidence> {
    let mut all: BTreeMap<u8, Evidence> = BTreeMap::new();
    for (file, text) in sources("proxy") {
        for number in text.lines().filter_map(marker).flat_map(numbers) {
            all.entry(number).or_default().code.insert(file.clone());
        }
    }
    for (_, text) in sources("proxy").into_iter().chain(sources("tests")) {
        let mut attributed = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                attributed = true;
                continue;
            }
            let declared = line
                .strip_prefix("async ")
                .unwrap_or(line)
                .strip_prefix("fn ");
            if let Some(name) = declared
                .filter(|_| attributed)
                .and_then(|d| d.split('(').next())
            {
                for number in numbers_of_test(name) {
                    all.entry(number).or_default().tests.insert(name.to_owned());
                }
            }
            attributed = attributed && line.starts_with("#[");
        }
    }
    all
}

/// What follows `//= xks §` on a line.
fn marker(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//= xks §")
}

/// `Encrypt R14, R15: why` → 14, 15
fn numbers(marker: &str) -> impl Iterator<Item = u8> + '_ {
    let names = marker.split(':').next().unwrap_or_default();
    names
        .split([' ', ','])
        .filter_map(|word| word.strip_prefix('R')?.parse().ok())
}

/// `r14_r16_sizes` → 14, 16
fn numbers_of_test(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.split('_').map_while(|word| {
        let digits = word.strip_prefix('r').filter(|d| d.len() == 2)?;
        digits.parse().ok()
    })
}

/// Every Rust file below a folder, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

const BEGIN: &str = "<!-- coverage: begin -->";
const END: &str = "<!-- coverage: end -->";
