//! A key that its state allowed to be used: encryption for one operation, without any lock.
//!
//! The inner layer is KMS's own key material, or, for keys of CloudHSM key stores, that in the cluster, which is the
//! only one. Keys of external key stores have an outer layer: the external key, which
//! is given the sealed inner layer as its plaintext, so that neither alone opens a ciphertext. Key pairs make
//! ciphertexts of their own form, which name no key.

use std::sync::Arc;
use std::time::SystemTime;

use xks_api::error::ErrorName;
use xks_api::fields::{Aad, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::{CdivAlgorithm, DecryptRequest, EncryptRequest};
use xks_api::metadata::RequestMetadata;
use zeroize::Zeroizing;

use crate::access::Access;
use crate::api::KmsError;
use crate::arn::local_arn;
use crate::ciphertext_blob::{
    CiphertextBlob, Contents, Layers, encode_external, encode_kms, header,
};
use crate::cloudhsm::{HsmFailure, HsmLink};
use crate::encryption_context::EncryptionContext;
use crate::fixed_key::{FixedKey, longest_plaintext};
use crate::imported::ImportedSecret;
use crate::key::{Key, Origin};
use crate::key_material::{KeyMaterial, internal};
use crate::key_spec::{EncryptionAlgorithm, KeyKind};
use crate::key_usage::check_algorithm;
use crate::last_usage::LastUsage;
use crate::operation::Operation;
use crate::proxy_failure::ProxyFailure;
use crate::simulator::{Caller, RegionState};
use crate::waiting::on_a_thread;
use crate::xks_client::XksLink;

/// A key and the right to use it in one operation of one caller.
pub(crate) struct UsableKey {
    operation: Operation,
    arn: Arc<str>,
    kind: KeyKind,
    algorithm: EncryptionAlgorithm,
    last_usage: LastUsage,
    layers: UsableLayers,
}

/// What seals and opens.
enum UsableLayers {
    /// `None` if the ciphertext names a version that the key does not have.
    Kms(Option<Arc<KeyMaterial>>),
    KmsAndExternal {
        material: Arc<KeyMaterial>,
        external_key: ExternalKeyId,
        link: XksLink,
    },
    /// A key pair.
    Fixed(Arc<FixedKey>),
    /// The material is looked for when it is needed.
    CloudHsm { key_id: Arc<str>, link: HsmLink },
}

impl RegionState {
    /// The key that a `KeyId` member names, to encrypt with its current material.
    ///
    /// # Errors
    /// What finding it and its state give.
    pub(crate) fn key_to_encrypt(
        &self,
        operation: Operation,
        caller: &Caller,
        key_id: &str,
    ) -> Result<UsableKey, KmsError> {
        let key = self.key(Access::destination(operation), caller, key_id)?;
        let usable = self.usable(operation, key, |key| match key.origin() {
            Origin::AwsKms(material) => Some(material.current()),
            Origin::External(key) => symmetric(key.current()),
            Origin::ExternalKeyStore { material, .. } => Some(Arc::clone(material)),
            Origin::AwsKmsFixed(_) | Origin::AwsCloudHsm { .. } => None,
        });
        // Another Region may have made the version just now.
        caller.depends_on(key.changed());
        usable
    }

    /// The key pair that a `KeyId` member names, to decrypt with it what names no key.
    ///
    /// # Errors
    /// As [`key_to_encrypt`](Self::key_to_encrypt).
    pub(crate) fn key_pair_to_decrypt(
        &self,
        operation: Operation,
        caller: &Caller,
        key_id: &str,
    ) -> Result<UsableKey, KmsError> {
        caller.decrypts_with(self.find(operation, caller, key_id)?.arn());
        let key = self.key(Access::source(operation), caller, key_id)?;
        self.usable(operation, key, |_| None)
    }

    /// The key that a ciphertext names, to decrypt it.
    ///
    /// # Errors
    /// IncorrectKeyException if `key_id` names another one, AccessDeniedException if there is no such key, else what
    /// its state gives.
    pub(crate) fn key_to_decrypt(
        &self,
        operation: Operation,
        caller: &Caller,
        key_id: Option<&str>,
        blob: &CiphertextBlob<'_>,
    ) -> Result<UsableKey, KmsError> {
        // Each key of a multi-Region key decrypts what the others encrypted.
        let arn = local_arn(blob.key_arn, caller);
        if let Some(key_id) = key_id {
            let key = self.find(operation, caller, key_id)?;
            if **key.arn() != *arn {
                caller.subjects().key(key);
                return Err(KmsError::new(
                    "IncorrectKeyException",
                    INCORRECT_KEY_MESSAGE,
                ));
            }
        }
        let arn = self
            .find(operation, caller, &arn)
            .ok()
            .filter(|key| **key.arn() == *arn)
            .map(|key| Arc::clone(key.arn()))
            .ok_or_else(|| KmsError::new("AccessDeniedException", UNKNOWN_KEY_MESSAGE))?;
        caller.decrypts_with(&arn);
        // By the name in the request, which policies may ask about.
        let named = key_id.unwrap_or(&arn);
        let key = self.key(Access::source(operation), caller, named)?;
        self.usable(operation, key, |key| match key.origin() {
            Origin::AwsKms(material) => material.find(blob.material),
            Origin::External(key) => symmetric(key.find(blob.material)),
            Origin::ExternalKeyStore { material, .. } => Some(Arc::clone(material)),
            Origin::AwsKmsFixed(_) | Origin::AwsCloudHsm { .. } => None,
        })
    }

    fn usable(
        &self,
        operation: Operation,
        key: &Key,
        material: impl FnOnce(&Key) -> Option<Arc<KeyMaterial>>,
    ) -> Result<UsableKey, KmsError> {
        let not_connected = || ProxyFailure::NotConnected.crypto_error();
        let layers = match key.origin() {
            Origin::AwsKms(_) => UsableLayers::Kms(material(key)),
            Origin::AwsKmsFixed(fixed) => UsableLayers::Fixed(Arc::clone(fixed)),
            Origin::External(imported) => match imported.current() {
                Some(ImportedSecret::Fixed(fixed)) => UsableLayers::Fixed(fixed),
                Some(ImportedSecret::Symmetric(_)) | None => UsableLayers::Kms(material(key)),
            },
            Origin::ExternalKeyStore {
                store,
                external_key,
                ..
            } => UsableLayers::KmsAndExternal {
                material: material(key).ok_or_else(not_connected)?,
                external_key: external_key.clone(),
                link: self
                    .stores
                    .find(store.as_str())
                    .and_then(|store| store.link())
                    .ok_or_else(not_connected)?,
            },
            Origin::AwsCloudHsm { store } => UsableLayers::CloudHsm {
                key_id: Arc::clone(key.id()),
                link: self
                    .stores
                    .find(store.as_str())
                    .and_then(|store| store.hsm_link())
                    .ok_or_else(|| HsmFailure::LoggedOut.crypto_error(key.arn()))?,
            },
        };
        Ok(UsableKey {
            operation,
            arn: Arc::clone(key.arn()),
            kind: key.kind(),
            algorithm: EncryptionAlgorithm::SymmetricDefault,
            last_usage: key.last_usage.clone(),
            layers,
        })
    }
}

impl UsableKey {
    /// The key ARN.
    pub(crate) fn arn(&self) -> &str {
        &self.arn
    }

    /// `KeyMaterialId`; absent for keys of custom key stores.
    pub(crate) fn material_id(&self) -> Option<String> {
        match &self.layers {
            UsableLayers::Kms(material) => material.as_ref().map(|m| m.id().to_hex()),
            UsableLayers::KmsAndExternal { .. }
            | UsableLayers::Fixed(_)
            | UsableLayers::CloudHsm { .. } => None,
        }
    }

    /// The same key, to be used with an algorithm.
    ///
    /// # Errors
    /// InvalidKeyUsageException if it has not that algorithm.
    pub(crate) fn with_algorithm(self, algorithm: EncryptionAlgorithm) -> Result<Self, KmsError> {
        let algorithms = self.kind.encryption_algorithms();
        check_algorithm(self.kind, algorithms, algorithm, algorithm.name())?;
        Ok(Self { algorithm, ..self })
    }

    /// Takes note of that the operation succeeded.
    pub(crate) fn used(&self, caller: &Caller, now: SystemTime) {
        self.last_usage.note(self.operation, caller, now);
    }

    /// The plaintext of a ciphertext that was made with the public key of a pair.
    ///
    /// # Errors
    /// InvalidCiphertextException without a message, ValidationException for a context.
    pub(crate) async fn decrypt_by_pair(
        &self,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        no_context(context)?;
        let UsableLayers::Fixed(key) = &self.layers else {
            return Err(invalid_ciphertext());
        };
        let (key, algorithm) = (Arc::clone(key), self.algorithm);
        let ciphertext = ciphertext.to_vec();
        let decrypt = move || key.decrypt(algorithm, &ciphertext);
        on_a_thread(move || decrypt().ok_or_else(invalid_ciphertext)).await
    }

    /// The ciphertext of a plaintext by a key pair.
    async fn encrypt_by_pair(
        &self,
        key: &Arc<FixedKey>,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, KmsError> {
        no_context(context)?;
        let (key, algorithm) = (Arc::clone(key), self.algorithm);
        let longest = longest_plaintext(self.kind.spec, algorithm);
        if let Some(most) = longest.filter(|most| plaintext.len() > *most) {
            return Err(KmsError::validation(format!(
                "Algorithm {} and key spec {} cannot encrypt data larger than {most} bytes.",
                algorithm.name(),
                self.kind.spec.name()
            )));
        }
        let plaintext = Zeroizing::new(plaintext.to_vec());
        on_a_thread(move || key.encrypt(algorithm, &plaintext).ok_or_else(internal)).await
    }

    /// The CiphertextBlob of a plaintext.
    ///
    /// # Errors
    /// KMSInvalidStateException for every failure of the proxy or the cluster; ValidationException for a plaintext that is
    /// too long for a key pair, or a context with one.
    pub(crate) async fn encrypt(
        &self,
        caller: &Caller,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, KmsError> {
        match &self.layers {
            UsableLayers::Kms(material) => {
                let material = material.as_ref().ok_or_else(invalid_ciphertext)?;
                let header = header(Layers::Kms, material.id(), &self.arn);
                let sealed = material.seal(&context.aad(&header), plaintext)?;
                Ok(encode_kms(header, &sealed))
            }
            UsableLayers::KmsAndExternal {
                material,
                external_key,
                link,
            } => {
                let header = header(Layers::KmsAndExternal, material.id(), &self.arn);
                let sealed = material.seal(&context.aad(&header), plaintext)?;
                let request = EncryptRequest {
                    metadata: self.request_metadata(caller),
                    plaintext: Plaintext::from(&*sealed),
                    aad: proxy_aad(context, &header),
                    cdiv: Some(CdivAlgorithm::Sha256),
                };
                let sealed = link
                    .encrypt(external_key, &request)
                    .await
                    .map_err(|failure| failure.crypto_error())?;
                Ok(encode_external(header, &sealed))
            }
            UsableLayers::Fixed(key) => self.encrypt_by_pair(key, plaintext, context).await,
            UsableLayers::CloudHsm { key_id, link } => {
                let material = self.in_cluster(link, key_id)?;
                let header = header(Layers::Kms, material.id(), &self.arn);
                let sealed = material.seal(&context.aad(&header), plaintext)?;
                Ok(encode_kms(header, &sealed))
            }
        }
    }

    /// The plaintext of a CiphertextBlob.
    ///
    /// # Errors
    /// InvalidCiphertextException without a message, or, where an external key is involved, KMSInvalidStateException
    /// for every failure; the latter also if the cluster does not serve.
    pub(crate) async fn decrypt(
        &self,
        caller: &Caller,
        blob: CiphertextBlob<'_>,
        context: &EncryptionContext,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        match &self.layers {
            UsableLayers::Kms(material) => match (material, blob.contents) {
                (Some(material), Contents::Kms(sealed)) => material
                    .open(&context.aad(blob.header), sealed)
                    .ok_or_else(invalid_ciphertext),
                _ => Err(invalid_ciphertext()),
            },
            UsableLayers::KmsAndExternal {
                material,
                external_key,
                link,
            } => {
                let Contents::External(sealed) = blob.contents else {
                    // As the proxy would say of it.
                    let failure = ProxyFailure::Answered(ErrorName::InvalidCiphertext);
                    return Err(failure.crypto_error());
                };
                let request = DecryptRequest {
                    metadata: self.request_metadata(caller),
                    aad: proxy_aad(context, blob.header),
                    sealed,
                };
                let inner = link
                    .decrypt(external_key, &request)
                    .await
                    .map_err(|failure| failure.crypto_error())?;
                material
                    .open(&context.aad(blob.header), inner.expose())
                    .ok_or_else(|| ProxyFailure::InnerCiphertext.crypto_error())
            }
            UsableLayers::Fixed(_) => Err(invalid_ciphertext()),
            UsableLayers::CloudHsm { key_id, link } => {
                let material = self.in_cluster(link, key_id)?;
                match blob.contents {
                    Contents::Kms(sealed) => material
                        .open(&context.aad(blob.header), sealed)
                        .ok_or_else(invalid_ciphertext),
                    Contents::External(_) | Contents::Malformed => Err(invalid_ciphertext()),
                }
            }
        }
    }

    /// The material of a key in a CloudHSM cluster, as long as its HSMs serve.
    fn in_cluster(&self, link: &HsmLink, key_id: &str) -> Result<Arc<KeyMaterial>, KmsError> {
        link.key(key_id)
            .map_err(|failure| failure.crypto_error(&self.arn))
    }

    fn request_metadata<'a>(&'a self, caller: &'a Caller) -> RequestMetadata<'a> {
        RequestMetadata {
            aws_principal_arn: (&*caller.principal_arn).into(),
            aws_source_vpc: caller.origin.vpc.as_deref().map(Into::into),
            aws_source_vpce: caller.origin.vpc_endpoint.as_deref().map(Into::into),
            kms_key_arn: Some((&*self.arn).into()),
            kms_operation: self.operation.name().into(),
            kms_request_id: (&*caller.request_id).into(),
            kms_via_service: caller.origin.via_service.as_deref().map(Into::into),
        }
    }
}

/// The secret of a symmetric encryption key.
fn symmetric(secret: Option<ImportedSecret>) -> Option<Arc<KeyMaterial>> {
    match secret? {
        ImportedSecret::Symmetric(material) => Some(material),
        ImportedSecret::Fixed(_) => None,
    }
}

/// What KMS answers for a ciphertext that is not genuine.
pub(crate) const fn invalid_ciphertext() -> KmsError {
    KmsError::without_message("InvalidCiphertextException")
}

/// A key pair's ciphertext is bound to nothing else.
fn no_context(context: &EncryptionContext) -> Result<(), KmsError> {
    if context.is_empty() {
        return Ok(());
    }
    Err(KmsError::validation(
        "EncryptionContext is valid only with symmetric encryption KMS keys; omit it for an asymmetric KMS key.",
    ))
}

fn proxy_aad(context: &EncryptionContext, header: &[u8]) -> Aad {
    Aad::try_from(context.proxy_aad(header)).expect("at most 8,192 bytes")
}

const INCORRECT_KEY_MESSAGE: &str =
    "The key ID in the request does not identify a CMK that can perform this operation.";
const UNKNOWN_KEY_MESSAGE: &str = "The ciphertext refers to a customer master key that does not exist, does not exist \
     in this region, or you are not allowed to access.";
