//! The KMS API as it is on the wire: members and their limits, pages, times, bytes, errors.

mod blob;
mod error;
mod members;
mod page;
pub(crate) mod shapes;
mod timestamp;
mod violations;

pub(crate) use blob::{Bytes, SecretBytes};
pub use error::KmsError;
pub(crate) use members::{Input, Members, Text, parse};
#[cfg(test)]
pub(crate) use page::marker;
pub(crate) use page::{Page, PageRequest};
pub(crate) use timestamp::Timestamp;
