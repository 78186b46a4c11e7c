//! An `Authorization` header of an otherwise genuine request: none but the genuine one is taken.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xks_proxy::fuzzing::SignatureDoor;

thread_local!(static DOOR: SignatureDoor = SignatureDoor::new());

fuzz_target!(|input: &[u8]| {
    DOOR.with(|door| door.authorization(input));
});
