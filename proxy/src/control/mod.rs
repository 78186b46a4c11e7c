//! What governs the keys: blocks, kept with the keys that they concern, so that they outlive the process.
//!
//! | module | owns |
//! |---|---|
//! | `block` | a block, and what it is of |
//! | `blocks` | what requests see of blocks |
//! | `store` | the seam to where the records are kept: a keyring, or `state_dir` |
//! | `state_dir` | the records of key managers without a keyring of ours |
//! | `scopes` | which records govern which key managers and prefixes |
//! | `kill_switch` | `block` and `unblock`, to their confirmation by a fleet |

mod block;
mod blocks;
mod error;
mod kill_switch;
mod scopes;
mod state_dir;
mod store;
#[cfg(test)]
mod tests;

pub use block::{Block, BlockInfo, BlockTarget, InvalidBlockTarget};
pub use blocks::Blocks;
pub use error::ControlError;
pub use kill_switch::{BlockOutcome, NewBlock, Unconfirmed, block, blocks as list_blocks, unblock};
pub use scopes::{Scope, Scopes};
pub use state_dir::StateDir;
pub use store::{Control, ControlChange, ControlRecords, ControlStore, Decide, FleetMember};
