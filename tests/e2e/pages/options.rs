//! Options that pages name are options of our programs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harness::binaries;
use harness::process::run;

use super::inline_code;
use crate::page::Page;

#[test]
fn every_option_of_a_command_on_a_page_is_one_of_the_program() {
    let _alone = crate::alone();
    let programs = Programs;
    let (mut problems, mut checked) = (Vec::new(), BTreeSet::new());
    for page in Page::all() {
        for command in commands(&page) {
            match programs.refuse(&command) {
                None => {}
                Some(Ok(())) => drop(checked.insert(command)),
                Some(Err(problem)) => problems.push(format!("{}: {command}: {problem}", page.path)),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked.len() > 120, "{} commands", checked.len());
}

#[test]
fn every_option_that_stands_alone_on_a_page_is_one_of_some_program() {
    let _alone = crate::alone();
    let programs = Programs;
    let known = programs.all_options();
    let (mut problems, mut checked) = (Vec::new(), 0);
    for page in Page::all() {
        let of_one = inline_code(&page)
            .into_iter()
            .filter(|code| code.starts_with("--"));
        for code in of_one {
            let option = code.split([' ', '=']).next().unwrap_or_default();
            match known.contains(option) || OTHERS.contains(&option) {
                true => checked += 1,
                false => problems.push(format!("{}: {code}", page.path)),
            }
        }
    }
    assert!(problems.is_empty(), "nobody has\n{}", problems.join("\n"));
    assert!(checked > 50, "{checked} options");
}

/// In the column of a table whose head is a command, each cell goes on with that command.
#[test]
fn every_command_in_a_column_of_its_own_is_one_of_the_program() {
    let _alone = crate::alone();
    let programs = Programs;
    let (mut problems, mut checked) = (Vec::new(), 0);
    for page in Page::all() {
        for command in commands_of_columns(&page.text) {
            match programs.refuse(&command) {
                None => {}
                Some(Ok(())) => checked += 1,
                Some(Err(problem)) => problems.push(format!("{}: {command}: {problem}", page.path)),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 30, "{checked} cells");
}

#[test]
fn an_option_that_is_not_there_is_found() {
    let _alone = crate::alone();
    let programs = Programs;
    let refused = |command: &str| programs.refuse(command).is_some_and(|found| found.is_err());
    assert!(refused("xks-proxy key list --colour"));
    assert!(refused("kms-sim ctl clock-works --now"));
    assert!(!refused("xks-proxy key list --json"));
    assert!(!refused("aws kms --colour"));
    let table = "| a | `kms-sim ctl vpc` |\n|---|---|\n| b | `create --no`, `list` |\n";
    let commands = commands_of_columns(table);
    assert_eq!(
        commands,
        ["kms-sim ctl vpc create --no", "kms-sim ctl vpc list"]
    );
    assert!(refused(&commands[0]) && !refused(&commands[1]));
}

/// The lines of blocks, each a command or several, and what stands between backticks.
fn commands(page: &Page) -> Vec<String> {
    let shells = page
        .blocks
        .iter()
        .filter(|block| ["sh", "console"].contains(&&*block.language));
    let mut commands = Vec::new();
    for block in shells {
        let text = block.text.replace("\\\n", " ");
        let lines = text
            .lines()
            .map(|line| line.split(" #").next().unwrap_or_default());
        let lines = lines.map(|line| line.trim_start_matches("$ "));
        let parts = lines.flat_map(|line| line.split(['|', ';', '&', '(', ')']));
        commands.extend(parts.map(|part| part.trim().to_owned()));
    }
    commands.extend(inline_code(page));
    commands
        .iter()
        .filter_map(|command| from_program(command))
        .collect()
}

/// A command of a program of ours from its name on, without the path to it and without `sudo`.
fn from_program(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let name = |word: &&str| {
        word.rsplit('/')
            .next()
            .filter(|name| NAMES.contains(name) && !word.starts_with('/'))
            .map(str::to_owned)
    };
    let at = match words.first() {
        // The first name is that of the user.
        Some(&"sudo") => words.iter().rposition(|word| name(word).is_some())?,
        _ => 0,
    };
    let (program, rest) = words.get(at..)?.split_first()?;
    let program = name(program)?;
    Some([&[&*program][..], rest].concat().join(" "))
}

fn commands_of_columns(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut head: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|') else {
            head.clear();
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if head.is_empty() {
            head = cells
                .iter()
                .map(|cell| cell.trim_matches('`').to_owned())
                .collect();
            continue;
        }
        for (head, cell) in head.iter().zip(cells) {
            let program = head.split(' ').next().unwrap_or_default();
            if NAMES.contains(&program) && head.contains(' ') {
                let codes = cell.split('`').skip(1).step_by(2);
                commands.extend(codes.map(|code| format!("{head} {code}")));
            }
        }
    }
    commands
}

/// Our programs, by what their `--help` says.
struct Programs;

impl Programs {
    /// What is wrong with a command; `None` if it is of no program of ours.
    fn refuse(&self, command: &str) -> Option<Result<(), String>> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (program, words) = words
            .split_first()
            .filter(|(program, _)| NAMES.contains(program))?;
        Some(self.refuse_words(program, words))
    }

    fn refuse_words(&self, program: &str, words: &[&str]) -> Result<(), String> {
        let names = self.subcommands(program, words)?;
        let mut known = BTreeSet::new();
        // Some options may stand before a subcommand and after it.
        for above in 0..=names.len() {
            known.extend(options_of(&self.help(program, &names[..above])?));
        }
        let options = words.iter().take_while(|word| **word != "--");
        let options = options.filter(|word| word.starts_with("--"));
        for option in options {
            let option = option.split('=').next().unwrap_or_default();
            let option = option.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if !known.contains(option) {
                return Err(format!("there is no {option}"));
            }
        }
        Ok(())
    }

    /// The names of subcommands among these words, as deep as they go. A word after an option may be its value.
    fn subcommands<'w>(&self, program: &str, words: &[&'w str]) -> Result<Vec<&'w str>, String> {
        let mut names: Vec<&str> = Vec::new();
        let mut after_option = false;
        for word in words {
            let help = self.help(program, &names)?;
            if word.starts_with('-') {
                after_option = !word.contains('=');
            } else if listed(&help).contains(*word) {
                names.push(word);
                after_option = false;
            } else if std::mem::take(&mut after_option) {
            } else if help.contains("<COMMAND>")
                && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            {
                return Err(format!("there is no {word}"));
            } else {
                break;
            }
        }
        Ok(names)
    }

    fn all_options(&self) -> BTreeSet<String> {
        let mut options = BTreeSet::new();
        for program in NAMES {
            let mut left: Vec<Vec<String>> = vec![Vec::new()];
            while let Some(names) = left.pop() {
                let words: Vec<&str> = names.iter().map(String::as_str).collect();
                let help = self
                    .help(program, &words)
                    .expect("the help of a subcommand that is listed");
                options.extend(options_of(&help));
                let deeper = listed(&help).into_iter().filter(|name| name != "help");
                left.extend(deeper.map(|name| [&names[..], &[name]].concat()));
            }
        }
        options
    }

    fn help(&self, program: &str, names: &[&str]) -> Result<String, String> {
        // Each is asked for once, whatever the tests.
        static HELPS: Mutex<BTreeMap<String, Result<String, String>>> = Mutex::new(BTreeMap::new());
        let mut helps = HELPS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = [&[program][..], names].concat().join(" ");
        let help = helps.entry(key).or_insert_with(|| {
            let mut command = Command::new(binary(program));
            let (status, stdout, stderr) = run(command.args(names).arg("--help"), LIMIT);
            match status.success() {
                true => Ok(stdout),
                false => Err(stderr),
            }
        });
        help.clone()
    }
}

/// The options that a help has.
fn options_of(help: &str) -> BTreeSet<String> {
    let words = help.split([' ', ',', '\n', '[', ']', '=', '<', '`', '(', ')', '.', ';']);
    words
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

/// The subcommands that a help lists.
fn listed(help: &str) -> BTreeSet<String> {
    let (_, commands) = help.split_once("\nCommands:\n").unwrap_or_default();
    let (commands, _) = commands.split_once("\n\n").unwrap_or((commands, ""));
    let names = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    names
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect()
}

fn binary(program: &str) -> PathBuf {
    match program {
        "xks-proxy" => binaries::xks_proxy(),
        "kms-sim" => binaries::kms_sim(),
        _ => Path::new(env!("CARGO_BIN_EXE_xks-load")).to_owned(),
    }
}

const NAMES: [&str; 3] = ["xks-proxy", "kms-sim", "xks-load"];
/// Options that pages name of other programs: `compare`, Cargo, the AWS CLI, Docker.
const OTHERS: [&str; 8] = [
    "--rounds",
    "--seconds",
    "--results",
    "--profile",
    "--cli-input-json",
    "--xks-proxy-uri-endpoint",
    "--xks-proxy-vpc-endpoint-service-name",
    "--ulimit",
];
const LIMIT: Duration = Duration::from_secs(60);
