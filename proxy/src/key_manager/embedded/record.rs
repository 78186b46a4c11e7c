//! What the store keeps of a key and of a credential, as values and as the bytes that are wrapped.
//!
//! The bytes hold secrets: they live in buffers that are wiped and never grow. Wrapping is `store`'s.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use xks_api::ids::{SecretAccessKey, UriPathPrefix};
use xks_api::message::{KeyStatus, KeyUsage};
use zeroize::Zeroizing;

use super::cipher::{KeyMaterial, VersionNumber};

/// A key with all its versions.
pub(crate) struct KeyRecord {
    pub(crate) usages: Usages,
    pub(crate) status: KeyStatus,
    pub(crate) created: OffsetDateTime,
    /// Versions 1, 2, … before the current one.
    pub(crate) earlier: Vec<VersionRecord>,
    pub(crate) current: VersionRecord,
}

/// A version of a key. The material of a retired one stays in the store, so that retiring can be undone.
pub(crate) struct VersionRecord {
    pub(crate) state: VersionState,
    pub(crate) created: OffsetDateTime,
    pub(crate) material: KeyMaterial,
}

/// Whether a version decrypts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VersionState {
    /// It does.
    Usable,
    /// What it encrypted is answered with InvalidStateException.
    Retired,
}

impl KeyRecord {
    /// A new key of one version.
    pub(crate) fn new(usages: Usages, material: KeyMaterial, now: OffsetDateTime) -> Self {
        Self {
            usages,
            status: KeyStatus::Enabled,
            created: now,
            earlier: Vec::new(),
            current: VersionRecord::new(material, now),
        }
    }

    /// The number of the current version.
    pub(crate) fn current_number(&self) -> VersionNumber {
        VersionNumber::of_index(self.earlier.len())
            .expect("`decode` and `rotate` bound the number of versions")
    }

    /// Makes `material` the current version; `false` if three bytes can number no more versions.
    pub(crate) fn rotate(&mut self, material: KeyMaterial, now: OffsetDateTime) -> bool {
        if VersionNumber::of_index(self.earlier.len() + 1).is_none() {
            return false;
        }
        let current = VersionRecord::new(material, now);
        self.earlier
            .push(std::mem::replace(&mut self.current, current));
        true
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let len = 3 + 8 + (self.earlier.len() + 1) * VERSION_LEN;
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        let status = match self.status {
            KeyStatus::Enabled => 1,
            KeyStatus::Disabled => 2,
        };
        bytes.extend_from_slice(&[RECORD_FORMAT, self.usages.to_bits(), status]);
        bytes.extend_from_slice(&self.created.unix_timestamp().to_be_bytes());
        for version in self.earlier.iter().chain([&self.current]) {
            bytes.push(match version.state {
                VersionState::Usable => 1,
                VersionState::Retired => 2,
            });
            bytes.extend_from_slice(&version.created.unix_timestamp().to_be_bytes());
            bytes.extend_from_slice(&*version.material);
        }
        debug_assert_eq!(bytes.len(), len);
        bytes
    }

    /// `None` for bytes that [`encode`](Self::encode) did not make.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let [RECORD_FORMAT, usages, status] = input.take()? else {
            return None;
        };
        let created = input.time()?;
        let mut versions = Vec::with_capacity(input.0.len() / VERSION_LEN);
        while !input.0.is_empty() {
            let [state] = input.take()?;
            versions.push(VersionRecord {
                state: match state {
                    1 => VersionState::Usable,
                    2 => VersionState::Retired,
                    _ => return None,
                },
                created: input.time()?,
                material: Zeroizing::new(input.take()?),
            });
        }
        VersionNumber::of_index(versions.len())?;
        Some(Self {
            usages: Usages::from_bits(usages)?,
            status: match status {
                1 => KeyStatus::Enabled,
                2 => KeyStatus::Disabled,
                _ => return None,
            },
            created,
            current: versions.pop()?,
            earlier: versions,
        })
    }
}

impl VersionRecord {
    pub(crate) fn new(material: KeyMaterial, now: OffsetDateTime) -> Self {
        Self {
            state: VersionState::Usable,
            created: now,
            material,
        }
    }
}

/// A credential of one external key store.
pub(crate) struct CredentialRecord {
    pub(crate) uri_path_prefix: UriPathPrefix,
    pub(crate) secret: SecretAccessKey,
    pub(crate) created: OffsetDateTime,
}

impl CredentialRecord {
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (prefix, secret) = (self.uri_path_prefix.as_str(), self.secret.expose());
        let len = |text: &str| u8::try_from(text.len()).expect("bounded by its type");
        let mut bytes = Zeroizing::new(Vec::with_capacity(10 + prefix.len() + secret.len()));
        bytes.push(RECORD_FORMAT);
        bytes.extend_from_slice(&self.created.unix_timestamp().to_be_bytes());
        bytes.push(len(prefix));
        bytes.extend_from_slice(prefix.as_bytes());
        bytes.extend_from_slice(secret.as_bytes());
        bytes
    }

    /// `None` for bytes that [`encode`](Self::encode) did not make.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let [RECORD_FORMAT] = input.take()? else {
            return None;
        };
        let created = input.time()?;
        let [prefix_len] = input.take()?;
        let (prefix, secret) = input.0.split_at_checked(usize::from(prefix_len))?;
        Some(Self {
            uri_path_prefix: std::str::from_utf8(prefix).ok()?.try_into().ok()?,
            secret: std::str::from_utf8(secret).ok()?.try_into().ok()?,
            created,
        })
    }
}

/// Bytes not read yet.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn time(&mut self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(i64::from_be_bytes(self.take()?)).ok()
    }
}

/// What a key may be used for: `ENCRYPT`, `DECRYPT`, both or neither.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usages {
    /// Neither: the key is there, and refuses both operations.
    None,
    /// `ENCRYPT`
    Encrypt,
    /// `DECRYPT`
    Decrypt,
    /// `ENCRYPT,DECRYPT`, what KMS asks of a key.
    EncryptDecrypt,
}

impl Usages {
    /// In the protocol's words.
    pub fn as_slice(self) -> &'static [KeyUsage] {
        static ENCRYPT: [KeyUsage; 1] = [KeyUsage::Encrypt];
        static DECRYPT: [KeyUsage; 1] = [KeyUsage::Decrypt];
        static ENCRYPT_DECRYPT: [KeyUsage; 2] = [KeyUsage::Encrypt, KeyUsage::Decrypt];
        match self {
            Self::None => &[],
            Self::Encrypt => &ENCRYPT,
            Self::Decrypt => &DECRYPT,
            Self::EncryptDecrypt => &ENCRYPT_DECRYPT,
        }
    }

    fn to_bits(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Encrypt => 1,
            Self::Decrypt => 2,
            Self::EncryptDecrypt => 3,
        }
    }

    fn from_bits(bits: u8) -> Option<Self> {
        [
            Self::None,
            Self::Encrypt,
            Self::Decrypt,
            Self::EncryptDecrypt,
        ]
        .into_iter()
        .find(|usages| usages.to_bits() == bits)
    }
}

impl TryFrom<&str> for Usages {
    type Error = InvalidUsages;

    /// `ENCRYPT`, `DECRYPT`, both with a comma between them in either order, or `NONE`.
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        match text {
            "NONE" => Ok(Self::None),
            "ENCRYPT" => Ok(Self::Encrypt),
            "DECRYPT" => Ok(Self::Decrypt),
            "ENCRYPT,DECRYPT" | "DECRYPT,ENCRYPT" => Ok(Self::EncryptDecrypt),
            _ => Err(InvalidUsages),
        }
    }
}

impl fmt::Display for Usages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "NONE",
            Self::Encrypt => "ENCRYPT",
            Self::Decrypt => "DECRYPT",
            Self::EncryptDecrypt => "ENCRYPT,DECRYPT",
        })
    }
}

/// The text names no usages.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("key usage is ENCRYPT, DECRYPT, ENCRYPT,DECRYPT or NONE")]
pub struct InvalidUsages;

const RECORD_FORMAT: u8 = 1;
const VERSION_LEN: usize = 1 + 8 + 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times() -> impl Strategy<Value = OffsetDateTime> {
        (0_i64..4_000_000_000).prop_map(|s| OffsetDateTime::from_unix_timestamp(s).unwrap())
    }

    type Version = (bool, OffsetDateTime, [u8; 32]);

    fn versions() -> impl Strategy<Value = Version> {
        (any::<bool>(), times(), any::<[u8; 32]>())
    }

    fn version((usable, created, material): Version) -> VersionRecord {
        VersionRecord {
            state: if usable {
                VersionState::Usable
            } else {
                VersionState::Retired
            },
            created,
            material: Zeroizing::new(material),
        }
    }

    #[test]
    fn usages_are_told_in_the_protocols_words() {
        use KeyUsage::{Decrypt, Encrypt};
        for (text, usages, words) in [
            ("NONE", Usages::None, vec![]),
            ("ENCRYPT", Usages::Encrypt, vec![Encrypt]),
            ("DECRYPT", Usages::Decrypt, vec![Decrypt]),
            (
                "ENCRYPT,DECRYPT",
                Usages::EncryptDecrypt,
                vec![Encrypt, Decrypt],
            ),
        ] {
            assert_eq!(Usages::try_from(text), Ok(usages));
            assert_eq!(usages.to_string(), text);
            assert_eq!(usages.as_slice(), words);
        }
        assert_eq!(
            Usages::try_from("DECRYPT,ENCRYPT"),
            Ok(Usages::EncryptDecrypt)
        );
        for bad in ["", "encrypt", "ENCRYPT,", "ENCRYPT, DECRYPT", "WRAP"] {
            assert_eq!(Usages::try_from(bad), Err(InvalidUsages), "{bad}");
        }
    }

    #[test]
    fn a_rotated_key_has_its_earlier_material_under_its_earlier_number() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let [first, second] = [[1; 32], [2; 32]].map(Zeroizing::new);
        let mut key = KeyRecord::new(Usages::None, first.clone(), now);
        assert_eq!(key.current_number().get(), 1);
        assert!(key.rotate(second.clone(), now));
        assert_eq!(key.current_number().get(), 2);
        assert!(key.earlier[0].material == first && key.current.material == second);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(key) = KeyRecord::decode(&bytes) {
                prop_assert_eq!(&**key.encode(), &*bytes);
            }
            if let Some(credential) = CredentialRecord::decode(&bytes) {
                prop_assert_eq!(&**credential.encode(), &*bytes);
            }
        }

        #[test]
        fn a_key_record_is_read_as_it_was_written(
            bits in 0_u8..4,
            enabled in any::<bool>(),
            created in times(),
            current in versions(),
            earlier in prop::collection::vec(versions(), 0..5),
            cut in 1_usize..200,
        ) {
            let record = KeyRecord {
                usages: Usages::from_bits(bits).unwrap(),
                status: if enabled { KeyStatus::Enabled } else { KeyStatus::Disabled },
                created,
                earlier: earlier.into_iter().map(version).collect(),
                current: version(current),
            };
            let bytes = record.encode();
            let again = KeyRecord::decode(&bytes).unwrap();
            prop_assert_eq!(again.encode(), bytes.clone());
            prop_assert_eq!((again.usages, again.status), (record.usages, record.status));
            prop_assert_eq!(again.created, record.created);
            prop_assert_eq!(again.earlier.len(), record.earlier.len());
            prop_assert_eq!(&again.current.material, &record.current.material);
            // Whole versions may be missing at the end; the store's manifest notices that.
            let short = &bytes[..bytes.len().saturating_sub(cut)];
            if let Some(shorter) = KeyRecord::decode(short) {
                prop_assert_eq!(cut % VERSION_LEN, 0);
                prop_assert!(shorter.earlier.len() < record.earlier.len());
            }
        }
    }
}
