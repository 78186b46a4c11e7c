//! Key pairs on the Weierstrass curves: ECDSA in DER, and ECDH.

use getrandom::SysRng;
use zeroize::Zeroizing;

use crate::key_spec::KeySpec;

/// A key pair on one of the curves; its crate wipes it on drop.
pub(super) trait EcKey: Send + Sync {
    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>>;
    fn public_key(&self) -> Option<Vec<u8>>;
    /// ECDSA over a digest, as `Ecdsa-Sig-Value`.
    fn sign(&self, digest: &[u8]) -> Option<Vec<u8>>;
    fn verify(&self, digest: &[u8], signature: &[u8]) -> bool;
    /// The x coordinate that is shared with whoever has the other half of a SubjectPublicKeyInfo.
    fn agree(&self, peer: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
}

/// A new pair.
pub(super) fn generate(spec: KeySpec) -> Option<Box<dyn EcKey>> {
    match spec {
        KeySpec::EccNistP256 => p256_key::generate(),
        KeySpec::EccNistP384 => p384_key::generate(),
        KeySpec::EccNistP521 => p521_key::generate(),
        KeySpec::EccSecgP256k1 => k256_key::generate(),
        _ => None,
    }
}

/// The pair of a PKCS #8 document, if it is on that curve.
pub(super) fn from_pkcs8(spec: KeySpec, der: &[u8]) -> Option<Box<dyn EcKey>> {
    match spec {
        KeySpec::EccNistP256 => p256_key::from_pkcs8(der),
        KeySpec::EccNistP384 => p384_key::from_pkcs8(der),
        KeySpec::EccNistP521 => p521_key::from_pkcs8(der),
        KeySpec::EccSecgP256k1 => k256_key::from_pkcs8(der),
        _ => None,
    }
}

macro_rules! curve {
    ($module:ident, $curve:ident) => {
        mod $module {
            use $curve::ecdsa::signature::hazmat::{
                PrehashVerifier as _, RandomizedPrehashSigner as _,
            };
            use $curve::ecdsa::{Signature, SigningKey, VerifyingKey};
            use $curve::elliptic_curve::Generate as _;
            use $curve::pkcs8::{
                DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _,
                EncodePublicKey as _,
            };
            use $curve::{PublicKey, SecretKey};

            use super::{EcKey, SysRng, Zeroizing};

            struct Pair(SecretKey);

            pub(super) fn generate() -> Option<Box<dyn EcKey>> {
                let secret = SecretKey::try_generate_from_rng(&mut SysRng).ok()?;
                Some(Box::new(Pair(secret)))
            }

            pub(super) fn from_pkcs8(der: &[u8]) -> Option<Box<dyn EcKey>> {
                let secret = SecretKey::from_pkcs8_der(der).ok()?;
                Some(Box::new(Pair(secret)))
            }

            impl EcKey for Pair {
                fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
                    let der = self.0.to_pkcs8_der().ok()?;
                    Some(Zeroizing::new(der.as_bytes().to_vec()))
                }

                fn public_key(&self) -> Option<Vec<u8>> {
                    let der = self.0.public_key().to_public_key_der().ok()?;
                    Some(der.into_vec())
                }

                fn sign(&self, digest: &[u8]) -> Option<Vec<u8>> {
                    let key = SigningKey::from(&self.0);
                    let signature: Signature =
                        key.sign_prehash_with_rng(&mut SysRng, digest).ok()?;
                    Some(signature.to_der().as_bytes().to_vec())
                }

                fn verify(&self, digest: &[u8], signature: &[u8]) -> bool {
                    let Ok(signature) = Signature::from_der(signature) else {
                        return false;
                    };
                    // The crate of secp256k1 takes one of the two equivalent values of s alone; ECDSA takes both.
                    let signature = signature.normalize_s();
                    VerifyingKey::from(self.0.public_key())
                        .verify_prehash(digest, &signature)
                        .is_ok()
                }

                fn agree(&self, peer: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
                    let peer = PublicKey::from_public_key_der(peer).ok()?;
                    let shared = self.0.diffie_hellman(&peer);
                    Some(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
                }
            }
        }
    };
}

curve!(p256_key, p256);
curve!(p384_key, p384);
curve!(p521_key, p521);
curve!(k256_key, k256);
