//! A request, signed as AWS describes it: taken unless it is one that no client of a proxy sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xks_proxy::fuzzing::SignatureDoor;

thread_local!(static DOOR: SignatureDoor = SignatureDoor::new());

fuzz_target!(|input: &[u8]| {
    DOOR.with(|door| door.canonical(input));
});
