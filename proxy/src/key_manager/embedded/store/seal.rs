//! The keys that a root key gives a store, and the records that they wrap.
//!
//! A record is `nonce 12 ‖ AES-256-GCM(record) ‖ tag 16`, its kind, store and name in the AAD, so that no record can
//! stand for another. Usage, status and retirement are inside, so that editing the file cannot enable a key.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::super::root_key::RootKey;

/// Tells stores apart; random.
pub(crate) type StoreId = [u8; 16];

/// What a record is of.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Key,
    Credential,
    /// The key of the MAC on the generation file: it outlives a change of the root key.
    GenerationKey,
    /// All keys and credentials, under a key of the backup's own.
    Backup,
    /// What governs the keyring: blocks, admins, requests for approval.
    Control,
}

impl Kind {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::Credential => 2,
            Self::GenerationKey => 3,
            Self::Backup => 4,
            Self::Control => 5,
        }
    }
}

/// The working keys of one store under one root key.
pub(crate) struct StoreKeys {
    store_id: StoreId,
    wrap: LessSafeKey,
    mac: hmac::Key,
}

impl StoreKeys {
    pub(crate) fn derive(root_key: &RootKey, store_id: StoreId) -> Self {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &store_id).extract(root_key.expose());
        let wrap = prk.expand(&[b"xks-proxy store wrap"], &AES_256_GCM);
        let mac = prk.expand(&[b"xks-proxy store mac"], hmac::HMAC_SHA256);
        Self {
            store_id,
            wrap: LessSafeKey::new(UnboundKey::from(wrap.expect("32 bytes of at most 8,160"))),
            mac: hmac::Key::from(mac.expect("32 bytes of at most 8,160")),
        }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store_id
    }

    pub(crate) fn mac(&self) -> &hmac::Key {
        &self.mac
    }

    /// Wraps a record. The number of records ever wrapped under one root key stays far below 2³², what random nonces
    /// allow.
    pub(crate) fn seal(
        &self,
        kind: Kind,
        name: &str,
        record: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + record.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(record);
        let (_, in_out) = sealed.split_at_mut(NONCE_LEN);
        let tag = self.wrap.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            self.aad(kind, name),
            in_out,
        )?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Unwraps a record.
    pub(crate) fn open(
        &self,
        kind: Kind,
        name: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(Unspecified)?;
        let mut record = Zeroizing::new(sealed.to_vec());
        let len = self
            .wrap
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                self.aad(kind, name),
                &mut record,
            )?
            .len();
        record.truncate(len);
        Ok(record)
    }

    /// Format, kind, store, name: every part but the last has a fixed length.
    fn aad(&self, kind: Kind, name: &str) -> Aad<Vec<u8>> {
        let prefix = [RECORD_AAD_FORMAT, kind.number()];
        Aad::from([&prefix[..], &self.store_id, name.as_bytes()].concat())
    }
}

const RECORD_AAD_FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 5] = [
        Kind::Key,
        Kind::Credential,
        Kind::GenerationKey,
        Kind::Backup,
        Kind::Control,
    ];

    #[test]
    fn a_record_opens_as_what_it_was_sealed_as_and_as_nothing_else() {
        let root_key = RootKey::random().unwrap();
        let keys = StoreKeys::derive(&root_key, [1; 16]);
        let other_store = StoreKeys::derive(&root_key, [2; 16]);
        let other_root_key = StoreKeys::derive(&RootKey::random().unwrap(), [1; 16]);
        for (at, kind) in KINDS.into_iter().enumerate() {
            let sealed = keys.seal(kind, "name", b"record").unwrap();
            assert_eq!(**keys.open(kind, "name", &sealed).unwrap(), *b"record");
            for (other_at, other) in KINDS.into_iter().enumerate() {
                let opened = keys.open(other, "name", &sealed);
                assert_eq!(opened.is_ok(), at == other_at, "{at} {other_at}");
            }
            for name in ["", "nam", "name2", "other"] {
                assert!(keys.open(kind, name, &sealed).is_err(), "{name}");
            }
            assert!(other_store.open(kind, "name", &sealed).is_err());
            assert!(other_root_key.open(kind, "name", &sealed).is_err());
        }
    }

    #[test]
    fn every_bit_and_every_byte_of_a_sealed_record_counts() {
        let keys = StoreKeys::derive(&RootKey::random().unwrap(), [1; 16]);
        let sealed = keys.seal(Kind::Key, "name", b"record").unwrap();
        assert_eq!(sealed.len(), 12 + 6 + 16);
        for bit in 0..8 * sealed.len() {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.open(Kind::Key, "name", &bad).is_err(), "{bit}");
        }
        for len in 0..sealed.len() {
            assert!(keys.open(Kind::Key, "name", &sealed[..len]).is_err());
        }
        assert_ne!(keys.seal(Kind::Key, "name", b"record").unwrap(), sealed);
    }
}
