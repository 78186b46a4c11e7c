//! Administering a running proxy: a Unix socket in the data folder, one command and one
//! reply per connection.
//!
//! `protocol` is what is said, `socket` the server's side, `client` the command line's. What commands do is
//! [`Administration`](crate::key_manager::embedded::Administration)'s.

mod asked;
mod client;
mod govern;
mod protocol;
mod socket;
#[cfg(test)]
mod tests;
mod who;

pub(crate) use asked::Asked;
pub use client::{Client, ClientError};
pub(crate) use govern::govern;
pub use protocol::{Command, Probed, Refusal, Reply, SecretText};
pub use socket::{AdminSocket, Server};
pub use who::Who;

/// The socket's name in the data folder.
const SOCKET_NAME: &str = "admin.sock";

/// The longest command, in bytes.
const MAX_COMMAND_LEN: usize = 16 * 1024;
