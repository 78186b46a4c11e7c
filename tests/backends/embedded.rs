//! The suite for the embedded key manager, and what only it has: retired versions.

use tempfile::TempDir;
use xks_api::fields::{Aad, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::KeyStatus;
use xks_api::sealed::FramedAad;
use xks_proxy::key_manager::embedded::{Embedded, RootKeySource, Usages, VersionState};
use xks_proxy::key_manager::{KeyManager, KeyManagerError};

use crate::suite::Backend;

crate::suite!(EmbeddedBackend);
crate::conforms!(EmbeddedBackend);

struct EmbeddedBackend {
    embedded: Embedded,
    _folder: TempDir,
}

impl Backend for EmbeddedBackend {
    fn prepare() -> Option<Self> {
        Some(Self::new())
    }

    fn key_manager(&self) -> &dyn KeyManager {
        &self.embedded
    }

    fn rotate(&self, name: &str) {
        self.embedded
            .administration()
            .rotate_key(&id(name))
            .unwrap();
    }
}

impl EmbeddedBackend {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root_key = RootKeySource::File(folder.path().join("root.key"));
        Embedded::init(folder.path(), &root_key).unwrap();
        let embedded = Embedded::open(folder.path(), root_key).unwrap();
        let administration = embedded.administration();
        for (name, usages) in [
            (Self::KEY, Usages::EncryptDecrypt),
            (Self::OTHER_KEY, Usages::EncryptDecrypt),
            (Self::DISABLED_KEY, Usages::EncryptDecrypt),
            (Self::ENCRYPT_ONLY_KEY, Usages::Encrypt),
            (Self::DECRYPT_ONLY_KEY, Usages::Decrypt),
        ] {
            administration.create_key(&id(name), usages).unwrap();
        }
        let disabled = id(Self::DISABLED_KEY);
        administration
            .set_key_status(&disabled, KeyStatus::Disabled)
            .unwrap();
        Self {
            embedded,
            _folder: folder,
        }
    }
}

#[tokio::test]
async fn r20_the_first_byte_of_the_metadata_names_the_format() {
    let backend = EmbeddedBackend::new();
    let key_id = id(EmbeddedBackend::KEY);
    let key = backend.embedded.resolve(&key_id).await.unwrap();
    let message = key.metadata().unwrap();
    let metadata = message.metadata;
    assert_eq!(metadata.as_bytes().first(), Some(&1));

    let plaintext = Plaintext::from(&b"Hello World!"[..]);
    let aad = FramedAad::new(&Aad::default(), &metadata);
    let mut sealed = key.seal(&plaintext, message, &aad).await.unwrap();
    for format in [0, 2, 255] {
        let mut bytes = metadata.as_bytes().to_vec();
        bytes[0] = format;
        sealed.metadata = bytes.as_slice().try_into().unwrap();
        // The AAD is the old one: what refuses is the format, not the tag.
        let refused = key.open(&sealed, &aad).await;
        assert!(
            matches!(refused, Err(KeyManagerError::InvalidCiphertext)),
            "{format}"
        );
    }
}

fn id(name: &str) -> ExternalKeyId {
    name.try_into().unwrap()
}

#[tokio::test]
async fn a_retired_version_is_an_invalid_state_until_it_is_taken_back() {
    let backend = EmbeddedBackend::new();
    let administration = backend.embedded.administration();
    let id = id(EmbeddedBackend::KEY);
    let plaintext = Plaintext::from(&b"before"[..]);
    let key = backend.embedded.resolve(&id).await.unwrap();
    let metadata = key.metadata().unwrap();
    let aad = FramedAad::new(&Aad::default(), &metadata);
    let sealed = key.seal(&plaintext, metadata, &aad).await.unwrap();

    assert!(
        administration
            .set_version_state(&id, 1, VersionState::Retired)
            .is_err(),
        "current"
    );
    administration.rotate_key(&id).unwrap();
    administration
        .set_version_state(&id, 1, VersionState::Retired)
        .unwrap();
    let key = backend.embedded.resolve(&id).await.unwrap();
    let result = key.open(&sealed, &aad).await;
    assert!(matches!(result, Err(KeyManagerError::InvalidState)));

    administration
        .set_version_state(&id, 1, VersionState::Usable)
        .unwrap();
    let key = backend.embedded.resolve(&id).await.unwrap();
    assert!(key.open(&sealed, &aad).await.unwrap() == plaintext);
}
