//! GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use zeroize::Zeroizing;

use super::key::KeyIdInput;
use crate::api::shapes::key_id;
use crate::api::{Bytes, Input, KmsError, Members, Timestamp};
use crate::fixed_key::FixedKey;
use crate::imported::{
    ImportParameters, ImportedKey, ImportedSecret, NewImport, WrappingAlgorithm,
};
use crate::key::{AdminState, Key};
use crate::key_material::{KeyMaterial, KeyMaterialId};
use crate::key_spec::{EncryptionAlgorithm, KeyKind, KeySpec};
use crate::key_state::{KeyState, wrong_origin};
use crate::operation::Operation;
use crate::rotation::days;
use crate::simulator::{Caller, Simulator};
use crate::waiting::on_a_thread;

/// Input of GetParametersForImport.
#[derive(Debug)]
pub(crate) struct GetParametersForImport {
    key_id: String,
    /// `None` for one that KMS no longer has.
    algorithm: Option<WrappingAlgorithm>,
    spec: KeySpec,
}

impl Input for GetParametersForImport {
    fn read(m: &mut Members<'_>) -> Self {
        let key_id = key_id(m, "KeyId");
        let algorithm = m
            .choice("WrappingAlgorithm", WRAPPING_ALGORITHMS)
            .optional();
        let algorithm = m.require("WrappingAlgorithm", algorithm);
        let spec = m.choice("WrappingKeySpec", WRAPPING_KEY_SPECS).optional();
        Self {
            key_id,
            algorithm: algorithm.flatten(),
            // A request without one goes no further than its violations.
            spec: m
                .require("WrappingKeySpec", spec)
                .unwrap_or(KeySpec::Rsa2048),
        }
    }
}

/// Output of GetParametersForImport.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetParametersForImportOutput {
    key_id: Arc<str>,
    import_token: Bytes,
    public_key: Bytes,
    parameters_valid_to: Timestamp,
}

/// GetParametersForImport: a new wrapping key each time.
pub(crate) async fn parameters(
    simulator: &Simulator,
    caller: &Caller,
    input: GetParametersForImport,
) -> Result<GetParametersForImportOutput, KmsError> {
    let operation = Operation::GetParametersForImport;
    let region = simulator.region(caller);
    let kind = region.lock().key(operation, caller, &input.key_id)?.kind();
    let (algorithm, spec) = (fitting(&input, kind)?, input.spec);
    let wrapping_key = on_a_thread(move || FixedKey::generate(spec)).await?;
    let parameters = ImportParameters::new(algorithm, spec, wrapping_key, region.now());
    let state = region.lock();
    let key = state.key(operation, caller, &input.key_id)?;
    let token = imported(key)?.token(key.arn(), &parameters)?;
    Ok(GetParametersForImportOutput {
        key_id: Arc::clone(key.arn()),
        import_token: Bytes(token),
        public_key: Bytes(parameters.public_key().to_vec()),
        parameters_valid_to: Timestamp(parameters.valid_to()),
    })
}

/// The wrapping algorithm, if what the key takes fits in it.
fn fitting(input: &GetParametersForImport, kind: KeyKind) -> Result<WrappingAlgorithm, KmsError> {
    if input.spec == KeySpec::Sm2 {
        return Err(KmsError::unsupported(
            "WrappingKeySpec SM2 is supported in China Regions only, which kms-sim does not simulate.",
        ));
    }
    let algorithm = input.algorithm.ok_or_else(|| {
        KmsError::unsupported(
            "KMS does not support the RSAES_PKCS1_V1_5 wrapping algorithm since October 10, 2023, and SM2PKE in China \
             Regions only.",
        )
    })?;
    let WrappingAlgorithm::Rsaes(_) = algorithm else {
        return Ok(algorithm);
    };
    match kind.spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Err(KmsError::unsupported(
            "RSA key material is imported with an RSA_AES_KEY_WRAP wrapping algorithm; it is too long for RSAES_OAEP.",
        )),
        KeySpec::EccNistP521 if input.spec == KeySpec::Rsa2048 => Err(KmsError::unsupported(
            "ECC_NIST_P521 key material is too long for RSAES_OAEP and WrappingKeySpec RSA_2048; use a longer wrapping \
             key, or an RSA_AES_KEY_WRAP wrapping algorithm.",
        )),
        _ => Ok(algorithm),
    }
}

/// Input of ImportKeyMaterial.
pub(crate) struct ImportKeyMaterial {
    key_id: String,
    token: Vec<u8>,
    wrapped: Vec<u8>,
    valid_to: Option<SystemTime>,
    expires: bool,
    is_new: Option<bool>,
    description: Option<String>,
    material_id: Option<String>,
}

impl Input for ImportKeyMaterial {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            token: m.blob("ImportToken").length(1, 6144).required().to_vec(),
            wrapped: m
                .blob("EncryptedKeyMaterial")
                .length(1, 6144)
                .required()
                .to_vec(),
            valid_to: m.timestamp("ValidTo"),
            expires: m
                .choice("ExpirationModel", EXPIRATION_MODELS)
                .optional()
                .unwrap_or(true),
            is_new: m.choice("ImportType", IMPORT_TYPES).optional(),
            description: m
                .text("KeyMaterialDescription")
                .length(0, 256)
                .pattern("^[a-zA-Z0-9:/_\\s.-]+$", |text| {
                    let allowed =
                        |b: u8| b.is_ascii_alphanumeric() || b":/_.- \t\n\x0b\x0c\r".contains(&b);
                    !text.is_empty() && text.bytes().all(allowed)
                })
                .optional(),
            material_id: material_id(m),
        }
    }
}

/// Output of ImportKeyMaterial and DeleteImportedKeyMaterial.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyMaterialOutput {
    key_id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

/// ImportKeyMaterial: a key whose materials are all there is enabled.
pub(crate) async fn import(
    simulator: &Simulator,
    caller: &Caller,
    input: ImportKeyMaterial,
) -> Result<KeyMaterialOutput, KmsError> {
    let operation = Operation::ImportKeyMaterial;
    let region = simulator.region(caller);
    let now = region.now();
    let (kind, id, arn, token_key) = {
        let state = region.lock();
        let key = state.key(operation, caller, &input.key_id)?;
        let token_key = imported(key)?.token_key();
        (
            key.kind(),
            Arc::clone(key.id()),
            Arc::clone(key.arn()),
            token_key,
        )
    };
    check_members(&input, kind, now)?;
    let (token, wrapped) = (input.token, input.wrapped);
    let secret = on_a_thread(move || {
        let parameters = ImportParameters::of_token(&token_key, &arn, &token, now)?;
        read_secret(kind, &id, &parameters.unwrap(&wrapped)?)
    });
    let secret = secret.await?;
    let mut state = region.lock();
    let was = {
        let key = state.key(operation, caller, &input.key_id)?;
        key.state(&state.stores)
    };
    let key = state.key_mut(operation, caller, &input.key_id)?;
    let material_id = secret.id(key.id());
    if input
        .material_id
        .is_some_and(|id| id != material_id.to_hex())
    {
        return Err(KmsError::new(
            "IncorrectKeyMaterialException",
            format!(
                "The key material has the ID {}, which is not the KeyMaterialId of the request.",
                material_id.to_hex()
            ),
        ));
    }
    imported(key)?.take(NewImport {
        id: material_id,
        secret,
        valid_to: input.valid_to,
        description: input.description,
        is_new: input.is_new,
        is_primary: !key.is_replica(),
    })?;
    if was == KeyState::PendingImport {
        key.admin_state = AdminState::Enabled;
    }
    let output = KeyMaterialOutput {
        key_id: Arc::clone(key.arn()),
        key_material_id: kind.is_symmetric().then(|| material_id.to_hex()),
    };
    let id = Arc::clone(key.id());
    state.keys.reschedule(&id);
    Ok(output)
}

/// Whether the members fit the key and each other.
fn check_members(
    input: &ImportKeyMaterial,
    kind: KeyKind,
    now: SystemTime,
) -> Result<(), KmsError> {
    let invalid = |message: &'static str| Err(KmsError::validation(message));
    match (input.expires, input.valid_to) {
        (true, None) => {
            return invalid(
                "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
            );
        }
        (false, Some(_)) => {
            return invalid(
                "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
            );
        }
        (true, Some(date)) if date <= now => return invalid("ValidTo must be in the future."),
        (true, Some(date)) if now + days(365) < date => {
            return invalid("ValidTo must be at most 365 days from now.");
        }
        (true, Some(_)) | (false, None) => {}
    }
    if input.is_new == Some(true) && input.material_id.is_some() {
        return invalid("KeyMaterialId is not valid with ImportType NEW_KEY_MATERIAL.");
    }
    let has_versions = kind.is_symmetric();
    let names_version =
        input.is_new.is_some() || input.description.is_some() || input.material_id.is_some();
    if names_version && !has_versions {
        return Err(KmsError::unsupported(
            "ImportType, KeyMaterialDescription and KeyMaterialId are valid for symmetric encryption KMS keys only.",
        ));
    }
    Ok(())
}

/// The secret of a key of that kind: 32 bytes, the bytes of an HMAC key, or PKCS #8 in DER.
fn read_secret(kind: KeyKind, key_id: &str, bytes: &[u8]) -> Result<ImportedSecret, KmsError> {
    let secret = match kind.is_symmetric() {
        true => bytes.try_into().ok().map(|bytes: [u8; 32]| {
            let material = KeyMaterial::imported(Zeroizing::new(bytes), key_id);
            ImportedSecret::Symmetric(Arc::new(material))
        }),
        false => FixedKey::from_secret_bytes(kind.spec, bytes)
            .map(|key| ImportedSecret::Fixed(Arc::new(key))),
    };
    secret.ok_or_else(|| {
        let expected = match kind.spec {
            KeySpec::SymmetricDefault => "32 bytes",
            KeySpec::Hmac224 => "28 bytes",
            KeySpec::Hmac256 => "32 bytes",
            KeySpec::Hmac384 => "48 bytes",
            KeySpec::Hmac512 => "64 bytes",
            _ => "a private key of that spec as DER-encoded PKCS #8",
        };
        KmsError::new(
            "IncorrectKeyMaterialException",
            format!(
                "The key material of a key with KeySpec {} is {expected}; what was decrypted is something else.",
                kind.spec.name()
            ),
        )
    })
}

/// Input of DeleteImportedKeyMaterial.
#[derive(Debug)]
pub(crate) struct DeleteImportedKeyMaterial {
    key_id: String,
    material_id: Option<String>,
}

impl Input for DeleteImportedKeyMaterial {
    fn read(m: &mut Members<'_>) -> Self {
        let KeyIdInput { key_id } = KeyIdInput::read(m);
        Self {
            key_id,
            material_id: material_id(m),
        }
    }
}

/// DeleteImportedKeyMaterial: of a key that has none, nothing.
pub(crate) async fn delete(
    simulator: &Simulator,
    caller: &Caller,
    input: DeleteImportedKeyMaterial,
) -> Result<KeyMaterialOutput, KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let operation = Operation::DeleteImportedKeyMaterial;
    let key = state.key_mut(operation, caller, &input.key_id)?;
    let id = input
        .material_id
        .as_deref()
        .and_then(KeyMaterialId::from_hex);
    let deleted = imported(key)?.delete(id, !key.is_replica())?;
    Ok(KeyMaterialOutput {
        key_id: Arc::clone(key.arn()),
        key_material_id: deleted
            .filter(|_| key.kind().is_symmetric())
            .map(KeyMaterialId::to_hex),
    })
}

/// The key-state table lets only keys through that have it.
fn imported(key: &Key) -> Result<&ImportedKey, KmsError> {
    key.imported().ok_or_else(|| wrong_origin(key))
}

/// `BackingKeyIdType`
fn material_id(members: &mut Members<'_>) -> Option<String> {
    members
        .text("KeyMaterialId")
        .length(64, 64)
        .pattern("^[a-f0-9]+$", |text| {
            !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9'))
        })
        .optional()
}

/// `AlgorithmSpec`
const WRAPPING_ALGORITHMS: &[(&str, Option<WrappingAlgorithm>)] = &[
    ("RSAES_PKCS1_V1_5", None),
    (
        "RSAES_OAEP_SHA_1",
        Some(WrappingAlgorithm::Rsaes(EncryptionAlgorithm::RsaesOaepSha1)),
    ),
    (
        "RSAES_OAEP_SHA_256",
        Some(WrappingAlgorithm::Rsaes(
            EncryptionAlgorithm::RsaesOaepSha256,
        )),
    ),
    (
        "RSA_AES_KEY_WRAP_SHA_1",
        Some(WrappingAlgorithm::RsaAesKeyWrap(
            EncryptionAlgorithm::RsaesOaepSha1,
        )),
    ),
    (
        "RSA_AES_KEY_WRAP_SHA_256",
        Some(WrappingAlgorithm::RsaAesKeyWrap(
            EncryptionAlgorithm::RsaesOaepSha256,
        )),
    ),
    // For keys of SM2, which are in China Regions.
    ("SM2PKE", None),
];

/// `WrappingKeySpec`
const WRAPPING_KEY_SPECS: &[(&str, KeySpec)] = &[
    ("RSA_2048", KeySpec::Rsa2048),
    ("RSA_3072", KeySpec::Rsa3072),
    ("RSA_4096", KeySpec::Rsa4096),
    ("SM2", KeySpec::Sm2),
];

/// `ExpirationModelType`: whether it expires.
const EXPIRATION_MODELS: &[(&str, bool)] = &[
    ("KEY_MATERIAL_EXPIRES", true),
    ("KEY_MATERIAL_DOES_NOT_EXPIRE", false),
];

/// `ImportType`: whether it is new.
const IMPORT_TYPES: &[(&str, bool)] =
    &[("NEW_KEY_MATERIAL", true), ("EXISTING_KEY_MATERIAL", false)];
