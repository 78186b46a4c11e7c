//! What each operation does: one file for each kind of resource.

pub(crate) mod custom_key_store;
mod custom_key_store_input;
mod custom_key_store_output;
