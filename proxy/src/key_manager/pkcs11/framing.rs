//! How a message tells its key version, and how it is bound to its AAD.
//!
//! `ciphertextMetadata` is `framing u8 ‖ key version u24 big-endian`, and part of the framed AAD in any case.
//!
//! | framing | what the device authenticates |
//! |---|---|
//! | 1 | the framed AAD |
//! | 2 | `ff 02` ‖ SHA-256(framed AAD): no framed AAD of version 1 begins like that |
//! | `aws-sample` | `len AAD u16 ‖ SHA-256(AAD) ‖ len metadata u8 ‖ metadata`, decrypted only: the public sample proxy's |

use ring::digest::{SHA256, digest};
use xks_api::fields::CiphertextMetadata;
use xks_api::sealed::FramedAad;

use super::key_map::MAX_VERSION;
use super::settings::AadMode;

/// What our metadata says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct MessageHeader {
    pub(super) aad: AadMode,
    pub(super) version: u32,
}

impl MessageHeader {
    pub(super) fn to_metadata(self) -> CiphertextMetadata {
        let framing = match self.aad {
            AadMode::Whole => WHOLE,
            AadMode::Sha256 => HASHED,
        };
        let [_, a, b, c] = self.version.min(MAX_VERSION).to_be_bytes();
        CiphertextMetadata::try_from(&[framing, a, b, c][..]).expect("4 of at most 20 bytes")
    }

    /// `None` for what no message of ours has.
    pub(super) fn of(metadata: &CiphertextMetadata) -> Option<Self> {
        let &[framing, a, b, c] = metadata.as_bytes() else {
            return None;
        };
        let aad = match framing {
            WHOLE => AadMode::Whole,
            HASHED => AadMode::Sha256,
            _ => return None,
        };
        let version = u32::from_be_bytes([0, a, b, c]);
        Some(Self { aad, version })
    }
}

/// Whether a message of ours could have the metadata.
pub fn is_ours(metadata: &CiphertextMetadata) -> bool {
    MessageHeader::of(metadata).is_some()
}

/// What the device authenticates.
pub(super) fn device_aad(mode: AadMode, framed: &FramedAad) -> Vec<u8> {
    match mode {
        AadMode::Whole => framed.as_bytes().to_vec(),
        AadMode::Sha256 => {
            let mut aad = vec![0xff, HASHED];
            aad.extend_from_slice(digest(&SHA256, framed.as_bytes()).as_ref());
            aad
        }
    }
}

/// What the device authenticated when the sample proxy encrypted, in the order of likelihood.
///
/// The sample leaves the digest out where a request had no AAD, and hashes AAD that is there but empty.
pub(super) fn aws_sample_aads(framed: &FramedAad) -> Vec<Vec<u8>> {
    let Some((len, rest)) = framed.as_bytes().split_first_chunk::<2>() else {
        return Vec::new();
    };
    let Some((aad, metadata)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len))) else {
        return Vec::new();
    };
    let digest = digest(&SHA256, aad);
    let hashed = [len, digest.as_ref(), metadata].concat();
    if aad.is_empty() {
        return vec![[len, metadata].concat(), hashed];
    }
    vec![hashed]
}

const WHOLE: u8 = 1;
const HASHED: u8 = 2;

#[cfg(test)]
mod tests {
    use xks_api::fields::Aad;

    use super::*;

    #[test]
    fn metadata_names_framing_and_version() {
        for aad in [AadMode::Whole, AadMode::Sha256] {
            for version in [1, 2, 0x01_02_03, MAX_VERSION] {
                let header = MessageHeader { aad, version };
                assert_eq!(MessageHeader::of(&header.to_metadata()), Some(header));
            }
        }
        let header = MessageHeader {
            aad: AadMode::Whole,
            version: 0x01_02_03,
        };
        assert_eq!(header.to_metadata().as_bytes(), [1, 1, 2, 3]);
        for foreign in [
            &b""[..],
            b"\x01\0\0",
            b"\x01\0\0\x01\0",
            b"\x03\0\0\x01",
            b"v0.0.1",
        ] {
            assert!(!is_ours(&foreign.try_into().unwrap()), "{foreign:?}");
        }
    }

    #[test]
    fn no_framed_aad_looks_like_a_hashed_one() {
        let metadata = CiphertextMetadata::default();
        let longest = Aad::try_from(vec![0; 8_192]).unwrap();
        let whole = device_aad(AadMode::Whole, &FramedAad::new(&longest, &metadata));
        let hashed = device_aad(AadMode::Sha256, &FramedAad::new(&longest, &metadata));
        assert!(whole[0] < hashed[0]);
        assert_eq!(hashed.len(), 34);
    }
}
