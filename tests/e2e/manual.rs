//! The manual pages, read by the tools that people read them with.

use std::path::Path;
use std::process::Command;

use harness::process::run;
use harness::{backend, temp_dir};

use crate::LIMIT;
use crate::commands::programs;

#[test]
fn every_command_and_option_has_its_place_in_the_manual() {
    if let Err(reason) = installed() {
        return backend::missing("the manual pages", &reason);
    }
    let _alone = crate::alone();
    for program in programs() {
        let folder = temp_dir();
        program.make("man", &folder.path().display().to_string());
        let commands = program.commands();
        let mut names = Vec::new();
        for command in &commands {
            let name = [&[program.name.to_owned()], &*command.path]
                .concat()
                .join("-");
            let page = folder.path().join(format!("{name}.1"));
            let text = rendered(&page);
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
                assert!(text.contains(section), "{name} without {section}:\n{text}");
            }
            let options = command.options();
            assert!(
                options.contains(&"--help".to_owned()),
                "{name}: {options:?}"
            );
            for option in options {
                assert!(text.contains(&option), "{name} without {option}:\n{text}");
            }
            let synopsis = section(&text, "SYNOPSIS");
            for option in command.options_with_values() {
                let is_there = [']', '|', '>', ' ', '.']
                    .iter()
                    .any(|after| synopsis.contains(&format!("{option}{after}")));
                let is_last = synopsis.ends_with(&option);
                assert!(is_there || is_last, "{name} without {option}: {synopsis}");
            }
            for below in command.below() {
                let below = format!("{name}-{below}(1)");
                assert!(text.contains(&below), "{name} without {below}:\n{text}");
            }
            names.push(name);
        }
        let mut pages: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(pages.len(), names.len(), "a page for each command");
        pages.sort();
        // As `whatis` and `apropos` find them: each has a name and a sentence.
        let (status, said, errors) = run(Command::new("lexgrog").args(&pages), LIMIT);
        assert!(status.success(), "{said}{errors}");
        let told = said.lines().filter(|line| line.contains(" - ")).count();
        assert_eq!(told, pages.len(), "{said}");
        // As `man` shows them, with every warning of the formatter.
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).args(&pages);
        man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80");
        let (status, shown, errors) = run(&mut man, LIMIT);
        assert!(status.success() && errors.is_empty(), "{errors}");
        // Lines are filled up with spaces.
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for name in names {
            assert!(shown.contains(&format!("{name} - ")), "{name} is not shown");
        }
    }
}

#[test]
fn examples_stay_line_for_line() {
    if let Err(reason) = installed() {
        return backend::missing("the manual pages", &reason);
    }
    let folder = temp_dir();
    for program in programs() {
        program.make("man", &folder.path().display().to_string());
    }
    for (page, lines) in [
        (
            "xks-proxy-key.1",
            &["EXAMPLES", "xks-proxy key rotate payroll --config FILE"][..],
        ),
        (
            "kms-sim-conformance.1",
            &[
                "NOTES",
                "EXAMPLES",
                "set -a; . ./xks-dev/env; set +a",
                "--access-key-id ABCDEFGHIJKLMNOPQRST --key-id my-key --html report.html --junit report.xml",
            ],
        ),
        (
            "xks-load.1",
            &[
                "xks-load --presigned",
                "SEE ALSO",
                "xks-proxy(1), kms-sim(1)",
            ],
        ),
        (
            "xks-proxy-key-create.1",
            &["xks-proxy(1), xks-proxy-key(1)"],
        ),
    ] {
        let text = rendered(&folder.path().join(page));
        for line in lines {
            let is_there = text.lines().any(|found| found.trim() == *line);
            assert!(is_there, "{page} has no line {line:?}:\n{text}");
        }
    }
}

/// The text of a section, on one line.
fn section(page: &str, heading: &str) -> String {
    let lines = page
        .lines()
        .skip_while(|line| line.trim() != heading)
        .skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    lines
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

fn installed() -> Result<(), String> {
    for (program, argument) in [
        ("groff", "--version"),
        ("lexgrog", "--version"),
        ("man", "--version"),
    ] {
        let output = Command::new(program).arg(argument).output();
        output.map_err(|error| format!("{program}: {error}"))?;
    }
    Ok(())
}

/// A page as text, if the formatter finds nothing to warn of. On lines so long that none of ours is broken.
fn rendered(page: &Path) -> String {
    let mut groff = Command::new("groff");
    groff
        .args(["-Kutf8", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=200n"])
        .arg(page);
    let (status, text, warnings) = run(&mut groff, LIMIT);
    let page = page.display();
    assert!(
        status.success() && warnings.is_empty(),
        "{page}: {warnings}"
    );
    text
}
