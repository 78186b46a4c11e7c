//! A small file system in memory that can be filled up, for servers whose disk is full.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::run;

/// Mounted on a folder; unmounted on drop, by when nothing of a server may be open in it.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many MiB on an empty folder, for a user if it is not for root.
    ///
    /// # Errors
    /// Why nothing can be mounted here.
    pub fn mount(folder: &Path, mebibytes: u32, owner: Option<&str>) -> Result<Self, String> {
        let mut options = format!("size={mebibytes}m,mode=700");
        if let Some(owner) = owner {
            options.push_str(&format!(",uid={owner}"));
        }
        let mut mount = as_root("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "xks-small-disk"]);
        let (status, stdout, stderr) = run(mount.arg(folder), LIMIT);
        match status.success() {
            true => Ok(Self {
                folder: folder.to_owned(),
            }),
            false => Err(format!("a tmpfs cannot be mounted: {stdout}{stderr}")),
        }
    }

    /// Takes up all the room there is.
    pub fn fill(&self) {
        let path = self.filling();
        let mut file = File::create(&path).expect("a file on the small disk");
        // What a large piece is too large for, a small one is not.
        for piece in [256 * 1024, 4096] {
            let zeros = vec![0; piece];
            while file.write_all(&zeros).is_ok() {}
        }
        let free = rustix::fs::statvfs(&self.folder)
            .expect("the small disk")
            .f_bavail;
        assert_eq!(free, 0, "blocks free on {}", self.folder.display());
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.filling()).expect("the file that fills the small disk");
    }

    fn filling(&self) -> PathBuf {
        self.folder.join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what a killed server still holds for a moment does not keep it.
        let (status, stdout, stderr) = run(as_root("umount").arg("-l").arg(&self.folder), LIMIT);
        if !status.success() && !std::thread::panicking() {
            panic!("umount {}: {stdout}{stderr}", self.folder.display());
        }
    }
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

const LIMIT: Duration = Duration::from_secs(30);
