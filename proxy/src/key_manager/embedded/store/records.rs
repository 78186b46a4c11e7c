//! What any store holds: the records of keys and credentials by name, their changes, and the digest over all of them.

use std::collections::BTreeMap;

use ring::hmac;
use xks_api::ids::{AccessKeyId, ExternalKeyId};

use super::super::record::{CredentialRecord, KeyRecord};
use super::seal::{Kind, StoreKeys};

/// Everything in a store, unwrapped.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) keys: BTreeMap<ExternalKeyId, KeyRecord>,
    pub(crate) credentials: BTreeMap<AccessKeyId, CredentialRecord>,
}

impl Contents {
    /// Whether there is neither a key nor a credential.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.credentials.is_empty()
    }

    /// What makes an empty store one that holds this.
    pub(crate) fn changes(&self) -> Vec<Change<'_>> {
        let keys = self.keys.iter().map(|(id, key)| Change::PutKey(id, key));
        let credentials = self.credentials.iter();
        keys.chain(credentials.map(|(id, credential)| Change::PutCredential(id, credential)))
            .collect()
    }
}

/// One change of a commit.
pub(crate) enum Change<'a> {
    PutKey(&'a ExternalKeyId, &'a KeyRecord),
    RemoveKey(&'a ExternalKeyId),
    PutCredential(&'a AccessKeyId, &'a CredentialRecord),
    RemoveCredential(&'a AccessKeyId),
}

pub(super) fn open_key(
    keys: &StoreKeys,
    name: &str,
    sealed: &[u8],
) -> Option<(ExternalKeyId, KeyRecord)> {
    let record = keys.open(Kind::Key, name, sealed).ok()?;
    Some((name.try_into().ok()?, KeyRecord::decode(&record)?))
}

pub(super) fn open_credential(
    keys: &StoreKeys,
    name: &str,
    sealed: &[u8],
) -> Option<(AccessKeyId, CredentialRecord)> {
    let record = keys.open(Kind::Credential, name, sealed).ok()?;
    Some((name.try_into().ok()?, CredentialRecord::decode(&record)?))
}

/// Over kind, name and wrapped bytes of every record, in the order of the tables.
pub(super) struct RecordsDigest(hmac::Context);

impl RecordsDigest {
    pub(super) fn new(keys: &StoreKeys) -> Self {
        let mut context = hmac::Context::with_key(keys.mac());
        context.update(b"xks-proxy store records");
        Self(context)
    }

    pub(super) fn update(&mut self, kind: Kind, name: &str, sealed: &[u8]) {
        self.0.update(&[kind.number()]);
        for part in [name.as_bytes(), sealed] {
            let len = u64::try_from(part.len()).expect("usize is at most 64 bits");
            self.0.update(&len.to_be_bytes());
            self.0.update(part);
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        let tag = self.0.sign();
        *tag.as_ref().first_chunk().expect("32 bytes: HMAC-SHA-256")
    }
}
