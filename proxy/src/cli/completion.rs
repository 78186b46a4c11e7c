//! The completion script of a program for a shell, made of the definitions that also make its `--help`.
//!
//! Each of the programs has this file as a module of its own, since none of them links another.

use clap::Command;
use clap_complete::Shell;

/// The whole script. In memory: generated into a pipe that is closed early, it would panic.
pub(crate) fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &*name, &mut script);
    match (shell, String::from_utf8(script)) {
        (Shell::Bash, Ok(text)) => mended(&text, &name).into_bytes(),
        (_, Ok(text)) => text.into_bytes(),
        (_, Err(error)) => error.into_bytes(),
    }
}

/// The generator for bash writes a hyphen in a program's name in one way where it finds out which command is meant, and in
/// another where it says what that command takes: without this, nothing is completed below the first command.
fn mended(script: &str, name: &str) -> String {
    let with = |separator: &str| name.replace('-', separator) + SEPARATOR;
    script.replace(&with(SEPARATOR), &with("__"))
}

/// Between the parts of a command's path.
const SEPARATOR: &str = "__subcmd__";
