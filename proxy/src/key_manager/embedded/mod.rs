//! The embedded software key manager.
