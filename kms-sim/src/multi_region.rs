//! The set of one multi-Region key: which Regions have a key of it, and which of them has the primary.
//!
//! Each key has its place in the set; the set is behind a lock that is held for a moment alone, by whoever has the lock of
//! a Region or none. That a replica is deleted shows on its date, whether or not anybody has called its Region since.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The place of one key.
pub(crate) struct MultiRegion {
    region: String,
    set: Arc<Mutex<Set>>,
}

struct Set {
    primary: String,
    /// When the key of each Region is deleted, if that is scheduled.
    members: BTreeMap<String, Option<SystemTime>>,
    /// When the last replica was deleted that is no member any more.
    last_deleted: Option<SystemTime>,
}

impl MultiRegion {
    /// The only key of a new set.
    pub(crate) fn primary(region: &str) -> Self {
        Self::in_set_of(region, region)
    }

    /// The only known key of a set whose primary is somewhere.
    pub(crate) fn in_set_of(primary: &str, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            set: Arc::new(Mutex::new(Set {
                primary: primary.to_owned(),
                members: BTreeMap::from([(region.to_owned(), None)]),
                last_deleted: None,
            })),
        }
    }

    /// A new replica in another Region.
    pub(crate) fn replica(&self, region: &str) -> Self {
        self.lock().members.insert(region.to_owned(), None);
        Self {
            region: region.to_owned(),
            set: Arc::clone(&self.set),
        }
    }

    /// Joins the set of another key.
    pub(crate) fn join(&mut self, other: &Self) {
        let own = self.lock().members.get(&self.region).copied().flatten();
        other.lock().members.insert(self.region.clone(), own);
        self.set = Arc::clone(&other.set);
    }

    /// The Region of the primary.
    pub(crate) fn primary_region(&self) -> String {
        self.lock().primary.clone()
    }

    /// Whether this is the primary.
    pub(crate) fn is_primary(&self) -> bool {
        self.lock().primary == self.region
    }

    /// The Regions of the replicas that there are now.
    pub(crate) fn replica_regions(&self, now: SystemTime) -> Vec<String> {
        let set = self.lock();
        let replicas = set.replicas();
        let there = replicas.filter(|(_, deleted)| deleted.is_none_or(|date| now < date));
        there.map(|(region, _)| region.clone()).collect()
    }

    /// Every Region that has a key of the set now.
    pub(crate) fn regions(&self, now: SystemTime) -> Vec<String> {
        let mut regions = self.replica_regions(now);
        regions.push(self.primary_region());
        regions
    }

    /// When the last replica went, if none is there now.
    pub(crate) fn alone_since(&self, now: SystemTime) -> Option<SystemTime> {
        let set = self.lock();
        let mut last = set.last_deleted;
        for (_, deleted) in set.replicas() {
            last = last.max(Some(deleted.filter(|date| *date <= now)?));
        }
        Some(last.unwrap_or(now))
    }

    /// The key of this Region is deleted on a date, or no more.
    pub(crate) fn schedule_deletion(&self, date: Option<SystemTime>) {
        let mut set = self.lock();
        if let Some(deleted) = set.members.get_mut(&self.region) {
            *deleted = date;
        }
    }

    /// The key of this Region is deleted.
    pub(crate) fn leave(&self) {
        let mut set = self.lock();
        if let Some(date) = set.members.remove(&self.region).flatten() {
            set.last_deleted = set.last_deleted.max(Some(date));
        }
    }

    /// The key of another Region, which is a member, becomes the primary.
    pub(crate) fn make_primary(&self, region: &str) {
        self.lock().primary = region.to_owned();
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn replicas(&self) -> impl Iterator<Item = (&String, Option<SystemTime>)> {
        let members = self.members.iter();
        let replicas = members.filter(|(region, _)| **region != self.primary);
        replicas.map(|(region, deleted)| (region, *deleted))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_primary_is_alone_from_the_date_of_its_last_replica_on() {
        let at = |day| SystemTime::UNIX_EPOCH + Duration::from_hours(24) * day;
        let primary = MultiRegion::primary("us-east-1");
        assert!(primary.is_primary());
        assert_eq!(primary.alone_since(at(1)), Some(at(1)));
        let (one, two) = (primary.replica("eu-west-1"), primary.replica("eu-west-2"));
        assert!(!one.is_primary());
        assert_eq!(two.replica_regions(at(1)), ["eu-west-1", "eu-west-2"]);
        assert_eq!(primary.alone_since(at(9)), None);
        one.schedule_deletion(Some(at(8)));
        two.schedule_deletion(Some(at(7)));
        assert_eq!(primary.replica_regions(at(7)), ["eu-west-1"]);
        assert_eq!(primary.alone_since(at(7)), None);
        one.leave();
        assert_eq!(primary.alone_since(at(9)), Some(at(8)));
        two.schedule_deletion(None);
        assert_eq!(primary.alone_since(at(9)), None);
        primary.make_primary("eu-west-2");
        assert!(two.is_primary() && !primary.is_primary());
        assert_eq!(primary.regions(at(9)), ["us-east-1", "eu-west-2"]);
    }
}
