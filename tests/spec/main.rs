//! The specification, requirement by requirement, over a real TLS socket: raw bytes in, raw bytes out.
//!
//! A test is named after the requirement that it checks (`r06_…` for R6). The server is the proxy's library in this
//! process; what it answers is compared with the specification's text, `ring` and `aws-sigv4`, never with itself.

mod key_manager;
mod proxy;
mod requirements;

mod audit;
mod authentication;
mod authorization;
mod coverage;
mod hand_over;
mod health;
mod limits;
mod load;
mod logging;
mod operations;
mod program;
mod proxy_protocol;
mod quotas;
mod security;
mod socket_activation;
mod tls_foreign_clients;
mod tls_matrix;
mod transport;
