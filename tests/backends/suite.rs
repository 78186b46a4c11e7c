//! What every key manager has to do.

use std::sync::Arc;

use xks_api::fields::{
    Aad, AuthenticationTag, CiphertextMetadata, InitializationVector, Plaintext,
};
use xks_api::ids::ExternalKeyId;
use xks_api::message::{KeyStatus, KeyUsage};
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::{ExternalKey, KeyManager, KeyManagerError};

/// A key manager with two enabled keys, a disabled one, and one of each other usage.
pub trait Backend {
    const KEY: &'static str = "first";
    const OTHER_KEY: &'static str = "second";
    const DISABLED_KEY: &'static str = "disabled";
    const ENCRYPT_ONLY_KEY: &'static str = "encrypt-only";
    const DECRYPT_ONLY_KEY: &'static str = "decrypt-only";

    /// Nothing where [`harness::backend::missing`] was told why.
    fn prepare() -> Option<Self>
    where
        Self: Sized;

    fn key_manager(&self) -> &dyn KeyManager;

    /// Makes another version of the key the current one.
    fn rotate(&self, id: &str);
}

/// Instantiates the suite in a module of the backend.
#[macro_export]
macro_rules! suite {
    ($backend:ty: $($test:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $test() {
            if let Some(backend) = <$backend as $crate::suite::Backend>::prepare() {
                $crate::suite::$test(&backend).await;
            }
        })+
    };
    // In whatever surroundings the runner makes: it takes the test's path and the test.
    ($backend:ty, through $runner:path: $($test:ident),+ $(,)?) => {
        $(#[test]
        fn $test() {
            $runner(concat!(module_path!(), "::", stringify!($test)), async || {
                let backend = <$backend as $crate::suite::Backend>::prepare().unwrap();
                $crate::suite::$test(&backend).await;
            });
        })+
    };
    ($backend:ty $(, through $runner:path)?) => {
        $crate::suite!($backend $(, through $runner)?:
            every_size_comes_back,
            a_changed_field_is_refused,
            another_aad_is_refused,
            keys_do_not_open_each_others_messages,
            messages_do_not_repeat,
            an_unknown_key_is_unknown_and_stays_so,
            usage_and_status_are_told,
            earlier_versions_decrypt,
            a_resolved_key_keeps_its_version,
            the_test_key_works_and_cannot_be_named,
            the_description_names_instances,
        );
    };
}

pub async fn every_size_comes_back<B: Backend>(backend: &B) {
    let key = resolve(backend, B::KEY).await;
    for len in [0, 1, 32, 4096, 4300] {
        for aad_len in [0, 1, 8192] {
            let (plaintext, aad) = (plaintext(len), aad(aad_len));
            let sealed = seal(&*key, &plaintext, &aad).await;
            assert_eq!(sealed.ciphertext.len(), len);
            assert!(len < 32 || sealed.ciphertext != plaintext.expose());
            let opened = open(&*key, &sealed, &aad).await.unwrap();
            assert!(opened == plaintext, "{len} {aad_len}");
        }
    }
}

pub async fn a_changed_field_is_refused<B: Backend>(backend: &B) {
    let key = resolve(backend, B::KEY).await;
    let aad = aad(100);
    let sealed = seal(&*key, &plaintext(32), &aad).await;
    for changed in changes(&sealed) {
        assert_refused(open(&*key, &changed, &aad).await, &format!("{changed:?}"));
    }
    // The session or connection behind it survives that.
    assert!(open(&*key, &sealed, &aad).await.unwrap() == plaintext(32));
}

pub async fn another_aad_is_refused<B: Backend>(backend: &B) {
    let key = resolve(backend, B::KEY).await;
    let right = aad(32);
    let sealed = seal(&*key, &plaintext(32), &right).await;
    let mut flipped = right.as_bytes().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    for wrong in [flipped.try_into().unwrap(), aad(31), aad(33), aad(0)] {
        assert_refused(open(&*key, &sealed, &wrong).await, &format!("{wrong:?}"));
    }
    // The same bytes with the border between AAD and metadata moved.
    let metadata = sealed.metadata.as_bytes();
    if let Some((first, rest)) = metadata.split_first() {
        let mut moved = sealed.clone();
        moved.metadata = rest.try_into().unwrap();
        let longer = Aad::try_from([right.as_bytes(), &[*first]].concat()).unwrap();
        assert_refused(open(&*key, &moved, &longer).await, "moved border");
    }
}

pub async fn keys_do_not_open_each_others_messages<B: Backend>(backend: &B) {
    let key = resolve(backend, B::KEY).await;
    let other = resolve(backend, B::OTHER_KEY).await;
    let sealed = seal(&*key, &plaintext(32), &aad(0)).await;
    assert_refused(open(&*other, &sealed, &aad(0)).await, "another key");
    let test_key = backend.key_manager().test_key().await.unwrap();
    assert_refused(open(&*test_key, &sealed, &aad(0)).await, "the test key");
}

pub async fn messages_do_not_repeat<B: Backend>(backend: &B) {
    let key = resolve(backend, B::KEY).await;
    let mut seen = Vec::new();
    for _ in 0..50 {
        let sealed = seal(&*key, &plaintext(32), &aad(0)).await;
        assert!(!seen.contains(&(sealed.iv.as_bytes().to_vec(), sealed.metadata)));
        assert!(seen.len() < 50);
        seen.push((sealed.iv.as_bytes().to_vec(), sealed.metadata));
    }
}

pub async fn an_unknown_key_is_unknown_and_stays_so<B: Backend>(backend: &B) {
    for _ in 0..2 {
        let result = backend.key_manager().resolve(&id("no-such-key")).await;
        assert!(matches!(result, Err(KeyManagerError::UnknownKey)));
    }
}

pub async fn usage_and_status_are_told<B: Backend>(backend: &B) {
    let both = [KeyUsage::Encrypt, KeyUsage::Decrypt];
    for (name, usage, status) in [
        (B::KEY, &both[..], KeyStatus::Enabled),
        (B::DISABLED_KEY, &both[..], KeyStatus::Disabled),
        (B::ENCRYPT_ONLY_KEY, &both[..1], KeyStatus::Enabled),
        (B::DECRYPT_ONLY_KEY, &both[1..], KeyStatus::Enabled),
    ] {
        let key = resolve(backend, name).await;
        assert_eq!((key.usage(), key.status()), (usage, status), "{name}");
    }
}

pub async fn earlier_versions_decrypt<B: Backend>(backend: &B) {
    let before = seal(&*resolve(backend, B::KEY).await, &plaintext(32), &aad(5)).await;
    backend.rotate(B::KEY);
    let key = resolve(backend, B::KEY).await;
    let after = seal(&*key, &plaintext(32), &aad(5)).await;
    for sealed in [&before, &after] {
        assert!(open(&*key, sealed, &aad(5)).await.unwrap() == plaintext(32));
    }
    // Neither version takes the other's message, whatever the metadata says.
    let crossed = Sealed {
        metadata: after.metadata,
        ..before
    };
    assert_refused(open(&*key, &crossed, &aad(5)).await, "crossed versions");
}

pub async fn a_resolved_key_keeps_its_version<B: Backend>(backend: &B) {
    let pinned = resolve(backend, B::KEY).await;
    let metadata = pinned.metadata().unwrap();
    backend.rotate(B::KEY);
    let framed = FramedAad::new(&aad(5), &metadata);
    let sealed = pinned
        .seal(&plaintext(32), metadata, &framed)
        .await
        .unwrap();
    assert!(open(&*pinned, &sealed, &aad(5)).await.unwrap() == plaintext(32));
    let now = resolve(backend, B::KEY).await;
    assert!(open(&*now, &sealed, &aad(5)).await.unwrap() == plaintext(32));
}

pub async fn the_test_key_works_and_cannot_be_named<B: Backend>(backend: &B) {
    let key = backend.key_manager().test_key().await.unwrap();
    let sealed = seal(&*key, &plaintext(32), &aad(10)).await;
    assert!(open(&*key, &sealed, &aad(10)).await.unwrap() == plaintext(32));
    for name in [B::KEY, B::OTHER_KEY] {
        let key = resolve(backend, name).await;
        assert_refused(open(&*key, &sealed, &aad(10)).await, name);
    }
}

pub async fn the_description_names_instances<B: Backend>(backend: &B) {
    let description = backend.key_manager().description();
    assert!(!description.vendor.is_empty());
    assert!((1..=10).contains(&description.instances.len()));
}

/// Every field with one bit changed in each byte, or another length.
fn changes(sealed: &Sealed) -> Vec<Sealed> {
    let mut changed = Vec::new();
    let mut with = |change: &dyn Fn(&mut Sealed)| {
        let mut copy = sealed.clone();
        change(&mut copy);
        assert_ne!(copy, *sealed);
        changed.push(copy);
    };
    for index in 0..sealed.ciphertext.len() {
        with(&|copy| copy.ciphertext[index] ^= 0x80);
    }
    for index in 0..sealed.tag.0.len() {
        with(&|copy| copy.tag.0[index] ^= 1);
    }
    let iv = sealed.iv.as_bytes();
    for index in 0..iv.len() {
        let mut bytes = iv.to_vec();
        bytes[index] ^= 1;
        with(&|copy| copy.iv = (&*bytes).try_into().unwrap());
    }
    let metadata = sealed.metadata.as_bytes();
    for index in 0..metadata.len() {
        let mut bytes = metadata.to_vec();
        bytes[index] ^= 1;
        with(&|copy| copy.metadata = (&*bytes).try_into().unwrap());
    }
    for len in 0..metadata.len() {
        with(&|copy| copy.metadata = metadata[..len].try_into().unwrap());
    }
    if metadata.len() < CiphertextMetadata::MAX_LEN {
        let longer = [metadata, &[0]].concat();
        with(&|copy| copy.metadata = (&*longer).try_into().unwrap());
    }
    with(&|copy| copy.ciphertext.truncate(31));
    with(&|copy| copy.ciphertext.push(0));
    with(&|copy| copy.ciphertext.clear());
    with(&|copy| copy.tag = AuthenticationTag([0; 16]));
    with(&|copy| copy.iv = InitializationVector::Bytes16([0; 16]));
    with(&|copy| copy.iv = InitializationVector::Bytes12([0; 12]));
    changed
}

fn assert_refused(result: Result<Plaintext, KeyManagerError>, what: &str) {
    assert!(
        matches!(result, Err(KeyManagerError::InvalidCiphertext)),
        "{what}"
    );
}

async fn resolve<B: Backend>(backend: &B, name: &str) -> Arc<dyn ExternalKey> {
    backend.key_manager().resolve(&id(name)).await.unwrap()
}

async fn seal(key: &dyn ExternalKey, plaintext: &Plaintext, aad: &Aad) -> Sealed {
    let message = key.metadata().unwrap();
    let metadata = message.metadata;
    let framed = FramedAad::new(aad, &metadata);
    let sealed = key.seal(plaintext, message, &framed).await.unwrap();
    assert_eq!(sealed.metadata, metadata);
    sealed
}

async fn open(
    key: &dyn ExternalKey,
    sealed: &Sealed,
    aad: &Aad,
) -> Result<Plaintext, KeyManagerError> {
    let framed = FramedAad::new(aad, &sealed.metadata);
    key.open(sealed, &framed).await
}

fn id(name: &str) -> ExternalKeyId {
    name.try_into().unwrap()
}

fn plaintext(len: usize) -> Plaintext {
    Plaintext::from(&*bytes(len, 7))
}

fn aad(len: usize) -> Aad {
    bytes(len, 31).try_into().unwrap()
}

fn bytes(len: usize, factor: usize) -> Vec<u8> {
    (0..len).map(|i| (i * factor % 251) as u8).collect()
}
