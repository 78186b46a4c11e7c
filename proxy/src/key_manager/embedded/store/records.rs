//! What any store holds: the records of keys, of credentials and of what governs them by name, their changes, and the sum over all of them.

use std::collections::BTreeMap;

use ring::hmac;
use xks_api::ids::{AccessKeyId, ExternalKeyId};

use super::super::record::{CredentialRecord, KeyRecord};
use super::seal::{Kind, StoreKeys};
use crate::control::ControlRecords;

/// Everything in a store, unwrapped.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) keys: BTreeMap<ExternalKeyId, KeyRecord>,
    pub(crate) credentials: BTreeMap<AccessKeyId, CredentialRecord>,
    pub(crate) control: ControlRecords,
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
        let control = self.control.iter();
        keys.chain(credentials.map(|(id, credential)| Change::PutCredential(id, credential)))
            .chain(control.map(|(name, record)| Change::PutControl(name, record)))
            .collect()
    }
}

/// One change of a commit.
pub(crate) enum Change<'a> {
    PutKey(&'a ExternalKeyId, &'a KeyRecord),
    RemoveKey(&'a ExternalKeyId),
    PutCredential(&'a AccessKeyId, &'a CredentialRecord),
    RemoveCredential(&'a AccessKeyId),
    PutControl(&'a str, &'a [u8]),
    RemoveControl(&'a str),
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

pub(super) fn open_control(
    keys: &StoreKeys,
    name: &str,
    sealed: &[u8],
) -> Option<(String, Vec<u8>)> {
    let record = keys.open(Kind::Control, name, sealed).ok()?;
    Some((name.to_owned(), record.to_vec()))
}

/// What all records are, in 32 bytes that change with each record alone: a commit costs with a hundred thousand keys what
/// it costs with one.
///
/// It is the exclusive or of a MAC of each record's kind, name and wrapped bytes. Two different sets of records differ in
/// at least one, so that their sums are equal with probability 2⁻²⁵⁶ for whoever lacks the key; and nobody gets the chance
/// to solve for one, as the sum itself never leaves the process: what is kept is the [digest](Self::digest) of it. No
/// record is in a sum twice, since names are unique.
#[derive(Clone, Copy, Default)]
pub(super) struct RecordsSum([u8; 32]);

impl RecordsSum {
    /// Adds a record, or takes it away again.
    pub(super) fn toggle(&mut self, keys: &StoreKeys, kind: Kind, name: &str, sealed: &[u8]) {
        let mut context = hmac::Context::with_key(keys.mac());
        context.update(b"xks-proxy store record\0");
        context.update(&[kind.number()]);
        for part in [name.as_bytes(), sealed] {
            let len = u64::try_from(part.len()).expect("usize is at most 64 bits");
            context.update(&len.to_be_bytes());
            context.update(part);
        }
        let mac = context.sign();
        for (sum, mac) in self.0.iter_mut().zip(mac.as_ref()) {
            *sum ^= mac;
        }
    }

    /// What the manifest says of the records: it tells nothing about the sum.
    pub(super) fn digest(&self, keys: &StoreKeys) -> [u8; 32] {
        let mut context = hmac::Context::with_key(keys.mac());
        context.update(b"xks-proxy store sum\0");
        context.update(&self.0);
        let mac = context.sign();
        *mac.as_ref().first_chunk().expect("32 bytes: HMAC-SHA-256")
    }
}
