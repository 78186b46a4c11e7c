//! The external key store proxy.
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`admin`] | the socket that administers a running proxy |
//! | [`check`] | trials of a configuration before it serves |
//! | [`assemble`] | from a configuration to a running state |
//! | [`reload`] | from a changed configuration to a changed state |
//! | [`control`] | what governs keys: blocks |
//! | [`config`] | the configuration file, and everything that is read from files |
//! | [`server`] | listeners, connections, deadlines, drain |
//! | [`throttle`] | quotas of key stores |
//! | [`tls`] | certificates, suites, client names |
//! | [`runtime`] | what connections share |
//! | [`pipeline`] | the order of checks, from a request to its answer |
//! | [`error`] | why a request is not served |
//! | [`authorize`] | which of KMS's callers may do what with a key |
//! | [`key_store`] | URI path prefixes with their credentials and keys |
//! | [`key_manager`] | the seam to what holds the keys |
//! | [`health`] | probes and what they found |
//! | [`kms`] | the other side: a small client of KMS, for the `kms` commands |
//! | [`process_memory`] | memory out of core dumps, debuggers and swap |
//! | [`descriptor_limit`] | how many connections the system allows |
//! | [`request_log`] | one line per request |
//! | [`audit`] | the log of requests and administrators that nobody can change unnoticed |
//! | [`metrics`] | what is counted and timed, for Prometheus |
//! | [`status`] | how the proxy does, for administrators: facts, pages |
//! | `line_thread` | lines on their way to a thread that writes them |
//!
//! A request goes from `server` through `http`, `pipeline`, `authenticate` and `ops` to a key manager.

pub mod admin;
pub mod assemble;
pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod descriptor_limit;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
mod glob;
pub mod health;
mod http;
pub mod key_manager;
pub mod key_store;
pub mod kms;
mod line_thread;
pub mod metrics;
mod ops;
mod os_error;
pub mod pipeline;
pub mod process_memory;
pub mod reload;
pub mod request_log;
pub mod runtime;
pub mod server;
pub mod status;
pub mod throttle;
pub mod tls;
pub mod traces;
