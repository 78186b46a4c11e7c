//! A small client of KMS, for the commands that set up and look after its side of an external key store.
//!
//! No server uses it. Credentials, Region and endpoint come from where the AWS tools take them; requests are signed by
//! `aws-sigv4` and sent over HTTP/1.1.
//!
//! | module | owns |
//! |---|---|
//! | `environment` | environment variables, read once |
//! | `profile` | the files `~/.aws/config` and `~/.aws/credentials` |
//! | `settings` | Region, endpoints, and where certificates of CAs are |
//! | `credentials` | who calls: every place that is looked at, in order |
//! | `trust` | TLS with the CAs of the system |
//! | `exchange` | one HTTP request and its answer |
//! | `http_proxy` | the way out through an HTTP proxy |
//! | `client` | signed calls with retries |
//! | `operations` | the operations of KMS that are used, with their shapes |
//! | `explain` | what to do about what KMS says |

mod client;
#[cfg(test)]
mod client_tests;
mod credentials;
mod environment;
mod exchange;
mod explain;
mod http_proxy;
mod operations;
mod profile;
mod settings;
#[cfg(test)]
mod test_server;
mod trust;

pub use client::{CallError, KmsClient, ServiceError};
pub use credentials::CredentialsError;
pub use environment::Environment;
pub use explain::{Explanation, connection_error, refusal};
pub use operations::{
    ConnectionState, Connectivity, CustomKeyStore, ExternalKey, KeyMetadata, KeyState, NewStore,
    ProxyConfiguration, SecretCredential, StoreChange,
};
pub use settings::{Choice, Settings, SettingsError};
