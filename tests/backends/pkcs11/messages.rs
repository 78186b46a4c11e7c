//! Messages and what is authenticated in them, against a second implementation.

use ring::aead::{self, AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use ring::digest;
use serde::Deserialize;
use xks_api::fields::{Aad, AuthenticationTag, InitializationVector, Plaintext};
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::pkcs11::{AadMode, Pkcs11KeyManager, Settings};
use xks_proxy::key_manager::{KeyManager, KeyManagerError};

use super::child::in_child;
use super::token::Owner;
use super::{id, settings};

#[test]
fn recorded_messages_open_with_their_framings() {
    in_child(
        concat!(
            module_path!(),
            "::recorded_messages_open_with_their_framings"
        ),
        async || {
            let vectors = vectors();
            let owner = owner_of("recorded", &vectors[0].key);
            owner.make_key(Settings::TEST_KEY_LABEL, BOTH);
            let with_sample = open_key_manager(|settings| {
                settings.aws_sample_metadata =
                    vec![Default::default(), (&b"v0.0.1"[..]).try_into().unwrap()];
            });
            let without_sample = open_key_manager(|_| {});
            let id = id("recorded");
            for vector in &vectors {
                let (sealed, aad) = vector.message();
                let key = with_sample.resolve(&id).await.unwrap();
                let opened = key.open(&sealed, &aad).await.unwrap();
                assert!(opened.expose() == vector.plaintext, "{}", vector.framing);

                let key = without_sample.resolve(&id).await.unwrap();
                let opened = key.open(&sealed, &aad).await;
                match &*vector.framing {
                    "whole" | "sha256" => assert!(opened.unwrap().expose() == vector.plaintext),
                    _ => assert!(matches!(opened, Err(KeyManagerError::InvalidCiphertext))),
                }
            }
        },
    );
}

#[test]
fn changed_messages_of_the_sample_are_refused() {
    in_child(
        concat!(
            module_path!(),
            "::changed_messages_of_the_sample_are_refused"
        ),
        async || {
            let vectors = vectors();
            let owner = owner_of("recorded", &vectors[0].key);
            owner.make_key(Settings::TEST_KEY_LABEL, BOTH);
            let key_manager = open_key_manager(|settings| {
                settings.aws_sample_metadata = vec![(&b"v0.0.1"[..]).try_into().unwrap()];
            });
            let key = key_manager.resolve(&id("recorded")).await.unwrap();
            let mut tried = 0;
            for vector in vectors.iter().filter(|v| v.metadata == b"v0.0.1") {
                let (sealed, _) = vector.message();
                let mut longer = vector.aad.clone();
                longer.push(0);
                let aad = FramedAad::new(&longer.try_into().unwrap(), &sealed.metadata);
                let opened = key.open(&sealed, &aad).await;
                assert!(matches!(opened, Err(KeyManagerError::InvalidCiphertext)));
                let (mut sealed, aad) = vector.message();
                sealed.tag.0[0] ^= 1;
                let opened = key.open(&sealed, &aad).await;
                assert!(matches!(opened, Err(KeyManagerError::InvalidCiphertext)));
                tried += 1;
            }
            assert!(tried >= 3);
        },
    );
}

#[test]
fn others_open_what_the_token_sealed() {
    in_child(
        concat!(module_path!(), "::others_open_what_the_token_sealed"),
        async || {
            let bytes = [7; 32];
            let _owner = owner_of("shared", &bytes);
            for (mode, framing) in [(AadMode::Whole, 1), (AadMode::Sha256, 2)] {
                let key_manager = open_key_manager(|settings| settings.device.aad = mode);
                let key = key_manager.resolve(&id("shared")).await.unwrap();
                let metadata = key.metadata().unwrap();
                assert_eq!(metadata.as_bytes(), [framing, 0, 0, 1]);
                let aad = FramedAad::new(&b"project=nile".to_vec().try_into().unwrap(), &metadata);
                let plaintext = Plaintext::from(&b"Hello World!"[..]);
                let sealed = key.seal(&plaintext, metadata, &aad).await.unwrap();

                let authenticated = match mode {
                    AadMode::Whole => aad.as_bytes().to_vec(),
                    AadMode::Sha256 => {
                        let digest = digest::digest(&digest::SHA256, aad.as_bytes());
                        [&[0xff, 2], digest.as_ref()].concat()
                    }
                };
                assert_eq!(
                    open_with_ring(&bytes, &sealed, authenticated),
                    b"Hello World!"
                );
            }
        },
    );
}

fn open_with_ring(key: &[u8], sealed: &Sealed, aad: Vec<u8>) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(sealed.iv.as_bytes()).unwrap();
    let mut buffer = [&sealed.ciphertext[..], &sealed.tag.0].concat();
    key.open_in_place(nonce, aead::Aad::from(aad), &mut buffer)
        .unwrap()
        .to_vec()
}

fn owner_of(label: &str, bytes: &[u8]) -> Owner {
    let owner = Owner::of_the_token();
    owner.import_key(label, bytes);
    owner
}

fn open_key_manager(change: impl FnOnce(&mut Settings)) -> Pkcs11KeyManager {
    let mut settings = settings();
    change(&mut settings);
    Pkcs11KeyManager::open("hsm", settings).unwrap()
}

const BOTH: xks_proxy::key_manager::embedded::Usages =
    xks_proxy::key_manager::embedded::Usages::EncryptDecrypt;

struct Vector {
    framing: String,
    key: Vec<u8>,
    iv: Vec<u8>,
    plaintext: Vec<u8>,
    aad: Vec<u8>,
    metadata: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

impl Vector {
    fn message(&self) -> (Sealed, FramedAad) {
        let sealed = Sealed {
            ciphertext: self.ciphertext.clone(),
            iv: InitializationVector::try_from(&*self.iv).unwrap(),
            tag: AuthenticationTag::try_from(&*self.tag).unwrap(),
            metadata: (&*self.metadata).try_into().unwrap(),
        };
        let aad = Aad::try_from(self.aad.clone()).unwrap();
        let framed = FramedAad::new(&aad, &sealed.metadata);
        (sealed, framed)
    }
}

fn vectors() -> Vec<Vector> {
    #[derive(Deserialize)]
    struct File {
        vectors: Vec<std::collections::HashMap<String, String>>,
    }
    let path = harness::workspace().join("tests/vectors/pkcs11_messages.json");
    let file: File = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(file.vectors.len() > 10);
    let vectors = file.vectors.into_iter().map(|vector| {
        let bytes = |name: &str| {
            let (pairs, rest) = vector[name].as_bytes().as_chunks::<2>();
            assert!(rest.is_empty());
            let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16);
            pairs.iter().map(|pair| byte(pair).unwrap()).collect()
        };
        Vector {
            framing: vector["framing"].clone(),
            key: bytes("key"),
            iv: bytes("iv"),
            plaintext: bytes("plaintext"),
            aad: bytes("aad"),
            metadata: bytes("metadata"),
            ciphertext: bytes("ciphertext"),
            tag: bytes("tag"),
        }
    });
    vectors.collect()
}
