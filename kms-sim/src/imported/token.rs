//! Import tokens: for which key, until when, and with which private key, sealed for nobody but the key itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aes_kw::{KeyInit as _, KwpAes256};
use zeroize::Zeroizing;

use super::ImportedKey;
use crate::api::KmsError;
use crate::fixed_key::FixedKey;
use crate::key_material::{KeyMaterial, internal};
use crate::key_spec::{EncryptionAlgorithm, KeySpec};
use crate::usable_key::invalid_ciphertext;

/// `AlgorithmSpec`, as far as KMS still has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WrappingAlgorithm {
    /// The public key encrypts the material.
    Rsaes(EncryptionAlgorithm),
    /// The public key encrypts an AES key, which wraps the material (RFC 5649).
    RsaAesKeyWrap(EncryptionAlgorithm),
}

/// What GetParametersForImport gives, and ImportKeyMaterial comes back with.
pub(crate) struct ImportParameters {
    algorithm: WrappingAlgorithm,
    spec: KeySpec,
    valid_to: SystemTime,
    wrapping_key: Arc<FixedKey>,
}

impl ImportParameters {
    /// Parameters that are valid for 24 hours from now on.
    pub(crate) fn new(
        algorithm: WrappingAlgorithm,
        spec: KeySpec,
        wrapping_key: FixedKey,
        now: SystemTime,
    ) -> Self {
        Self {
            algorithm,
            spec,
            // To the second, so that it is told as it is.
            valid_to: seconds(now).map_or(now, from_seconds) + VALIDITY,
            wrapping_key: Arc::new(wrapping_key),
        }
    }

    /// `ParametersValidTo`
    pub(crate) const fn valid_to(&self) -> SystemTime {
        self.valid_to
    }

    /// `PublicKey`
    pub(crate) fn public_key(&self) -> &[u8] {
        self.wrapping_key.public_key().unwrap_or_default()
    }

    /// The material in what was wrapped with the public key; takes long.
    ///
    /// # Errors
    /// InvalidCiphertextException without a message.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let material = match self.algorithm {
            WrappingAlgorithm::Rsaes(algorithm) => self.wrapping_key.decrypt(algorithm, wrapped),
            WrappingAlgorithm::RsaAesKeyWrap(algorithm) => self.unwrap_twice(algorithm, wrapped),
        };
        material.ok_or_else(invalid_ciphertext)
    }

    fn unwrap_twice(
        &self,
        algorithm: EncryptionAlgorithm,
        wrapped: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let modulus_len = match self.spec {
            KeySpec::Rsa2048 => 256,
            KeySpec::Rsa3072 => 384,
            _ => 512,
        };
        let (aes_key, wrapped) = wrapped.split_at_checked(modulus_len)?;
        let aes_key = self.wrapping_key.decrypt(algorithm, aes_key)?;
        let aes_key = KwpAes256::new_from_slice(&aes_key).ok()?;
        let mut room = Zeroizing::new(vec![0; wrapped.len()]);
        let material = aes_key.unwrap_key(wrapped, &mut room).ok()?;
        Some(Zeroizing::new(material.to_vec()))
    }
}

impl ImportedKey {
    /// The token of parameters for the key of that ARN.
    ///
    /// # Errors
    /// KMSInternalException without random bytes.
    pub(crate) fn token(
        &self,
        arn: &str,
        parameters: &ImportParameters,
    ) -> Result<Vec<u8>, KmsError> {
        let valid_to = seconds(parameters.valid_to).ok_or_else(internal)?;
        let (algorithm, spec) = (code(parameters.algorithm), spec_code(parameters.spec));
        let mut text = Zeroizing::new(Vec::with_capacity(3 * 1024));
        text.extend_from_slice(&valid_to.to_be_bytes());
        text.extend_from_slice(&[algorithm, spec]);
        text.extend_from_slice(parameters.wrapping_key.secret_bytes());
        self.token_key.seal(&aad(arn), &text)
    }

    /// What reads tokens, without a lock.
    pub(crate) fn token_key(&self) -> Arc<KeyMaterial> {
        Arc::clone(&self.token_key)
    }
}

impl ImportParameters {
    /// The parameters of a token of the key of that ARN.
    ///
    /// # Errors
    /// InvalidImportTokenException, ExpiredImportTokenException.
    pub(crate) fn of_token(
        token_key: &KeyMaterial,
        arn: &str,
        token: &[u8],
        now: SystemTime,
    ) -> Result<Self, KmsError> {
        let parameters = Self::read(token_key, arn, token).ok_or_else(|| {
            KmsError::new(
                "InvalidImportTokenException",
                format!("The import token is not one of GetParametersForImport for {arn}."),
            )
        })?;
        if parameters.valid_to <= now {
            return Err(KmsError::new(
                "ExpiredImportTokenException",
                "The import token has expired; get a new one with GetParametersForImport.",
            ));
        }
        Ok(parameters)
    }

    fn read(token_key: &KeyMaterial, arn: &str, token: &[u8]) -> Option<Self> {
        let text = token_key.open(&aad(arn), token)?;
        let (valid_to, rest) = text.split_first_chunk()?;
        let ([algorithm, spec], secret) = rest.split_first_chunk()?;
        let spec = [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096]
            .into_iter()
            .find(|known| spec_code(*known) == *spec)?;
        Some(Self {
            algorithm: ALGORITHMS
                .into_iter()
                .find(|known| code(*known) == *algorithm)?,
            spec,
            valid_to: from_seconds(u64::from_be_bytes(*valid_to)),
            wrapping_key: Arc::new(FixedKey::from_secret_bytes(spec, secret)?),
        })
    }
}

fn aad(arn: &str) -> Vec<u8> {
    [b"kms-sim import token 1 ", arn.as_bytes()].concat()
}

fn seconds(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.ok().map(|since| since.as_secs())
}

fn from_seconds(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

const fn code(algorithm: WrappingAlgorithm) -> u8 {
    match algorithm {
        WrappingAlgorithm::Rsaes(EncryptionAlgorithm::RsaesOaepSha1) => 1,
        WrappingAlgorithm::Rsaes(_) => 2,
        WrappingAlgorithm::RsaAesKeyWrap(EncryptionAlgorithm::RsaesOaepSha1) => 3,
        WrappingAlgorithm::RsaAesKeyWrap(_) => 4,
    }
}

const fn spec_code(spec: KeySpec) -> u8 {
    match spec {
        KeySpec::Rsa2048 => 2,
        KeySpec::Rsa3072 => 3,
        _ => 4,
    }
}

const ALGORITHMS: [WrappingAlgorithm; 4] = [
    WrappingAlgorithm::Rsaes(EncryptionAlgorithm::RsaesOaepSha1),
    WrappingAlgorithm::Rsaes(EncryptionAlgorithm::RsaesOaepSha256),
    WrappingAlgorithm::RsaAesKeyWrap(EncryptionAlgorithm::RsaesOaepSha1),
    WrappingAlgorithm::RsaAesKeyWrap(EncryptionAlgorithm::RsaesOaepSha256),
];
const VALIDITY: Duration = Duration::from_hours(24);
