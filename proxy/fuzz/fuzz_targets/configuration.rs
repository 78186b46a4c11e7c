//! A configuration file: every problem is told, and no secret is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use xks_proxy::fuzzing::Door;

thread_local!(static DOOR: (Door, TempDir) = {
    let folder = tempfile::tempdir().expect("a folder");
    (Door::new(folder.path()), folder)
});

fuzz_target!(|input: &[u8]| {
    DOOR.with(|(door, _)| door.configuration(input));
});
