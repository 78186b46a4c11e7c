//! `kms-sim serve --data-dir`: the state in a folder, through restarts, crashes and damage.

#![expect(
    clippy::indexing_slicing,
    reason = "an answer without the member that a test reads fails it"
)]

mod crash;
mod folder;
mod program;
mod seed;
