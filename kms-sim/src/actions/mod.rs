//! The operations, one file for each kind: validated input in, output or KmsError out.

pub(crate) mod alias;
pub(crate) mod create_key;
pub(crate) mod crypto;
pub(crate) mod custom_key_store;
pub(crate) mod data_key;
pub(crate) mod grant;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod random;
pub(crate) mod rotation;
pub(crate) mod tag;
