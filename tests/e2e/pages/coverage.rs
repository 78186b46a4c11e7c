//! No block of a page is run by nobody: each is on the list of shares, and each test of that list is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::shares::{Blocks, SHARES, test_of};
use super::{languages, stand_ins};
use crate::page::{Block, Page};

#[test]
fn every_block_of_every_page_is_taken_by_a_test() {
    let pages = Page::all();
    assert!(pages.len() > 25, "{} pages", pages.len());
    let problems: Vec<String> = pages.iter().flat_map(problems).collect();
    assert!(
        problems.is_empty(),
        "{}\nA test takes a block through Page::share, and pages/shares.rs lists it.",
        problems.join("\n")
    );
}

#[test]
fn every_line_of_the_list_is_of_a_block_and_of_a_test_that_are_there() {
    let pages = Page::all();
    let tests = Tests::read();
    for given in SHARES {
        let page = pages.iter().find(|page| page.path == given.page);
        let page = page.unwrap_or_else(|| panic!("there is no page {}", given.page));
        let mut blocks = page.blocks.iter().filter(|block| match given.blocks {
            Blocks::Beginning(_) => given.is_named(block),
            Blocks::Others => test_of(&page.path, block) == Some(given.test),
        });
        let what = match given.blocks {
            Blocks::Others => "others",
            Blocks::Beginning(beginning) => beginning,
        };
        assert!(blocks.next().is_some(), "{}: no block: {what}", given.page);
        tests.have(given.test);
    }
}

#[test]
fn whatever_stands_in_for_a_command_says_why_and_is_used() {
    let sources = Tests::read().sources;
    for stand_in in stand_ins::ALL {
        assert!(
            stand_in.because.len() > 20 && stand_in.checked.len() > 20,
            "{}",
            stand_in.command
        );
        let name = format!("stand_ins::{}", stand_in.name);
        assert!(sources.contains(&name), "nobody uses {name}");
    }
}

#[test]
fn a_block_that_nobody_takes_is_found() {
    let text = "# A page\n\n```sh\nxks-proxy serve\n```\n\n    xks-proxy check\n\n```text\nok\nkms-sim serve\n```\n";
    let found = problems(&Page::of("proxy/docs/none.md", text.to_owned()));
    let expected = [
        "none.md:4: no test",
        "none.md:7: indented",
        "none.md:11: a command",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
#[should_panic(expected = "does not run this block, which the list gives to it")]
fn a_test_that_leaves_a_block_of_its_own_fails() {
    let page = Page::read("proxy/docs/quotas.md");
    let mut share = page.share("the_page_about_quotas_does_as_it_says");
    share.next();
}

/// Blocks without a test, and commands that are in no block that could have one.
fn problems(page: &Page) -> Vec<String> {
    let path = &page.path;
    let mut problems = Vec::new();
    for block in &page.blocks {
        let Block { language, line, .. } = block;
        if languages::needs_a_test_of_its_own(language) {
            if test_of(path, block).is_none() {
                problems.push((*line, "no test takes the block".to_owned()));
            }
        } else if language == "text" {
            let commands = block.text.lines().enumerate();
            let commands = commands.filter(|(_, text)| is_command(text));
            problems.extend(
                commands.map(|(at, _)| (line + at, "a command is in a block of text".to_owned())),
            );
        }
    }
    problems.extend(indented(&page.text).map(|line| {
        let what = "indented by four: a block has fences, and a language";
        (line, what.to_owned())
    }));
    problems.sort();
    let told = problems.iter();
    told.map(|(line, what)| format!("{path}:{line}: {what}"))
        .collect()
}

/// Lines that Markdown takes for code for the spaces before them: after an empty one, and outside of fences.
fn indented(text: &str) -> impl Iterator<Item = usize> + '_ {
    let (mut inside, mut empty) = (false, true);
    let lines = text.lines().enumerate();
    lines.filter_map(move |(number, line)| {
        inside ^= line.trim_start().starts_with("```");
        let code =
            !inside && empty && line.starts_with("    ") && !line.trim_start().starts_with("```");
        empty = line.trim().is_empty();
        code.then_some(number + 1)
    })
}

fn is_command(line: &str) -> bool {
    let programs = [
        "xks-proxy",
        "kms-sim",
        "xks-load",
        "aws",
        "cargo",
        "curl",
        "sudo",
        "certbot",
        "terraform",
        "docker",
        "kubectl",
        "bao",
        "psql",
        "pip",
        "apt-get",
        "systemctl",
        "export",
        "cd",
        "$",
    ];
    let first = line.split_whitespace().next().unwrap_or_default();
    !line.starts_with(' ') && (programs.contains(&first) || first.starts_with("./"))
}

/// The tests of this program, by the text of their sources.
struct Tests {
    sources: String,
    names: BTreeSet<String>,
}

impl Tests {
    fn read() -> Self {
        let mut sources = String::new();
        read_sources(&harness::workspace().join("tests/e2e"), &mut sources);
        let mut names = BTreeSet::new();
        let mut attribute = false;
        for line in sources.lines().map(str::trim) {
            if line.starts_with("#[") {
                attribute |= line == "#[test]";
                continue;
            }
            let function = line.strip_prefix("fn ");
            let name = function.and_then(|rest| Some(rest.split_once('(')?.0.to_owned()));
            // Attributes and the function that they are of stand together.
            names.extend(name.filter(|_| attribute));
            attribute = false;
        }
        Self { sources, names }
    }

    /// # Panics
    /// If there is no such test, or it does not say its name to take its share.
    fn have(&self, test: &str) {
        assert!(self.names.contains(test), "there is no test {test}");
        let quoted = format!("\"{test}\"");
        assert!(self.sources.contains(&quoted), "{test} takes no share");
    }
}

/// All but the list of shares, which has every name.
fn read_sources(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of tests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("pages/shares.rs")
        {
            sources.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}
