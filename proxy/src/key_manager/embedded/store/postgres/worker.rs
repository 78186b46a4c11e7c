//! One thread for each shared store: it alone talks to the database, verifies what it says, and publishes to requests.
//!
//! Requests never wait for it, and commands wait with an end. The thread ends with the store that it belongs to.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use xks_api::ids::ExternalKeyId;
use xks_api::message::HealthStatus;

use super::super::super::live::{Freshness, Live, Moment};
use super::super::super::record::KeyRecord;
use super::super::super::root_key::{Derivation, RootKey, RootKeyId, RootKeySource};
use super::super::error::StoreError;
use super::super::folder::Folder;
use super::super::records::Contents;
use super::connection::Database;
use super::error::PostgresError;
use super::fleet::Membership;
use super::known::{Difference, Known};
use super::listen::listen;
use super::rows::{Write, WriteError, Written};
use super::schema;
use crate::control::FleetMember;

/// What the store's owner asks for.
pub(super) enum Command {
    /// Looks for changes of others; answers with the generation and its root key.
    Refresh(Reply<(u64, RootKeyId)>),
    /// Makes changes to the state of a generation.
    Commit(u64, Difference, Reply<()>),
    /// Wraps everything under another root key, which comes from the source from then on.
    Rewrap(u64, RootKey, Derivation, RootKeySource, Reply<()>),
    Key(ExternalKeyId, Reply<Option<KeyRecord>>),
    Contents(Reply<Contents>),
    /// The proxies that share the store, and what each has taken up.
    Fleet(Reply<Vec<FleetMember>>),
    /// Counts this process among the proxies.
    Join,
}

/// Where an answer goes. Nobody may be waiting any more.
pub(super) type Reply<T> = SyncSender<Result<T, StoreError>>;

/// What the thread works with.
pub(super) struct Worker {
    database: Arc<Database>,
    root_key: RootKeySource,
    folder: Folder,
    known: Known,
    live: Live,
    membership: Membership,
    joined: bool,
    changed: Arc<Notify>,
    listener: AbortHandle,
    /// What the log has been told of.
    trouble: Option<String>,
}

impl Worker {
    /// Opens the store: nothing is served before all of it is verified.
    pub(super) async fn start(
        database: Database,
        root_key: RootKeySource,
        folder: Folder,
    ) -> Result<Self, StoreError> {
        schema::migrate(&database).await?;
        let place = database.place();
        let at = Moment::now();
        let raw = database.read().await?;
        let (known, difference) = Known::verify(raw, &root_key, None, &place)?;
        if let Some(mark) = folder.mark()? {
            if mark.store_id() != known.mark().store_id {
                return Err(PostgresError::Foreign { place }.into());
            }
            let mark = mark.verify(&known.mark_key());
            let mark = mark.ok_or_else(|| folder.no_generation("is not authentic"))?;
            mark.precedes_in(known.manifest(), &place)?;
        }
        folder.write_mark(&known.mark(), &known.mark_key())?;
        let freshness = Freshness::limited(database.config().snapshot_max_age, at);
        let live = Live::new(difference.into_contents(), freshness)?;
        let database = Arc::new(database);
        let changed = Arc::new(Notify::new());
        let listening = listen(Arc::clone(&database), Arc::clone(&changed));
        Ok(Self {
            listener: tokio::spawn(listening).abort_handle(),
            database,
            root_key,
            folder,
            known,
            live,
            membership: Membership::new(),
            joined: false,
            changed,
            trouble: None,
        })
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    pub(super) fn root_key_id(&self) -> RootKeyId {
        self.known.root_key_id()
    }

    /// Works until nobody can send commands any more.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let config = self.database.config();
        let mut poll = interval(config.poll_interval);
        let mut beat = interval(config.heartbeat_interval);
        for ticks in [&mut poll, &mut beat] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut verified = Instant::now();
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.carry_out(command).await,
                    None => break,
                },
                () = self.changed.notified() => {
                    let result = self.refresh().await;
                    self.tell(result);
                }
                _ = beat.tick(), if self.joined => self.beat().await,
                _ = poll.tick() => {
                    let result = if verified.elapsed() > VERIFY_AGAIN {
                        verified = Instant::now();
                        self.read().await
                    } else {
                        self.refresh().await
                    };
                    self.tell(result);
                }
            }
        }
        self.listener.abort();
        if self.joined {
            // Otherwise it is gone when it has missed its heartbeats.
            let _ = self.membership.leave(&self.database).await;
        }
        self.database.close();
    }

    async fn beat(&self) {
        // Polling tells what is wrong with the database.
        let health = match (self.live.freshness.is_over(), &self.trouble) {
            (true, _) => HealthStatus::Unavailable,
            // What is served from memory is not confirmed.
            (false, Some(_)) => HealthStatus::Degraded,
            (false, None) => HealthStatus::Active,
        };
        let generation = self.known.generation();
        let proxies = self
            .membership
            .beat(&self.database, health, generation)
            .await;
        if let Ok(proxies) = proxies {
            self.live.proxies.store(Arc::new(proxies));
        }
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Refresh(reply) => {
                let result = self.refresh().await;
                let _ = reply
                    .send(result.map(|()| (self.known.generation(), self.known.root_key_id())));
            }
            Command::Commit(generation, difference, reply) => {
                let _ = reply.send(self.commit(generation, &difference).await);
            }
            Command::Rewrap(generation, root_key, derivation, source, reply) => {
                let result = self.rewrap(generation, &root_key, derivation, source).await;
                let _ = reply.send(result);
            }
            Command::Join => {
                self.joined = true;
                self.beat().await;
            }
            Command::Key(id, reply) => {
                let _ = reply.send(Ok(self.known.key(&id)));
            }
            Command::Fleet(reply) => {
                let fleet = self.membership.fleet(&self.database).await;
                let _ = reply.send(fleet.map_err(StoreError::from));
            }
            Command::Contents(reply) => {
                let _ = reply.send(self.known.contents());
            }
        }
    }

    /// Takes up what others have changed, and confirms that the rest is still as it was.
    async fn refresh(&mut self) -> Result<(), StoreError> {
        let at = Moment::now();
        if self.database.manifest().await?.as_deref() == Some(self.known.manifest_bytes()) {
            self.live.freshness.confirm(at);
            return Ok(());
        }
        self.read().await
    }

    /// Reads and verifies everything.
    async fn read(&mut self) -> Result<(), StoreError> {
        let at = Moment::now();
        let raw = self.database.read().await?;
        let place = self.database.place();
        let (known, difference) = Known::verify(raw, &self.root_key, Some(&self.known), &place)?;
        if known.manifest_bytes() != self.known.manifest_bytes() {
            self.live.apply(&difference.changes());
            self.known = known;
            self.write_mark();
            self.tell_fleet().await;
        }
        self.live.freshness.confirm(at);
        Ok(())
    }

    async fn commit(&mut self, base: u64, difference: &Difference) -> Result<(), StoreError> {
        if self.known.generation() != base {
            return Err(PostgresError::Stale.into());
        }
        let (known, write) = self.known.next(&difference.changes())?;
        self.write(&known, &write).await?;
        self.live.apply(&difference.changes());
        self.known = known;
        self.write_mark();
        self.tell_fleet().await;
        Ok(())
    }

    /// Says what this proxy has taken up: somebody may wait for it.
    async fn tell_fleet(&self) {
        if self.joined {
            self.beat().await;
        }
    }

    async fn rewrap(
        &mut self,
        base: u64,
        root_key: &RootKey,
        derivation: Derivation,
        source: RootKeySource,
    ) -> Result<(), StoreError> {
        if self.known.generation() != base {
            return Err(PostgresError::Stale.into());
        }
        let (known, write) = self.known.rewrapped(root_key, derivation)?;
        self.write(&known, &write).await?;
        self.known = known;
        self.root_key = source;
        self.write_mark();
        Ok(())
    }

    /// Writes the next state; where the connection is lost meanwhile, it is found out what came of it.
    async fn write(&mut self, next: &Known, write: &Write) -> Result<(), StoreError> {
        let expected = Some(self.known.manifest_bytes());
        let lost = match self.database.write(expected, write).await {
            Ok(Written::Committed) => return Ok(()),
            Ok(Written::Conflict) => return Err(PostgresError::Stale.into()),
            Err(WriteError::Before(error)) => return Err(error.into()),
            Err(WriteError::Commit(error)) => error,
        };
        let found = self.database.settled_manifest().await;
        match found {
            Ok(Some(found)) if found == next.manifest_bytes() => Ok(()),
            Ok(Some(found)) if found == self.known.manifest_bytes() => Err(lost.into()),
            // Somebody else made the change of this generation, so it is not ours.
            Ok(Some(found)) if self.known.generation_in(&found) == Some(next.generation()) => {
                Err(PostgresError::Stale.into())
            }
            Ok(_) | Err(_) => Err(PostgresError::Unknown {
                place: self.database.place(),
                cause: lost.cause(),
            }
            .into()),
        }
    }

    fn write_mark(&self) {
        let (mark, key) = (self.known.mark(), self.known.mark_key());
        if let Err(error) = self.folder.write_mark(&mark, &key) {
            tracing::error!(%error, "an older copy of the keyring would not be recognized");
        }
    }

    /// Tells the log what changes, not what goes on.
    fn tell(&mut self, result: Result<(), StoreError>) {
        let age = self.live.freshness.age();
        match result {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    let place = self.database.place();
                    tracing::info!(place, "the keyring is confirmed again");
                }
            }
            Err(error) => {
                let text = match &error {
                    // The words of the operating system differ from one attempt to the next.
                    StoreError::Postgres(PostgresError::Unreachable { .. }) => String::new(),
                    error => error.to_string(),
                };
                if self.trouble.as_ref() != Some(&text) {
                    let max_age = self.database.config().snapshot_max_age;
                    tracing::error!(
                        %error,
                        ?age,
                        ?max_age,
                        "the keyring is not confirmed: requests are served from memory until max_age is reached"
                    );
                    self.trouble = Some(text);
                }
            }
        }
    }
}

/// How often all records are verified although the manifest is the same.
const VERIFY_AGAIN: Duration = Duration::from_secs(60);
