//! RSA key pairs: PKCS #1 v1.5 and PSS signatures, OAEP.

use getrandom::SysRng;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{Oaep, Pkcs1v15Sign, PrivateKey, Pss};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::key_spec::{EncryptionAlgorithm, KeySpec, SigningAlgorithm};

/// An RSA key pair; its crate wipes it on drop.
pub(super) struct RsaKey(PrivateKey);

impl RsaKey {
    /// A new pair with the exponent 65537; takes long.
    pub(super) fn generate(bits: usize) -> Option<Self> {
        PrivateKey::new(&mut SysRng, bits).ok().map(Self)
    }

    /// The pair of a PKCS #8 document, if it is a sound one with that many bits.
    pub(super) fn from_pkcs8(bits: usize, der: &[u8]) -> Option<Self> {
        let key = PrivateKey::from_pkcs8_der(der).ok()?;
        key.validate().ok()?;
        (key.n().bit_width_vartime() == u32::try_from(bits).ok()?).then_some(Self(key))
    }

    pub(super) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let der = self.0.to_pkcs8_der().ok()?;
        Some(Zeroizing::new(der.as_bytes().to_vec()))
    }

    pub(super) fn public_key(&self) -> Option<Vec<u8>> {
        let der = self.0.as_public_key().to_public_key_der().ok()?;
        Some(der.into_vec())
    }

    /// Signs a digest.
    pub(super) fn sign(&self, algorithm: SigningAlgorithm, digest: &[u8]) -> Option<Vec<u8>> {
        let (key, rng) = (&self.0, &mut SysRng);
        use SigningAlgorithm as A;
        let signature = match algorithm {
            A::RsassaPssSha256 => key.sign_with_rng(rng, Pss::<Sha256>::new(), digest),
            A::RsassaPssSha384 => key.sign_with_rng(rng, Pss::<Sha384>::new(), digest),
            A::RsassaPssSha512 => key.sign_with_rng(rng, Pss::<Sha512>::new(), digest),
            _ => key.sign_with_rng(rng, pkcs1v15(algorithm)?, digest),
        };
        signature.ok()
    }

    /// Whether it is a signature of the digest; the salt of PSS is as long as the digest.
    pub(super) fn verify(
        &self,
        algorithm: SigningAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = self.0.as_public_key();
        use SigningAlgorithm as A;
        let verified = match algorithm {
            A::RsassaPssSha256 => key.verify(Pss::<Sha256>::new(), digest, signature),
            A::RsassaPssSha384 => key.verify(Pss::<Sha384>::new(), digest, signature),
            A::RsassaPssSha512 => key.verify(Pss::<Sha512>::new(), digest, signature),
            _ => match pkcs1v15(algorithm) {
                Some(padding) => key.verify(padding, digest, signature),
                None => return false,
            },
        };
        verified.is_ok()
    }

    pub(super) fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
    ) -> Option<Vec<u8>> {
        let (key, rng) = (self.0.as_public_key(), &mut SysRng);
        let ciphertext = match algorithm {
            EncryptionAlgorithm::RsaesOaepSha1 => key.encrypt(rng, Oaep::<Sha1>::new(), plaintext),
            EncryptionAlgorithm::RsaesOaepSha256 => {
                key.encrypt(rng, Oaep::<Sha256>::new(), plaintext)
            }
            EncryptionAlgorithm::SymmetricDefault | EncryptionAlgorithm::Sm2pke => return None,
        };
        ciphertext.ok()
    }

    /// Blinded, against measuring how long it takes.
    pub(super) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (key, rng) = (&self.0, &mut SysRng);
        let plaintext = match algorithm {
            EncryptionAlgorithm::RsaesOaepSha1 => {
                key.decrypt_blinded(rng, Oaep::<Sha1>::new(), ciphertext)
            }
            EncryptionAlgorithm::RsaesOaepSha256 => {
                key.decrypt_blinded(rng, Oaep::<Sha256>::new(), ciphertext)
            }
            EncryptionAlgorithm::SymmetricDefault | EncryptionAlgorithm::Sm2pke => return None,
        };
        plaintext.ok().map(Zeroizing::new)
    }
}

/// How long a modulus is.
pub(super) const fn bits(spec: KeySpec) -> Option<usize> {
    match spec {
        KeySpec::Rsa2048 => Some(2048),
        KeySpec::Rsa3072 => Some(3072),
        KeySpec::Rsa4096 => Some(4096),
        _ => None,
    }
}

/// The longest plaintext: the modulus without two hashes and two bytes (RFC 8017, 7.1.1).
pub(crate) fn longest_plaintext(spec: KeySpec, algorithm: EncryptionAlgorithm) -> Option<usize> {
    let hash = match algorithm {
        EncryptionAlgorithm::RsaesOaepSha1 => 20,
        EncryptionAlgorithm::RsaesOaepSha256 => 32,
        EncryptionAlgorithm::SymmetricDefault | EncryptionAlgorithm::Sm2pke => return None,
    };
    Some(bits(spec)? / 8 - 2 * hash - 2)
}

fn pkcs1v15(algorithm: SigningAlgorithm) -> Option<Pkcs1v15Sign> {
    match algorithm {
        SigningAlgorithm::RsassaPkcs1V15Sha256 => Some(Pkcs1v15Sign::new::<Sha256>()),
        SigningAlgorithm::RsassaPkcs1V15Sha384 => Some(Pkcs1v15Sign::new::<Sha384>()),
        SigningAlgorithm::RsassaPkcs1V15Sha512 => Some(Pkcs1v15Sign::new::<Sha512>()),
        _ => None,
    }
}
