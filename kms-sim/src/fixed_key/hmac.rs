//! HMAC keys (RFC 2104): as many bytes as the hash gives.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::key_material::fill_random;
use crate::key_spec::{KeySpec, MacAlgorithm};

/// An HMAC key.
pub(super) struct HmacKey(Zeroizing<Vec<u8>>);

impl HmacKey {
    pub(super) fn generate(spec: KeySpec) -> Option<Self> {
        let mut bytes = Zeroizing::new(vec![0; len(spec)?]);
        fill_random(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The key itself, if it is as long as it must be.
    pub(super) fn from_bytes(spec: KeySpec, bytes: &[u8]) -> Option<Self> {
        (len(spec)? == bytes.len()).then(|| Self(Zeroizing::new(bytes.to_vec())))
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.clone()
    }

    pub(super) fn mac(&self, algorithm: MacAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        macro_rules! mac {
            ($hash:ty) => {{
                let mac = Hmac::<$hash>::new_from_slice(&self.0).ok()?;
                Some(mac.chain_update(message).finalize().into_bytes().to_vec())
            }};
        }
        match algorithm {
            MacAlgorithm::HmacSha224 => mac!(Sha224),
            MacAlgorithm::HmacSha256 => mac!(Sha256),
            MacAlgorithm::HmacSha384 => mac!(Sha384),
            MacAlgorithm::HmacSha512 => mac!(Sha512),
        }
    }

    /// Compares in constant time.
    pub(super) fn verify(&self, algorithm: MacAlgorithm, message: &[u8], mac: &[u8]) -> bool {
        macro_rules! verify {
            ($hash:ty) => {
                Hmac::<$hash>::new_from_slice(&self.0)
                    .is_ok_and(|hmac| hmac.chain_update(message).verify_slice(mac).is_ok())
            };
        }
        match algorithm {
            MacAlgorithm::HmacSha224 => verify!(Sha224),
            MacAlgorithm::HmacSha256 => verify!(Sha256),
            MacAlgorithm::HmacSha384 => verify!(Sha384),
            MacAlgorithm::HmacSha512 => verify!(Sha512),
        }
    }
}

const fn len(spec: KeySpec) -> Option<usize> {
    match spec {
        KeySpec::Hmac224 => Some(28),
        KeySpec::Hmac256 => Some(32),
        KeySpec::Hmac384 => Some(48),
        KeySpec::Hmac512 => Some(64),
        _ => None,
    }
}
