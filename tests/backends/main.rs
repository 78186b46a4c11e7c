//! One suite for any key manager, written against the `KeyManager` trait alone.
//!
//! A backend is a [`Backend`]: keys prepared under known ids. `suite!` runs every test for it under its own name,
//! and `conforms!` a whole proxy in front of it through `kms-sim conformance`'s suite.

mod conformance;
mod embedded;
mod pkcs11;
mod postgres;
mod suite;
mod transit;
mod vectors;
