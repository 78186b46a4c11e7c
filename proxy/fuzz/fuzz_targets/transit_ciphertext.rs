//! A version, a length, a ciphertext of Transit: what is taken apart can be put together.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xks_proxy::fuzzing::transit_ciphertext;

fuzz_target!(|input: &[u8]| transit_ciphertext(input));
