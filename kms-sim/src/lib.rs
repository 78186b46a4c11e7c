//! A simulator of the AWS KMS API whose external key stores talk to a real XKS proxy.

pub mod api;
mod connection;
mod custom_key_store;
mod proxy_failure;
mod simulator;
mod xks_client;
