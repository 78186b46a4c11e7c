//! Transit's ciphertext, `vault:vN:base64(iv ‖ ciphertext ‖ tag)`, and the metadata that keeps N beside it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use xks_api::fields::{AuthenticationTag, CiphertextMetadata, InitializationVector};
use xks_api::sealed::Sealed;

/// A version of a Transit key: 1, 2, …; 0 means "the latest" to Transit and is none.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct KeyVersion(u32);

impl KeyVersion {
    pub(crate) fn new(number: u64) -> Option<Self> {
        u32::try_from(number).ok().filter(|n| *n > 0).map(Self)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// `format u8 ‖ version u32`, big-endian.
    pub(super) fn metadata(self) -> CiphertextMetadata {
        let [a, b, c, d] = self.0.to_be_bytes();
        CiphertextMetadata::try_from(&[FORMAT, a, b, c, d][..]).expect("5 of at most 20 bytes")
    }

    /// Nothing for metadata that this key manager has not made.
    pub(crate) fn of_metadata(metadata: &CiphertextMetadata) -> Option<Self> {
        let [FORMAT, a, b, c, d] = *metadata.as_bytes() else {
            return None;
        };
        Self::new(u32::from_be_bytes([a, b, c, d]).into())
    }
}

/// The first byte of the metadata: names this format among all key managers.
//= xks §Encrypt R20
const FORMAT: u8 = b'T';

/// Takes apart what Transit encrypted: under this version, as long as the plaintext, nothing else beside it.
pub(crate) fn parse(text: &str, version: KeyVersion, plaintext_len: usize) -> Option<Sealed> {
    let rest = text.strip_prefix("vault:v")?;
    let encoded = rest
        .strip_prefix(&version.0.to_string())?
        .strip_prefix(':')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (iv, rest) = bytes.split_first_chunk::<IV_LEN>()?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>()?;
    (ciphertext.len() == plaintext_len).then(|| Sealed {
        ciphertext: ciphertext.to_vec(),
        iv: InitializationVector::Bytes12(*iv),
        tag: AuthenticationTag(*tag),
        metadata: version.metadata(),
    })
}

/// Puts together what Transit decrypts; nothing for what it cannot have encrypted.
pub(crate) fn encode(sealed: &Sealed) -> Option<String> {
    let version = KeyVersion::of_metadata(&sealed.metadata)?;
    let InitializationVector::Bytes12(iv) = &sealed.iv else {
        return None;
    };
    let bytes = [&iv[..], &sealed.ciphertext, &sealed.tag.0].concat();
    Some(format!("vault:v{}:{}", version.0, STANDARD.encode(bytes)))
}

const IV_LEN: usize = 12;
const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// What OpenBao 2.7.2 answered for the plaintext 000000 with the associated data 000000.
    const RECORDED: &str = "vault:v1:Azh8H4YzFfdklkfEBDfTyYX9HflbuEP/FZKDhJdBDg==";

    fn version(number: u64) -> KeyVersion {
        KeyVersion::new(number).unwrap()
    }

    #[test]
    fn a_recorded_ciphertext_is_taken_apart_and_put_together_again() {
        let sealed = parse(RECORDED, version(1), 3).unwrap();
        assert_eq!(
            sealed.iv.as_bytes(),
            b"\x03\x38\x7c\x1f\x86\x33\x15\xf7\x64\x96\x47\xc4"
        );
        assert_eq!(sealed.ciphertext, b"\x04\x37\xd3");
        assert_eq!(sealed.tag.0[..2], *b"\xc9\x85");
        assert_eq!(sealed.metadata.as_bytes(), b"T\0\0\0\x01");
        assert_eq!(encode(&sealed).as_deref(), Some(RECORDED));
    }

    #[test]
    fn anything_else_is_refused() {
        let body = RECORDED.strip_prefix("vault:v1:").unwrap();
        for (text, number, len) in [
            (RECORDED, 2, 3),
            (RECORDED, 1, 2),
            (RECORDED, 1, 4),
            (&*format!("vault:v01:{body}"), 1, 3),
            (&*format!("vault:v+1:{body}"), 1, 3),
            (&*format!("vault:v11:{body}"), 1, 3),
            (&*format!("Vault:v1:{body}"), 1, 3),
            (&*format!(" {RECORDED}"), 1, 3),
            (&*format!("{RECORDED}\n"), 1, 3),
            // The same bytes in other base64.
            (RECORDED.trim_end_matches('='), 1, 3),
            (&*RECORDED.replace("Dg==", "Dh=="), 1, 3),
            (&*RECORDED.replace('/', "_"), 1, 3),
            ("vault:v1:AAAA", 1, 0),
            ("vault:v1:", 1, 0),
            ("vault:v1", 1, 0),
            ("", 1, 0),
        ] {
            assert_eq!(parse(text, version(number), len), None, "{text}");
        }
    }

    #[test]
    fn metadata_of_others_is_refused() {
        for number in [1, 255, 256, 4_294_967_295] {
            let metadata = version(number).metadata();
            assert_eq!(KeyVersion::of_metadata(&metadata), Some(version(number)));
        }
        assert_eq!(KeyVersion::new(4_294_967_296), None);
        for bytes in [
            &b""[..],
            b"T",
            b"T\0\0\0\0",
            b"U\0\0\0\x01",
            b"T\0\0\0\x01\0",
            b"T\0\0\x01",
        ] {
            let metadata = CiphertextMetadata::try_from(bytes).unwrap();
            assert_eq!(KeyVersion::of_metadata(&metadata), None, "{bytes:?}");
        }
        let mut sealed = parse(RECORDED, version(1), 3).unwrap();
        sealed.iv = InitializationVector::Bytes16([0; 16]);
        assert_eq!(encode(&sealed), None);
    }
}
