//! The credentials in memory: what authentication reads, without a lock; replaced, never changed in place.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};

use super::record::CredentialRecord;

/// Every credential of the store, by its access key id.
pub struct Credentials {
    current: ArcSwap<CredentialMap>,
    generation: AtomicU64,
}

/// Every credential of one moment, by its access key id.
pub type CredentialMap = HashMap<AccessKeyId, Arc<Credential>>;

/// What lets a KMS call one external key store.
#[derive(Debug)]
pub struct Credential {
    /// The external key store that it is good for.
    pub uri_path_prefix: UriPathPrefix,
    /// The shared secret.
    pub secret: SecretAccessKey,
    /// When it was made.
    pub created: OffsetDateTime,
}

impl Credentials {
    pub(crate) fn new(credentials: CredentialMap) -> Self {
        Self {
            current: ArcSwap::from_pointee(credentials),
            generation: AtomicU64::new(0),
        }
    }

    /// The credential of an access key id as it came in a request.
    pub fn find(&self, access_key_id: &str) -> Option<Arc<Credential>> {
        self.current.load().get(access_key_id).map(Arc::clone)
    }

    /// All credentials of this moment.
    pub fn snapshot(&self) -> Arc<CredentialMap> {
        self.current.load_full()
    }

    /// Another number after every change: whoever keeps what is derived from a credential compares it.
    ///
    /// Read it before the credentials; then a change in between is noticed at the next comparison.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn replace(&self, credentials: CredentialMap) {
        self.current.store(Arc::new(credentials));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl From<CredentialRecord> for Credential {
    fn from(record: CredentialRecord) -> Self {
        Self {
            uri_path_prefix: record.uri_path_prefix,
            secret: record.secret,
            created: record.created,
        }
    }
}
