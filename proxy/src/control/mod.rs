//! What governs the keys: blocks, administrators and their requests, kept with the keys that they concern, so that they
//! outlive the process.
//!
//! | module | owns |
//! |---|---|
//! | `block` | a block, and what it is of |
//! | `blocks` | what requests see of blocks |
//! | `admins` | named administrators and their tokens |
//! | `approvals` | requests that wait for a second administrator |
//! | `store` | the seam to where the records are kept: a keyring, or `state_dir` |
//! | `state_dir` | the records of key managers without a keyring of ours |
//! | `scopes` | which records govern which key managers and prefixes |
//! | `kill_switch` | `block` and `unblock`, to their confirmation by a fleet |

mod admins;
mod approvals;
mod block;
mod blocks;
mod error;
mod kill_switch;
mod scopes;
mod state_dir;
mod store;
#[cfg(test)]
mod tests;

pub use admins::{
    AdminInfo, admins, authenticate, create_admin, is_admin_name, is_token_hash, new_token,
    remove_admin, token_hash,
};
pub use approvals::{PendingInfo, PendingRequest, mark, pending, request, take};
pub use block::{Block, BlockInfo, BlockTarget, InvalidBlockTarget};
pub use blocks::Blocks;
pub use error::ControlError;
pub use kill_switch::{BlockOutcome, NewBlock, Unconfirmed, block, blocks as list_blocks, unblock};
pub use scopes::{Scope, Scopes};
pub use state_dir::StateDir;
pub use store::{Control, ControlChange, ControlRecords, ControlStore, Decide, FleetMember};
