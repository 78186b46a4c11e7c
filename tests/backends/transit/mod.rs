//! The suite for Transit on a real OpenBao server, and what only Transit has.

pub(crate) mod backend;
mod batches;
mod failover;
mod faults;
mod keys;
mod login;

crate::suite!(backend::TransitBackend);
crate::conforms!(backend::TransitBackend);
