//! Blocks as requests see them: where there is none, one load of one flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use xks_api::ids::{ExternalKeyId, UriPathPrefix};

use super::block::{Block, BlockTarget};
use super::store::ControlRecords;

/// The blocks on the keys of one or several key managers.
#[derive(Debug, Default)]
pub struct Blocks {
    any: AtomicBool,
    list: ArcSwap<Vec<Block>>,
}

impl Blocks {
    /// Whether there may be one in effect.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// A block on a prefix, or on a key under it.
    #[cold]
    pub fn find(
        &self,
        prefix: &UriPathPrefix,
        key: Option<&ExternalKeyId>,
        now: OffsetDateTime,
    ) -> Option<Block> {
        let concerns = |block: &&Block| match &block.target {
            BlockTarget::All => true,
            BlockTarget::Prefix(blocked) => blocked == prefix,
            BlockTarget::Key(blocked) => Some(blocked) == key,
        };
        let list = self.list.load();
        let mut found = list.iter().filter(|block| block.holds(now));
        found.find(concerns).cloned()
    }

    /// Those that are in effect.
    pub fn holding(&self, now: OffsetDateTime) -> Vec<Block> {
        let list = self.list.load();
        list.iter()
            .filter(|block| block.holds(now))
            .cloned()
            .collect()
    }

    pub(super) fn take_up(&self, records: &ControlRecords) {
        let blocks: Vec<_> = records
            .iter()
            .filter_map(|(name, record)| Block::of_record(name, record))
            .collect();
        let any = !blocks.is_empty();
        self.list.store(Arc::new(blocks));
        self.any.store(any, Ordering::Release);
    }
}
