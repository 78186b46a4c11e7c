//! The result of an encryption, the AAD that it is bound to, and the integrity value over it.

use ring::digest;

use crate::fields::{Aad, AuthenticationTag, CiphertextMetadata, InitializationVector};

/// What an encryption gives: ciphertext as long as the plaintext, IV, tag, and the key manager's metadata.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// As long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// 12 or 16 bytes.
    pub iv: InitializationVector,
    /// 16 bytes.
    pub tag: AuthenticationTag,
    /// At most 20 bytes, empty for none.
    pub metadata: CiphertextMetadata,
}

/// The AAD given to AES-GCM: `u16be(len aad) ‖ aad ‖ u8(len metadata) ‖ metadata`.
///
/// Both lengths are in, so that bytes cannot move from one field to the other unnoticed.
//= xks §Encrypt R16, R19
#[derive(Clone, Eq, PartialEq)]
pub struct FramedAad(Vec<u8>);

impl FramedAad {
    /// Frames the two fields, whose types bound their lengths.
    pub fn new(aad: &Aad, metadata: &CiphertextMetadata) -> Self {
        let aad_bytes = aad.as_bytes();
        let metadata_bytes = metadata.as_bytes();
        let mut framed = Vec::with_capacity(3 + aad_bytes.len() + metadata_bytes.len());
        framed.extend_from_slice(&aad.len_be());
        framed.extend_from_slice(aad_bytes);
        framed.push(metadata.len_byte());
        framed.extend_from_slice(metadata_bytes);
        Self(framed)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// SHA-256(aad ‖ metadata ‖ iv ‖ ciphertext ‖ tag), 32 bytes, before base64.
///
/// Detects bit flips, not attackers: field lengths are not hashed. Absent fields count as empty.
//= xks §Appendix C R17, R21: the caller computes this BEFORE the verifying decrypt.
pub fn cdiv(aad: &Aad, sealed: &Sealed) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(aad.as_bytes());
    context.update(sealed.metadata.as_bytes());
    context.update(sealed.iv.as_bytes());
    context.update(&sealed.ciphertext);
    context.update(&sealed.tag.0);
    context
        .finish()
        .as_ref()
        .try_into()
        .expect("32 bytes: SHA-256 output")
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn cdiv_of_the_specifications_example() {
        let decode = |text| STANDARD.decode(text).unwrap();
        let aad = Aad::try_from(b"project=nile,department=marketing".to_vec()).unwrap();
        let sealed = Sealed {
            ciphertext: decode("ghxkK1txeDNn3q8Y"),
            iv: (&*decode("HMrlRw85cAJUd5Ax")).try_into().unwrap(),
            tag: (&*decode("vBxN2ncH1oEkR8WVXpmyYQ==")).try_into().unwrap(),
            metadata: (&b"key_version=1"[..]).try_into().unwrap(),
        };
        let expected = "qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=";
        assert_eq!(STANDARD.encode(cdiv(&aad, &sealed)), expected);
    }

    #[test]
    fn framing_is_lengths_and_bytes() {
        let frame = |aad: &[u8], metadata: &[u8]| {
            FramedAad::new(
                &aad.to_vec().try_into().unwrap(),
                &metadata.try_into().unwrap(),
            )
            .as_bytes()
            .to_vec()
        };
        assert_eq!(frame(b"", b""), [0, 0, 0]);
        assert_eq!(frame(b"ab", b"c"), [0, 2, b'a', b'b', 1, b'c']);
        let long = frame(&[b'x'; 8192], &[b'y'; 20]);
        assert_eq!(
            (&long[..2], long[8194], long.len()),
            (&[0x20, 0][..], 20, 8192 + 23)
        );
    }
}
