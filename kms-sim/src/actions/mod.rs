//! The operations, one file for each kind: validated input in, output or KmsError out.

pub(crate) mod agreement;
pub(crate) mod alias;
pub(crate) mod create_key;
pub(crate) mod crypto;
pub(crate) mod custom_key_store;
pub(crate) mod data_key;
pub(crate) mod data_key_pair;
pub(crate) mod encapsulation;
pub(crate) mod grant;
pub(crate) mod import_key;
pub(crate) mod key;
pub(crate) mod last_usage;
pub(crate) mod mac;
pub(crate) mod multi_region;
pub(crate) mod policy;
pub(crate) mod public_key;
pub(crate) mod random;
pub(crate) mod rotation;
pub(crate) mod sign;
pub(crate) mod tag;
