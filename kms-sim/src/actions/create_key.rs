//! CreateKey: in KMS, in an external key store for an external key that its proxy describes, or in a CloudHSM cluster.

use std::sync::Arc;

use uuid::Uuid;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{
    GetKeyMetadataRequest, GetKeyMetadataResponse, KeySpec as ExternalKeySpec, KeyStatus,
    KeyUsage as ExternalKeyUsage,
};
use xks_api::metadata::RequestMetadata;

use super::key::{KeyMetadata, KeyMetadataOutput};
use crate::access::KeyPolicy;
use crate::api::shapes::{merge_tags, policy, tags};
use crate::api::{Input, KmsError, Members};
use crate::arn::{MULTI_REGION, key_arn};
use crate::custom_key_store::{ConnectionState, CustomKeyStore, CustomKeyStoreType};
use crate::fixed_key::FixedKey;
use crate::imported::ImportedKey;
use crate::key::{Key, Origin};
use crate::key_material::KeyMaterial;
use crate::key_spec::{KeyKind, KeySpec, KeyUsage};
use crate::multi_region::MultiRegion;
use crate::operation::Operation;
use crate::rotation::RotatingMaterial;
use crate::simulator::{Caller, RegionState, Simulator};
use crate::waiting::on_a_thread;
use crate::xks_client::XksLink;

/// Input of CreateKey.
#[derive(Debug)]
pub(crate) struct CreateKey {
    policy: Option<String>,
    description: String,
    key_usage: Option<KeyUsage>,
    customer_master_key_spec: Option<KeySpec>,
    key_spec: Option<KeySpec>,
    origin: Option<RequestedOrigin>,
    custom_key_store_id: Option<String>,
    tags: Vec<(String, String)>,
    multi_region: bool,
    xks_key_id: Option<String>,
    bypass_policy_lockout_safety_check: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum RequestedOrigin {
    AwsKms,
    External,
    AwsCloudHsm,
    ExternalKeyStore,
}

impl Input for CreateKey {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            policy: policy(m),
            description: m
                .text("Description")
                .length(0, 8192)
                .optional()
                .unwrap_or_default(),
            key_usage: m.choice("KeyUsage", KeyUsage::CHOICES).optional(),
            customer_master_key_spec: m
                .choice("CustomerMasterKeySpec", LEGACY_KEY_SPECS)
                .optional(),
            key_spec: m.choice("KeySpec", KeySpec::CHOICES).optional(),
            origin: m.choice("Origin", ORIGINS).optional(),
            custom_key_store_id: m.text("CustomKeyStoreId").length(1, 64).optional(),
            tags: tags(m).unwrap_or_default(),
            multi_region: m.boolean("MultiRegion").unwrap_or(false),
            xks_key_id: m
                .text("XksKeyId")
                .length(1, 128)
                .pattern("^[a-zA-Z0-9-_.]+$", |id| {
                    id.bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                })
                .optional(),
            bypass_policy_lockout_safety_check: m
                .boolean("BypassPolicyLockoutSafetyCheck")
                .unwrap_or(false),
        }
    }
}

/// Where a new key is to live.
enum Place {
    Kms,
    /// With whoever imports the material.
    Outside,
    ExternalKeyStore {
        store: String,
        external_key: ExternalKeyId,
    },
    CloudHsm {
        store: String,
    },
}

/// CreateKey
pub(crate) async fn create(
    simulator: &Simulator,
    caller: &Caller,
    input: CreateKey,
) -> Result<KeyMetadataOutput, KmsError> {
    let kind = kind(&input)?;
    let place = place(&input)?;
    let tags = merge_tags(&Default::default(), input.tags)?;
    let policy = input.policy.map(KeyPolicy::parse).transpose()?;
    if let Some(policy) = &policy {
        let accounts = simulator.config().accounts.as_ref();
        policy.check(caller, accounts, input.bypass_policy_lockout_safety_check)?;
    }
    let region = simulator.region(caller);
    let origin = match &place {
        Place::Kms if kind.is_symmetric() => {
            Origin::AwsKms(RotatingMaterial::new(KeyMaterial::generate()?))
        }
        Place::Outside => Origin::External(ImportedKey::new(&caller.region)?),
        Place::Kms => {
            let material = on_a_thread(move || FixedKey::generate(kind.spec)).await?;
            Origin::AwsKmsFixed(Arc::new(material))
        }
        Place::ExternalKeyStore {
            store,
            external_key,
        } => {
            let (link, store) = {
                let state = region.lock();
                let store = check_external_key_store(&state, store, external_key)?;
                (store.link(), store.id().clone())
            };
            let link =
                link.ok_or_else(|| not_connected(store.as_str(), ConnectionState::Disconnected))?;
            check_external_key(&link, caller, external_key).await?;
            Origin::ExternalKeyStore {
                store,
                external_key: external_key.clone(),
                material: Arc::new(KeyMaterial::generate()?),
            }
        }
        Place::CloudHsm { store } => {
            let state = region.lock();
            let store = check_store(&state, store, CustomKeyStoreType::AwsCloudHsm)?;
            Origin::AwsCloudHsm {
                store: store.id().clone(),
            }
        }
    };
    let id = match input.multi_region {
        true => format!("{MULTI_REGION}{}", Uuid::new_v4().simple()),
        false => Uuid::new_v4().to_string(),
    };
    let mut key = Key::of_kind(kind, &id, &key_arn(caller, &id), region.now(), origin);
    key.description = input.description;
    key.policy = policy.unwrap_or_default();
    key.tags = tags;
    key.multi_region = input
        .multi_region
        .then(|| MultiRegion::primary(&caller.region));
    let mut state = region.lock();
    simulator.quotas().admit_key(state.keys.count())?;
    match &place {
        Place::Kms | Place::Outside => {}
        // The proxy was asked without the lock: the store may have been disconnected, the external key taken.
        Place::ExternalKeyStore {
            store,
            external_key,
        } => drop(check_external_key_store(&state, store, external_key)?),
        Place::CloudHsm { store } => check_store(&state, store, CustomKeyStoreType::AwsCloudHsm)?
            .hsm_link()
            .ok_or_else(|| not_connected(store, ConnectionState::Disconnected))?
            .generate_key(&id)?,
    }
    caller.is_about(key.arn());
    caller.subjects().key(&key);
    let key_metadata = KeyMetadata::new(&key, &state, region.now());
    state.keys.insert(key);
    Ok(KeyMetadataOutput { key_metadata })
}

/// KeySpec and KeyUsage, which must fit each other.
fn kind(input: &CreateKey) -> Result<KeyKind, KmsError> {
    let spec = match (input.key_spec, input.customer_master_key_spec) {
        (Some(_), Some(_)) => {
            return Err(KmsError::validation(
                "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec \
                 is deprecated.",
            ));
        }
        (spec, legacy) => spec.or(legacy).unwrap_or(KeySpec::SymmetricDefault),
    };
    let custom = matches!(
        input.origin,
        Some(RequestedOrigin::ExternalKeyStore | RequestedOrigin::AwsCloudHsm)
    );
    let usable = |usage| usage == KeyUsage::EncryptDecrypt;
    let plain = spec == KeySpec::SymmetricDefault && input.key_usage.is_none_or(usable);
    if custom && (!plain || input.multi_region) {
        return Err(KmsError::unsupported(
            "Keys in a custom key store have KeySpec SYMMETRIC_DEFAULT, KeyUsage ENCRYPT_DECRYPT and are not \
             multi-Region keys.",
        ));
    }
    let usage = match input.key_usage {
        Some(usage) => usage,
        None if spec == KeySpec::SymmetricDefault => KeyUsage::EncryptDecrypt,
        None => {
            return Err(KmsError::validation(
                "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
            ));
        }
    };
    let kind = KeyKind { spec, usage };
    if !kind.exists() {
        return Err(KmsError::validation(format!(
            "KeyUsage {} is not compatible with KeySpec {}",
            usage.name(),
            spec.name()
        )));
    }
    if spec == KeySpec::Sm2 {
        return Err(KmsError::unsupported(
            "KeySpec SM2 is supported in China Regions only, which kms-sim does not simulate.",
        ));
    }
    Ok(kind)
}

/// Checks what the request says about where the key is.
fn place(input: &CreateKey) -> Result<Place, KmsError> {
    let origin = input.origin.unwrap_or(RequestedOrigin::AwsKms);
    let external = origin == RequestedOrigin::ExternalKeyStore;
    let custom = external || origin == RequestedOrigin::AwsCloudHsm;
    let invalid = |message: &'static str| Err(KmsError::validation(message));
    if input.xks_key_id.is_some() && !external {
        return invalid("XksKeyId is valid only with Origin EXTERNAL_KEY_STORE.");
    }
    if input.custom_key_store_id.is_some() && !custom {
        return invalid(
            "CustomKeyStoreId is valid only with Origin AWS_CLOUDHSM or EXTERNAL_KEY_STORE.",
        );
    }
    if custom && input.custom_key_store_id.is_none() {
        return invalid(NO_STORE);
    }
    match (origin, &input.custom_key_store_id, &input.xks_key_id) {
        (RequestedOrigin::AwsKms, ..) => Ok(Place::Kms),
        (RequestedOrigin::ExternalKeyStore, Some(store), Some(xks_key_id)) => {
            Ok(Place::ExternalKeyStore {
                store: store.clone(),
                external_key: ExternalKeyId::try_from(xks_key_id.as_str())
                    .map_err(|error| KmsError::validation(error.to_string()))?,
            })
        }
        (RequestedOrigin::ExternalKeyStore, ..) => {
            invalid("Origin EXTERNAL_KEY_STORE requires XksKeyId.")
        }
        (RequestedOrigin::External, ..) => Ok(Place::Outside),
        (RequestedOrigin::AwsCloudHsm, Some(store), _) => Ok(Place::CloudHsm {
            store: store.clone(),
        }),
        (RequestedOrigin::AwsCloudHsm, None, _) => invalid(NO_STORE),
    }
}

/// The store, if keys can be created in it now and it is of that type.
fn check_store<'a>(
    state: &'a RegionState,
    id: &str,
    kind: CustomKeyStoreType,
) -> Result<&'a CustomKeyStore, KmsError> {
    let store = state.stores.expect(id)?;
    if store.kind() != kind {
        let (is, origin) = match store.kind() {
            CustomKeyStoreType::AwsCloudHsm => ("a CloudHSM key store", "AWS_CLOUDHSM"),
            CustomKeyStoreType::ExternalKeyStore => ("an external key store", "EXTERNAL_KEY_STORE"),
        };
        return Err(KmsError::validation(format!(
            "Custom key store {id} is {is}; its keys have Origin {origin}."
        )));
    }
    if store.connection_state() != ConnectionState::Connected {
        return Err(not_connected(id, store.connection_state()));
    }
    Ok(store)
}

/// The store, if a key for `external_key` can be created in it now.
fn check_external_key_store<'a>(
    state: &'a RegionState,
    id: &str,
    external_key: &ExternalKeyId,
) -> Result<&'a CustomKeyStore, KmsError> {
    let store = check_store(state, id, CustomKeyStoreType::ExternalKeyStore)?;
    if state.keys.uses_external_key(store.id(), external_key) {
        return Err(KmsError::new(
            "XksKeyAlreadyInUseException",
            format!(
                "External key {external_key} is already associated with a KMS key in custom key store {id}. Use \
                 another XksKeyId, or the KMS key that exists."
            ),
        ));
    }
    Ok(store)
}

/// Asks the proxy for the external key and checks what it says, in the order of the API documentation.
async fn check_external_key(
    link: &XksLink,
    caller: &Caller,
    external_key: &ExternalKeyId,
) -> Result<(), KmsError> {
    let request = GetKeyMetadataRequest {
        request_metadata: RequestMetadata {
            aws_principal_arn: (&*caller.principal_arn).into(),
            aws_source_vpc: caller.origin.vpc.as_deref().map(Into::into),
            aws_source_vpce: caller.origin.vpc_endpoint.as_deref().map(Into::into),
            kms_key_arn: None,
            kms_operation: Operation::CreateKey.name().into(),
            kms_request_id: (&*caller.request_id).into(),
            kms_via_service: caller.origin.via_service.as_deref().map(Into::into),
        },
    };
    let response = link
        .key_metadata(external_key, &request)
        .await
        .map_err(|failure| failure.create_key_error())?;
    external_key_problem(&response).map_or(Ok(()), |problem| {
        Err(KmsError::new(
            "XksKeyInvalidConfigurationException",
            problem,
        ))
    })
}

fn external_key_problem(response: &GetKeyMetadataResponse) -> Option<String> {
    if let ExternalKeySpec::Other(spec) = &response.key_spec {
        return Some(format!(
            "The key spec of the external key must be AES_256. The key spec of specified external key is {spec}."
        ));
    }
    if response.key_status != KeyStatus::Enabled {
        return Some(
            "The status of the external key must be ENABLED. The status of specified external key is DISABLED."
                .to_owned(),
        );
    }
    let has = |usage: ExternalKeyUsage| response.key_usage.contains(&usage);
    if !has(ExternalKeyUsage::Encrypt) || !has(ExternalKeyUsage::Decrypt) {
        let usages: Vec<&str> = response
            .key_usage
            .iter()
            .map(|usage| match usage {
                ExternalKeyUsage::Encrypt => "ENCRYPT",
                ExternalKeyUsage::Decrypt => "DECRYPT",
                ExternalKeyUsage::Other(other) => other,
            })
            .collect();
        return Some(format!(
            "The key usage of the external key must include ENCRYPT and DECRYPT. The key use of specified external \
             key is {}.",
            usages.join(", ")
        ));
    }
    None
}

fn not_connected(id: &str, state: ConnectionState) -> KmsError {
    KmsError::new(
        "CustomKeyStoreInvalidStateException",
        format!(
            "Custom key store {id} is {state}; keys can be created in it while it is CONNECTED."
        ),
    )
}

const NO_STORE: &str = "Origin AWS_CLOUDHSM and EXTERNAL_KEY_STORE require CustomKeyStoreId.";
const ORIGINS: &[(&str, RequestedOrigin)] = &[
    ("AWS_KMS", RequestedOrigin::AwsKms),
    ("EXTERNAL", RequestedOrigin::External),
    ("AWS_CLOUDHSM", RequestedOrigin::AwsCloudHsm),
    ("EXTERNAL_KEY_STORE", RequestedOrigin::ExternalKeyStore),
];

/// `CustomerMasterKeySpec`
const LEGACY_KEY_SPECS: &[(&str, KeySpec)] = &[
    ("RSA_2048", KeySpec::Rsa2048),
    ("RSA_3072", KeySpec::Rsa3072),
    ("RSA_4096", KeySpec::Rsa4096),
    ("ECC_NIST_P256", KeySpec::EccNistP256),
    ("ECC_NIST_P384", KeySpec::EccNistP384),
    ("ECC_NIST_P521", KeySpec::EccNistP521),
    ("ECC_SECG_P256K1", KeySpec::EccSecgP256k1),
    ("SYMMETRIC_DEFAULT", KeySpec::SymmetricDefault),
    ("HMAC_224", KeySpec::Hmac224),
    ("HMAC_256", KeySpec::Hmac256),
    ("HMAC_384", KeySpec::Hmac384),
    ("HMAC_512", KeySpec::Hmac512),
    ("SM2", KeySpec::Sm2),
];
