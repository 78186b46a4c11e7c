//! The message format of the embedded key manager: one derived AES-256-GCM key for every message.
//!
//! ```text
//! salt        = 16 random bytes, IV = 12 random bytes
//! message key = HMAC-SHA-256(key material, 00000001 ‖ LABEL ‖ 00 ‖ salt ‖ 00000100)
//! metadata    = format u8 ‖ key version u24 big-endian ‖ salt
//! ```
//!
//! The derivation is the KDF in counter mode of NIST SP 800-108r1 with one block of output. The metadata is in the
//! framed AAD, so that another version or salt does not verify. Which versions exist is the keyring's.

use ring::aead::{self, AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use xks_api::fields::{AuthenticationTag, CiphertextMetadata, InitializationVector, Plaintext};
use xks_api::sealed::{FramedAad, Sealed};
use zeroize::Zeroizing;

/// The 32 random bytes that a key version is made of.
pub type KeyMaterial = Zeroizing<[u8; 32]>;

/// Fresh key material.
pub(crate) fn random_material() -> Result<KeyMaterial, Unspecified> {
    let mut material = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *material)?;
    Ok(material)
}

/// The number of a key version: 1 to 2²⁴ − 1, what three bytes of metadata can say.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct VersionNumber(u32);

impl VersionNumber {
    /// The number itself.
    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// Where the version stands in a list of all versions.
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0 - 1).unwrap_or(usize::MAX)
    }

    /// The version at this place of a list of all versions, if three bytes can say its number.
    pub(crate) fn of_index(index: usize) -> Option<Self> {
        let number = u32::try_from(index).ok()?.checked_add(1)?;
        Self::try_from(number).ok()
    }
}

impl TryFrom<u32> for VersionNumber {
    type Error = Unspecified;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        if !(1..1 << 24).contains(&number) {
            return Err(Unspecified);
        }
        Ok(Self(number))
    }
}

/// What the metadata of a message says: which key version, and the salt of the message key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MessageHeader {
    pub(crate) version: VersionNumber,
    pub(crate) salt: [u8; SALT_LEN],
}

impl MessageHeader {
    /// The header and the IV of a new message, drawn together: asking for random bytes costs as much as the encryption.
    /// None are drawn beforehand: of a virtual machine that is copied while it runs, both copies would use them.
    pub(crate) fn random(version: VersionNumber) -> Result<(Self, Iv), Unspecified> {
        let mut random = [0; SALT_LEN + NONCE_LEN];
        SystemRandom::new().fill(&mut random)?;
        let (salt, iv) = random.split_first_chunk().ok_or(Unspecified)?;
        let iv = iv.try_into().map_err(|_| Unspecified)?;
        Ok((
            Self {
                version,
                salt: *salt,
            },
            iv,
        ))
    }

    pub(crate) fn encode(&self) -> CiphertextMetadata {
        let mut bytes = [0; HEADER_LEN];
        let (prefix, salt) = bytes.split_at_mut(HEADER_LEN - SALT_LEN);
        // The version has 24 bits, so the format takes the place of its highest byte.
        prefix.copy_from_slice(&(u32::from(FORMAT) << 24 | self.version.get()).to_be_bytes());
        salt.copy_from_slice(&self.salt);
        CiphertextMetadata::try_from(&bytes[..]).expect("20 bytes: the longest metadata")
    }

    /// `None` for metadata that this format did not make.
    pub(crate) fn parse(metadata: &CiphertextMetadata) -> Option<Self> {
        let bytes: &[u8; HEADER_LEN] = metadata.as_bytes().try_into().ok()?;
        let (prefix, salt) = bytes.split_first_chunk::<4>()?;
        let number = u32::from_be_bytes(*prefix) ^ u32::from(FORMAT) << 24;
        Some(Self {
            version: VersionNumber::try_from(number).ok()?,
            salt: salt.try_into().ok()?,
        })
    }
}

/// What AES-GCM begins to count from.
pub(crate) type Iv = [u8; NONCE_LEN];

/// The key material of one version, prepared so that a message key costs one HMAC.
///
/// ring keeps the two SHA-256 states of the HMAC, not the material; the caller wipes the material.
pub(crate) struct VersionCipher(hmac::Key);

impl VersionCipher {
    pub(crate) fn new(material: &KeyMaterial) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &**material))
    }

    /// Encrypts under the message key of `header`, which `aad` must frame.
    ///
    /// A message key is used once: the salt and the IV are those of one [`MessageHeader::random`].
    pub(crate) fn seal(
        &self,
        plaintext: &Plaintext,
        header: &MessageHeader,
        aad: &FramedAad,
        iv: Iv,
    ) -> Result<Sealed, Unspecified> {
        let key = self.message_key(&header.salt)?;
        let (ciphertext, tag) = key.seal(plaintext, iv, aad.as_bytes())?;
        Ok(Sealed {
            ciphertext,
            iv: InitializationVector::Bytes12(iv),
            tag,
            metadata: header.encode(),
        })
    }

    /// Decrypts what was sealed under the message key of `header`.
    pub(crate) fn open(
        &self,
        sealed: &Sealed,
        header: &MessageHeader,
        aad: &FramedAad,
    ) -> Result<Plaintext, Unspecified> {
        let InitializationVector::Bytes12(iv) = sealed.iv else {
            return Err(Unspecified); // this format makes no other
        };
        let key = self.message_key(&header.salt)?;
        key.open(&sealed.ciphertext, iv, sealed.tag, aad.as_bytes())
    }

    /// The key goes from HMAC into AES without a copy in a buffer of ours.
    fn message_key(&self, salt: &[u8; SALT_LEN]) -> Result<MessageKey, Unspecified> {
        let mut input = KDF_INPUT;
        if let Some(place) = input.get_mut(SALT_AT..SALT_AT + SALT_LEN) {
            place.copy_from_slice(salt);
        }
        MessageKey::new(hmac::sign(&self.0, &input).as_ref())
    }
}

/// AES-256-GCM under one key.
struct MessageKey(LessSafeKey);

impl MessageKey {
    fn new(bytes: &[u8]) -> Result<Self, Unspecified> {
        UnboundKey::new(&AES_256_GCM, bytes).map(|key| Self(LessSafeKey::new(key)))
    }

    fn seal(
        &self,
        plaintext: &Plaintext,
        iv: Iv,
        aad: &[u8],
    ) -> Result<(Vec<u8>, AuthenticationTag), Unspecified> {
        // Wiped if the encryption should fail; afterwards it holds ciphertext alone.
        let mut buffer = Zeroizing::new(plaintext.expose().to_vec());
        let nonce = Nonce::assume_unique_for_key(iv);
        let aad = aead::Aad::from(aad);
        let tag = self.0.seal_in_place_separate_tag(nonce, aad, &mut buffer)?;
        let tag = AuthenticationTag::try_from(tag.as_ref()).map_err(|_| Unspecified)?;
        Ok((std::mem::take(&mut *buffer), tag))
    }

    fn open(
        &self,
        ciphertext: &[u8],
        iv: Iv,
        tag: AuthenticationTag,
        aad: &[u8],
    ) -> Result<Plaintext, Unspecified> {
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        self.0.open_in_place_separate_tag(
            Nonce::assume_unique_for_key(iv),
            aead::Aad::from(aad),
            tag.0.into(),
            &mut buffer,
            0..,
        )?;
        Ok(Plaintext::from(buffer))
    }
}

const FORMAT: u8 = 1;
const SALT_LEN: usize = 16;
const HEADER_LEN: usize = CiphertextMetadata::MAX_LEN;

/// Names this format. With at most 30 bytes the whole KDF input is one block of SHA-256.
const LABEL: [u8; 27] = *b"xks-proxy embedded format 1";

/// Counter 1, label, separator, room for the salt, and L: the length of the derived key in bits.
const KDF_INPUT: [u8; SALT_AT + SALT_LEN + 4] = {
    let mut input = [0; SALT_AT + SALT_LEN + 4];
    let (before_salt, from_salt) = input.split_at_mut(SALT_AT);
    let (counter, label) = before_salt.split_at_mut(4);
    counter.copy_from_slice(&1_u32.to_be_bytes());
    let (label, _separator) = label.split_at_mut(LABEL.len());
    label.copy_from_slice(&LABEL);
    let (_salt, len_bits) = from_salt.split_at_mut(SALT_LEN);
    len_bits.copy_from_slice(&256_u32.to_be_bytes());
    input
};
const SALT_AT: usize = 4 + LABEL.len() + 1;

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use xks_api::fields::Aad;

    use super::*;

    fn hex<const N: usize>(value: &Value) -> [u8; N] {
        hex_bytes(value).try_into().unwrap()
    }

    fn hex_bytes(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    /// `tests/vectors/embedded_cipher.py` wrote them with the `cryptography` library.
    #[test]
    fn known_answers_of_a_second_implementation() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/vectors/embedded_cipher.json"
        );
        let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 8);
        for vector in vectors {
            let cipher = VersionCipher::new(&Zeroizing::new(hex(&vector["key_material"])));
            let header = MessageHeader {
                version: u32::try_from(vector["key_version"].as_u64().unwrap())
                    .unwrap()
                    .try_into()
                    .unwrap(),
                salt: hex(&vector["salt"]),
            };
            let plaintext = Plaintext::from(&*hex_bytes(&vector["plaintext"]));
            let aad = Aad::try_from(hex_bytes(&vector["aad"])).unwrap();
            let expected = Sealed {
                ciphertext: hex_bytes(&vector["ciphertext"]),
                iv: InitializationVector::Bytes12(hex(&vector["iv"])),
                tag: AuthenticationTag(hex(&vector["tag"])),
                metadata: (&*hex_bytes(&vector["metadata"])).try_into().unwrap(),
            };
            let framed = FramedAad::new(&aad, &expected.metadata);
            assert_eq!(MessageHeader::parse(&expected.metadata), Some(header));
            let sealed = cipher
                .seal(&plaintext, &header, &framed, hex(&vector["iv"]))
                .unwrap();
            assert_eq!(sealed, expected);
            assert!(cipher.open(&expected, &header, &framed).unwrap() == plaintext);
        }
    }

    /// Project Wycheproof's vectors: known answers, special cases, and tags that were changed.
    #[test]
    fn wycheproof_aes_gcm() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/vectors/wycheproof_aes_gcm.json"
        );
        let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        let mut valid = 0;
        for vector in vectors {
            let [key, aad, message, ciphertext] = [1, 3, 4, 5].map(|at| hex_bytes(&vector[at]));
            let key = MessageKey::new(&key).unwrap();
            let (iv, tag) = (hex(&vector[2]), AuthenticationTag(hex(&vector[6])));
            let plaintext = Plaintext::from(&*message);
            let sealed = key.seal(&plaintext, iv, &aad).unwrap();
            let opened = key.open(&ciphertext, iv, tag, &aad);
            if vector[7] == "valid" {
                valid += 1;
                assert_eq!(sealed, (ciphertext, tag), "{vector}");
                assert!(opened.unwrap() == plaintext, "{vector}");
            } else {
                assert_ne!(sealed, (ciphertext, tag), "{vector}");
                assert!(opened.is_err(), "{vector}");
            }
        }
        assert_eq!((vectors.len(), valid), (66, 39));
    }

    #[test]
    fn metadata_of_another_format_length_or_version_zero_is_not_parsed() {
        let header = MessageHeader {
            version: VersionNumber(0x01_02_03),
            salt: [7; 16],
        };
        let metadata = header.encode();
        assert_eq!(metadata.as_bytes()[..4], [1, 1, 2, 3]);
        assert_eq!(MessageHeader::parse(&metadata), Some(header));
        for bytes in [
            &metadata.as_bytes()[..19],
            &[],
            &[&[2, 1, 2, 3], &[7; 16][..]].concat(),
            &[&[0, 1, 2, 3], &[7; 16][..]].concat(),
            &[&[1, 0, 0, 0], &[7; 16][..]].concat(),
        ] {
            let metadata = CiphertextMetadata::try_from(bytes).unwrap();
            assert_eq!(MessageHeader::parse(&metadata), None, "{bytes:?}");
        }
    }

    #[test]
    fn version_numbers_fit_three_bytes() {
        assert!(VersionNumber::try_from(0).is_err());
        assert_eq!(VersionNumber::of_index(0), Some(VersionNumber(1)));
        let last = VersionNumber::try_from((1 << 24) - 1).unwrap();
        assert_eq!(VersionNumber::of_index(last.index()), Some(last));
        assert_eq!(VersionNumber::of_index(last.index() + 1), None);
    }

    #[test]
    fn an_iv_of_16_bytes_does_not_verify() {
        let cipher = VersionCipher::new(&random_material().unwrap());
        let (header, iv) = MessageHeader::random(VersionNumber(1)).unwrap();
        let aad = FramedAad::new(&Aad::default(), &header.encode());
        let mut sealed = cipher
            .seal(&Plaintext::from(&b"a"[..]), &header, &aad, iv)
            .unwrap();
        sealed.iv = InitializationVector::Bytes16([0; 16]);
        assert!(cipher.open(&sealed, &header, &aad).is_err());
    }
}
