//! The completion scripts, in the shells that they are for.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::process::{run, run_with_input};
use harness::{backend, temp_dir};

use crate::LIMIT;
use crate::commands::{Program, programs};

/// What is typed, and what the shell makes of its last word.
const TYPED: [(&str, &str); 8] = [
    ("xks-proxy reloa", "reload"),
    ("xks-proxy key exp", "export-backup"),
    ("xks-proxy kms setup --form", "--format"),
    ("xks-proxy kms setup --format terra", "terraform"),
    ("kms-sim confo", "conformance"),
    ("kms-sim ctl transition rel", "release"),
    ("kms-sim serve --data-d", "--data-dir"),
    ("xks-load --presi", "--presigned"),
];

#[test]
fn bash_completes_every_command() {
    let _alone = crate::alone();
    let folder = temp_dir();
    for program in programs() {
        let script = script(&program, "bash", folder.path());
        for (typed, completed) in of(&program) {
            assert_eq!(in_bash(&script, &words(typed)), [completed], "{typed}");
        }
        for command in program.commands() {
            let below = command.below();
            if below.is_empty() {
                continue;
            }
            let typed = [&[program.name.to_owned()], &*command.path, &[String::new()]].concat();
            let offered = in_bash(&script, &typed);
            for name in below {
                assert!(offered.contains(&name), "{typed:?} offers no {name}");
            }
        }
    }
}

#[test]
fn a_reader_of_completions_may_leave_at_any_time() {
    for program in programs() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program.command("completions", "bash");
        let output = command.stdout(writer).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && errors.is_empty(),
            "{}: {errors}",
            program.name
        );
    }
}

#[test]
fn fish_completes_commands_and_options() {
    if let Err(error) = Command::new("fish").arg("--version").output() {
        return backend::missing("completions in fish", &error.to_string());
    }
    let _alone = crate::alone();
    let folder = temp_dir();
    for program in programs() {
        let script = script(&program, "fish", folder.path());
        for (typed, completed) in of(&program) {
            let mut fish = Command::new("fish");
            fish.args(["--no-config", "--command", FISH])
                .arg(&script)
                .arg(typed)
                .env("HOME", folder.path());
            let (status, offered, errors) = run(&mut fish, LIMIT);
            assert!(status.success() && errors.is_empty(), "{typed}: {errors}");
            let offered: Vec<_> = offered
                .lines()
                .filter_map(|line| line.split('\t').next())
                .collect();
            assert_eq!(offered, [completed], "{typed}");
        }
    }
}

/// With the TAB key, at a terminal: zsh completes nowhere else.
#[test]
fn zsh_completes_commands_and_options() {
    if let Err(error) = Command::new("zsh").arg("--version").output() {
        return backend::missing("completions in zsh", &error.to_string());
    }
    let python = match backend::python_with(&["pty"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("completions in zsh", &reason),
    };
    let _alone = crate::alone();
    let folder = temp_dir();
    for program in programs() {
        let script = script(&program, "zsh", folder.path());
        let name = format!("_{}", program.name);
        std::fs::rename(script, folder.path().join(name)).unwrap();
    }
    let mut keys = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -D\n",
        folder.path().display()
    );
    for program in programs() {
        // What runs in place of the program tells which words it got.
        keys.push_str(&format!(
            "{}() {{ print -r -- \"ran: $0 $*\" }}\n",
            program.name
        ));
    }
    for (typed, _) in TYPED {
        keys.push_str(&format!("{typed}\t\n"));
    }
    keys.push_str("exit\n");
    let mut zsh = Command::new(python);
    zsh.args([
        "-c",
        "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)",
    ])
    .args(["zsh", "-f", "-i"])
    .env("HOME", folder.path())
    .env("TERM", "xterm");
    let (_, shown, errors) = run_with_input(&mut zsh, keys.as_bytes(), LIMIT);
    for (typed, completed) in TYPED {
        let before = typed.rsplit_once(' ').map_or("", |(before, _)| before);
        let ran = format!("ran: {before} {completed}");
        let is_there = shown.lines().any(|line| line.trim_end().ends_with(&ran));
        assert!(is_there, "no {ran:?} in:\n{shown}{errors}");
    }
}

fn of(program: &Program) -> impl Iterator<Item = (&'static str, &'static str)> {
    let name = program.name;
    TYPED
        .into_iter()
        .filter(move |(typed, _)| typed.split(' ').next() == Some(name))
}

fn script(program: &Program, shell: &str, folder: &Path) -> PathBuf {
    let file = folder.join(format!("{}.{shell}", program.name));
    std::fs::write(&file, program.make("completions", shell)).unwrap();
    file
}

fn words(typed: &str) -> Vec<String> {
    typed.split(' ').map(str::to_owned).collect()
}

/// What bash would offer for the last word.
fn in_bash(script: &Path, typed: &[String]) -> Vec<String> {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", BASH, "bash"])
        .arg(script)
        .args(typed);
    let (status, offered, errors) = run(&mut bash, LIMIT);
    assert!(status.success() && errors.is_empty(), "{typed:?}: {errors}");
    offered.lines().map(str::to_owned).collect()
}

const BASH: &str = r#"
. "$1"; shift
specification=$(complete -p "$1") || exit
function=${specification#*-F }; function=${function%% *}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

const FISH: &str = "source $argv[1]; complete --do-complete $argv[2]";
