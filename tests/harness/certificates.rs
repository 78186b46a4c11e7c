//! Paths of the test certificates in `certs/`.

use std::path::PathBuf;

/// A file of `certs/`, by its name there.
pub fn path(name: &str) -> PathBuf {
    let path = crate::workspace().join("certs").join(name);
    assert!(
        path.is_file(),
        "certs/{name} is missing; certs/regenerate.sh makes it"
    );
    path
}
