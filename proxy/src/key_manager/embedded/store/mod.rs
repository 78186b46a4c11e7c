//! Where keys and credentials are kept: every record wrapped under the root key, damage and older copies recognized.
//!
//! `redb` is the store, `tables` its records, `folder` the files, `header` what the store says of itself, `seal` the wrapping, `generation` the file beside it.

mod error;
mod folder;
mod generation;
mod header;
mod redb;
mod seal;
mod tables;

pub use self::error::{Defect, StoreError};
pub(crate) use self::header::Header;
pub(crate) use self::redb::Store;
pub(crate) use self::seal::{Kind, StoreId, StoreKeys};
pub(crate) use self::tables::{Change, Contents};

#[cfg(test)]
mod tests;
