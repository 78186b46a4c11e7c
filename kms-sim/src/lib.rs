//! A simulator of the AWS KMS API whose external key stores talk to a real XKS proxy.

mod access;
mod accounts;
mod actions;
mod alias;
pub mod api;
mod arn;
mod caller;
mod ciphertext_blob;
mod clock;
#[cfg(test)]
mod cloud_hsm_tests;
pub mod cloudhsm;
mod config;
pub mod conformance;
mod connection;
mod connector;
mod consistency;
mod console;
mod control;
mod cors;
mod credentials;
#[cfg(test)]
mod crypto_tests;
mod custom_key_store;
mod defect;
mod disconnect_effects;
mod dispatch;
mod encryption_context;
mod events;
mod fault;
mod fixed_key;
#[cfg(test)]
mod fixed_key_tests;
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod http;
mod imported;
#[cfg(test)]
mod imported_tests;
mod journal;
mod key;
mod key_material;
mod key_spec;
mod key_state;
#[cfg(test)]
mod key_state_tests;
#[cfg(test)]
mod key_tests;
mod key_usage;
mod keys;
mod last_usage;
mod looked_at;
mod multi_region;
#[cfg(test)]
mod multi_region_tests;
mod observation;
mod operation;
mod past;
mod persistence;
mod policy;
mod proxy_endpoints;
mod proxy_failure;
mod query_string;
mod quota;
mod resolve;
mod rfc3339;
mod rotation;
#[cfg(test)]
mod scale_tests;
mod seed;
mod seeded_random;
mod server;
mod simulator;
mod state_image;
#[cfg(test)]
mod store_state_tests;
mod sts;
pub mod stub_proxy;
#[cfg(test)]
mod test_client;
mod toml_document;
mod toml_lines;
#[cfg(test)]
mod toml_messages;
mod transitions;
mod usable_fixed_key;
mod usable_key;
mod visibility;
pub mod vpc_endpoint_service;
#[cfg(test)]
mod vpc_endpoint_service_tests;
mod waiting;
mod xks_client;
mod xks_exchange;
mod xks_pool;
mod xks_target;
mod xks_tls;

pub use accounts::Accounts;
pub use clock::Clock;
pub use config::{ClientLimits, Config, Resolve, ServerTls};
pub use cors::{InvalidWebOrigin, WebOrigin};
pub use credentials::is_region;
pub use persistence::PersistenceError;
pub use resolve::InvalidResolve;
pub use seed::{NotConnected, Seed};
pub use server::{Listeners, Server, serve};
pub use toml_document::InvalidFile;
pub use visibility::Visibility;
pub use xks_tls::ClientCertificate;
