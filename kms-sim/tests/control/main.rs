//! The control API over real sockets, and what it does to the KMS API.

#![expect(
    clippy::indexing_slicing,
    reason = "an answer without the member that a test reads fails it"
)]

mod clock;
mod cloudhsm;
mod consistency;
mod console;
mod ctl;
mod events;
mod failures;
mod guard;
mod json;
mod link;
mod metrics;
mod quota;
mod reset;
mod simulator;
mod state;
mod stub;
mod transition;
mod vpc;
mod with_proxy;
