//! The seam to where the records are kept that govern keys: durable there first, then visible to requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use time::OffsetDateTime;

use super::blocks::Blocks;
use crate::key_manager::embedded::AdminError;

/// Names and records, which are JSON.
pub type ControlRecords = BTreeMap<String, Vec<u8>>;

/// A change of one record.
#[derive(Clone, Debug)]
pub enum ControlChange {
    /// Makes it, or replaces the one of this name.
    Put(String, Vec<u8>),
    /// Removes it, if it is there.
    Remove(String),
}

/// The records as they are, and what requests see of them.
#[derive(Debug, Default)]
pub struct Control {
    records: ArcSwap<ControlRecords>,
    blocks: Arc<Blocks>,
}

impl Control {
    /// Begins with what a store held when it was opened.
    pub fn new(records: ControlRecords) -> Self {
        let control = Self::default();
        control.replace(records);
        control
    }

    /// The records as they are.
    pub fn records(&self) -> Arc<ControlRecords> {
        self.records.load_full()
    }

    /// What requests look at.
    pub fn blocks(&self) -> Arc<Blocks> {
        Arc::clone(&self.blocks)
    }

    /// Makes visible what the store holds now.
    pub fn replace(&self, records: ControlRecords) {
        self.blocks.take_up(&records);
        self.records.store(Arc::new(records));
    }
}

/// Looks at the records and says what to change; asked again if another proxy was faster.
pub type Decide<'a> = dyn FnMut(&ControlRecords) -> Result<Vec<ControlChange>, AdminError> + 'a;

/// What keeps the records.
pub trait ControlStore: Send + Sync {
    /// The records as they are.
    fn control(&self) -> Arc<Control>;

    /// Changes records; durable and visible to the requests of this proxy when it returns. Gives the number of the commit.
    ///
    /// # Errors
    /// Whatever `decide` refuses; what the store refuses, and then nothing was changed.
    fn change(&self, decide: &mut Decide<'_>) -> Result<u64, AdminError>;

    /// The proxies that share the records, this one among them; none if it is the only one.
    ///
    /// # Errors
    /// The store is out of reach.
    fn fleet(&self) -> Result<Vec<FleetMember>, AdminError>;
}

/// A proxy that shares a keyring, by the clock of the database.
#[derive(Clone, Debug)]
pub struct FleetMember {
    /// Names it.
    pub id: String,
    /// The commit that it has taken up, or a later one.
    pub generation: u64,
    /// Whether its heartbeat lives.
    pub is_there: bool,
    /// Its last heartbeat.
    pub last_seen: OffsetDateTime,
    /// When all of this was read.
    pub now: OffsetDateTime,
    /// How long after its last heartbeat a proxy counts as gone.
    pub gone_after: Duration,
    /// How long it serves without word of the database.
    pub max_age: Duration,
}
