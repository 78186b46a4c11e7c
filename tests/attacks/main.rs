//! Attacks on the program over real sockets: it stays up within its memory, and serves the honest client meanwhile.
//!
//! Each test prints its figures. Strangers have no credential here; what a tenant can do to another is in `spec/quotas`.

mod floods;
mod held;
mod target;
