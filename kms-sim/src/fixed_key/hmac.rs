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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// Project Wycheproof's vectors for keys as long as KMS's. Of a MAC that was cut short, VerifyMac takes none.
    #[test]
    fn wycheproof_hmac() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/vectors/wycheproof_hmac.json"
        );
        let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let (mut whole, mut short, mut wrong) = (0, 0, 0);
        for vector in vectors["vectors"].as_array().unwrap() {
            let (spec, algorithm) = match vector[0].as_str().unwrap() {
                "HMACSHA224" => (KeySpec::Hmac224, MacAlgorithm::HmacSha224),
                "HMACSHA256" => (KeySpec::Hmac256, MacAlgorithm::HmacSha256),
                "HMACSHA384" => (KeySpec::Hmac384, MacAlgorithm::HmacSha384),
                "HMACSHA512" => (KeySpec::Hmac512, MacAlgorithm::HmacSha512),
                other => panic!("{other}"),
            };
            let [key, message, tag] = [2, 3, 4].map(|at| bytes(&vector[at]));
            // Keys of other lengths are for other implementations.
            let Some(key) = HmacKey::from_bytes(spec, &key) else {
                continue;
            };
            let mac = key.mac(algorithm, &message).unwrap();
            let valid = vector[5] == "valid";
            let is_whole = tag.len() == mac.len();
            assert_eq!(mac.starts_with(&tag), valid, "{vector}");
            let taken = key.verify(algorithm, &message, &tag);
            assert_eq!(taken, valid && is_whole, "{vector}");
            match (valid, is_whole) {
                (false, _) => wrong += 1,
                (true, true) => whole += 1,
                (true, false) => short += 1,
            }
        }
        assert_eq!((whole, short, wrong), (108, 108, 430));
    }
}
