//! A simulator of the AWS KMS API whose external key stores talk to a real XKS proxy.

pub mod api;
mod clock;
mod config;
mod connection;
mod credentials;
mod custom_key_store;
mod dispatch;
mod http;
mod operation;
mod proxy_failure;
mod server;
mod simulator;
mod xks_client;

pub use clock::Clock;
pub use config::{Config, Resolve, ServerTls};
pub use server::serve;
