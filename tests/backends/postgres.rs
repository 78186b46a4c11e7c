//! The suite for the embedded key manager on PostgreSQL, and what a store that a fleet shares has to do besides: a real
//! server, several key managers on one database, faults, and a database whose owner cheats.

mod fault;
mod fleet;
mod latency;
mod migrate;
mod tamper;
mod unseal;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use harness::backend;
use harness::postgres::Postgres;
use tempfile::TempDir;
use xks_api::fields::{Aad, Plaintext};
use xks_api::ids::ExternalKeyId;
use xks_api::message::KeyStatus;
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::embedded::{
    Embedded, PostgresConfig, RootKeySource, StorePlace, Usages,
};
use xks_proxy::key_manager::{KeyManager, KeyManagerError};

use crate::suite::Backend;

crate::suite!(PostgresBackend);
crate::conforms!(PostgresBackend);

struct PostgresBackend {
    embedded: Embedded,
    _fleet: Fleet,
}

impl Backend for PostgresBackend {
    fn prepare() -> Option<Self> {
        let fleet = Fleet::new(shared()?);
        let embedded = fleet.open("a");
        let administration = embedded.administration();
        for (name, usages) in [
            (Self::KEY, Usages::EncryptDecrypt),
            (Self::OTHER_KEY, Usages::EncryptDecrypt),
            (Self::DISABLED_KEY, Usages::EncryptDecrypt),
            (Self::ENCRYPT_ONLY_KEY, Usages::Encrypt),
            (Self::DECRYPT_ONLY_KEY, Usages::Decrypt),
        ] {
            administration.create_key(&id(name), usages).unwrap();
        }
        let disabled = id(Self::DISABLED_KEY);
        administration
            .set_key_status(&disabled, KeyStatus::Disabled)
            .unwrap();
        Some(Self {
            embedded,
            _fleet: fleet,
        })
    }

    fn key_manager(&self) -> &dyn KeyManager {
        &self.embedded
    }

    fn rotate(&self, name: &str) {
        let administration = self.embedded.administration();
        administration.rotate_key(&id(name)).unwrap();
    }
}

fn shared() -> Option<Arc<Postgres>> {
    there(Postgres::shared())
}

fn own() -> Option<Arc<Postgres>> {
    there(Postgres::start().map(Arc::new))
}

fn there(server: Result<Arc<Postgres>, String>) -> Option<Arc<Postgres>> {
    match server {
        Ok(server) => Some(server),
        Err(reason) => {
            backend::missing("PostgreSQL", &reason);
            None
        }
    }
}

/// A keyring in a schema of its own, and the machines that share it: folders with one root key.
struct Fleet {
    server: Arc<Postgres>,
    folder: TempDir,
    config: PostgresConfig,
}

impl Fleet {
    /// With an empty keyring.
    fn new(server: Arc<Postgres>) -> Self {
        let fleet = Self::unprepared(server);
        Embedded::init_at(&fleet.place("a")).unwrap();
        fleet
    }

    /// With nothing yet.
    fn unprepared(server: Arc<Postgres>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut config = PostgresConfig::new(server.url().parse().unwrap());
        config.password_file = Some(server.password_file());
        config.ca_file = Some(server.ca_file());
        config.schema = (&*format!("t_{number}")).try_into().unwrap();
        config.heartbeat_interval = Duration::from_millis(300);
        config.missed_heartbeats = 6;
        Self {
            server,
            folder: harness::temp_dir(),
            config,
        }
    }

    fn place(&self, machine: &str) -> StorePlace {
        StorePlace {
            data_dir: self.folder.path().join(machine),
            root_key: self.root_key("root.key"),
            database: Some(self.config.clone()),
        }
    }

    fn root_key(&self, name: &str) -> RootKeySource {
        RootKeySource::File(self.folder.path().join(name))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self, machine: &str) -> Embedded {
        let embedded = Embedded::open_at(self.place(machine)).unwrap();
        embedded.administration().join_fleet();
        embedded
    }

    /// Without TLS, as it may be where nobody listens on the way.
    fn open_plain(&self, machine: &str) -> Embedded {
        let mut place = self.place(machine);
        if let Some(database) = &mut place.database {
            database.ca_file = None;
        }
        Embedded::open_at(place).unwrap()
    }

    fn refusal(&self, machine: &str) -> String {
        match Embedded::open_at(self.place(machine)) {
            Ok(_) => panic!("the store opened"),
            Err(error) => error.to_string(),
        }
    }

    fn sql_with(&self, password: &str, statement: &str) -> String {
        self.server.sql_with(password, statement)
    }

    /// A statement about the tables of the keyring, which it calls `xks`.
    fn sql(&self, statement: &str) -> String {
        let schema = self.config.schema.to_string();
        self.server
            .sql(&statement.replace("xks.", &format!("{schema}.")))
    }
}

fn id(name: &str) -> ExternalKeyId {
    name.try_into().unwrap()
}

/// What a request gets: 32 bytes encrypted.
fn encrypt(embedded: &Embedded, name: &str) -> Result<Sealed, KeyManagerError> {
    wait(async {
        let id = id(name);
        let key = embedded.resolve(&id).await?;
        let metadata = key.metadata()?;
        let aad = FramedAad::new(&Aad::default(), &metadata);
        key.seal(&Plaintext::from(&[7; 32][..]), metadata, &aad)
            .await
    })
}

/// Whether a request gets back what [`encrypt`] encrypted.
fn decrypts(embedded: &Embedded, name: &str, sealed: &Sealed) -> bool {
    wait(async {
        let id = id(name);
        let Ok(key) = embedded.resolve(&id).await else {
            return false;
        };
        let aad = FramedAad::new(&Aad::default(), &sealed.metadata);
        let opened = key.open(sealed, &aad).await;
        opened.is_ok_and(|opened| opened == Plaintext::from(&[7; 32][..]))
    })
}

fn status(embedded: &Embedded, name: &str) -> Option<KeyStatus> {
    let id = id(name);
    let key = wait(embedded.resolve(&id)).ok()?;
    Some(key.status())
}

/// For what is answered without waiting.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let executor = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    executor.block_on(future)
}

/// What others see within a second, given a machine that does other things, too.
const SOON: Duration = Duration::from_secs(10);
