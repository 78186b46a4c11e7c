//! Descriptors for tests that open thousands of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open as many files and connections as it is allowed.
///
/// # Panics
/// The system refuses it.
pub fn raise() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("the soft limit may be raised");
}
