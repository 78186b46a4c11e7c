//! Ed25519 key pairs: Ed25519 and Ed25519ph (RFC 8032).

use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use crate::key_material::fill_random;

/// An Ed25519 key pair; its crate wipes it on drop.
pub(super) struct Ed25519Key(SigningKey);

/// What is signed.
#[derive(Clone, Copy)]
pub(super) enum Variant {
    /// The message itself.
    Pure,
    /// SHA-512 of the message.
    PreHashed,
}

impl Ed25519Key {
    pub(super) fn generate() -> Option<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        fill_random(&mut *seed).ok()?;
        Some(Self(SigningKey::from_bytes(&seed)))
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        SigningKey::from_pkcs8_der(der).ok().map(Self)
    }

    pub(super) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        // Without the public key: what has it too is not read by everyone.
        let bytes = KeypairBytes {
            secret_key: *self.0.as_bytes(),
            public_key: None,
        };
        let der = bytes.to_pkcs8_der().ok()?;
        Some(Zeroizing::new(der.as_bytes().to_vec()))
    }

    pub(super) fn public_key(&self) -> Option<Vec<u8>> {
        let der = self.0.verifying_key().to_public_key_der().ok()?;
        Some(der.into_vec())
    }

    pub(super) fn sign(&self, variant: Variant, message: &[u8]) -> Option<Vec<u8>> {
        let signature = match variant {
            Variant::Pure => self.0.try_sign(message),
            Variant::PreHashed => {
                let hash = Sha512::new().chain_update(message);
                self.0.sign_prehashed(hash, None)
            }
        };
        Some(signature.ok()?.to_bytes().to_vec())
    }

    pub(super) fn verify(&self, variant: Variant, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        let verified = match variant {
            Variant::Pure => self.0.verify(message, &signature),
            Variant::PreHashed => {
                let hash = Sha512::new().chain_update(message);
                self.0.verify_prehashed(hash, None, &signature)
            }
        };
        verified.is_ok()
    }
}
