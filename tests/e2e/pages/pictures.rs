//! Every picture of the tree is made by `tests/pictures`, or is its own source; and is looked at by somebody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::workspace;

use crate::page::Page;

#[test]
fn every_picture_is_one_of_the_script_that_makes_them() {
    let mut found = Vec::new();
    look_for_pictures(workspace(), &mut found);
    let relative = |path: &PathBuf| {
        path.strip_prefix(workspace())
            .expect("inside")
            .display()
            .to_string()
    };
    let found: BTreeSet<String> = found.iter().map(relative).collect();
    let (status, list, stderr) = run(
        Command::new(workspace().join("tests/pictures")).arg("--list"),
        LIMIT,
    );
    assert!(status.success(), "{stderr}");
    let listed = list.lines().map(|line| {
        line.split_whitespace()
            .next()
            .expect("a picture")
            .to_owned()
    });
    assert_eq!(
        found,
        listed.collect(),
        "tests/pictures lists what it makes"
    );
    // Each picture of the documentation is on a page, with a text for whoever does not see it.
    let pages = Page::all();
    let shown: Vec<(&str, &str)> = pages.iter().flat_map(|page| shown_on(&page.text)).collect();
    for picture in found.iter().filter(|picture| picture.contains("/docs/")) {
        let name = Path::new(picture)
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let mut texts = shown
            .iter()
            .filter(|(_, target)| target.ends_with(name))
            .peekable();
        assert!(texts.peek().is_some(), "no page shows {picture}");
        assert!(
            texts.all(|(text, _)| text.len() > 15),
            "{picture} has no text"
        );
    }
}

/// `![text](target)`
fn shown_on(page: &str) -> Vec<(&str, &str)> {
    let pictures = page.split("![").skip(1);
    let parts = pictures.filter_map(|rest| {
        let (text, rest) = rest.split_once("](")?;
        Some((text, rest.split_once(')')?.0))
    });
    parts.collect()
}

#[test]
fn each_picture_says_how_it_is_made_and_the_script_can_do_so() {
    let script = std::fs::read_to_string(workspace().join("tests/pictures")).expect("the script");
    for part in [
        // The test that takes the screenshot, the queries, and the plots.
        "console::a_person_works_with_the_console_in_a_browser",
        "status::browser::a_person_looks_at_the_status_in_a_browser",
        "proxy/deploy/grafana/picture",
        "--bench compare -- plot",
    ] {
        assert!(script.contains(part), "{part}");
    }
    let console = include_str!("../console.rs");
    assert!(console.contains("fn a_person_works_with_the_console_in_a_browser()"));
    let status = include_str!("../status/browser.rs");
    assert!(status.contains("fn a_person_looks_at_the_status_in_a_browser()"));
    let (status, _, stderr) = run(
        Command::new(workspace().join("tests/pictures")).arg("none"),
        LIMIT,
    );
    assert_eq!(status.code(), Some(2), "{stderr}");
}

fn look_for_pictures(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("UTF-8");
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            look_for_pictures(&path, found);
        } else if PICTURES.iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

const PICTURES: [&str; 6] = [".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp"];
const LIMIT: Duration = Duration::from_secs(30);
