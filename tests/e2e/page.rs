//! Pages of the documentation: their blocks, which test takes which, and their commands, run as they are printed there.
//!
//! A block comes to a test through its [`Share`], which the list in `pages/shares.rs` gives it, and which fails the test
//! if a block was not taken.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use harness::process::run;
use harness::{backend, binaries, free_port, temp_dir};
use tempfile::TempDir;

use crate::pages::shares;

/// A page, by its path in the workspace.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

/// What stands between two fences.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) language: String,
    /// The first line after the fence, counted from 1.
    pub(crate) line: usize,
    /// Where in the page its fence is.
    at: usize,
    pub(crate) text: String,
}

/// What the commands of a page printed, and the folder that they ran in.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) folder: TempDir,
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(harness::workspace().join(path));
        let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::of(path, text)
    }

    /// A page with this text.
    pub(crate) fn of(path: &str, text: String) -> Self {
        Self {
            path: path.to_owned(),
            blocks: fenced(&text),
            text,
        }
    }

    /// Every page of the workspace.
    pub(crate) fn all() -> Vec<Self> {
        let mut paths = Vec::new();
        look_for_pages(harness::workspace(), &mut paths);
        paths.sort();
        let relative = |path: PathBuf| {
            let path = path.strip_prefix(harness::workspace()).expect("inside");
            path.to_str().expect("UTF-8").to_owned()
        };
        paths
            .into_iter()
            .map(|p| Self::read(&relative(p)))
            .collect()
    }

    /// The code blocks of one language, in order.
    pub(crate) fn blocks(&self, language: &str) -> Vec<&str> {
        let blocks = self.blocks.iter();
        let blocks = blocks.filter(|block| block.language == language);
        blocks.map(|block| &*block.text).collect()
    }

    /// The text without its blocks.
    pub(crate) fn prose(&self) -> String {
        let mut inside = false;
        let mut outside = |line: &&str| {
            let fence = line.trim_start().starts_with(FENCE);
            inside ^= fence;
            !inside && !fence
        };
        let lines: Vec<&str> = self.text.lines().filter(|line| outside(line)).collect();
        lines.join("\n")
    }

    /// The blocks that this test takes, by its name.
    pub(crate) fn share(&self, test: &'static str) -> Share<'_> {
        let blocks = self.blocks.iter();
        let given = blocks.filter(|block| shares::test_of(&self.path, block) == Some(test));
        let left: Vec<&Block> = given.collect();
        assert!(!left.is_empty(), "{}: no block is {test}'s", self.path);
        Share {
            page: self,
            test,
            left,
        }
    }

    /// Runs the commands of all blocks of this test, one after another, on ports that are free.
    pub(crate) fn run(&self, test: &'static str) -> Ran {
        run_commands(&self.share(test).rest(), "")
    }
}

/// Runs commands in a new folder on ports that are free, with both programs and the AWS CLI in the path; `before` are lines
/// of bash to begin with.
pub(crate) fn run_commands(commands: &str, before: &str) -> Ran {
    let mut script = commands.to_owned();
    for port in PORTS {
        script = script.replace(port, &free_port().to_string());
    }
    let script = format!("trap 'kill $(jobs -p) || true' EXIT\n{before}\n{script}");
    let folder = temp_dir();
    let mut bash = Command::new("bash");
    bash.args(["-e", "-o", "pipefail", "-c", &script]);
    let (status, stdout, stderr) = run(in_a_shell(&mut bash, folder.path()), LIMIT);
    assert!(status.success(), "{stdout}{stderr}");
    Ran {
        stdout,
        stderr,
        folder,
    }
}

/// Gives a shell the folder and the programs that pages take for granted, and nothing of the user's settings for AWS.
pub(crate) fn in_a_shell<'c>(bash: &'c mut Command, folder: &Path) -> &'c mut Command {
    let programs = [binaries::xks_proxy(), binaries::kms_sim()];
    // It takes its time to say that it is there.
    static AWS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let aws = AWS.get_or_init(|| backend::aws_cli().ok()).clone();
    let programs = programs.into_iter().chain(aws);
    let folders = programs.filter_map(|program| Some(program.parent()?.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = folders.chain(std::env::split_paths(&path));
    bash.current_dir(folder)
        .env("PATH", std::env::join_paths(path).expect("folders"))
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_PAGER", "")
        .env_remove("AWS_PROFILE")
}

/// The blocks of a page that one test takes. Each of them has to be taken before it goes.
pub(crate) struct Share<'p> {
    page: &'p Page,
    test: &'static str,
    left: Vec<&'p Block>,
}

impl<'p> Share<'p> {
    /// The next one.
    pub(crate) fn next(&mut self) -> &'p str {
        assert!(
            !self.left.is_empty(),
            "{}: no block is left",
            self.page.path
        );
        &self.left.remove(0).text
    }

    /// The first one after `heading`, which is any text of the page.
    pub(crate) fn after(&mut self, heading: &str) -> &'p str {
        let path = &self.page.path;
        let heading_at = self.page.text.find(heading);
        let heading_at = heading_at.unwrap_or_else(|| panic!("{path}: no {heading:?}"));
        let mut blocks = self.page.blocks.iter();
        let block = blocks.find(|block| block.at >= heading_at);
        let index = self
            .left
            .iter()
            .position(|left| block.is_some_and(|block| std::ptr::eq(*left, block)));
        let index = index.unwrap_or_else(|| panic!("{path}: no block of ours after {heading:?}"));
        &self.left.remove(index).text
    }

    /// All that are left, as one.
    pub(crate) fn rest(&mut self) -> String {
        let blocks = self.left.drain(..);
        blocks.map(|block| &*block.text).collect()
    }

    /// How many are left.
    pub(crate) fn len(&self) -> usize {
        self.left.len()
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let Some(block) = self.left.first().filter(|_| !std::thread::panicking()) else {
            return;
        };
        panic!(
            "{}:{}: {} does not run this block, which the list gives to it",
            self.page.path, block.line, self.test
        );
    }
}

impl Ran {
    /// # Panics
    /// If one of these was not printed.
    pub(crate) fn says(&self, all: &[&str]) {
        for expected in all {
            assert!(
                self.stdout.contains(expected),
                "no {expected:?} in {}{}",
                self.stdout,
                self.stderr
            );
        }
    }
}

/// All fenced blocks. What a list indents is less indented here.
fn fenced(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_start_matches(' ');
        let fence = content.strip_prefix(FENCE).map(str::trim);
        open = match (open, fence) {
            (None, Some(language)) => {
                let block = Block {
                    language: language.to_owned(),
                    line: number + 2,
                    at,
                    text: String::new(),
                };
                Some((block, line.len() - content.len()))
            }
            (Some((block, _)), Some(_)) => {
                blocks.push(block);
                None
            }
            (Some((mut block, indent)), None) => {
                let spaces = line.len() - content.len();
                block.text.push_str(&line[indent.min(spaces)..]);
                Some((block, indent))
            }
            (None, None) => None,
        };
        at += line.len();
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// Looks where pages are: not in folders of tools.
fn look_for_pages(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder of the workspace");
    for entry in entries.map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().expect("UTF-8");
        let kind = entry.file_type().expect("its kind");
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            look_for_pages(&path, found);
        } else if kind.is_file() && name.ends_with(".md") {
            found.push(path);
        }
    }
}

const FENCE: &str = "```";
/// Those that pages use: of the proxy, of its administrators, of its metrics, of the simulator, of its control.
const PORTS: [&str; 5] = ["8443", "8444", "9443", "4599", "4600"];
const LIMIT: Duration = Duration::from_secs(120);
