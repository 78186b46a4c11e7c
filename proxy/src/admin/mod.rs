//! Administering a running proxy: a Unix socket in the data folder, one command and one
//! reply per connection; and a listener, for commands as well as for browsers.
//!
//! `protocol` is what is said, `socket`, `listener` and `http` are the server's side, `client` and `remote` the command
//! line's;
//! `desk` sees to who asks and what waits for approval (`two_person`). What commands do is
//! [`Administration`](crate::key_manager::embedded::Administration)'s.

mod asked;
mod client;
mod desk;
mod govern;
mod http;
mod listener;
mod protocol;
mod remote;
mod socket;
#[cfg(test)]
mod tests;
mod two_person;
mod who;

pub(crate) use asked::Asked;
pub use client::{Client, ClientError};
pub(crate) use govern::govern;
pub use listener::listen;
pub use protocol::{Command, Probed, Refusal, Reply, SecretText};
pub use remote::{Remote, RemoteError};
pub use socket::{AdminSocket, Server};
pub use two_person::{ApprovalPolicy, Operation};
pub use who::Who;

/// The socket's name in the data folder.
const SOCKET_NAME: &str = "admin.sock";

/// The longest command, in bytes.
const MAX_COMMAND_LEN: usize = 16 * 1024;
