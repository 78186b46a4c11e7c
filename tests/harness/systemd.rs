//! systemd itself, as the manager of a user's services, in namespaces of its own: it sees nothing of the machine's
//! services, and everything that it has started ends with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, run};
use crate::wait_for;

/// A systemd with the units of a test.
pub struct Systemd {
    _process: Process,
    /// The first process of the namespaces.
    init: u32,
    folder: TempDir,
}

impl Systemd {
    /// Starts one that knows these units, by name and text, and has started none of them.
    ///
    /// # Errors
    /// What is missing on this machine.
    pub fn start(units: &[(&str, String)]) -> Result<Self, String> {
        if !Path::new(SYSTEMD).is_file() {
            return Err(format!("there is no {SYSTEMD}"));
        }
        if !rustix::process::geteuid().is_root() {
            return Err("must run as root, for namespaces".to_owned());
        }
        let folder = crate::temp_dir();
        for name in ["units", "runtime"] {
            std::fs::create_dir(folder.path().join(name)).map_err(|e| e.to_string())?;
        }
        // What a service needs by default.
        let targets = ["default.target", "basic.target", "shutdown.target"];
        let targets = targets.map(|name| (name, "[Unit]\nDescription=Nothing\n".to_owned()));
        for (name, text) in targets.iter().chain(units) {
            let file = folder.path().join("units").join(name);
            std::fs::write(file, text).map_err(|e| e.to_string())?;
        }
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["--propagation", "private", "bash", "-c"])
            // It serves users on machines alone that were booted with it.
            .arg("mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && \"$0\" --user --unit=default.target & wait")
            .arg(SYSTEMD);
        environment(&mut command, folder.path());
        let mut process = Process::start(&mut command);
        let socket = folder.path().join("runtime/systemd/private");
        wait_for("systemd, or its end", START_LIMIT, || {
            (socket.exists() || process.exited().is_some()).then_some(())
        });
        if !socket.exists() {
            return Err(format!(
                "systemd cannot be started here: {}",
                process.outputs()
            ));
        }
        let id = process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.map_err(|e| e.to_string())?;
        let init = children.trim().parse();
        let init = init.map_err(|_| format!("unshare has the children {children:?}"))?;
        Ok(Self {
            _process: process,
            init,
            folder,
        })
    }

    /// `systemctl` with these arguments; what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn control(&self, arguments: &[&str]) -> String {
        let [program, rest @ ..] = &*self.command() else {
            unreachable!("it has words")
        };
        let mut command = Command::new(program);
        command.args(rest).args(arguments);
        let (status, stdout, stderr) = run(&mut command, Duration::from_secs(60));
        assert!(
            status.success(),
            "systemctl {arguments:?}: {stdout}{stderr}"
        );
        stdout
    }

    /// The words of `systemctl`, for a shell.
    pub fn command(&self) -> Vec<String> {
        let runtime = runtime(self.folder.path()).display().to_string();
        let words = [
            "nsenter",
            "--target",
            &self.init.to_string(),
            "--mount",
            "--pid",
            "env",
        ];
        let words = words.map(str::to_owned).into_iter();
        let rest = [
            format!("XDG_RUNTIME_DIR={runtime}"),
            "systemctl".into(),
            "--user".into(),
        ];
        words.chain(rest).collect()
    }

    /// A property of a unit.
    ///
    /// # Panics
    /// If there is no such unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let value = self.control(&["show", "--value", "--property", name, unit]);
        value.trim().to_owned()
    }
}

/// The lines of a unit that a user's manager needs: who it runs as and what it may see is the machine's.
pub fn without_sandbox(unit: &Path) -> String {
    let text = std::fs::read_to_string(unit).expect("a unit");
    let kept = |line: &&str| {
        let name = line.split('=').next().unwrap_or_default();
        line.starts_with('[') || KEPT.contains(&name)
    };
    let lines: Vec<_> = text.lines().filter(kept).collect();
    lines.join("\n") + "\n"
}

fn runtime(folder: &Path) -> PathBuf {
    folder.join("runtime")
}

fn environment(command: &mut Command, folder: &Path) {
    command
        .env("XDG_RUNTIME_DIR", runtime(folder))
        .env("SYSTEMD_UNIT_PATH", folder.join("units"))
        .env("HOME", folder)
        .env("SYSTEMD_LOG_TARGET", "console")
        .env_remove("DBUS_SESSION_BUS_ADDRESS");
}

const SYSTEMD: &str = "/usr/lib/systemd/systemd";
const KEPT: [&str; 14] = [
    "StartLimitIntervalSec",
    "TriggerLimitIntervalSec",
    "Type",
    "ExecStart",
    "ExecReload",
    "Restart",
    "RestartSec",
    "TimeoutStopSec",
    "LimitNOFILE",
    "LimitCORE",
    "UMask",
    "ListenStream",
    "FileDescriptorName",
    "Backlog",
];
const START_LIMIT: Duration = Duration::from_secs(30);
