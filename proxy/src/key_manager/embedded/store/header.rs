//! The two records of a store that describe the store itself, each with a MAC under the root key.

use ring::hmac;

use super::super::root_key::{Derivation, RootKeyId};
use super::seal::{StoreId, StoreKeys};

/// Which store this is, and how its root key is found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) store_id: StoreId,
    pub(crate) root_key_id: RootKeyId,
    pub(crate) derivation: Derivation,
}

impl Header {
    pub(crate) fn encode(&self, keys: &StoreKeys) -> Vec<u8> {
        let mut bytes = vec![HEADER_FORMAT];
        bytes.extend_from_slice(&self.store_id);
        bytes.extend_from_slice(&self.root_key_id.0);
        self.derivation.encode(&mut bytes);
        with_mac(bytes, keys)
    }

    /// What the bytes say, to be [verified](Self::is_authentic) once the root key that they name is there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, _mac) = bytes.split_last_chunk::<MAC_LEN>()?;
        let (&[HEADER_FORMAT], rest) = body.split_first_chunk()? else {
            return None;
        };
        let (store_id, rest) = rest.split_first_chunk()?;
        let (root_key_id, rest) = rest.split_first_chunk()?;
        Some(Self {
            store_id: *store_id,
            root_key_id: RootKeyId(*root_key_id),
            derivation: Derivation::decode(rest)?,
        })
    }

    /// Whether whoever wrote the bytes had the root key.
    pub(crate) fn is_authentic(bytes: &[u8], keys: &StoreKeys) -> bool {
        verified(bytes, keys).is_some()
    }
}

/// What all records of a store are, at one generation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Manifest {
    /// One more with each commit.
    pub(crate) generation: u64,
    /// Of the sum over the names and wrapped bytes of all records, under the MAC key.
    pub(crate) digest: [u8; 32],
}

impl Manifest {
    pub(crate) fn encode(&self, keys: &StoreKeys) -> Vec<u8> {
        let mut bytes = vec![MANIFEST_FORMAT];
        bytes.extend_from_slice(&keys.store_id());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.digest);
        with_mac(bytes, keys)
    }

    /// `None` for a manifest that was not made for this store under this root key.
    pub(crate) fn decode(bytes: &[u8], keys: &StoreKeys) -> Option<Self> {
        let (&[MANIFEST_FORMAT], rest) = verified(bytes, keys)?.split_first_chunk()? else {
            return None;
        };
        let (store_id, rest) = rest.split_first_chunk::<16>()?;
        let (generation, digest) = rest.split_first_chunk()?;
        (*store_id == keys.store_id()).then_some(())?;
        Some(Self {
            generation: u64::from_be_bytes(*generation),
            digest: digest.try_into().ok()?,
        })
    }
}

fn with_mac(mut bytes: Vec<u8>, keys: &StoreKeys) -> Vec<u8> {
    let mac = hmac::sign(keys.mac(), &bytes);
    bytes.extend_from_slice(mac.as_ref());
    bytes
}

fn verified<'a>(bytes: &'a [u8], keys: &StoreKeys) -> Option<&'a [u8]> {
    let (body, mac) = bytes.split_last_chunk::<MAC_LEN>()?;
    hmac::verify(keys.mac(), body, mac).ok()?;
    Some(body)
}

/// Different for each, so that one cannot stand for the other.
const HEADER_FORMAT: u8 = 0x11;
const MANIFEST_FORMAT: u8 = 0x22;
const MAC_LEN: usize = 32;
