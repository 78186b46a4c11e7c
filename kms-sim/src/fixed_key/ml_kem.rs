//! ML-KEM key pairs (FIPS 203).

use ml_kem::kem::Decapsulate as _;
use ml_kem::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ml_kem::{B32, DecapsulationKey512, DecapsulationKey768, DecapsulationKey1024, Seed};
use zeroize::Zeroizing;

use crate::key_material::fill_random;
use crate::key_spec::KeySpec;

/// A key pair of one of the parameter sets; its crate wipes it on drop.
pub(super) trait MlKemKey: Send + Sync {
    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>>;
    fn public_key(&self) -> Option<Vec<u8>>;
    /// A new shared secret, and its ciphertext.
    fn encapsulate(&self) -> Option<(Zeroizing<Vec<u8>>, Vec<u8>)>;
    /// The shared secret of a ciphertext, or, for one that is not genuine, another one (implicit rejection); `None` for
    /// a ciphertext of the wrong length.
    fn decapsulate(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
}

/// A new pair.
pub(super) fn generate(spec: KeySpec) -> Option<Box<dyn MlKemKey>> {
    let mut seed = Zeroizing::new([0; 64]);
    fill_random(&mut *seed).ok()?;
    let seed = Seed::from(*seed);
    match spec {
        KeySpec::MlKem512 => Some(Box::new(DecapsulationKey512::from_seed(seed))),
        KeySpec::MlKem768 => Some(Box::new(DecapsulationKey768::from_seed(seed))),
        KeySpec::MlKem1024 => Some(Box::new(DecapsulationKey1024::from_seed(seed))),
        _ => None,
    }
}

/// The pair of a PKCS #8 document with a seed, if it has those parameters.
pub(super) fn from_pkcs8(spec: KeySpec, der: &[u8]) -> Option<Box<dyn MlKemKey>> {
    match spec {
        KeySpec::MlKem512 => Some(Box::new(DecapsulationKey512::from_pkcs8_der(der).ok()?)),
        KeySpec::MlKem768 => Some(Box::new(DecapsulationKey768::from_pkcs8_der(der).ok()?)),
        KeySpec::MlKem1024 => Some(Box::new(DecapsulationKey1024::from_pkcs8_der(der).ok()?)),
        _ => None,
    }
}

macro_rules! ml_kem_key {
    ($key:ty) => {
        impl MlKemKey for $key {
            fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
                let der = self.to_pkcs8_der().ok()?;
                Some(Zeroizing::new(der.as_bytes().to_vec()))
            }

            fn public_key(&self) -> Option<Vec<u8>> {
                let der = self.encapsulation_key().to_public_key_der().ok()?;
                Some(der.into_vec())
            }

            fn encapsulate(&self) -> Option<(Zeroizing<Vec<u8>>, Vec<u8>)> {
                let mut randomness = Zeroizing::new(B32::default());
                fill_random(&mut **randomness).ok()?;
                let key = self.encapsulation_key();
                let (ciphertext, secret) = key.encapsulate_deterministic(&randomness);
                Some((Zeroizing::new(secret.to_vec()), ciphertext.to_vec()))
            }

            fn decapsulate(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
                let secret = self.decapsulate_slice(ciphertext).ok()?;
                Some(Zeroizing::new(secret.to_vec()))
            }
        }
    };
}

ml_kem_key!(DecapsulationKey512);
ml_kem_key!(DecapsulationKey768);
ml_kem_key!(DecapsulationKey1024);
