//! KMS's own key material: 32 bytes that leave this file for the state image alone, and what is sealed under them.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::api::KmsError;

/// One version of a KMS key's material.
pub(crate) struct KeyMaterial {
    id: KeyMaterialId,
    bytes: Zeroizing<[u8; 32]>,
}

/// Names a key material without revealing it; 64 hexadecimal digits on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyMaterialId(pub(crate) [u8; 32]);

impl KeyMaterialId {
    /// The name of imported material: that of the same material in another key is another.
    pub(crate) fn of_imported(secret: &[u8], key_id: &str) -> Self {
        Self(mac(
            secret,
            &[b"kms-sim imported material of ", key_id.as_bytes()],
        ))
    }

    /// What [`to_hex`](Self::to_hex) gives.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// `KeyMaterialId` as clients see it.
    pub(crate) fn to_hex(self) -> String {
        let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or_default();
        let bytes = self.0.iter();
        bytes.flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
    }
}

impl KeyMaterial {
    /// New random material.
    ///
    /// # Errors
    /// KMSInternalException if the system has no random bytes.
    pub(crate) fn generate() -> Result<Self, KmsError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(&mut *bytes)?;
        Ok(Self::new(bytes))
    }

    /// Material that was made before.
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let id = KeyMaterialId(mac(&*bytes, &[b"kms-sim key material id"]));
        Self { id, bytes }
    }

    /// Material that was imported into a key.
    pub(crate) fn imported(bytes: Zeroizing<[u8; 32]>, key_id: &str) -> Self {
        let id = KeyMaterialId::of_imported(&*bytes, key_id);
        Self { id, bytes }
    }

    /// The secret itself, for whoever saves it.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The name of this version.
    pub(crate) const fn id(&self) -> KeyMaterialId {
        self.id
    }

    /// `salt 16 ‖ iv 12 ‖ tag 16 ‖ ciphertext`: AES-256-GCM under a key derived for this message alone.
    ///
    /// # Errors
    /// KMSInternalException if the system has no random bytes.
    pub(crate) fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KmsError> {
        let mut salt = [0; SALT_LEN];
        let mut iv = [0; IV_LEN];
        fill_random(&mut salt)?;
        fill_random(&mut iv)?;
        let sealed = self
            .message_key(&salt)
            .and_then(|key| key.seal(iv, aad, plaintext));
        let (tag, text) = sealed.ok_or_else(internal)?;
        Ok([&salt[..], &iv, tag.as_ref(), &text].concat())
    }

    /// What [`seal`](Self::seal) was given; `None` for anything else than its result with the same AAD.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, rest) = sealed.split_first_chunk::<SALT_LEN>()?;
        let (iv, rest) = rest.split_first_chunk::<IV_LEN>()?;
        let (tag, ciphertext) = rest.split_first_chunk::<TAG_LEN>()?;
        self.message_key(salt)?.open(*iv, aad, *tag, ciphertext)
    }

    /// NIST SP 800-108r1 in counter mode with HMAC-SHA-256: one block of
    /// `counter 32 ‖ label ‖ 00 ‖ salt ‖ length in bits 32`.
    fn message_key(&self, salt: &[u8; SALT_LEN]) -> Option<MessageKey> {
        let fixed: [&[u8]; 5] = [
            &1_u32.to_be_bytes(),
            LABEL,
            &[0],
            salt,
            &256_u32.to_be_bytes(),
        ];
        let key = Zeroizing::new(mac(&*self.bytes, &fixed));
        MessageKey::new(&key)
    }
}

/// AES-256-GCM under one key.
struct MessageKey(LessSafeKey);

impl MessageKey {
    fn new(bytes: &[u8; 32]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    fn seal(&self, iv: [u8; IV_LEN], aad: &[u8], plaintext: &[u8]) -> Option<(Tag, Vec<u8>)> {
        let mut text = plaintext.to_vec();
        let nonce = Nonce::assume_unique_for_key(iv);
        let sealed = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut text);
        Some((sealed.ok()?, text))
    }

    fn open(
        &self,
        iv: [u8; IV_LEN],
        aad: &[u8],
        tag: [u8; TAG_LEN],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let (nonce, tag) = (Nonce::assume_unique_for_key(iv), Tag::from(tag));
        let opened = self
            .0
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag, &mut text, 0..);
        opened.ok()?;
        Some(text)
    }
}

/// Fills `out` with random bytes of the system.
///
/// # Errors
/// KMSInternalException if there are none.
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), KmsError> {
    SystemRandom::new().fill(out).map_err(|_| internal())
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let tag = context.sign();
    tag.as_ref()
        .try_into()
        .expect("32 bytes: HMAC-SHA-256 output")
}

/// What KMS says of its own faults.
pub(crate) fn internal() -> KmsError {
    KmsError::new(
        "KMSInternalException",
        "The request was rejected because an internal exception occurred. The request can be retried.",
    )
}

/// What [`KeyMaterial::seal`] adds to a plaintext; a proxy must take 4,300 bytes, KMS encrypts up to 4,096.
pub(crate) const EXPANSION: usize = SALT_LEN + IV_LEN + TAG_LEN;

const SALT_LEN: usize = 16;
const IV_LEN: usize = 12;
const TAG_LEN: usize = 16;
const LABEL: &[u8] = b"kms-sim ciphertext 1";

const _: () = assert!(EXPANSION <= 4_300 - 4_096);

#[cfg(test)]
mod tests {
    use super::*;

    /// Project Wycheproof's vectors, as the proxy's cipher is tried with them.
    #[test]
    fn wycheproof_aes_gcm() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/vectors/wycheproof_aes_gcm.json"
        );
        let vectors: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let bytes = |at: usize| {
                let text = vector[at].as_str().unwrap();
                let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
                (0..text.len()).step_by(2).map(byte).collect::<Vec<u8>>()
            };
            let key = MessageKey::new(&bytes(1).try_into().unwrap()).unwrap();
            let (iv, aad) = (bytes(2).try_into().unwrap(), bytes(3));
            let tag: [u8; TAG_LEN] = bytes(6).try_into().unwrap();
            let (message, ciphertext) = (bytes(4), bytes(5));
            let opened = key.open(iv, &aad, tag, &ciphertext);
            if vector[7] == "valid" {
                let (made, sealed) = key.seal(iv, &aad, &message).unwrap();
                assert_eq!((made.as_ref(), &sealed), (&tag[..], &ciphertext));
                assert_eq!(&**opened.unwrap(), message, "{vector}");
            } else {
                assert!(opened.is_none(), "{vector}");
            }
        }
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let material = KeyMaterial::generate().unwrap();
        let sealed = material.seal(b"aad", b"Hello").unwrap();
        assert_eq!(sealed.len(), 5 + EXPANSION);
        assert_eq!(&**material.open(b"aad", &sealed).unwrap(), b"Hello");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(material.open(b"aad", &changed).is_none(), "byte {at}");
        }
        for len in 0..sealed.len() {
            assert!(
                material.open(b"aad", &sealed[..len]).is_none(),
                "{len} bytes"
            );
        }
        assert!(material.open(b"aaD", &sealed).is_none());
        let other = KeyMaterial::generate().unwrap();
        assert!(other.open(b"aad", &sealed).is_none());
    }

    /// Computed with Python's `cryptography` 48.0.0 from the documented construction: KBKDFHMAC(SHA256, CounterMode,
    /// length 32, rlen 4, llen 4, BeforeFixed, label, context = salt) and AESGCM.
    #[test]
    fn a_second_implementation_gives_the_same_bytes() {
        let material = KeyMaterial {
            id: KeyMaterialId([0; 32]),
            bytes: Zeroizing::new(std::array::from_fn(|i| u8::try_from(i).unwrap())),
        };
        let sealed = hex(SEALED);
        assert_eq!(
            &**material.open(b"header and context", &sealed).unwrap(),
            b"Hello World!"
        );
        assert_eq!(
            KeyMaterialId(mac(&*material.bytes, &[b"kms-sim key material id"])).to_hex(),
            ID
        );
    }

    fn hex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    const SEALED: &str = "6465666768696a6b6c6d6e6f70717273c8c9cacbcccdcecfd0d1d2d33d1d63716c2285a86d72dea862b72698187737b576bde100c578ac30";
    const ID: &str = "4ce78a5ebd66f9317d563bb1bbe0c78bc295108a21684db2770124e5edb75214";
}
