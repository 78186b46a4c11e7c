//! The CiphertextBlob: which key, which key material, and what was sealed in which layers.
//!
//! ```text
//! header = magic 4 ‖ version 1 ‖ layers 1 ‖ key material id 32 ‖ length 2 ‖ key ARN
//! blob   = header ‖ sealed                                                            layers 1: one layer alone
//! blob   = header ‖ length 1 ‖ iv ‖ tag 16 ‖ length 1 ‖ metadata ‖ ciphertext          layers 2: external key over KMS
//! ```
//! The header is in the additional authenticated data of every layer (`encryption_context.rs`), so that a blob is
//! bound to its key, and through the ARN to account and Region. All lengths are big-endian.

use xks_api::fields::{AuthenticationTag, CiphertextMetadata, InitializationVector};
use xks_api::sealed::Sealed;

use crate::key_material::KeyMaterialId;

/// How often a plaintext of this key is sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Layers {
    /// Under the KMS key's material alone, be it in KMS or in a CloudHSM cluster.
    Kms,
    /// The same, and under an external key around it.
    KmsAndExternal,
}

/// The header of a new blob.
pub(crate) fn header(layers: Layers, material: KeyMaterialId, key_arn: &str) -> Vec<u8> {
    let mut header = Vec::with_capacity(40 + key_arn.len());
    header.extend_from_slice(MAGIC);
    header.push(VERSION);
    header.push(match layers {
        Layers::Kms => 1,
        Layers::KmsAndExternal => 2,
    });
    header.extend_from_slice(&material.0);
    let len =
        u16::try_from(key_arn.len()).expect("an ARN of a key that we made is under 200 bytes");
    header.extend_from_slice(&len.to_be_bytes());
    header.extend_from_slice(key_arn.as_bytes());
    header
}

/// The blob of a plaintext that KMS alone sealed.
pub(crate) fn encode_kms(mut header: Vec<u8>, sealed: &[u8]) -> Vec<u8> {
    header.extend_from_slice(sealed);
    header
}

/// The blob of what an external key sealed around KMS's layer.
pub(crate) fn encode_external(mut header: Vec<u8>, sealed: &Sealed) -> Vec<u8> {
    let len = |bytes: &[u8]| {
        u8::try_from(bytes.len()).expect("an IV has 12 or 16 bytes, metadata up to 20")
    };
    let (iv, metadata) = (sealed.iv.as_bytes(), sealed.metadata.as_bytes());
    header.push(len(iv));
    header.extend_from_slice(iv);
    header.extend_from_slice(&sealed.tag.0);
    header.push(len(metadata));
    header.extend_from_slice(metadata);
    header.extend_from_slice(&sealed.ciphertext);
    header
}

/// A blob whose key could be read; whether it is genuine shows when it is opened.
#[derive(Debug)]
pub(crate) struct CiphertextBlob<'a> {
    /// As it stands in the additional authenticated data.
    pub(crate) header: &'a [u8],
    /// The key's ARN.
    pub(crate) key_arn: &'a str,
    /// The version of its material.
    pub(crate) material: KeyMaterialId,
    /// What comes after the header.
    pub(crate) contents: Contents<'a>,
}

/// What was sealed.
#[derive(Debug)]
pub(crate) enum Contents<'a> {
    /// Under KMS's key material.
    Kms(&'a [u8]),
    /// Under an external key, around KMS's layer.
    External(Sealed),
    /// Neither: damaged after the header.
    Malformed,
}

impl<'a> CiphertextBlob<'a> {
    /// Reads a blob; `None` if not even its key can be read.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let ([VERSION, layers], rest) = rest.split_first_chunk()? else {
            return None;
        };
        let (material, rest) = rest.split_first_chunk()?;
        let (arn_len, rest) = rest.split_first_chunk()?;
        let (arn, body) = rest.split_at_checked(u16::from_be_bytes(*arn_len).into())?;
        let header_len = bytes.len().checked_sub(body.len())?;
        Some(Self {
            header: bytes.get(..header_len)?,
            key_arn: std::str::from_utf8(arn).ok()?,
            material: KeyMaterialId(*material),
            contents: match layers {
                1 => Contents::Kms(body),
                2 => external(body).map_or(Contents::Malformed, Contents::External),
                _ => Contents::Malformed,
            },
        })
    }
}

fn external(body: &[u8]) -> Option<Sealed> {
    let (iv_len, rest) = body.split_first()?;
    let (iv, rest) = rest.split_at_checked((*iv_len).into())?;
    let (tag, rest) = rest.split_first_chunk()?;
    let (metadata_len, rest) = rest.split_first()?;
    let (metadata, ciphertext) = rest.split_at_checked((*metadata_len).into())?;
    Some(Sealed {
        ciphertext: ciphertext.to_vec(),
        iv: InitializationVector::try_from(iv).ok()?,
        tag: AuthenticationTag(*tag),
        metadata: CiphertextMetadata::try_from(metadata).ok()?,
    })
}

const MAGIC: &[u8] = b"KMSB";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_material::EXPANSION;

    const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn sealed(iv: &[u8], metadata: &[u8], ciphertext: &[u8]) -> Sealed {
        Sealed {
            ciphertext: ciphertext.to_vec(),
            iv: iv.try_into().unwrap(),
            tag: AuthenticationTag([9; 16]),
            metadata: metadata.try_into().unwrap(),
        }
    }

    #[test]
    fn both_kinds_are_read_back() {
        let id = KeyMaterialId([5; 32]);
        let kms = encode_kms(header(Layers::Kms, id, ARN), b"sealed");
        let blob = CiphertextBlob::parse(&kms).unwrap();
        assert_eq!((blob.key_arn, blob.material), (ARN, id));
        assert_eq!(blob.header, header(Layers::Kms, id, ARN));
        assert!(matches!(blob.contents, Contents::Kms(b"sealed")));

        for (iv, metadata) in [
            (&[1; 12][..], &[][..]),
            (&[1; 16], &[2; 20]),
            (&[1; 12], &[3]),
        ] {
            let sealed = sealed(iv, metadata, b"text");
            let external = encode_external(header(Layers::KmsAndExternal, id, ARN), &sealed);
            let blob = CiphertextBlob::parse(&external).unwrap();
            assert_eq!(blob.header, header(Layers::KmsAndExternal, id, ARN));
            assert!(matches!(blob.contents, Contents::External(found) if found == sealed));
        }
    }

    #[test]
    fn the_largest_blob_fits_the_6144_bytes_of_the_api() {
        let sealed = sealed(&[0; 16], &[0; 20], &[0; 4096 + EXPANSION]);
        let header = header(
            Layers::KmsAndExternal,
            KeyMaterialId([0; 32]),
            &"a".repeat(200),
        );
        assert!(encode_external(header, &sealed).len() <= 6_144);
    }

    #[test]
    fn truncation_loses_the_key_or_the_contents_but_never_panics() {
        let id = KeyMaterialId([5; 32]);
        let header_len = header(Layers::Kms, id, ARN).len();
        let whole = encode_external(
            header(Layers::KmsAndExternal, id, ARN),
            &sealed(&[1; 12], &[2; 20], b"text"),
        );
        for len in 0..whole.len() {
            let blob = CiphertextBlob::parse(&whole[..len]);
            assert_eq!(blob.is_some(), len >= header_len, "{len} bytes");
            let fields = header_len + 1 + 12 + 16 + 1 + 20;
            assert!(
                blob.is_none_or(|b| matches!(b.contents, Contents::Malformed) == (len < fields)),
                "{len} bytes"
            );
        }
        for bad in [&b""[..], b"KMSB", b"KMSA\x01\x01", &[0; 200], &[0xff; 200]] {
            assert!(CiphertextBlob::parse(bad).is_none());
        }
    }
}
