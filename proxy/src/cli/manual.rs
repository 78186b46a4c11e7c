//! The manual pages of a program: one for each command, made of the definitions that also make its `--help`.
//!
//! Each of the programs has this file as a module of its own, since none of them links another.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::{Arg, ArgAction, ArgGroup, Command, Id};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

/// Writes a page for each command that `--help` shows, to a folder that is made if it is not there; `also` are programs
/// that belong to this one.
///
/// # Errors
/// Of the file system.
pub(crate) fn write(command: Command, also: &[&str], folder: &Path) -> io::Result<()> {
    let mut program = command.disable_help_subcommand(true);
    program.build();
    fs::create_dir_all(folder)?;
    let version = program.get_version().unwrap_or_default();
    let pages = Pages {
        source: format!("{} {version}", program.get_name()),
        folder,
    };
    let also: Vec<_> = also.iter().map(|name| (*name).to_owned()).collect();
    pages.write(&program, &also, &[])
}

struct Pages<'p> {
    /// The program and its version, which stand at the foot of a page.
    source: String,
    folder: &'p Path,
}

impl Pages<'_> {
    /// A page, and those of the commands below it; `also` is what it refers to beside `above`, the commands that it is of.
    fn write(&self, command: &Command, also: &[String], above: &[String]) -> io::Result<()> {
        let name = command
            .get_display_name()
            .unwrap_or_else(|| command.get_name());
        let page = self.page(name, command, &[above, also].concat())?;
        fs::write(self.folder.join(format!("{name}.{SECTION}")), page)?;
        let above = [above, &[name.to_owned()]].concat();
        shown(command).try_for_each(|below| self.write(below, &[], &above))
    }

    fn page(&self, title: &str, command: &Command, others: &[String]) -> io::Result<Vec<u8>> {
        let mut page = Vec::new();
        let man = Man::new(command.clone()).section(SECTION);
        // By hand: the renderer leaves out a date that is empty, and the next word takes its place.
        let title = title.replace('-', "\\-");
        writeln!(page, ".TH \"{title}\" {SECTION} \"\" \"{}\"", self.source)?;
        // Neither hyphens nor spaces that nobody may type.
        page.extend_from_slice(b".nh\n.ad l\n");
        man.render_name_section(&mut page)?;
        let mut synopsis = Roff::default();
        synopsis.control("SH", ["SYNOPSIS"]);
        synopsis.text(usage(command));
        let synopsis = synopsis.render();
        // A line may end after a bar: the options of a group can be too many for one.
        let synopsis = synopsis.replace('|', "|\\:");
        page.extend_from_slice(synopsis.as_bytes());
        man.render_description_section(&mut page)?;
        if command
            .get_arguments()
            .any(|argument| !argument.is_hide_set())
        {
            man.render_options_section(&mut page)?;
        }
        if shown(command).next().is_some() {
            man.render_subcommands_section(&mut page)?;
        }
        let mut end = Roff::default();
        let text = command
            .get_after_long_help()
            .or_else(|| command.get_after_help());
        if let Some(text) = text {
            closing(&text.to_string(), &mut end);
        }
        see_also(others, &mut end);
        end.to_writer(&mut page)?;
        Ok(page)
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// How a command is called, with the values of its options: what may be left out first, then what may not.
///
/// By hand: the renderer leaves out the values.
fn usage(command: &Command) -> Vec<Inline> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(name)];
    let groups: Vec<Vec<&Arg>> = command
        .get_groups()
        .filter(|group| group.is_required_set())
        .map(|group| members(command, group))
        .filter(|members| !members.is_empty())
        .collect();
    let alone = |argument: &&Arg| {
        let id = argument.get_id();
        !argument.is_hide_set() && !groups.iter().flatten().any(|member| member.get_id() == id)
    };
    let arguments: Vec<_> = command.get_arguments().filter(alone).collect();
    let (positionals, mut options): (Vec<&Arg>, Vec<&Arg>) = arguments
        .into_iter()
        .partition(|argument| argument.is_positional());
    options.sort_by_key(|option| option.is_required_set());
    for option in options {
        line.push(roman(" "));
        match option.is_required_set() {
            true => line.extend(called(option)),
            false => {
                line.push(roman("["));
                line.extend(called(option));
                line.push(roman("]"));
            }
        }
        if matches!(option.get_action(), ArgAction::Append | ArgAction::Count) {
            line.push(roman("..."));
        }
    }
    for members in &groups {
        line.push(roman(" <"));
        for (number, member) in members.iter().enumerate() {
            if number > 0 {
                line.push(roman("|"));
            }
            line.extend(called(member));
        }
        line.push(roman(">"));
    }
    // With the brackets that say whether one may be left out.
    line.extend(
        positionals
            .iter()
            .flat_map(|positional| [roman(" "), roman(positional.to_string())]),
    );
    if shown(command).next().is_some() {
        let value = command.get_subcommand_value_name().unwrap_or("COMMAND");
        let (start, end) = match command.is_subcommand_required_set() {
            true => (" <", ">"),
            false => (" [", "]"),
        };
        line.extend([roman(start), roman(value), roman(end)]);
    }
    line
}

/// An option with its value, or a positional argument.
fn called(argument: &Arg) -> Vec<Inline> {
    let text = argument.to_string();
    let (name, value) = match text.split_once(' ') {
        Some((name, value)) => (name, format!(" {value}")),
        None => (&*text, String::new()),
    };
    let mut parts = Vec::new();
    if let (Some(short), Some(_)) = (argument.get_short(), argument.get_long()) {
        parts.extend([bold(format!("-{short}")), roman("|")]);
    }
    parts.extend([bold(name), roman(value)]);
    parts
}

/// The arguments of a group, and of the groups in it.
fn members<'c>(command: &'c Command, group: &ArgGroup) -> Vec<&'c Arg> {
    let of = |id: &Id| -> Vec<&'c Arg> {
        let argument = command.get_arguments().find(|a| a.get_id() == id);
        let group = || command.get_groups().find(|group| group.get_id() == id);
        match argument {
            Some(argument) if argument.is_hide_set() => Vec::new(),
            Some(argument) => vec![argument],
            None => group().map_or_else(Vec::new, |group| members(command, group)),
        }
    };
    group.get_args().flat_map(of).collect()
}

/// What stands at the end of `--help`: examples line for line, and notes.
fn closing(text: &str, roff: &mut Roff) {
    let (mut headed, mut verbatim, mut gap) = (false, false, false);
    for line in text.lines() {
        if line.is_empty() {
            gap = true;
            continue;
        }
        let (heading, is_verbatim) = (line == EXAMPLES, line.starts_with(' '));
        if verbatim && !is_verbatim {
            roff.control("fi", []);
        }
        if heading || !headed {
            let heading = if heading { "EXAMPLES" } else { "NOTES" };
            roff.control("SH", [heading]);
        } else if gap {
            roff.control(if verbatim && is_verbatim { "sp" } else { "PP" }, []);
        }
        if is_verbatim && !verbatim {
            roff.control("nf", []);
        }
        if !heading {
            roff.text([roman(line)]);
        }
        (headed, verbatim, gap) = (true, is_verbatim, false);
    }
    if verbatim {
        roff.control("fi", []);
    }
}

fn see_also(others: &[String], roff: &mut Roff) {
    if others.is_empty() {
        return;
    }
    let mut line = Vec::new();
    for other in others {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(&**other), roman(format!("({SECTION})"))]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text(line);
}

/// Of the manual: programs for users.
const SECTION: &str = "1";
/// The line before examples in a help text.
const EXAMPLES: &str = "Examples:";

/// The commands without commands of their own that take no `--json`, in the order of the help.
#[cfg(test)]
pub(crate) fn without_json(command: Command) -> Vec<String> {
    fn of(command: &Command, path: &str) -> Vec<String> {
        let mut below = command.get_subcommands().peekable();
        if below.peek().is_some() {
            let path = |below: &Command| format!("{path} {}", below.get_name());
            return below.flat_map(|below| of(below, &path(below))).collect();
        }
        let has = command
            .get_arguments()
            .any(|argument| argument.get_long() == Some("json"));
        (!has).then(|| path.trim().to_owned()).into_iter().collect()
    }
    let mut program = command.disable_help_subcommand(true);
    program.build();
    of(&program, "")
}
