//! Memory for request bodies while they come, when nobody is authenticated yet.
//!
//! Each connection has room for one body of the longest kind, which no other connection can take from it; that is all
//! that HTTP/1.1 needs. An HTTP/2 connection with several incomplete bodies may take what it needs beyond from a pool
//! that all connections share. So strangers cost `connections × longest body + pool`, however many streams they open.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The room of one connection: how much of it is taken.
#[derive(Default)]
pub(crate) struct OwnRoom(AtomicUsize);

/// The pool of all connections: how much of it is left.
pub(crate) struct SharedRoom(Semaphore);

/// Room for one body, given back on drop.
pub(crate) enum Room<'a> {
    Own { room: &'a OwnRoom, bytes: usize },
    Shared { _permits: SemaphorePermit<'a> },
}

impl OwnRoom {
    /// Takes room for a body: here if no more than `limit` is taken then, else from the pool, else not at all.
    pub(crate) fn take<'a>(
        &'a self,
        bytes: usize,
        limit: usize,
        shared: &'a SharedRoom,
    ) -> Option<Room<'a>> {
        let taken = self.0.fetch_add(bytes, Ordering::Relaxed);
        let room = Room::Own { room: self, bytes };
        if taken.saturating_add(bytes) <= limit {
            return Some(room);
        }
        drop(room);
        let permits = shared.0.try_acquire_many(u32::try_from(bytes).ok()?).ok()?;
        Some(Room::Shared { _permits: permits })
    }
}

impl Default for SharedRoom {
    fn default() -> Self {
        Self(Semaphore::new(SHARED_BYTES))
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Self::Own { room, bytes } = self {
            room.0.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

/// Thousands of requests of the usual size, each between its first and its last byte.
const SHARED_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_its_own_room_when_the_pool_is_empty() {
        let shared = SharedRoom(Semaphore::new(100));
        let (greedy, modest) = (OwnRoom::default(), OwnRoom::default());
        let held: Vec<_> = (0..20)
            .filter_map(|_| greedy.take(10, 50, &shared))
            .collect();
        assert_eq!(held.len(), 15, "50 of its own and 100 of the pool");
        let own = modest.take(50, 50, &shared);
        assert!(own.is_some());
        assert!(modest.take(1, 50, &shared).is_none());
        drop(own);
        assert!(modest.take(1, 50, &shared).is_some());
        drop(held);
        assert!(greedy.take(50, 50, &shared).is_some());
        assert_eq!(shared.0.available_permits(), 100);
    }
}
