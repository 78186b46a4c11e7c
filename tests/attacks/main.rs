//! Attacks on the program over real sockets: it stays up within its memory, and serves the honest client meanwhile. And, without
//! sockets, attacks with many thousands of requests: changed messages, and inputs as a fuzzer would make them.
//!
//! Each test of the first kind prints its figures. Strangers have no credential here; what a tenant can do to another is in
//! `spec/quotas`.

mod floods;
mod fuzz_corpus;
mod held;
mod in_process;
mod tampering;
mod target;
