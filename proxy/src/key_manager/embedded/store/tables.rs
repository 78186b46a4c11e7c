//! The records in the redb database: read whole and authenticated, changed in durable transactions.

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};
use ring::hmac;
use zeroize::Zeroizing;

use super::error::{Defect, StoreError};
use super::header::Manifest;
use super::records::{Change, Contents, RecordsSum, open_control, open_credential, open_key};
use super::seal::{Kind, StoreKeys};

/// Where a database is: what the next commit goes on from.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) manifest: Manifest,
    pub(super) sum: RecordsSum,
}

/// What a database holds, authenticated.
pub(super) struct Loaded {
    pub(super) state: State,
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
    let mut sum = RecordsSum::default();
    let mut contents = Contents::default();
    let result = (|| {
        let transaction = database.begin_read()?;
        for entry in transaction.open_table(KEYS)?.iter()? {
            let (name, sealed) = entry?;
            sum.toggle(keys, Kind::Key, name.value(), sealed.value());
            let Some((id, record)) = open_key(keys, name.value(), sealed.value()) else {
                return Ok(Some(name.value().to_owned()));
            };
            contents.keys.insert(id, record);
        }
        for entry in transaction.open_table(CREDENTIALS)?.iter()? {
            let (name, sealed) = entry?;
            sum.toggle(keys, Kind::Credential, name.value(), sealed.value());
            let Some((id, record)) = open_credential(keys, name.value(), sealed.value()) else {
                return Ok(Some(name.value().to_owned()));
            };
            contents.credentials.insert(id, record);
        }
        let control = match transaction.open_table(CONTROL) {
            // The store is of a version that had none.
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        for entry in control.iter()? {
            let (name, sealed) = entry?;
            sum.toggle(keys, Kind::Control, name.value(), sealed.value());
            let Some((name, record)) = open_control(keys, name.value(), sealed.value()) else {
                return Ok(Some(name.value().to_owned()));
            };
            contents.control.insert(name, record);
        }
        Ok::<_, redb::Error>(None)
    })();
    match result {
        Err(error) => return Err(Defect::Database(error)),
        Ok(Some(name)) => return Err(Defect::Record(name)),
        Ok(None) => {}
    }
    if sum.digest(keys) != manifest.digest {
        return Err(Defect::Records);
    }
    Ok(Loaded {
        state: State { manifest, sum },
        generation_key: hmac::Key::new(hmac::HMAC_SHA256, &generation_key),
        contents,
    })
}

/// Runs one durable transaction, which ends with the manifest of all records: `changes` gives their sum.
pub(super) fn commit(
    database_: &Database,
    keys: &StoreKeys,
    generation: u64,
    changes: impl FnOnce(&WriteTransaction) -> Result<RecordsSum, StoreError>,
) -> Result<State, StoreError> {
    let mut transaction = database_.begin_write().map_err(database)?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(database)?;
    // After a crash the last acknowledged commit is the one that is found, without trust in a checksum.
    transaction.set_two_phase_commit(true);
    let sum = changes(&transaction)?;
    let manifest = Manifest {
        generation,
        digest: sum.digest(keys),
    };
    put(&transaction, STORE, MANIFEST, &manifest.encode(keys))?;
    transaction.commit().map_err(database)?;
    Ok(State { manifest, sum })
}

/// Makes changes; gives the sum after them from the one before.
///
/// # Errors
/// [`StoreError::Database`] if the database is not where it was known to be: a commit that failed was made all the same.
pub(super) fn apply(
    transaction: &WriteTransaction,
    keys: &StoreKeys,
    before: Option<&State>,
    changes: &[Change<'_>],
) -> Result<RecordsSum, StoreError> {
    let mut sum = RecordsSum::default();
    if let Some(before) = before {
        let store = transaction.open_table(STORE).map_err(database)?;
        let manifest = store.get(MANIFEST).map_err(database)?;
        let expected = before.manifest.encode(keys);
        if manifest.is_none_or(|found| found.value() != expected) {
            return Err(database(redb::Error::PreviousIo));
        }
        sum = before.sum;
    }
    let mut key_table = transaction.open_table(KEYS).map_err(database)?;
    let mut credential_table = transaction.open_table(CREDENTIALS).map_err(database)?;
    let mut control_table = transaction.open_table(CONTROL).map_err(database)?;
    for change in changes {
        let (kind, name, record) = match change {
            Change::PutKey(id, record) => (Kind::Key, id.as_str(), Some(record.encode())),
            Change::PutCredential(id, record) => {
                (Kind::Credential, id.as_str(), Some(record.encode()))
            }
            Change::RemoveKey(id) => (Kind::Key, id.as_str(), None),
            Change::RemoveCredential(id) => (Kind::Credential, id.as_str(), None),
            Change::PutControl(name, record) => {
                (Kind::Control, *name, Some(Zeroizing::new(record.to_vec())))
            }
            Change::RemoveControl(name) => (Kind::Control, *name, None),
        };
        let table = match kind {
            Kind::Key => &mut key_table,
            Kind::Control => &mut control_table,
            _ => &mut credential_table,
        };
        let earlier = match record {
            Some(record) => {
                let sealed = keys.seal(kind, name, &record)?;
                sum.toggle(keys, kind, name, &sealed);
                table.insert(name, &*sealed)
            }
            None => table.remove(name),
        };
        if let Some(earlier) = earlier.map_err(database)? {
            sum.toggle(keys, kind, name, earlier.value());
        }
    }
    Ok(sum)
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
pub(super) const CONTROL: Table = TableDefinition::new("control");

pub(super) const HEADER: &str = "header";
const MANIFEST: &str = "manifest";
pub(super) const GENERATION_KEY: &str = "generation key";
