//! A block: what it is of, who made it, why, and until when; as a value and as the record that is kept.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use xks_api::ids::{ExternalKeyId, UriPathPrefix};

use crate::key_manager::embedded::timestamp;

/// What is blocked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BlockTarget {
    /// Everything.
    All,
    /// An external key store.
    Prefix(UriPathPrefix),
    /// A key, under whichever prefix.
    Key(ExternalKeyId),
}

impl BlockTarget {
    /// The name of the record.
    pub(super) fn record_name(&self) -> String {
        match self {
            Self::All => format!("{RECORD}all"),
            Self::Prefix(prefix) => format!("{RECORD}prefix/{prefix}"),
            Self::Key(id) => format!("{RECORD}key/{id}"),
        }
    }

    fn of_record_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix(RECORD)?;
        match name.split_once('/') {
            None => (name == "all").then_some(Self::All),
            Some(("prefix", prefix)) => UriPathPrefix::try_from(prefix).ok().map(Self::Prefix),
            Some(("key", id)) => ExternalKeyId::try_from(id).ok().map(Self::Key),
            Some(_) => None,
        }
    }
}

impl TryFrom<&str> for BlockTarget {
    type Error = InvalidBlockTarget;

    /// `all`, a URI path prefix (`/` for the empty one), or a key id; `key:all` is the key of that name.
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        if text == "all" {
            return Ok(Self::All);
        }
        if text == "/" {
            return Ok(Self::Prefix("".try_into().map_err(|_| InvalidBlockTarget)?));
        }
        if text.starts_with('/') {
            let prefix = UriPathPrefix::try_from(text);
            return prefix.map(Self::Prefix).map_err(|_| InvalidBlockTarget);
        }
        let id = ExternalKeyId::try_from(text.strip_prefix("key:").unwrap_or(text));
        id.map(Self::Key).map_err(|_| InvalidBlockTarget)
    }
}

impl fmt::Display for BlockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Prefix(prefix) if prefix.as_str().is_empty() => f.write_str("/"),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Key(id) if id.as_str() == "all" => write!(f, "key:{id}"),
            Self::Key(id) => id.fmt(f),
        }
    }
}

/// The text names nothing that can be blocked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key id, a URI path prefix such as /tenant-a, or all")]
pub struct InvalidBlockTarget;

/// A block that is in effect, or was until its time was over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// What it is of.
    pub target: BlockTarget,
    /// Why, in the words of who made it.
    pub reason: String,
    /// Who made it.
    pub by: String,
    /// Since when, to the second.
    pub since: OffsetDateTime,
    /// Until when; `None` until it is lifted.
    pub until: Option<OffsetDateTime>,
}

/// The record of a block; its name says what it is of.
#[derive(Deserialize, Serialize)]
struct BlockRecord {
    reason: String,
    by: String,
    since: i64,
    until: Option<i64>,
}

impl Block {
    /// Whether it has not ended by itself.
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    pub(super) fn record(&self) -> Vec<u8> {
        let record = BlockRecord {
            reason: self.reason.clone(),
            by: self.by.clone(),
            since: self.since.unix_timestamp(),
            until: self.until.map(OffsetDateTime::unix_timestamp),
        };
        serde_json::to_vec(&record).expect("strings and numbers encode")
    }

    /// The block of a record; `None` for records of something else. What is not understood blocks everything: it was
    /// written by a newer version, to keep somebody out.
    pub(super) fn of_record(name: &str, record: &[u8]) -> Option<Self> {
        if !name.starts_with(RECORD) {
            return None;
        }
        Some(Self::read(name, record).unwrap_or_else(|| Self {
            target: BlockTarget::All,
            reason: format!("the record {name} of a newer version is not understood"),
            by: "xks-proxy".to_owned(),
            since: OffsetDateTime::UNIX_EPOCH,
            until: None,
        }))
    }

    fn read(name: &str, record: &[u8]) -> Option<Self> {
        let target = BlockTarget::of_record_name(name)?;
        let record: BlockRecord = serde_json::from_slice(record).ok()?;
        let until = match record.until {
            None => None,
            Some(until) => Some(OffsetDateTime::from_unix_timestamp(until).ok()?),
        };
        Some(Self {
            target,
            reason: record.reason,
            by: record.by,
            since: OffsetDateTime::from_unix_timestamp(record.since).ok()?,
            until,
        })
    }

    /// For administrators.
    pub fn info(&self) -> BlockInfo {
        BlockInfo {
            target: self.target.to_string(),
            reason: self.reason.clone(),
            by: self.by.clone(),
            since: timestamp(self.since),
            until: self.until.map(timestamp),
        }
    }
}

/// What administrators are told of a block.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BlockInfo {
    /// A key id, a prefix, or `all`.
    pub target: String,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub by: String,
    /// RFC 3339.
    pub since: String,
    /// RFC 3339; `None` until it is lifted.
    pub until: Option<String>,
}

const RECORD: &str = "block/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_written() {
        for text in [
            "all",
            "/",
            "/tenant-a",
            "/a/b",
            "payroll",
            "key:all",
            "a.b-c_d",
        ] {
            let target = BlockTarget::try_from(text).unwrap();
            assert_eq!(target.to_string(), text);
            let name = target.record_name();
            assert_eq!(BlockTarget::of_record_name(&name), Some(target), "{name}");
        }
        for bad in ["", "a b", "/a//b", "//", "key:", "a/b"] {
            assert_eq!(BlockTarget::try_from(bad), Err(InvalidBlockTarget), "{bad}");
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_blocks_everything_if_it_is_not_understood() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let block = Block {
            target: BlockTarget::try_from("payroll").unwrap(),
            reason: "stolen \"laptop\"\n".into(),
            by: "alice".into(),
            since: at(1_700_000_000),
            until: Some(at(1_700_000_060)),
        };
        let name = block.target.record_name();
        assert_eq!(Block::of_record(&name, &block.record()).unwrap(), block);
        assert!(block.holds(at(1_700_000_059)) && !block.holds(at(1_700_000_060)));
        assert_eq!(Block::of_record("admin/alice", b"{}"), None);
        for (name, record) in [("block/region/x", &b"{}"[..]), ("block/all", b"2")] {
            let block = Block::of_record(name, record).unwrap();
            assert_eq!(block.target, BlockTarget::All);
            assert!(block.holds(at(4_000_000_000)));
        }
    }
}
