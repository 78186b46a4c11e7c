//! Bytes as a CiphertextBlob: nobody forges one.

#![no_main]

use kms_sim::fuzzing::Door;
use libfuzzer_sys::fuzz_target;

thread_local!(static DOOR: Door = Door::new());

fuzz_target!(|input: &[u8]| {
    DOOR.with(|door| door.ciphertext(input));
});
