//! What commands print: results to standard output, as text or JSON; everything else to standard error.

use std::io::{self, Write as _};

use serde::Serialize;

use super::Failure;
use crate::admin::Reply;
use crate::key_manager::embedded::{CredentialInfo, KeyInfo};

/// How results look.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct OutputArguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl OutputArguments {
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    pub(super) fn key(self, key: &KeyInfo) -> Result<(), Failure> {
        if self.json {
            return json(key);
        }
        let mut text = format!(
            "{}\n  status   {}\n  usage    {}\n  created  {}\n  versions\n",
            key.id,
            word(&key.status),
            usage(key),
            key.created,
        );
        for version in &key.versions {
            let current = version.version == key.current_version;
            let state = if current {
                "CURRENT".into()
            } else {
                word(&version.state)
            };
            let (number, created) = (version.version, &version.created);
            text.push_str(&format!("    {number:<5} {state:<8} {created}\n"));
        }
        for block in &key.blocks {
            let until = block.until.as_ref();
            let until = until.map_or_else(String::new, |until| format!(" until {until}"));
            let what = match &block.target {
                target if *target == key.id => String::new(),
                target => format!(" ({target})"),
            };
            text.push_str(&format!(
                "  BLOCKED{what} since {}{until} by {}: {}\n",
                block.since, block.by, block.reason
            ));
        }
        print(text.as_bytes())
    }

    pub(super) fn keys(self, keys: &[KeyInfo]) -> Result<(), Failure> {
        if self.json {
            return json(keys);
        }
        let row = |key: &KeyInfo| {
            let version = key.current_version.to_string();
            [
                key.id.clone(),
                // Whether a blocked prefix has the key is told by the configuration.
                match key.blocks.iter().all(|block| block.target.starts_with('/')) {
                    true => word(&key.status),
                    false => "BLOCKED".to_owned(),
                },
                usage(key),
                version,
                key.created.clone(),
            ]
        };
        table(
            ["KEY", "STATUS", "USAGE", "VERSION", "CREATED"],
            keys.iter().map(row).collect(),
        )
    }

    pub(super) fn credentials(self, credentials: &[CredentialInfo]) -> Result<(), Failure> {
        if self.json {
            return json(credentials);
        }
        let row = |credential: &CredentialInfo| {
            let CredentialInfo {
                access_key_id,
                uri_path_prefix,
                created,
                last_used,
            } = credential.clone();
            let last_used = last_used.unwrap_or_else(|| "-".to_owned());
            [access_key_id, uri_path_prefix, created, last_used]
        };
        table(
            ["ACCESS KEY ID", "URI PATH PREFIX", "CREATED", "LAST USED"],
            credentials.iter().map(row).collect(),
        )
    }

    /// A result that is one sentence, and in JSON an object.
    pub(super) fn done(self, sentence: &str, object: &impl Serialize) -> Result<(), Failure> {
        match self.json {
            true => json(object),
            false => print(format!("{sentence}\n").as_bytes()),
        }
    }
}

/// A reply that does not answer the command: the server is of another version.
pub(super) fn unexpected(_: Reply) -> Failure {
    Failure::Failed("the server answered something else: is it of another version?".into())
}

/// Something to know that is not the result.
pub(super) fn note(text: &str) {
    // Where standard error is closed there is no one to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

pub(super) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        // Whoever reads has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|e| Failure::of("standard output", &e)),
    }
}

pub(super) fn json(value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(value).expect("strings and numbers encode");
    text.push(b'\n');
    print(&text)
}

fn usage(key: &KeyInfo) -> String {
    match &*key.usage {
        [] => "NONE".into(),
        usage => usage.iter().map(word).collect::<Vec<_>>().join(","),
    }
}

/// The word that a value is in JSON.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("words encode");
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn table<const N: usize>(head: [&str; N], all: Vec<[String; N]>) -> Result<(), Failure> {
    print(rows(head, all).as_bytes())
}

/// The text of a table.
pub(super) fn rows<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let printable = |row: [String; N]| row.map(|cell| printable(&cell));
    let rows: Vec<_> = rows.into_iter().map(printable).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let head = head.get(column).map_or(0, |cell| cell.len());
        cells.map(String::len).max().unwrap_or(0).max(head)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in [head.map(str::to_owned)].iter().chain(&rows) {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, &width)| format!("{cell:<width$}  "))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text as a terminal may have it: what would move its cursor, end the line or turn the text around is written as an escape.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.extend(c.escape_unicode()),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_wrote_does_not_command_the_terminal_of_an_administrator() {
        let cells = [
            "\u{1b}[2J",
            "a\nFAILURE b\r",
            "\u{9b}31m",
            "\u{202e}kcol",
            "ä/→",
        ];
        let text = rows(["WHO"], cells.map(|cell| [cell.to_owned()]).to_vec());
        assert_eq!(
            text,
            "WHO\n\\u{1b}[2J\na\\nFAILURE b\\r\n\\u{9b}31m\n\\u{202e}kcol\nä/→\n"
        );
    }
}
