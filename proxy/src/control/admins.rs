//! Named administrators: of each token, its SHA-256 is kept. A token has 256 random bits, so that no slow hash is needed.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::error::ControlError;
use super::scopes::Scopes;
use super::store::{ControlChange, ControlRecords, ControlStore};
use crate::key_manager::embedded::{AdminError, timestamp};

/// Makes a token for one administrator.
///
/// # Errors
/// No random bytes.
pub fn new_token() -> Result<Zeroizing<String>, ring::error::Unspecified> {
    let mut random = Zeroizing::new([0_u8; 32]);
    SystemRandom::new().fill(&mut *random)?;
    let mut token = Zeroizing::new(String::with_capacity(TOKEN_START.len() + 64));
    token.push_str(TOKEN_START);
    for byte in *random {
        for digit in [byte >> 4, byte & 15] {
            token.push(char::from_digit(u32::from(digit), 16).expect("a digit"));
        }
    }
    Ok(token)
}

/// What is kept of a token: 64 hexadecimal digits.
pub fn token_hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether the text may be the hash of a token.
pub fn is_token_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the text may name an administrator: it stands in logs and tables.
pub fn is_admin_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'@');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// One administrator.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AdminInfo {
    /// The name.
    pub name: String,
    /// Who made it.
    pub by: String,
    /// RFC 3339.
    pub created: String,
}

#[derive(Deserialize, Serialize)]
struct AdminRecord {
    hash: String,
    by: String,
    created: i64,
}

/// The name that a token stands for.
pub fn authenticate(scopes: &Scopes, token: &str) -> Option<String> {
    // Hashes of 256 random bits are compared: how long that takes tells nothing about another token.
    let hash = token_hash(token);
    records(scopes)
        .into_iter()
        .find_map(|(name, record)| (record.hash == hash).then_some(name))
}

/// All administrators, by name.
pub fn admins(scopes: &Scopes) -> Vec<AdminInfo> {
    let info = |(name, record): (String, AdminRecord)| AdminInfo {
        name,
        by: record.by,
        created: OffsetDateTime::from_unix_timestamp(record.created)
            .map_or_else(|_| String::new(), timestamp),
    };
    records(scopes).into_iter().map(info).collect()
}

/// Takes an administrator into the first store of the proxy.
///
/// # Errors
/// [`ControlError::AdminExists`]; what the store refuses.
pub fn create_admin(scopes: &Scopes, name: &str, hash: &str, by: &str) -> Result<(), AdminError> {
    if records(scopes).iter().any(|(known, _)| known == name) {
        return Err(ControlError::AdminExists(name.to_owned()).into());
    }
    let record = AdminRecord {
        hash: hash.to_owned(),
        by: by.to_owned(),
        created: OffsetDateTime::now_utc().unix_timestamp(),
    };
    let record = serde_json::to_vec(&record).expect("strings and numbers encode");
    let key = record_name(name);
    home(scopes)?.change(&mut |records: &ControlRecords| {
        if records.contains_key(&key) {
            return Err(ControlError::AdminExists(name.to_owned()).into());
        }
        Ok(vec![ControlChange::Put(key.clone(), record.clone())])
    })?;
    Ok(())
}

/// Removes an administrator wherever it is.
///
/// # Errors
/// [`ControlError::NoSuchAdmin`]; what the store refuses.
pub fn remove_admin(scopes: &Scopes, name: &str) -> Result<(), AdminError> {
    let key = record_name(name);
    let stores = scopes.scopes.iter().filter_map(|s| s.store.as_ref());
    let mut found = false;
    for store in stores.filter(|store| store.control().records().contains_key(&key)) {
        store.change(&mut |_| Ok(vec![ControlChange::Remove(key.clone())]))?;
        found = true;
    }
    match found {
        true => Ok(()),
        false => Err(ControlError::NoSuchAdmin(name.to_owned()).into()),
    }
}

/// Where admins and requests for approval are kept.
pub(super) fn home(scopes: &Scopes) -> Result<&dyn ControlStore, ControlError> {
    let mut stores = scopes.scopes.iter().filter_map(|s| s.store.as_deref());
    stores.next().ok_or(ControlError::NoStateDir)
}

fn records(scopes: &Scopes) -> Vec<(String, AdminRecord)> {
    let mut all = Vec::new();
    for store in scopes.scopes.iter().filter_map(|s| s.store.as_ref()) {
        let records = store.control().records();
        for (name, record) in records.iter() {
            let name = name.strip_prefix(RECORD);
            let record = serde_json::from_slice(record).ok();
            all.extend(name.map(str::to_owned).zip(record));
        }
    }
    all.sort_by(|a: &(String, AdminRecord), b| a.0.cmp(&b.0));
    all
}

fn record_name(name: &str) -> String {
    format!("{RECORD}{name}")
}

const RECORD: &str = "admin/";
const TOKEN_START: &str = "xksa_";
