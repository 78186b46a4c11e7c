//! Backends that a machine may lack: named when they are missed, a failure where they are required.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Tells that `name` cannot be tried here and why.
///
/// Goes to standard error past libtest's capture, so that a passing run shows it too.
///
/// # Panics
/// When `XKS_REQUIRE_BACKENDS=1`, as `tests/run` sets it.
pub fn missing(name: &str, reason: &str) {
    let required = std::env::var_os("XKS_REQUIRE_BACKENDS").is_some_and(|value| value == "1");
    assert!(
        !required,
        "{name} is required here (XKS_REQUIRE_BACKENDS=1) but missing: {reason}"
    );
    let line = format!("NOT TESTED: {name}: {reason}; ./tests/run installs it\n");
    // A closed standard error is no reason to fail.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// Tells that `name`, which no package installs, cannot be tried here and why.
pub fn optional(name: &str, reason: &str) {
    let line = format!("NOT TESTED: {name}: {reason}\n");
    // A closed standard error is no reason to fail.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// A Python that can import `modules`: `XKS_TEST_PYTHON`, else `python3`.
///
/// # Errors
/// What the interpreter said instead.
pub fn python_with(modules: &[&str]) -> Result<PathBuf, String> {
    let python: PathBuf =
        std::env::var_os("XKS_TEST_PYTHON").map_or_else(|| "python3".into(), Into::into);
    let probe = format!("import {}", modules.join(", "));
    match Command::new(&python).args(["-c", &probe]).output() {
        Ok(output) if output.status.success() => Ok(python),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim().lines().last().unwrap_or("no output").to_owned();
            Err(format!("{}: {last}", python.display()))
        }
        Err(error) => Err(format!("{}: {error}", python.display())),
    }
}

/// The AWS CLI: `XKS_TEST_AWS`, else `aws`.
///
/// # Errors
/// What happened instead.
pub fn aws_cli() -> Result<PathBuf, String> {
    let aws: PathBuf = std::env::var_os("XKS_TEST_AWS").map_or_else(|| "aws".into(), Into::into);
    match Command::new(&aws).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(aws),
        Ok(output) => Err(format!("{}: {}", aws.display(), output.status)),
        Err(error) => Err(format!("{}: {error}", aws.display())),
    }
}

/// A folder with the packages of `tests/e2e/clients/javascript/package.json`: `XKS_TEST_NODE`.
///
/// # Errors
/// What is missing.
pub fn node_modules() -> Result<PathBuf, String> {
    let folder = std::env::var_os("XKS_TEST_NODE").ok_or("XKS_TEST_NODE names no folder")?;
    let folder = PathBuf::from(folder);
    if !folder.join("node_modules").is_dir() {
        return Err(format!("no node_modules in {}", folder.display()));
    }
    match Command::new("node").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(folder),
        Ok(output) => Err(format!("node: {}", output.status)),
        Err(error) => Err(format!("node: {error}")),
    }
}

/// The browser: `XKS_TEST_CHROMIUM`, else `chromium`; and the folder of [`node_modules`] with what drives it.
///
/// # Errors
/// What is missing.
pub fn chromium() -> Result<(PathBuf, PathBuf), String> {
    let modules = node_modules()?;
    if !modules.join("node_modules/playwright-core").is_dir() {
        return Err(format!("no playwright-core in {}", modules.display()));
    }
    // Playwright looks in no PATH.
    let in_path = || {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut files = std::env::split_paths(&folders).map(|folder| folder.join("chromium"));
        files.find(|file| file.is_file())
    };
    let chromium = std::env::var_os("XKS_TEST_CHROMIUM").map(PathBuf::from);
    let chromium = chromium
        .or_else(in_path)
        .ok_or("no chromium in the PATH, and XKS_TEST_CHROMIUM names none")?;
    match Command::new(&chromium).arg("--version").output() {
        Ok(output) if output.status.success() => Ok((chromium, modules)),
        Ok(output) => Err(format!("{}: {}", chromium.display(), output.status)),
        Err(error) => Err(format!("{}: {error}", chromium.display())),
    }
}

/// The OpenBao server: `XKS_TEST_BAO`, else `bao`.
///
/// # Errors
/// What happened instead.
pub fn openbao() -> Result<PathBuf, String> {
    let bao: PathBuf = std::env::var_os("XKS_TEST_BAO").map_or_else(|| "bao".into(), Into::into);
    match Command::new(&bao).arg("version").output() {
        Ok(output) if output.status.success() => Ok(bao),
        Ok(output) => Err(format!("{}: {}", bao.display(), output.status)),
        Err(error) => Err(format!("{}: {error}", bao.display())),
    }
}
