//! How many connections this process may have open: as many as it is allowed, far above the 1,024 that shells begin with.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as this process may.
///
/// # Errors
/// [`TooFew`] if `max_connections` cannot be reached all the same; for the log.
pub(crate) fn raise(max_connections: usize) -> Result<(), TooFew> {
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
    match limit >= max_connections.saturating_add(OTHERS) {
        true => Ok(()),
        false => Err(TooFew {
            limit,
            max_connections,
        }),
    }
}

/// Fewer descriptors than `--max-connections` needs.
#[derive(Debug)]
pub(crate) struct TooFew {
    limit: usize,
    max_connections: usize,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = self.max_connections.saturating_add(OTHERS);
        write!(
            f,
            "at most {} files and connections may be open, too few for --max-connections {}: raise the limit to {needed} \
             (ulimit -Hn {needed}) or say a lower number",
            self.limit, self.max_connections,
        )
    }
}

/// For connections to proxies, files, and the control API.
const OTHERS: usize = 512;
