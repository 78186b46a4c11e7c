//! An error of the operating system, with what to do about it where its kind tells.

use std::fmt;
use std::io::{self, ErrorKind};

use rustix::process::geteuid;

/// Shows the error, then the advice.
pub(crate) struct Advised<'e>(pub(crate) &'e io::Error);

impl fmt::Display for Advised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        write!(f, "{error}")?;
        match error.kind() {
            ErrorKind::PermissionDenied => write!(
                f,
                "; this process runs as user id {}, who may not: run it as the owner, or change owner or mode",
                geteuid().as_raw()
            ),
            ErrorKind::NotFound => f.write_str("; is the name right, and the file system mounted?"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => f.write_str("; make room there"),
            ErrorKind::ReadOnlyFilesystem => f.write_str(
                "; it is to be written to: under systemd, name it in ReadWritePaths of the unit",
            ),
            ErrorKind::NotADirectory => f.write_str("; a part of the name is a file, not a folder"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_follows_the_words_of_the_system() {
        let denied = io::Error::from_raw_os_error(13);
        let text = Advised(&denied).to_string();
        assert!(
            text.starts_with("Permission denied (os error 13); ") && text.contains("user id"),
            "{text}"
        );
        let other = io::Error::other("it is no regular file");
        assert_eq!(Advised(&other).to_string(), "it is no regular file");
    }
}
