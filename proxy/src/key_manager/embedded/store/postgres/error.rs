//! Why the shared store does not open or takes no change, told to the person who can do something about it.

use std::path::PathBuf;

use super::super::super::root_key::RootKeyId;
use super::super::error::Defect;

/// Why the shared store does not open or takes no change. `place` names database and schema.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum PostgresError {
    /// There is no store yet.
    #[error(
        "{place} holds no keyring: run `xks-proxy init --config FILE` once, on one machine of the fleet"
    )]
    NotInitialised { place: String },
    /// `init` found a store.
    #[error("{place} holds a keyring already; it stays as it is")]
    AlreadyInitialised { place: String },
    /// The database does not answer, or refuses; nothing was changed.
    #[error("{place} is out of reach, so nothing was changed: {cause}")]
    Unreachable { place: String, cause: String },
    /// The connection was lost when it mattered.
    #[error(
        "{place} was lost while it made the change, and whether it did is not known ({cause}): see with \
         `xks-proxy key list` or `credential list` when it answers again"
    )]
    Unknown { place: String, cause: String },
    /// Somebody else was faster.
    #[error("other proxies changed the keyring all the while: nothing was changed, try again")]
    Stale,
    /// The tables are of a later version.
    #[error(
        "the tables in {place} have version {found}, and this program knows {known}: install the version of \
         xks-proxy that the rest of the fleet has"
    )]
    NewerSchema {
        place: String,
        found: i32,
        known: i32,
    },
    /// The keyring is wrapped under another root key.
    #[error(
        "the root key {found} does not belong to the keyring in {place}, which is wrapped under the root key \
         {expected}: bring that one here; all proxies of a fleet have the same root key"
    )]
    WrongRootKey {
        place: String,
        found: RootKeyId,
        expected: RootKeyId,
    },
    /// The keyring is another one.
    #[error(
        "the keyring in {place} is another one than this proxy used before: bring back the database that was there, \
         or give the proxy another, empty data_dir"
    )]
    Foreign { place: String },
    /// The keyring is an older copy.
    #[error(
        "the keyring in {place} is an older copy, at generation {found} although this proxy saw {expected}: keys, \
         credentials or revocations may be missing. Bring back the newest database; if there is none, accept this \
         one with `xks-proxy init --accept-older-store` on every machine of the fleet and restart the proxies"
    )]
    Older {
        place: String,
        found: u64,
        expected: u64,
    },
    /// The keyring went another way.
    #[error(
        "the keyring in {place} is not the one that this proxy saw at generation {generation}, but one that was \
         changed elsewhere. Bring back the right database; if this is it, accept it with `xks-proxy init \
         --accept-older-store` on every machine of the fleet and restart the proxies"
    )]
    Diverged { place: String, generation: u64 },
    /// The rows are not what was written.
    #[error(
        "the keyring in {place} was damaged or changed by somebody without the root key ({defect}): restore the \
         database, or a backup into another schema"
    )]
    Damaged { place: String, defect: Defect },
    /// A file that the connection takes.
    #[error("{}: {cause}", path.display())]
    File { path: PathBuf, cause: String },
}

impl PostgresError {
    /// Why the database was not reached; empty for anything else.
    pub(super) fn cause(self) -> String {
        match self {
            Self::Unreachable { cause, .. } | Self::Unknown { cause, .. } => cause,
            Self::File { cause, .. } => cause,
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_what_failed_without_what_came_of_it() {
        let (place, cause) = (String::from("the database"), String::from("reset"));
        let lost = PostgresError::Unreachable {
            place: place.clone(),
            cause: cause.clone(),
        };
        assert_eq!(lost.cause(), "reset");
        assert_eq!(PostgresError::Unknown { place, cause }.cause(), "reset");
        let path = PathBuf::from("ca.pem");
        let cause = String::from("no certificate");
        let file = PostgresError::File { path, cause };
        assert_eq!(file.cause(), "no certificate");
        let stale = PostgresError::Stale.to_string();
        assert_eq!(PostgresError::Stale.cause(), stale);
    }
}
