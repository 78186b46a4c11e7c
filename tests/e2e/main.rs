//! Simulator and proxy as processes, with a byte counter between them, driven by an AWS client that nobody changed.
//!
//!     boto3 ──HTTP──▶ kms-sim ──HTTPS──▶ byte counter ──▶ xks-proxy
//!
//! The story is told by `story/main.py`; this side owns the processes and answers its questions.

mod pasted;
mod stage;
mod story;

use std::sync::{Mutex, MutexGuard, PoisonError};

use harness::backend;
use stage::Stage;

/// Tests of this program run one at a time: a proxy has 250 ms for an answer, whatever else the machine does.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn boto3_sees_what_a_disconnect_breaks_and_what_goes_on_working() {
    let python = match backend::python_with(&["boto3"]) {
        Ok(python) => python,
        Err(reason) => return backend::missing("boto3 end to end", &reason),
    };
    let _alone = alone();
    let mut stage = Stage::start(&story::PACE);
    if let Err(report) = story::tell(&mut stage, &python) {
        panic!("{report}\n{}", stage.server_outputs());
    }
}
