//! How many files and connections this process may have open: as many as it is allowed, told if that is too few.

use std::fmt;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as this process may, which is far above the 1,024 that shells begin with.
///
/// # Errors
/// [`TooFew`] if `max_connections` cannot be reached all the same; for the log.
pub fn raise(max_connections: usize) -> Result<(), TooFew> {
    let before = getrlimit(Resource::Nofile);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        },
    );
    let limit = match raised {
        Ok(()) => before.maximum,
        Err(_) => before.current,
    };
    let limit = limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if limit >= max_connections.saturating_add(OTHERS) {
        return Ok(());
    }
    Err(TooFew {
        limit,
        max_connections,
        error: raised.err().map(Into::into),
    })
}

/// Fewer descriptors than the configuration needs.
#[derive(Debug)]
pub struct TooFew {
    limit: usize,
    max_connections: usize,
    error: Option<io::Error>,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = self.max_connections.saturating_add(OTHERS);
        write!(
            f,
            "at most {} files and connections may be open, too few for limits.max_connections = {}: raise the limit to \
             {needed} (systemd: LimitNOFILE={needed}, shell: ulimit -n {needed}) or lower max_connections",
            self.limit, self.max_connections,
        )?;
        match &self.error {
            Some(error) => write!(f, "; it could not be raised: {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TooFew {}

/// Stores, listeners, sockets of administrators, and what the runtime needs.
const OTHERS: usize = 128;
