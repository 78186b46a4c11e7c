//! A suite of cases for any XKS proxy: every MUST and SHOULD of the specification that shows on the wire, tried.
//!
//! | module | owns |
//! |---|---|
//! | `case` | a case as a value: what is required, the request, what may come back |
//! | `cases` | the tables of them, one file for each idea |
//! | `target` | the proxy under test and the keys that may be used |
//! | `kit` | what a case works with: requests in KMS's form, a connection, the record |
//! | `wire`, `signature` | requests, and SigV4 with every part in reach |
//! | `connection`, `tls_client`, `http2` | how bytes get there |
//! | `answer` | answers, read without mercy |
//! | `run` | one case after the other |
//! | `report` | for people and for machines |
//!
//! What the specification leaves open no case requires: where two answers are right, both are taken.

mod answer;
mod case;
mod cases;
mod connection;
mod http2;
mod kit;
#[cfg(test)]
mod mutants;
pub mod report;
mod run;
mod signature;
mod target;
#[cfg(test)]
mod tests;
mod tls_client;
mod wire;

pub use case::{Case, Level};
pub use cases::cases;
pub use kit::Exchange;
pub use run::{Results, Selection, Tried, Unreachable, Verdict, run};
pub use target::{Credential, More, Target};
