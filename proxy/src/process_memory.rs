//! Keeps this process's memory, with the keys in it, out of core dumps, debuggers and swap.

use std::fmt;
use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Protects as much as the limits of this process allow; what could not be done is for the log.
pub fn protect() -> Vec<Unprotected> {
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let core_dumps = setrlimit(Resource::Core, no_core).map_err(|e| Unprotected::Core(e.into()));
    let debuggers = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| Unprotected::Debuggers(e.into()));
    [core_dumps, debuggers, lock()]
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

/// Locks what is there and what will be. Under a limit, memory beyond it could not be allocated at all any more, so only
/// without one.
fn lock() -> Result<(), Unprotected> {
    match getrlimit(Resource::Memlock).current {
        Some(limit) => Err(Unprotected::LockLimit(limit)),
        // On fault: else every thread's whole stack would be resident.
        None => mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
            .map_err(|e| Unprotected::Lock(e.into())),
    }
}

/// What could not be done.
#[derive(Debug)]
pub enum Unprotected {
    /// Core dumps are not off.
    Core(io::Error),
    /// Debuggers of the same user may look in.
    Debuggers(io::Error),
    /// Memory may be swapped out, because this many bytes may be locked at most.
    LockLimit(u64),
    /// Memory may be swapped out.
    Lock(io::Error),
}

impl fmt::Display for Unprotected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(e) => write!(f, "core dumps could not be switched off: {e}"),
            Self::Debuggers(e) => write!(f, "debuggers could not be kept out: {e}"),
            Self::LockLimit(limit) => write!(
                f,
                "memory is not locked and may be swapped out: at most {limit} bytes may be locked; raise the limit \
                 (systemd: LimitMEMLOCK=infinity, shell: ulimit -l unlimited) or run without swap"
            ),
            Self::Lock(e) => write!(f, "memory is not locked and may be swapped out: {e}"),
        }
    }
}
