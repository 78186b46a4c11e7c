//! What the tests and the benches share: the two programs as processes, foreign clients, a relay that counts bytes.
//!
//! Everything here blocks and panics with a sentence that says what was waited for: a test that cannot reach its
//! server has nothing to recover. Nothing here knows how the servers are built inside.
//!
//! | module | owns |
//! |---|---|
//! | [`binaries`] | where the programs are; builds them once |
//! | [`process`] | a child process: output, readiness with a deadline, signals, killed on drop |
//! | [`postgres`] | a PostgreSQL server of its own |
//! | [`programs`] | `xks-proxy` and `kms-sim` started the usual ways |
//! | [`signer`] | SigV4 through the official `aws-sigv4` |
//! | [`https`], [`h2`] | exact bytes over HTTP/1.1, and HTTP/2 |
//! | [`small_disk`] | a file system that can be filled up |
//! | [`softhsm`] | tokens of SoftHSM in a folder of their own |
//! | [`systemd`] | systemd, with units of a test alone |
//! | [`tls`] | rustls client configurations |
//! | [`byte_counter`] | a TCP relay that counts, cuts and stalls |
//! | [`certificates`] | the test certificates in `certs/` |
//! | [`corpus`] | corpora of fuzz targets, and mutations of them |
//! | [`descriptors`] | as many open connections as are allowed |
//! | [`openbao`] | OpenBao servers, alone and as a cluster |
//! | [`backend`] | says what is missing on this machine, or fails over it |

pub mod backend;
pub mod binaries;
pub mod byte_counter;
pub mod certificates;
pub mod corpus;
pub mod descriptors;
pub mod h2;
pub mod https;
pub mod openbao;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod signer;
pub mod small_disk;
pub mod softhsm;
pub mod systemd;
pub mod tls;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of its own, removed on drop; short enough a path for Unix sockets.
pub fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("xks-")
        .tempdir()
        .expect("a temporary folder")
}

/// A port on 127.0.0.1 that nothing listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
    listener
        .local_addr()
        .expect("a bound listener has an address")
        .port()
}

/// Polls until `done` gives a value; panics with `what` when `limit` is over.
pub fn wait_for<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(
            start.elapsed() < limit,
            "waited {limit:?} for {what}, in vain"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
