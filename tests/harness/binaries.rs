//! Finds `xks-proxy` and `kms-sim`, and builds them when nobody said where they are.
//!
//! Cargo sets `CARGO_BIN_EXE_…` for a package's own programs alone, and these belong to other packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The proxy: `XKS_PROXY_BIN`, else built now.
pub fn xks_proxy() -> PathBuf {
    find("XKS_PROXY_BIN", "xks-proxy")
}

/// The simulator: `KMS_SIM_BIN`, else built now.
pub fn kms_sim() -> PathBuf {
    find("KMS_SIM_BIN", "kms-sim")
}

fn find(variable: &str, name: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => built().join(name),
    };
    assert!(path.is_file(), "no {name} at {}", path.display());
    path
}

/// Builds both programs once per test process, in the profile that the test itself was built in.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("the path of this test");
        // target/<profile>/deps/<test>
        let folder = test
            .ancestors()
            .nth(2)
            .expect("a test lies in <profile>/deps");
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--bins", "--quiet", "--profile", profile])
            .current_dir(crate::workspace())
            .output()
            .expect("cargo can be started");
        assert!(
            output.status.success(),
            "cargo build --bins failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        folder.to_owned()
    })
}
