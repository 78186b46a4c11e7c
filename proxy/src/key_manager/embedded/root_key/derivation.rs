//! How a root key comes from what its source gives, as a store says it in its header.

use argon2::{Algorithm, Argon2, Params, Version};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{KEY_LEN, RootKey, RootKeyError};

/// How the root key of a store comes from what the source gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Derivation {
    /// The bytes are the key.
    Raw,
    /// They are a passphrase.
    Argon2id(Argon2id),
}

impl Derivation {
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Raw => bytes.push(1),
            Self::Argon2id(argon2id) => {
                bytes.push(2);
                bytes.extend_from_slice(&argon2id.memory_kib.to_be_bytes());
                bytes.extend_from_slice(&argon2id.passes.to_be_bytes());
                bytes.extend_from_slice(&argon2id.lanes.to_be_bytes());
                bytes.extend_from_slice(&argon2id.salt);
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [1] => Some(Self::Raw),
            [2, rest @ ..] => {
                let (memory_kib, rest) = rest.split_first_chunk()?;
                let (passes, rest) = rest.split_first_chunk()?;
                let (lanes, rest) = rest.split_first_chunk()?;
                Some(Self::Argon2id(Argon2id {
                    memory_kib: u32::from_be_bytes(*memory_kib),
                    passes: u32::from_be_bytes(*passes),
                    lanes: u32::from_be_bytes(*lanes),
                    salt: rest.try_into().ok()?,
                }))
            }
            _ => None,
        }
    }
}

/// argon2id with its parameters and salt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Argon2id {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
    pub(crate) salt: [u8; 16],
}

impl Argon2id {
    /// The second recommended choice of RFC 9106: 64 MiB, 3 passes, 4 lanes.
    pub(crate) fn random() -> Result<Self, RootKeyError> {
        let mut salt = [0; 16];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| RootKeyError::NoRandomBytes)?;
        Ok(Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
            salt,
        })
    }

    /// # Errors
    /// Parameters that argon2 does not have, or that would take this process's memory or hours of its time: they are
    /// read from a file before anything vouches for it.
    pub(crate) fn derive(&self, passphrase: &[u8]) -> Result<RootKey, RootKeyError> {
        if self.memory_kib > 1024 * 1024 || self.passes > 64 || self.lanes > 64 {
            return Err(RootKeyError::Argon2Parameters);
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_LEN))
            .map_err(|_| RootKeyError::Argon2Parameters)?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.salt, &mut *key)
            .map_err(|_| RootKeyError::Argon2Parameters)?;
        Ok(RootKey(key))
    }
}
