//! Key material of all keys but symmetric encryption keys: HMAC keys and key pairs, which never change.
//!
//! The secret leaves this folder for the state image and for whoever asked for a data key pair alone. What is computed
//! with it may take long: call it on a thread that may wait (`waiting.rs`).

mod ec;
mod ed25519;
mod hmac;
mod ml_dsa;
mod ml_kem;
mod rsa;

use std::fmt;

use ring::digest;
use zeroize::Zeroizing;

use crate::api::KmsError;
use crate::key_material::internal;
use crate::key_spec::{EncryptionAlgorithm, KeySpec, MacAlgorithm, SigningAlgorithm};
use ec::EcKey;
use ed25519::{Ed25519Key, Variant};
use hmac::HmacKey;
use ml_dsa::MlDsaKey;
use ml_kem::MlKemKey;
use rsa::RsaKey;

pub(crate) use rsa::longest_plaintext;

/// An HMAC key or a key pair.
pub(crate) struct FixedKey {
    spec: KeySpec,
    secret: Secret,
    secret_bytes: Zeroizing<Vec<u8>>,
    public_key: Option<Vec<u8>>,
}

enum Secret {
    Hmac(HmacKey),
    Rsa(RsaKey),
    Ec(Box<dyn EcKey>),
    Ed25519(Ed25519Key),
    MlDsa(Box<dyn MlDsaKey>),
    MlKem(Box<dyn MlKemKey>),
}

/// What Sign and Verify are given: `Message` and `MessageType`, which fit the algorithm.
#[derive(Clone, Copy)]
pub(crate) enum Message<'m> {
    Raw(&'m [u8]),
    Digest(&'m [u8]),
    ExternalMu(&'m [u8; 64]),
}

impl FixedKey {
    /// A new key; takes long for RSA.
    ///
    /// # Errors
    /// KMSInternalException without random bytes.
    pub(crate) fn generate(spec: KeySpec) -> Result<Self, KmsError> {
        let secret = match spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
                rsa::bits(spec).and_then(RsaKey::generate).map(Secret::Rsa)
            }
            KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccSecgP256k1 => ec::generate(spec).map(Secret::Ec),
            KeySpec::EccNistEdwards25519 => Ed25519Key::generate().map(Secret::Ed25519),
            KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => {
                HmacKey::generate(spec).map(Secret::Hmac)
            }
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => {
                ml_dsa::generate(spec).map(Secret::MlDsa)
            }
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => {
                ml_kem::generate(spec).map(Secret::MlKem)
            }
            KeySpec::SymmetricDefault | KeySpec::Sm2 => None,
        };
        secret
            .and_then(|secret| Self::new(spec, secret))
            .ok_or_else(internal)
    }

    /// A key that was made before: the bytes of an HMAC key, or PKCS #8 in DER; `None` for anything else.
    pub(crate) fn from_secret_bytes(spec: KeySpec, bytes: &[u8]) -> Option<Self> {
        let secret = match spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
                Secret::Rsa(RsaKey::from_pkcs8(rsa::bits(spec)?, bytes)?)
            }
            KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccSecgP256k1 => Secret::Ec(ec::from_pkcs8(spec, bytes)?),
            KeySpec::EccNistEdwards25519 => Secret::Ed25519(Ed25519Key::from_pkcs8(bytes)?),
            KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => {
                Secret::Hmac(HmacKey::from_bytes(spec, bytes)?)
            }
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => {
                Secret::MlDsa(ml_dsa::from_pkcs8(spec, bytes)?)
            }
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => {
                Secret::MlKem(ml_kem::from_pkcs8(spec, bytes)?)
            }
            KeySpec::SymmetricDefault | KeySpec::Sm2 => return None,
        };
        Self::new(spec, secret)
    }

    fn new(spec: KeySpec, secret: Secret) -> Option<Self> {
        let (secret_bytes, public_key) = match &secret {
            Secret::Hmac(key) => (key.to_bytes(), None),
            Secret::Rsa(key) => (key.to_pkcs8()?, Some(key.public_key()?)),
            Secret::Ec(key) => (key.to_pkcs8()?, Some(key.public_key()?)),
            Secret::Ed25519(key) => (key.to_pkcs8()?, Some(key.public_key()?)),
            Secret::MlDsa(key) => (key.to_pkcs8()?, Some(key.public_key()?)),
            Secret::MlKem(key) => (key.to_pkcs8()?, Some(key.public_key()?)),
        };
        Some(Self {
            spec,
            secret,
            secret_bytes,
            public_key,
        })
    }

    /// What [`from_secret_bytes`](Self::from_secret_bytes) takes; the same bytes for the same key, whatever it was read
    /// from.
    pub(crate) fn secret_bytes(&self) -> &[u8] {
        &self.secret_bytes
    }

    /// SubjectPublicKeyInfo in DER; `None` for HMAC keys.
    pub(crate) fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    /// The signature of a message; `None` if the key has not that algorithm.
    pub(crate) fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message: Message<'_>,
    ) -> Option<Vec<u8>> {
        match &self.secret {
            Secret::Rsa(key) => key.sign(algorithm, &digest_of(algorithm, message)?),
            Secret::Ec(key) => key.sign(&digest_of(algorithm, message)?),
            Secret::Ed25519(key) => {
                let (variant, message) = ed25519_variant(algorithm, message)?;
                key.sign(variant, message)
            }
            Secret::MlDsa(key) => match message {
                Message::Raw(message) => key.sign(message),
                Message::ExternalMu(mu) => key.sign_mu(mu),
                Message::Digest(_) => None,
            },
            Secret::Hmac(_) | Secret::MlKem(_) => None,
        }
    }

    /// Whether it is a signature of the message.
    pub(crate) fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message: Message<'_>,
        signature: &[u8],
    ) -> bool {
        match &self.secret {
            Secret::Rsa(key) => digest_of(algorithm, message)
                .is_some_and(|digest| key.verify(algorithm, &digest, signature)),
            Secret::Ec(key) => {
                digest_of(algorithm, message).is_some_and(|digest| key.verify(&digest, signature))
            }
            Secret::Ed25519(key) => ed25519_variant(algorithm, message)
                .is_some_and(|(variant, message)| key.verify(variant, message, signature)),
            Secret::MlDsa(key) => match message {
                Message::Raw(message) => key.verify(message, signature),
                Message::ExternalMu(mu) => key.verify_mu(mu, signature),
                Message::Digest(_) => false,
            },
            Secret::Hmac(_) | Secret::MlKem(_) => false,
        }
    }

    /// The ciphertext of a plaintext that is short enough; `None` if the key has not that algorithm.
    pub(crate) fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
    ) -> Option<Vec<u8>> {
        match &self.secret {
            Secret::Rsa(key) => key.encrypt(algorithm, plaintext),
            _ => None,
        }
    }

    /// The plaintext; `None` if the ciphertext is not genuine.
    pub(crate) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        match &self.secret {
            Secret::Rsa(key) => key.decrypt(algorithm, ciphertext),
            _ => None,
        }
    }

    /// The MAC of a message; `None` if the key is no HMAC key.
    pub(crate) fn mac(&self, algorithm: MacAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        match &self.secret {
            Secret::Hmac(key) => key.mac(algorithm, message),
            _ => None,
        }
    }

    /// Whether it is the MAC of the message, in constant time.
    pub(crate) fn verify_mac(&self, algorithm: MacAlgorithm, message: &[u8], mac: &[u8]) -> bool {
        match &self.secret {
            Secret::Hmac(key) => key.verify(algorithm, message, mac),
            _ => false,
        }
    }

    /// The secret that ECDH gives with a public key (SubjectPublicKeyInfo); `None` if that is not on the same curve.
    pub(crate) fn agree(&self, peer: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match &self.secret {
            Secret::Ec(key) => key.agree(peer),
            _ => None,
        }
    }

    /// A new shared secret and its ciphertext; `None` if the key has no encapsulation.
    pub(crate) fn encapsulate(&self) -> Option<(Zeroizing<Vec<u8>>, Vec<u8>)> {
        match &self.secret {
            Secret::MlKem(key) => key.encapsulate(),
            _ => None,
        }
    }

    /// The shared secret of a ciphertext; `None` for one of another length than the key's.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match &self.secret {
            Secret::MlKem(key) => key.decapsulate(ciphertext),
            _ => None,
        }
    }
}

impl fmt::Debug for FixedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [redacted]", self.spec.name())
    }
}

/// What RSA and ECDSA sign.
fn digest_of(algorithm: SigningAlgorithm, message: Message<'_>) -> Option<Vec<u8>> {
    let hash = match algorithm.digest_len() {
        32 => &digest::SHA256,
        48 => &digest::SHA384,
        _ => &digest::SHA512,
    };
    match message {
        Message::Raw(message) => Some(digest::digest(hash, message).as_ref().to_vec()),
        Message::Digest(digest) => Some(digest.to_vec()),
        Message::ExternalMu(_) => None,
    }
}

/// Ed25519ph hashes what it is given, which for KMS is a digest already.
const fn ed25519_variant<'m>(
    algorithm: SigningAlgorithm,
    message: Message<'m>,
) -> Option<(Variant, &'m [u8])> {
    match (algorithm, message) {
        (SigningAlgorithm::Ed25519Sha512, Message::Raw(message)) => Some((Variant::Pure, message)),
        (SigningAlgorithm::Ed25519PhSha512, Message::Digest(digest)) => {
            Some((Variant::PreHashed, digest))
        }
        _ => None,
    }
}
