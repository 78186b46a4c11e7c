//! Pages of the documentation: what they show, and their commands, run as they are printed there.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::{binaries, free_port, temp_dir};
use tempfile::TempDir;

/// A page, by its path in the workspace.
pub(crate) struct Page(String);

/// What the commands of a page printed, and the folder that they ran in.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) folder: TempDir,
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        let path = harness::workspace().join(path);
        Self(std::fs::read_to_string(path).expect("a page"))
    }

    /// The code blocks of one language, in order.
    pub(crate) fn blocks(&self, language: &str) -> Vec<&str> {
        blocks(&self.0, language)
    }

    /// Runs the commands of all its blocks, one after another, on ports that are free. `blocks` is how many blocks there are.
    pub(crate) fn run(&self, blocks: usize) -> Ran {
        let found = self.blocks("sh");
        assert_eq!(found.len(), blocks, "a block was added or removed");
        let mut script = found.concat();
        for port in PORTS {
            script = script.replace(port, &free_port().to_string());
        }
        let script = format!("trap 'kill $(jobs -p) || true' EXIT\n{script}");
        let mut path = std::env::var("PATH").unwrap_or_default();
        for program in [binaries::xks_proxy(), binaries::kms_sim()] {
            path = format!("{}:{path}", program.parent().expect("a folder").display());
        }
        let folder = temp_dir();
        let (status, stdout, stderr) = run(
            Command::new("bash")
                .args(["-e", "-o", "pipefail", "-c", &script])
                .current_dir(folder.path())
                .env("PATH", path)
                .env_remove("AWS_PROFILE"),
            LIMIT,
        );
        assert!(status.success(), "{stdout}{stderr}");
        Ran {
            stdout,
            stderr,
            folder,
        }
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

/// The code blocks of one language, in order.
pub(crate) fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    let blocks = text.split(&*fence).skip(1);
    blocks
        .map(|rest| rest.split_once("```").expect("the end of a block").0)
        .collect()
}

/// Those that pages use: of the proxy, of its administrators, of its metrics, of the simulator, of its control.
const PORTS: [&str; 5] = ["8443", "8444", "9443", "4599", "4600"];
const LIMIT: Duration = Duration::from_secs(120);
