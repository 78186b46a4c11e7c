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

#[cfg(test)]
mod tests {
    use super::*;

    fn argon2id(memory_kib: u32, passes: u32, lanes: u32) -> Argon2id {
        Argon2id {
            memory_kib,
            passes,
            lanes,
            salt: std::array::from_fn(|at| u8::try_from(at).unwrap()),
        }
    }

    /// Made with the `cryptography` library: `Argon2id(salt=bytes(range(16)), length=32, iterations=3, lanes=4,
    /// memory_cost=256).derive(b"correct horse battery")`.
    #[test]
    fn a_passphrase_gives_the_key_that_another_implementation_derives() {
        let key = argon2id(256, 3, 4)
            .derive(b"correct horse battery")
            .unwrap();
        let hex: String = key.expose().iter().map(|b| format!("{b:02x}")).collect();
        let expected = "49350b61a17b8c6c98123a86ebced9f2560361e8fdb3daf3607dccff16ac5ba5";
        assert_eq!(hex, expected);
    }

    /// RFC 9106, section 4: "the SECOND RECOMMENDED option".
    #[test]
    fn new_parameters_are_those_that_rfc_9106_recommends() {
        let [a, b] = [(); 2].map(|()| Argon2id::random().unwrap());
        assert_eq!((a.memory_kib, a.passes, a.lanes), (1 << 16, 3, 4));
        assert_ne!(a.salt, b.salt);
    }

    #[test]
    fn parameters_that_would_take_memory_or_hours_are_refused() {
        for (memory_kib, passes, lanes, taken) in [
            (512, 64, 4, true),
            (512, 65, 4, false),
            (512, 1, 64, true),
            (520, 1, 65, false),
            (1024 * 1024 + 8, 1, 1, false),
            (7, 1, 1, false),
            (8, 0, 1, false),
            (8, 1, 0, false),
        ] {
            let derived = argon2id(memory_kib, passes, lanes).derive(b"correct horse battery");
            assert_eq!(derived.is_ok(), taken, "{memory_kib} {passes} {lanes}");
        }
    }

    #[test]
    fn a_derivation_is_read_as_it_was_written() {
        for derivation in [Derivation::Raw, Derivation::Argon2id(argon2id(1, 2, 3))] {
            let mut bytes = Vec::new();
            derivation.encode(&mut bytes);
            assert_eq!(Derivation::decode(&bytes), Some(derivation));
            bytes.push(0);
            assert_eq!(Derivation::decode(&bytes), None);
        }
        let expected = [
            &[2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..],
            &argon2id(1, 2, 3).salt,
        ];
        let mut bytes = Vec::new();
        Derivation::Argon2id(argon2id(1, 2, 3)).encode(&mut bytes);
        assert_eq!(bytes, expected.concat());
        for bytes in [&[][..], &[0], &[3], &[2], &[2, 0, 0, 0, 1]] {
            assert_eq!(Derivation::decode(bytes), None, "{bytes:?}");
        }
    }
}
