//! What pages ask of Cargo: packages, targets, profiles, features, tests and arguments of benches are there. And scripts.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Parser as _;
use harness::process::run;
use harness::{binaries, temp_dir};
use serde_json::Value;

use super::{inline_code, stand_ins};
use crate::page::{Page, in_a_shell};

// Only what clap makes of it is used.
#[expect(dead_code, reason = "the bench has the rest")]
#[path = "../../../benches/compare/arguments.rs"]
mod compare;

/// The pages of the list, and everywhere what stands between backticks.
#[test]
fn what_pages_ask_of_cargo_and_of_scripts_is_there() {
    let _alone = crate::alone();
    let test = "what_pages_ask_of_cargo_and_of_scripts_is_there";
    let workspace = Workspace::read();
    let mut asked = 0;
    for page in Page::all() {
        let has_a_share = super::shares::SHARES
            .iter()
            .any(|given| given.page == page.path && given.test == test);
        let commands = match has_a_share {
            true => page.share(test).rest(),
            false => String::new(),
        };
        let inline: Vec<String> = inline_code(&page)
            .into_iter()
            .filter(|code| code.starts_with("cargo "))
            .collect();
        let commands = format!("{commands}\n{}", inline.join("\n"));
        for call in calls_of_cargo(&commands) {
            let checked = workspace.check(&call);
            assert!(checked.is_ok(), "{}: {call:?}: {checked:?}", page.path);
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked} commands");
}

/// In its table, each figure is given with the arguments that measure it.
#[test]
fn the_figures_of_the_benches_are_measured_as_their_table_says() {
    let _alone = crate::alone();
    let workspace = Workspace::read();
    let page = Page::read("benches/README.md");
    let (_, table) = page
        .text
        .split_once("`cargo bench --bench compare --` |\n|---|---|\n")
        .expect("the table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let mut figures = 0;
    for row in rows {
        let cell = row.split('|').nth(2).expect("a second cell");
        let arguments = cell.trim().trim_matches('`');
        let call = match arguments.strip_prefix("cargo ") {
            Some(rest) => rest.to_owned(),
            None => format!("bench --bench compare -- {arguments}"),
        };
        let words: Vec<String> = call.split(' ').map(str::to_owned).collect();
        let checked = workspace.check(&Call {
            folder: String::new(),
            words,
        });
        assert!(checked.is_ok(), "{call}: {checked:?}");
        figures += 1;
    }
    assert!(figures > 10, "{figures} figures");
}

#[test]
fn what_cargo_does_not_have_is_found() {
    let _alone = crate::alone();
    let workspace = Workspace::read();
    for wrong in [
        "bench --bench none",
        "bench --bench compare -- cost/none",
        "bench --bench compare -- cost --colour",
        "build --profile none --bin xks-proxy",
        "run --bin kms-sim -- demonstrate",
        "test --test backends no_such_test",
        "build --features none",
        "mutants -p xks-api -f none/*.rs",
        "install --locked gungraun-runner --version 0.0.1",
    ] {
        let words = wrong.split(' ').map(str::to_owned).collect();
        assert!(
            workspace
                .check(&Call {
                    folder: String::new(),
                    words
                })
                .is_err(),
            "{wrong}"
        );
    }
}

/// One `cargo …`, and where it is run, seen from the workspace.
#[derive(Debug)]
struct Call {
    folder: String,
    words: Vec<String>,
}

/// Runs commands as bash reads them, and notes what Cargo is asked for.
fn calls_of_cargo(commands: &str) -> Vec<Call> {
    if commands.trim().is_empty() {
        return Vec::new();
    }
    let folder = temp_dir();
    for name in ["proxy", "kms-sim", "benches"] {
        std::os::unix::fs::symlink(harness::workspace().join(name), folder.path().join(name))
            .expect("a link");
    }
    let functions = stand_ins::functions(&[
        &stand_ins::CARGO,
        &stand_ins::APT_GET,
        &stand_ins::PIP,
        &stand_ins::TESTS_RUN,
        &stand_ins::TESTS_ROTATIONS,
        &stand_ins::TESTS_MUTANTS,
    ]);
    let script = format!("export calls=$PWD/calls here=$PWD; : >calls\n{functions}{commands}");
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", &script]);
    let (status, stdout, stderr) = run(in_a_shell(&mut bash, folder.path()), LIMIT);
    assert!(status.success(), "{commands}{stdout}{stderr}");
    let calls = std::fs::read_to_string(folder.path().join("calls")).expect("a file of ours");
    let calls = calls.lines().map(|line| {
        let (folder, words) = line.split_once('\t').expect("a folder");
        Call {
            folder: folder.to_owned(),
            words: words.split('\t').map(str::to_owned).collect(),
        }
    });
    calls.collect()
}

/// What there is to ask for, as Cargo knows it.
struct Workspace {
    metadata: Value,
}

impl Workspace {
    fn read() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
            .current_dir(harness::workspace());
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        assert!(status.success(), "{stderr}");
        Self {
            metadata: serde_json::from_str(&stdout).expect("JSON"),
        }
    }

    fn check(&self, call: &Call) -> Result<(), String> {
        let words: Vec<&str> = call
            .words
            .iter()
            .map(String::as_str)
            .filter(|word| !word.starts_with('+'))
            .collect();
        let (ours, theirs) = match words.iter().position(|word| *word == "--") {
            Some(at) => (&words[..at], &words[at + 1..]),
            None => (&words[..], &[][..]),
        };
        let (subcommand, arguments) = ours.split_first().ok_or("nothing is asked for")?;
        match *subcommand {
            "fuzz" => fuzz(&call.folder, arguments),
            "install" => install(arguments),
            "mutants" => self.mutants(arguments),
            "bench" | "build" | "run" | "test" | "clippy" | "doc" => {
                self.target(subcommand, arguments, theirs)
            }
            other => Err(format!("cargo {other} is none of this test's")),
        }
    }

    fn target(&self, subcommand: &str, arguments: &[&str], theirs: &[&str]) -> Result<(), String> {
        let (mut words, mut target, mut filters) = (arguments.iter(), None, Vec::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} wants a value"));
            match *word {
                "--release"
                | "--locked"
                | "--bins"
                | "--benches"
                | "--lib"
                | "--no-default-features" => {}
                "--bin" | "--bench" | "--test" => {
                    let (kind, name) = (&word[2..], value()?);
                    self.has_target(kind, name)?;
                    target = Some(name);
                }
                "--profile" => {
                    let name = value()?;
                    let manifest = std::fs::read_to_string(harness::workspace().join("Cargo.toml"))
                        .expect("the manifest");
                    let there = manifest.contains(&format!("[profile.{name}]"));
                    there.then_some(()).ok_or(format!("no profile {name}"))?;
                }
                "-p" => self.has_package(value()?)?,
                "--features" => {
                    for feature in value()?.split(',') {
                        let there = self
                            .packages()
                            .any(|package| package["features"].get(feature).is_some());
                        there.then_some(()).ok_or(format!("no feature {feature}"))?;
                    }
                }
                word if word.starts_with('-') => {
                    return Err(format!("{word} is none of this test's"));
                }
                word => filters.push(word),
            }
        }
        match (subcommand, target) {
            ("run", Some(program)) => helps(program, theirs),
            ("bench", Some("compare")) => measures(theirs),
            ("bench", _) => match theirs {
                [] | ["--test"] => Ok(()),
                _ => Err(format!("{theirs:?} is none of this test's")),
            },
            _ => {
                let options = ["--ignored", "--nocapture", "--exact"];
                let of_libtest = theirs.iter().filter(|word| !options.contains(word));
                filters.extend(of_libtest);
                filters
                    .iter()
                    .try_for_each(|filter| is_in_a_test(filter, target))
            }
        }
    }

    /// `cargo mutants -p PACKAGE -f FILES -- --lib MODULE`
    fn mutants(&self, arguments: &[&str]) -> Result<(), String> {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if *word == "--in-place" {
                continue;
            }
            let value = words
                .next()
                .copied()
                .ok_or(format!("{word} wants a value"))?;
            match *word {
                "-p" => self.has_package(value)?,
                // Names of functions, as cargo-mutants writes them.
                "-F" => {}
                "-f" => {
                    let (folder, name) = value.rsplit_once('/').unwrap_or(("", value));
                    let end = name.trim_start_matches('*');
                    let entries = std::fs::read_dir(harness::workspace().join(folder));
                    let mut names = entries
                        .into_iter()
                        .flatten()
                        .filter_map(|e| e.ok()?.file_name().into_string().ok());
                    let there = names.any(|found| found.ends_with(end));
                    there.then_some(()).ok_or(format!("no file {value}"))?;
                }
                other => return Err(format!("{other} is none of this test's")),
            }
        }
        Ok(())
    }

    fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"]
            .as_array()
            .expect("packages")
            .iter()
    }

    fn has_package(&self, name: &str) -> Result<(), String> {
        let there = self.packages().any(|package| package["name"] == name);
        there.then_some(()).ok_or(format!("no package {name}"))
    }

    fn has_target(&self, kind: &str, name: &str) -> Result<(), String> {
        let mut targets = self
            .packages()
            .flat_map(|package| package["targets"].as_array().expect("targets"));
        let there = targets.any(|target| target["name"] == name && target["kind"][0] == kind);
        there.then_some(()).ok_or(format!("no {kind} {name}"))
    }
}

/// `cargo run --bin PROGRAM -- SUBCOMMAND …`
fn helps(program: &str, arguments: &[&str]) -> Result<(), String> {
    let program = match program {
        "xks-proxy" => binaries::xks_proxy(),
        "kms-sim" => binaries::kms_sim(),
        other => return Err(format!("{other} is none of this test's")),
    };
    let (status, _, stderr) = run(Command::new(program).args(arguments).arg("--help"), LIMIT);
    status.success().then_some(()).ok_or(stderr)
}

/// `cargo bench --bench compare -- NAMES …`
fn measures(arguments: &[&str]) -> Result<(), String> {
    let arguments = [&["compare"], arguments].concat();
    let arguments =
        compare::Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
    let source = std::fs::read_to_string(harness::workspace().join("benches/compare/compare.rs"))
        .expect("the bench");
    let unknown = arguments
        .names
        .iter()
        .find(|name| *name != "plot" && !source.contains(&format!("\"{name}")));
    unknown.map_or(Ok(()), |name| Err(format!("no measurement {name}")))
}

/// `cargo install --locked NAME --version VERSION`
fn install(arguments: &[&str]) -> Result<(), String> {
    let manifest =
        std::fs::read_to_string(harness::workspace().join("Cargo.toml")).expect("the manifest");
    match arguments {
        // The runner and the library speak to each other: both of one version.
        ["--locked", "gungraun-runner", "--version", version] => {
            let there = manifest.contains(&format!("gungraun = {{ version = \"{version}\""));
            there
                .then_some(())
                .ok_or("another version than in Cargo.toml".to_owned())
        }
        ["--locked", "cargo-mutants"] => {
            let settings = harness::workspace().join(".cargo/mutants.toml");
            settings
                .is_file()
                .then_some(())
                .ok_or("it has no settings".to_owned())
        }
        ["--locked", "--path", path] => {
            let there = harness::workspace().join(path).join("Cargo.toml").is_file();
            there.then_some(()).ok_or(format!("no package in {path}"))
        }
        other => Err(format!("{other:?} is none of this test's")),
    }
}

/// `cargo fuzz run TARGET FOUND CORPUS`, in a package.
fn fuzz(folder: &str, arguments: &[&str]) -> Result<(), String> {
    let ["run", target, _, corpus] = arguments else {
        return Err("expected run, a target, a folder, and the corpus".to_owned());
    };
    let package = harness::workspace().join(folder);
    let places = [
        format!("fuzz/fuzz_targets/{target}.rs"),
        (*corpus).to_owned(),
    ];
    let missing = places.iter().find(|place| !package.join(place).exists());
    missing.map_or(Ok(()), |place| Err(format!("no {place}")))
}

/// Whether a part of the name of a test, its modules among it, names any.
fn is_in_a_test(filter: &str, binary: Option<&str>) -> Result<(), String> {
    let folders = match binary {
        Some(binary) => vec![format!("tests/{binary}")],
        None => ["proxy/api/src", "proxy/src", "kms-sim/src"]
            .map(str::to_owned)
            .to_vec(),
    };
    let part = filter.trim_end_matches("::");
    let last = part.rsplit("::").next().unwrap_or_default();
    let found = folders
        .iter()
        .any(|folder| named_in(&harness::workspace().join(folder), last));
    found.then_some(()).ok_or(format!("no test {filter}"))
}

fn named_in(folder: &Path, name: &str) -> bool {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .any(|entry| {
            let path = entry.path();
            let itself = path.file_stem().is_some_and(|stem| stem == name);
            match path.is_dir() {
                true => itself || named_in(&path, name),
                false => {
                    let function = || {
                        std::fs::read_to_string(&path)
                            .is_ok_and(|text| text.contains(&format!("fn {name}")))
                    };
                    itself || function()
                }
            }
        })
}

const LIMIT: Duration = Duration::from_secs(60);
