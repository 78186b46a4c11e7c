//! A Transit key manager on a namespace of the shared server, with the suite's keys.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use harness::backend;
use harness::openbao::{Tenant, ca_file};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use tempfile::TempDir;
use xks_api::fields::{Aad, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::KeyStatus;
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::embedded::Usages;
use xks_proxy::key_manager::transit::{Address, Login, MappedKey, Settings, Transit};
use xks_proxy::key_manager::{ExternalKey, KeyManager, KeyManagerError};

use crate::suite::Backend;

pub(crate) struct TransitBackend {
    transit: Transit,
    tenant: Tenant,
    _folder: TempDir,
}

impl Backend for TransitBackend {
    fn prepare() -> Option<Self> {
        let tenant = tenant()?;
        for name in [
            Self::KEY,
            Self::OTHER_KEY,
            Self::DISABLED_KEY,
            Self::ENCRYPT_ONLY_KEY,
            Self::DECRYPT_ONLY_KEY,
            TEST_KEY,
        ] {
            tenant.create_key(name);
        }
        let (mut settings, folder) = with_token(&tenant, "1h");
        for (id, usages, status) in [
            (
                Self::DISABLED_KEY,
                Usages::EncryptDecrypt,
                KeyStatus::Disabled,
            ),
            (Self::ENCRYPT_ONLY_KEY, Usages::Encrypt, KeyStatus::Enabled),
            (Self::DECRYPT_ONLY_KEY, Usages::Decrypt, KeyStatus::Enabled),
        ] {
            let mapped = MappedKey {
                name: id.try_into().unwrap(),
                usages,
                status,
            };
            settings.keys.listed.insert(id.try_into().unwrap(), mapped);
        }
        // The suite rotates and looks at once.
        settings.key_max_age = Duration::ZERO;
        Some(Self {
            transit: Transit::open("suite", settings).unwrap(),
            tenant,
            _folder: folder,
        })
    }

    fn key_manager(&self) -> &dyn KeyManager {
        &self.transit
    }

    fn rotate(&self, name: &str) {
        rotate(&self.tenant, name);
    }
}

/// The key that health probes use.
pub(crate) const TEST_KEY: &str = "xks-proxy-health";

/// A namespace of its own; nothing, and the reason told, without a server.
pub(crate) fn tenant() -> Option<Tenant> {
    available(Tenant::new())
}

/// Tells what is missing.
pub(crate) fn available<T>(found: Result<T, String>) -> Option<T> {
    found
        .map_err(|reason| backend::missing("OpenBao", &reason))
        .ok()
}

/// Settings with a token of the shipped policy in a file, for the tenant's server and namespace.
pub(crate) fn with_token(tenant: &Tenant, ttl: &str) -> (Settings, TempDir) {
    let folder = harness::temp_dir();
    let file = token_file(&folder);
    std::fs::write(&file, tenant.token(&["xks-proxy"], ttl)).unwrap();
    (settings(tenant, Login::TokenFile(file)), folder)
}

pub(crate) fn token_file(folder: &TempDir) -> PathBuf {
    folder.path().join("token")
}

/// Generous time limits: this machine also compiles.
pub(crate) fn settings(tenant: &Tenant, login: Login) -> Settings {
    let mut settings = Settings::new(
        vec![address(tenant.bao.address)],
        login,
        TEST_KEY.try_into().unwrap(),
    );
    settings.roots = roots();
    settings.namespace = tenant
        .namespace
        .as_deref()
        .map(|namespace| namespace.try_into().unwrap());
    settings.timeout = Duration::from_secs(10);
    settings
}

pub(crate) fn roots() -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(ca_file())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

pub(crate) fn address(address: std::net::SocketAddr) -> Address {
    Address::try_from(&*format!("https://{address}")).unwrap()
}

pub(crate) fn rotate(tenant: &Tenant, name: &str) {
    tenant.post(&format!("transit/keys/{name}/rotate"), &json!({}));
}

pub(crate) async fn resolve(
    transit: &Transit,
    name: &str,
) -> Result<Arc<dyn ExternalKey>, KeyManagerError> {
    let id = ExternalKeyId::try_from(name).unwrap();
    transit.resolve(&id).await
}

/// Finds a key and encrypts with it.
pub(crate) async fn encrypt(transit: &Transit, name: &str) -> Result<Sealed, KeyManagerError> {
    seal(&*resolve(transit, name).await?).await
}

pub(crate) async fn seal(key: &dyn ExternalKey) -> Result<Sealed, KeyManagerError> {
    let metadata = key.metadata()?;
    let aad = FramedAad::new(&Aad::default(), &metadata);
    key.seal(&plaintext(), metadata, &aad).await
}

/// Finds a key and decrypts with it; whether that gives what [`encrypt`] encrypted.
pub(crate) async fn decrypts(
    transit: &Transit,
    name: &str,
    sealed: &Sealed,
) -> Result<bool, KeyManagerError> {
    let key = resolve(transit, name).await?;
    let aad = FramedAad::new(&Aad::default(), &sealed.metadata);
    Ok(key.open(sealed, &aad).await? == plaintext())
}

fn plaintext() -> Plaintext {
    Plaintext::from(&b"a data key of thirty-two bytes.."[..])
}

/// The version that a ciphertext's metadata names.
pub(crate) fn version(sealed: &Sealed) -> u32 {
    let bytes: [u8; 5] = sealed.metadata.as_bytes().try_into().unwrap();
    u32::from_be_bytes(bytes[1..].try_into().unwrap())
}
