//! ML-DSA key pairs (FIPS 204): messages, or their 64-byte representatives μ.

use getrandom::SysRng;
use ml_dsa::pkcs8::der::AnyRef;
use ml_dsa::pkcs8::spki::AssociatedAlgorithmIdentifier;
use ml_dsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, SigningKey};
use zeroize::Zeroizing;

use crate::key_material::fill_random;
use crate::key_spec::KeySpec;

/// A key pair of one of the parameter sets; its crate wipes it on drop.
pub(super) trait MlDsaKey: Send + Sync {
    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>>;
    fn public_key(&self) -> Option<Vec<u8>>;
    /// Hedged, with an empty context.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
    fn sign_mu(&self, mu: &[u8; 64]) -> Option<Vec<u8>>;
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
    fn verify_mu(&self, mu: &[u8; 64], signature: &[u8]) -> bool;
}

/// A new pair.
pub(super) fn generate(spec: KeySpec) -> Option<Box<dyn MlDsaKey>> {
    let mut seed = Zeroizing::new([0; 32]);
    fill_random(&mut *seed).ok()?;
    let seed = (*seed).into();
    match spec {
        KeySpec::MlDsa44 => Some(Box::new(SigningKey::<MlDsa44>::from_seed(&seed))),
        KeySpec::MlDsa65 => Some(Box::new(SigningKey::<MlDsa65>::from_seed(&seed))),
        KeySpec::MlDsa87 => Some(Box::new(SigningKey::<MlDsa87>::from_seed(&seed))),
        _ => None,
    }
}

/// The pair of a PKCS #8 document with a seed, if it has those parameters.
pub(super) fn from_pkcs8(spec: KeySpec, der: &[u8]) -> Option<Box<dyn MlDsaKey>> {
    match spec {
        KeySpec::MlDsa44 => Some(Box::new(SigningKey::<MlDsa44>::from_pkcs8_der(der).ok()?)),
        KeySpec::MlDsa65 => Some(Box::new(SigningKey::<MlDsa65>::from_pkcs8_der(der).ok()?)),
        KeySpec::MlDsa87 => Some(Box::new(SigningKey::<MlDsa87>::from_pkcs8_der(der).ok()?)),
        _ => None,
    }
}

impl<P> MlDsaKey for SigningKey<P>
where
    P: MlDsaParams + AssociatedAlgorithmIdentifier<Params = AnyRef<'static>> + Send + Sync,
    Self: Send + Sync,
{
    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let der = self.to_pkcs8_der().ok()?;
        Some(Zeroizing::new(der.as_bytes().to_vec()))
    }

    fn public_key(&self) -> Option<Vec<u8>> {
        let der = self.expanded_key().verifying_key().to_public_key_der();
        Some(der.ok()?.into_vec())
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let key = self.expanded_key();
        let signature = key.sign_randomized(message, &[], &mut SysRng).ok()?;
        Some(signature.encode().to_vec())
    }

    fn sign_mu(&self, mu: &[u8; 64]) -> Option<Vec<u8>> {
        let key = self.expanded_key();
        let signature = key.sign_mu_randomized(&(*mu).into(), &mut SysRng).ok()?;
        Some(signature.encode().to_vec())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = self.expanded_key().verifying_key();
        Signature::<P>::try_from(signature)
            .is_ok_and(|signature| key.verify_with_context(message, &[], &signature))
    }

    fn verify_mu(&self, mu: &[u8; 64], signature: &[u8]) -> bool {
        let key = self.expanded_key().verifying_key();
        Signature::<P>::try_from(signature)
            .is_ok_and(|signature| key.verify_mu(&(*mu).into(), &signature))
    }
}
