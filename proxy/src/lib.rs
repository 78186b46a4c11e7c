//! The external key store proxy.

pub mod key_manager;
