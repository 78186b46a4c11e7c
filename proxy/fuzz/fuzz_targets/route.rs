//! A method, a space, a path: what is found in a path makes that path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xks_proxy::fuzzing::request_line;

fuzz_target!(|input: &[u8]| request_line(input));
