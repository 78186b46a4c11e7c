//! A test in a process of its own, started with a token of SoftHSM.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::backend;
use harness::process::run;
use harness::softhsm::SoftHsm;

/// Runs a test in another process; in that process, runs it.
pub(super) fn in_child(path: &str, test: impl AsyncFnOnce()) {
    if std::env::var_os(LIBRARY).is_some() {
        return tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(test());
    }
    let softhsm = match SoftHsm::prepare() {
        Ok(softhsm) => softhsm,
        Err(reason) => return backend::missing("SoftHSM", &reason),
    };
    // libtest knows tests without the name of the crate.
    let (_, name) = path.split_once("::").unwrap();
    let (status, stdout, stderr) = run(
        Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env("SOFTHSM2_CONF", softhsm.configuration())
            .env(LIBRARY, softhsm.library())
            .env(FOLDER, softhsm.folder()),
        LIMIT,
    );
    assert!(
        status.success() && stdout.contains("1 passed"),
        "{name} in a process of its own: {stdout}{stderr}"
    );
}

/// The PKCS#11 library, in the child.
pub(super) fn library() -> PathBuf {
    std::env::var_os(LIBRARY).expect("set for the child").into()
}

/// Where the token is, in the child.
pub(super) fn folder() -> PathBuf {
    std::env::var_os(FOLDER).expect("set for the child").into()
}

const LIBRARY: &str = "XKS_TEST_PKCS11_LIBRARY";
const FOLDER: &str = "XKS_TEST_PKCS11_FOLDER";
const LIMIT: Duration = Duration::from_secs(120);
