//! The KMS API as it is on the wire: shapes, limits, errors.

mod error;

pub use error::KmsError;
