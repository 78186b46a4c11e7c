//! SECURITY.md claims nothing without a test: each row of its tables names some, and they are where it says.

use std::fs;

/// A row of a table of claims.
struct Claim<'p> {
    text: &'p str,
    tests: Vec<Link<'p>>,
}

/// `[text](target)`
struct Link<'p> {
    text: &'p str,
    target: &'p str,
}

#[test]
fn every_claim_of_the_threat_model_names_tests_that_exist() {
    let page = fs::read_to_string(harness::workspace().join("SECURITY.md")).unwrap();
    let claims = claims(&page);
    assert!(claims.len() > 25, "{} claims", claims.len());
    let mut problems = Vec::new();
    for claim in &claims {
        if claim.tests.is_empty() {
            problems.push(format!("no test: {}", claim.text));
        }
        for link in &claim.tests {
            if !is_test(link) {
                problems.push(format!("no test {} in {}", link.text, link.target));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_other_link_of_the_threat_model_leads_somewhere() {
    let page = fs::read_to_string(harness::workspace().join("SECURITY.md")).unwrap();
    for link in links(&page) {
        let (file, section) = link.target.split_once('#').unwrap_or((link.target, ""));
        let text = fs::read_to_string(harness::workspace().join(file));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", link.target));
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let anchors = headings.map(|line| {
            let words = line.trim_start_matches(['#', ' ']).to_lowercase();
            words.replace(' ', "-")
        });
        let found = section.is_empty() || anchors.into_iter().any(|anchor| anchor == section);
        assert!(found, "{}", link.target);
    }
}

/// The rows of the tables whose second column is `tests`.
fn claims(page: &str) -> Vec<Claim<'_>> {
    let mut claims = Vec::new();
    let mut in_table = false;
    for line in page.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        match &*cells {
            ["", "claim", "tests", ""] => in_table = true,
            ["", text, tests, ""] if in_table && !text.starts_with("---") => claims.push(Claim {
                text,
                tests: links(tests),
            }),
            ["", ..] if in_table => {}
            _ => in_table = false,
        }
    }
    claims
}

fn links(text: &str) -> Vec<Link<'_>> {
    let ends = text.match_indices("](").map(|(at, _)| at);
    let link = |at: usize| {
        let from = text[..at].rfind('[')? + 1;
        let rest = &text[at + 2..];
        Some(Link {
            text: text[from..at].trim_matches('`'),
            target: &rest[..rest.find(')')?],
        })
    };
    ends.filter_map(link).collect()
}

/// Whether the file has a test of that name: a function with an attribute of a test, or one of the suite of all backends.
fn is_test(link: &Link<'_>) -> bool {
    let Ok(source) = fs::read_to_string(harness::workspace().join(link.target)) else {
        return false;
    };
    let (mut attribute, mut found) = (false, false);
    let name = format!("fn {}", link.text);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            attribute |= matches!(line, "#[test]" | "#[tokio::test]");
        } else if line.contains("fn ") {
            let (_, rest) = line.split_once(&name).unwrap_or(("", ""));
            let named = rest.starts_with(['(', '<']);
            found |= named && (attribute || link.target == "tests/backends/suite.rs");
            attribute = false;
        }
    }
    found
}

#[test]
fn a_claim_without_a_test_would_be_found() {
    let page = "| claim | tests |\n|---|---|\n| Nothing fails. | [`no_such_test`](tests/spec/security.rs) |\n| So it is. | |\n";
    let claims = claims(page);
    assert_eq!(claims.len(), 2);
    assert!(!is_test(&claims[0].tests[0]));
    assert!(claims[1].tests.is_empty());
    let page = page.replace("no_such_test", "a_claim_without_a_test_would_be_found");
    assert!(is_test(&links(&page)[0]));
}
