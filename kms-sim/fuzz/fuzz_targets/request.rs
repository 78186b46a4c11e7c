//! `X-Amz-Target`, a line break, a body: no input is an internal error, and what fails changes nothing.

#![no_main]

use kms_sim::fuzzing::Door;
use libfuzzer_sys::fuzz_target;

thread_local!(static DOOR: Door = Door::new());

fuzz_target!(|input: &[u8]| {
    DOOR.with(|door| door.request(input));
});
