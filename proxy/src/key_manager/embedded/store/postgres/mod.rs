//! The store in a PostgreSQL database that a fleet of proxies shares.
//!
//! The database sees names and wrapped records, nothing else: what it says is verified as the redb store is, by the MACs
//! of header and manifest and by the file `generation` in each proxy's data folder. `worker` is the thread that does
//! all of it, `known` what it has verified, `rows` and `schema` the tables, `connection` the way there, `listen` the
//! notifications, `fleet` who else is there.
//!
//! What a database's owner can do unnoticed: show a proxy an old state for as long as it keeps that up, if the proxy
//! has not seen a newer one; and lie about who is in the fleet.

mod config;
mod connection;
mod error;
mod fleet;
mod known;
mod listen;
mod rows;
mod schema;
mod worker;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use xks_api::ids::ExternalKeyId;

pub use self::config::{
    DatabaseUrl, InvalidDatabaseUrl, InvalidSchemaName, PostgresConfig, SchemaName,
};
use self::connection::Database;
pub use self::error::PostgresError;
use self::known::{Difference, Known};
use self::rows::{WriteError, Written};
use self::worker::{Command, Reply, Worker};
use super::super::durable;
use super::super::live::Live;
use super::super::record::KeyRecord;
use super::super::root_key::{Derivation, RootKey, RootKeyId, RootKeySource};
use super::folder::Folder;
use super::{Change, Contents, KeyringStore, StoreError};
use crate::control::FleetMember;

/// An open shared store.
pub(crate) struct PostgresStore {
    commands: Option<mpsc::UnboundedSender<Command>>,
    ended: Receiver<()>,
    /// Of the state that the operation of the moment looks at.
    base: u64,
    root_key_id: RootKeyId,
    place: String,
}

impl PostgresStore {
    /// Makes a store, with these contents, in a database that has none.
    pub(crate) fn create(
        data_dir: &Path,
        root_key: &RootKeySource,
        config: &PostgresConfig,
        contents: &Contents,
    ) -> Result<(), StoreError> {
        durable::create_dir(data_dir).map_err(|e| StoreError::io(data_dir, e))?;
        let folder = Folder::lock(data_dir)?;
        let config = config.clone();
        // The root key is made only where the store is.
        let (key, derivation) = alone(&config, async |database| {
            schema::migrate(database).await?;
            match database.manifest().await? {
                None => Ok(root_key.create()?),
                Some(_) => Err(already(database)),
            }
        })?;
        let (known, write) = Known::create(&key, derivation, contents)?;
        alone(&config, async |database| {
            match database.write(None, &write).await {
                Ok(Written::Committed) => Ok(()),
                Ok(Written::Conflict) => Err(already(database)),
                Err(WriteError::Before(error)) => Err(error.into()),
                Err(WriteError::Commit(lost)) => match database.settled_manifest().await {
                    Ok(Some(found)) if found == known.manifest_bytes() => Ok(()),
                    Ok(None) => Err(lost.into()),
                    Ok(Some(_)) => Err(already(database)),
                    Err(_) => Err(PostgresError::Unknown {
                        place: database.place(),
                        cause: lost.cause(),
                    }
                    .into()),
                },
            }
        })?;
        folder.write_mark(&known.mark(), &known.mark_key())
    }

    /// Opens a store, and what requests see of it; it follows the database until it is dropped.
    pub(crate) fn open(
        data_dir: &Path,
        root_key: RootKeySource,
        config: &PostgresConfig,
    ) -> Result<(Self, Live), StoreError> {
        durable::create_dir(data_dir).map_err(|e| StoreError::io(data_dir, e))?;
        let folder = Folder::lock(data_dir)?;
        let config = config.clone();
        let place = Database::new(&config).place();
        let (commands, receiver) = mpsc::unbounded_channel();
        let (started, ready) = sync_channel(1);
        let (alive, ended) = sync_channel::<()>(0);
        spawn(data_dir, move || {
            // Dropped when the thread ends, which is what others wait for.
            let _alive: SyncSender<()> = alive;
            let Some(executor) = executor(&started) else {
                return;
            };
            executor.block_on(async {
                let database = Database::new(&config);
                match Worker::start(database, root_key, folder).await {
                    Err(error) => drop(started.send(Err(error))),
                    Ok(worker) => {
                        let opened = (worker.live().clone(), worker.root_key_id());
                        if started.send(Ok(opened)).is_ok() {
                            worker.run(receiver).await;
                        }
                    }
                }
            });
        })?;
        let (live, root_key_id) = answer(&ready, &place)?;
        let store = Self {
            commands: Some(commands),
            ended,
            base: 0,
            root_key_id,
            place,
        };
        Ok((store, live))
    }

    /// Takes a store for the newest although this machine has seen a newer one: its owner knows better.
    pub(crate) fn accept(
        data_dir: &Path,
        root_key: &RootKeySource,
        config: &PostgresConfig,
    ) -> Result<(), StoreError> {
        let folder = Folder::lock(data_dir)?;
        let config = config.clone();
        let raw = alone(&config, async |database| Ok(database.read().await?))?;
        let place = Database::new(&config).place();
        let (known, _) = Known::verify(raw, root_key, None, &place)?;
        folder.write_mark(&known.mark(), &known.mark_key())
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answered) = sync_channel(1);
        // What is not sent is dropped, and the answer tells.
        match &self.commands {
            Some(commands) => drop(commands.send(command(reply))),
            None => drop(reply),
        }
        answer(&answered, &self.place)
    }
}

impl KeyringStore for PostgresStore {
    fn begin(&mut self) -> Result<(), StoreError> {
        (self.base, self.root_key_id) = self.ask(Command::Refresh)?;
        Ok(())
    }

    fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        let difference = Difference::of(changes);
        self.ask(|reply| Command::Commit(self.base, difference, reply))?;
        self.base += 1;
        Ok(())
    }

    fn rewrap(
        &mut self,
        root_key: &RootKey,
        derivation: Derivation,
        source: &RootKeySource,
    ) -> Result<(), StoreError> {
        let (key, source) = (root_key.duplicate(), source.clone());
        self.ask(|reply| Command::Rewrap(self.base, key, derivation, source, reply))?;
        self.root_key_id = root_key.id();
        Ok(())
    }

    fn key(&mut self, id: &ExternalKeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.ask(|reply| Command::Key(id.clone(), reply))
    }

    fn contents(&mut self) -> Result<Contents, StoreError> {
        self.ask(Command::Contents)
    }

    fn root_key_id(&self) -> RootKeyId {
        self.root_key_id
    }

    fn generation(&self) -> u64 {
        self.base
    }

    fn fleet(&mut self) -> Result<Vec<FleetMember>, StoreError> {
        self.ask(Command::Fleet)
    }

    fn join(&mut self) {
        if let Some(commands) = &self.commands {
            drop(commands.send(Command::Join));
        }
    }

    fn close(&mut self) {
        self.commands = None;
        // The thread's end, either way.
        let _ = self.ended.recv_timeout(CLOSE_LIMIT);
    }
}

/// Waits for the thread.
fn answer<T>(from: &Receiver<Result<T, StoreError>>, place: &str) -> Result<T, StoreError> {
    let cause = match from.recv_timeout(COMMAND_LIMIT) {
        Ok(result) => return result,
        Err(RecvTimeoutError::Timeout) => "it takes too long",
        Err(RecvTimeoutError::Disconnected) => "this proxy no longer works with it",
    };
    Err(PostgresError::Unknown {
        place: place.to_owned(),
        cause: cause.into(),
    }
    .into())
}

/// Does something with a database on a thread of its own, so that it does not matter where it is called.
fn alone<T: Send>(
    config: &PostgresConfig,
    operation: impl AsyncFnOnce(&Database) -> Result<T, StoreError> + Send,
) -> Result<T, StoreError> {
    let place = Database::new(config).place();
    thread::scope(|scope| {
        let (reply, answered) = sync_channel(1);
        let work = move || {
            if let Some(executor) = executor(&reply) {
                let result = executor.block_on(operation(&Database::new(config)));
                drop(reply.send(result));
            }
        };
        scope.spawn(work);
        answer(&answered, &place)
    })
}

fn executor<T>(failed: &SyncSender<Result<T, StoreError>>) -> Option<tokio::runtime::Runtime> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match executor {
        Ok(executor) => Some(executor),
        Err(error) => {
            drop(failed.send(Err(StoreError::io(Path::new("epoll"), error))));
            None
        }
    }
}

fn spawn(data_dir: &Path, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    thread::Builder::new()
        .name("xks-postgres".into())
        .spawn(work)
        .map(drop)
        .map_err(|e| StoreError::io(data_dir, e))
}

fn already(database: &Database) -> StoreError {
    let place = database.place();
    PostgresError::AlreadyInitialised { place }.into()
}

/// Longer than all the ends of waiting within one command.
const COMMAND_LIMIT: Duration = Duration::from_secs(40);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
