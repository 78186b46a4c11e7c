//! `xks-proxy audit …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::{json, note, print};
use super::progress::{Progress, Unit};
use super::{Failure, File};
use crate::audit::{AuditKey, Report, newest_head, read_head, verify};
use crate::config::Config;
use crate::process_memory;

/// Verify the audit log, and take its head away to where nobody who can write here can.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read the log from its first line to its last, and name every line that was altered, reordered or taken away
    ///
    /// A running proxy may go on writing. Exits with 1 if anything is wrong.
    Verify {
        #[command(flatten)]
        place: PlaceArguments,
        /// These files in place of those in the folder, such as a part of the log that was archived; their order does not
        /// matter
        #[arg(value_name = "FILE")]
        files: Vec<File>,
        /// A head that `audit head` printed once: the log has to contain its line
        #[arg(long, value_name = "FILE")]
        head: Vec<File>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the newest signed head, to be kept elsewhere
    Head {
        #[command(flatten)]
        place: PlaceArguments,
        /// Accepted for uniformity: the head is JSON in any case
        #[arg(long)]
        json: bool,
    },
}

/// Which log.
#[derive(Args, Debug)]
struct PlaceArguments {
    /// The configuration, which names the folder and the key
    #[arg(long, value_name = "FILE", env = "XKS_PROXY_CONFIG")]
    config: Option<File>,
    /// The folder of the log, instead of a configuration
    #[arg(long, value_name = "DIR", requires = "key_file")]
    folder: Option<File>,
    /// The key that its lines are chained with
    #[arg(long, value_name = "FILE", requires = "folder")]
    key_file: Option<File>,
}

impl PlaceArguments {
    fn locate(self) -> Result<(PathBuf, AuditKey), Failure> {
        process_memory::protect();
        let (folder, key_file) = match (self.folder, self.key_file, self.config) {
            (Some(folder), Some(key_file), _) => (folder, key_file),
            (_, _, Some(config)) => {
                let settings = Config::load_keys(&config)?.audit.ok_or_else(|| {
                    let file = config.display();
                    Failure::Failed(format!(
                        "{file} has no table [audit]: there is no audit log"
                    ))
                })?;
                (settings.folder, settings.key_file)
            }
            _ => {
                let text = "give --config FILE, or --folder DIR and --key-file FILE";
                return Err(Failure::Failed(text.into()));
            }
        };
        let key = AuditKey::read(&key_file).map_err(|e| Failure::of(key_file.display(), &e))?;
        Ok((folder, key))
    }
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        AuditCommand::Head { place, json: _ } => {
            let (folder, key) = place.locate()?;
            let head = newest_head(&folder, &key).map_err(|e| Failure::of(folder.display(), &e))?;
            match head {
                Some(head) => print(format!("{head}\n").as_bytes()),
                None => Err(Failure::Failed(format!(
                    "{} has no head that was signed with this key",
                    folder.display()
                ))),
            }
        }
        AuditCommand::Verify {
            place,
            files,
            head,
            json,
        } => {
            let (folder, key) = place.locate()?;
            let mut heads = Vec::new();
            for path in head {
                let read = read_head(&path, &key).map_err(|e| Failure::of(path.display(), &e))?;
                heads.push((path, read));
            }
            let (mut done, total) = (0, size(&folder, &files));
            let mut unshown = 0;
            let progress = Progress::of("verifying", Unit::Bytes);
            let report = verify(&folder, &files, &heads, &key, &mut |bytes| {
                unshown += bytes;
                if unshown > SHOWN_BYTES {
                    done += std::mem::take(&mut unshown);
                    progress.show(done, total);
                }
            });
            drop(progress);
            let report = report.map_err(|e| Failure::of(folder.display(), &e))?;
            tell(&report, json)
        }
    }
}

/// Of all that will be read; for the progress alone.
fn size(folder: &std::path::Path, files: &[File]) -> u64 {
    let len = |path: &std::path::Path| path.metadata().map_or(0, |metadata| metadata.len());
    match files {
        [] => {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| len(&entry.path())).sum()
        }
        files => files.iter().map(|path| len(path)).sum(),
    }
}

fn tell(report: &Report, as_json: bool) -> Result<(), Failure> {
    if as_json {
        json(report)?;
    } else {
        for note_text in &report.notes {
            note(note_text);
        }
        let mut text = String::new();
        for finding in &report.findings {
            let line = finding
                .line
                .map_or_else(String::new, |line| format!(":{line}"));
            let sequence = finding
                .sequence
                .map_or_else(String::new, |n| format!(" (line {n} of the chain)"));
            text.push_str(&format!(
                "{}  {}{line}{sequence}: {}\n",
                finding.kind.word(),
                finding.file.display(),
                finding.text
            ));
        }
        if report.findings.is_empty() {
            text.push_str(&format!(
                "{} lines in {} files, {} to {} of the chain: each is as it was written, and none is missing\n",
                report.lines, report.files, report.first_sequence, report.last_sequence
            ));
        }
        print(text.as_bytes())?;
    }
    match report.findings.len() {
        0 => Ok(()),
        1 => Err(Failure::Failed("one finding".into())),
        n => Err(Failure::Failed(format!("{n} findings"))),
    }
}

/// So often is progress shown.
const SHOWN_BYTES: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  xks-proxy audit verify --config /etc/xks-proxy/xks-proxy.toml
  xks-proxy audit verify --folder /mnt/archive --key-file audit.key --json
  xks-proxy audit head --config FILE > /mnt/elsewhere/head-$(date +%F)
  xks-proxy audit verify --config FILE --head /mnt/elsewhere/head-2026-11-24";
