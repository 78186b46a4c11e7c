//! The records in the redb database: read whole and authenticated, changed in durable transactions.

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use ring::hmac;

use super::error::{Defect, StoreError};
use super::header::Manifest;
use super::records::{Change, Contents, RecordsDigest, open_credential, open_key};
use super::seal::{Kind, StoreKeys};

/// What a database holds, authenticated.
pub(super) struct Loaded {
    pub(super) manifest: Manifest,
    pub(super) generation_key: hmac::Key,
    pub(super) contents: Contents,
}

pub(super) fn load(database: &Database, keys: &StoreKeys) -> Result<Loaded, Defect> {
    let manifest = read(database, MANIFEST).map_err(Defect::Database)?;
    let manifest = manifest
        .and_then(|bytes| Manifest::decode(&bytes, keys))
        .ok_or(Defect::Manifest)?;
    let generation_key = read(database, GENERATION_KEY)
        .map_err(Defect::Database)?
        .and_then(|sealed| keys.open(Kind::GenerationKey, GENERATION_KEY, &sealed).ok())
        .ok_or_else(|| Defect::Record(GENERATION_KEY.into()))?;
    let mut digest = RecordsDigest::new(keys);
    let mut contents = Contents::default();
    let result = (|| {
        let transaction = database.begin_read()?;
        for entry in transaction.open_table(KEYS)?.iter()? {
            let (name, sealed) = entry?;
            digest.update(Kind::Key, name.value(), sealed.value());
            let Some((id, record)) = open_key(keys, name.value(), sealed.value()) else {
                return Ok(Some(name.value().to_owned()));
            };
            contents.keys.insert(id, record);
        }
        for entry in transaction.open_table(CREDENTIALS)?.iter()? {
            let (name, sealed) = entry?;
            digest.update(Kind::Credential, name.value(), sealed.value());
            let Some((id, record)) = open_credential(keys, name.value(), sealed.value()) else {
                return Ok(Some(name.value().to_owned()));
            };
            contents.credentials.insert(id, record);
        }
        Ok::<_, redb::Error>(None)
    })();
    match result {
        Err(error) => return Err(Defect::Database(error)),
        Ok(Some(name)) => return Err(Defect::Record(name)),
        Ok(None) => {}
    }
    if digest.finish() != manifest.digest {
        return Err(Defect::Records);
    }
    Ok(Loaded {
        manifest,
        generation_key: hmac::Key::new(hmac::HMAC_SHA256, &generation_key),
        contents,
    })
}

/// Runs one durable transaction, which ends with the manifest of all records.
pub(super) fn commit(
    database_: &Database,
    keys: &StoreKeys,
    generation: u64,
    changes: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
) -> Result<Manifest, StoreError> {
    let mut transaction = database_.begin_write().map_err(database)?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(database)?;
    // After a crash the last acknowledged commit is the one that is found, without trust in a checksum.
    transaction.set_two_phase_commit(true);
    changes(&transaction)?;
    let mut digest = RecordsDigest::new(keys);
    for (table, kind) in [(KEYS, Kind::Key), (CREDENTIALS, Kind::Credential)] {
        let table = transaction.open_table(table).map_err(database)?;
        for entry in table.iter().map_err(database)? {
            let (name, sealed) = entry.map_err(database)?;
            digest.update(kind, name.value(), sealed.value());
        }
    }
    let manifest = Manifest {
        generation,
        digest: digest.finish(),
    };
    put(&transaction, STORE, MANIFEST, &manifest.encode(keys))?;
    transaction.commit().map_err(database)?;
    Ok(manifest)
}

pub(super) fn apply(
    transaction: &WriteTransaction,
    keys: &StoreKeys,
    change: &Change<'_>,
) -> Result<(), StoreError> {
    match change {
        Change::PutKey(id, record) => {
            let sealed = keys.seal(Kind::Key, id.as_str(), &record.encode())?;
            put(transaction, KEYS, id.as_str(), &sealed)
        }
        Change::PutCredential(id, record) => {
            let sealed = keys.seal(Kind::Credential, id.as_str(), &record.encode())?;
            put(transaction, CREDENTIALS, id.as_str(), &sealed)
        }
        Change::RemoveKey(id) => remove(transaction, KEYS, id.as_str()),
        Change::RemoveCredential(id) => remove(transaction, CREDENTIALS, id.as_str()),
    }
}

pub(super) fn put(
    transaction: &WriteTransaction,
    table: Table,
    name: &str,
    value: &[u8],
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(table).map_err(database)?;
    table.insert(name, value).map_err(database)?;
    Ok(())
}

pub(super) fn remove(
    transaction: &WriteTransaction,
    table: Table,
    name: &str,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(table).map_err(database)?;
    table.remove(name).map_err(database)?;
    Ok(())
}

pub(super) fn read(database: &Database, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(STORE)?;
    Ok(table.get(name)?.map(|value| value.value().to_vec()))
}

pub(super) fn database(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(error.into())
}

pub(super) type Table = TableDefinition<'static, &'static str, &'static [u8]>;

pub(super) const STORE: Table = TableDefinition::new("store");
pub(super) const KEYS: Table = TableDefinition::new("keys");
pub(super) const CREDENTIALS: Table = TableDefinition::new("credentials");

pub(super) const HEADER: &str = "header";
const MANIFEST: &str = "manifest";
pub(super) const GENERATION_KEY: &str = "generation key";
