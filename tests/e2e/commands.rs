//! The commands of a program, as its own `--help` tells them: what pages and completions have to know.

use std::path::PathBuf;
use std::process::Command;

use harness::binaries;
use harness::process::run;

use crate::LIMIT;

/// A program, and the word or option before its commands for pages and scripts.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
    dashes: &'static str,
}

/// One command: how it is called, and its help.
pub(crate) struct Described {
    pub(crate) path: Vec<String>,
    help: String,
}

pub(crate) fn programs() -> [Program; 3] {
    let program = |name, file, dashes| Program { name, file, dashes };
    [
        program("xks-proxy", binaries::xks_proxy(), ""),
        program("kms-sim", binaries::kms_sim(), ""),
        program("xks-load", env!("CARGO_BIN_EXE_xks-load").into(), "--"),
    ]
}

impl Program {
    /// Runs `man DIR` or `completions SHELL`, or what is such an option; its standard output.
    pub(crate) fn make(&self, what: &str, value: &str) -> String {
        let mut command = self.command(what, value);
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        assert!(status.success(), "{} {what}: {stderr}", self.name);
        stdout
    }

    /// The same, not yet run.
    pub(crate) fn command(&self, what: &str, value: &str) -> Command {
        let mut command = Command::new(&self.file);
        command.arg(format!("{}{what}", self.dashes)).arg(value);
        command
    }

    /// Every command that the help shows, the program itself first.
    pub(crate) fn commands(&self) -> Vec<Described> {
        let mut commands = Vec::new();
        let mut open = vec![Vec::new()];
        while let Some(path) = open.pop() {
            let (_, help, _) = run(Command::new(&self.file).args(&path).arg("--help"), LIMIT);
            let described = Described { path, help };
            for below in described.below() {
                open.push([described.path.clone(), vec![below]].concat());
            }
            commands.push(described);
        }
        commands
    }
}

impl Described {
    /// The names of the commands that are below it.
    pub(crate) fn below(&self) -> Vec<String> {
        let section = self.help.split("\nCommands:\n").nth(1).unwrap_or_default();
        let section = section.split("\n\n").next().unwrap_or_default();
        let names = section.lines().filter_map(|line| {
            let name = line.strip_prefix("  ")?.split(' ').next()?;
            (!name.is_empty() && name != "help").then(|| name.to_owned())
        });
        names.collect()
    }

    /// Its options with their values: `--listen <IP:PORT>`.
    pub(crate) fn options_with_values(&self) -> Vec<String> {
        let option = |line: &str| {
            let option = line.get(line.find("--")?..)?;
            let end = option.find("  ").unwrap_or(option.len());
            let option = option.get(..end)?.trim_end_matches('.');
            // A line of an example may begin with an option as well.
            let (_, value) = option.split_once(' ').unwrap_or((option, "<"));
            value.starts_with('<').then(|| option.to_owned())
        };
        self.definitions().filter_map(option).collect()
    }

    /// The lines of the help that define an option.
    fn definitions(&self) -> impl Iterator<Item = &str> {
        self.help.lines().filter(|line| {
            let text = line.trim_start();
            text.starts_with('-') && line.len() - text.len() <= 6
        })
    }

    /// Its options, with their dashes.
    pub(crate) fn options(&self) -> Vec<String> {
        let option = |line: &str| {
            let start = line.find("--")?;
            let word = line.get(start..)?;
            let end = word
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'))
                .unwrap_or(word.len());
            let word = word.get(..end)?.trim_end_matches('.');
            Some(word.to_owned())
        };
        self.definitions().filter_map(option).collect()
    }
}
