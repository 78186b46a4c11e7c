//! The generation file beside the store: which commit was the last, so that an older copy of the store is recognized.
//!
//! It is written after each commit. A crash between the two leaves the store one generation ahead, which is fine: the
//! store must be at the file's generation or later. It is written before the store is created, with generation 0, so
//! that a store that vanished is told from one that never was. Whoever replaces both files by older ones goes unnoticed:
//! only something outside of the machine could tell.

use std::io;
use std::path::Path;

use ring::hmac;

use super::super::durable;
use super::seal::StoreId;

/// What the file says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GenerationMark {
    pub(crate) store_id: StoreId,
    pub(crate) generation: u64,
    /// Of the manifest of this generation.
    pub(crate) digest: [u8; 32],
}

impl GenerationMark {
    /// That of a store that is being created.
    pub(crate) fn unfinished(store_id: StoreId) -> Self {
        Self {
            store_id,
            generation: 0,
            digest: [0; 32],
        }
    }

    pub(crate) fn write(&self, path: &Path, key: &hmac::Key) -> io::Result<()> {
        let body = self.body();
        let mac = hmac::sign(key, &body);
        durable::replace(path, &[&body[..], mac.as_ref()].concat())
    }

    fn body(&self) -> [u8; BODY_LEN] {
        let mut body = [0; BODY_LEN];
        let parts = [
            &[FORMAT][..],
            &self.store_id,
            &self.generation.to_be_bytes(),
            &self.digest,
        ];
        for (to, from) in body.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        body
    }
}

/// The file's content, its MAC not verified yet: the key is in the store.
pub(crate) struct UnverifiedMark {
    mark: GenerationMark,
    mac: [u8; 32],
}

impl UnverifiedMark {
    /// `None` for a file that is not one of ours.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[FORMAT], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (store_id, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        Some(Self {
            mark: GenerationMark {
                store_id: *store_id,
                generation: u64::from_be_bytes(*generation),
                digest: *digest,
            },
            mac: rest.try_into().ok()?,
        })
    }

    /// Names the store, for a message only.
    pub(crate) fn store_id(&self) -> StoreId {
        self.mark.store_id
    }

    /// Whether the file says that its store was never finished; for a message only.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.mark.generation == 0
    }

    pub(crate) fn verify(&self, key: &hmac::Key) -> Option<GenerationMark> {
        hmac::verify(key, &self.mark.body(), &self.mac).ok()?;
        Some(self.mark)
    }
}

const FORMAT: u8 = 1;
const BODY_LEN: usize = 1 + 16 + 8 + 32;
