//! SoftHSM behind a library that does what files in a folder tell it to, as devices do that are not SoftHSM, or not well.

use std::path::PathBuf;
use std::process::Command;

/// The library, compiled for the test that runs in this process.
pub(super) struct Shim {
    pub(super) library: PathBuf,
    folder: PathBuf,
}

impl Shim {
    pub(super) fn compile() -> Self {
        let folder = super::child::folder().join("shim");
        std::fs::create_dir(&folder).unwrap();
        let library = folder.join("shim.so");
        let source = harness::workspace().join("tests/backends/pkcs11/shim.c");
        let output = Command::new("cc")
            .args([
                "-std=gnu11",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-shared",
                "-fPIC",
            ])
            .arg(format!("-DFOLDER=\"{}\"", folder.display()))
            .arg(format!(
                "-DSOFTHSM=\"{}\"",
                super::child::library().display()
            ))
            .arg("-o")
            .arg(&library)
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .output()
            .expect("a C compiler");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Self { library, folder }
    }

    /// From now on.
    pub(super) fn order(&self, name: &str, value: &str) {
        std::fs::write(self.folder.join(name), value).unwrap();
    }

    /// No longer.
    pub(super) fn revoke(&self, name: &str) {
        std::fs::remove_file(self.folder.join(name)).unwrap();
    }

    /// Whether an order was used up.
    pub(super) fn is_used_up(&self, name: &str) -> bool {
        !self.folder.join(name).exists()
    }

    pub(super) fn calls(&self, name: &str) -> usize {
        let calls = std::fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        calls.lines().filter(|line| *line == name).count()
    }
}
