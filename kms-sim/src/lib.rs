//! A simulator of the AWS KMS API whose external key stores talk to a real XKS proxy.

mod actions;
pub mod api;
mod clock;
mod config;
mod connection;
mod connector;
mod credentials;
mod custom_key_store;
mod dispatch;
mod http;
mod operation;
mod proxy_failure;
mod resolve;
mod server;
mod simulator;
mod xks_client;
mod xks_pool;
mod xks_tls;

pub use clock::Clock;
pub use config::{Config, Resolve, ServerTls};
pub use resolve::InvalidResolve;
pub use server::serve;
pub use xks_tls::ClientCertificate;
