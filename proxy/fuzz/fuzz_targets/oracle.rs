//! A request, signed by `aws-sigv4`, and a change of it: the request is taken, and the change is not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xks_proxy::fuzzing::SignatureDoor;

thread_local!(static DOOR: SignatureDoor = SignatureDoor::new());

fuzz_target!(|input: &[u8]| {
    DOOR.with(|door| door.oracle(input));
});
