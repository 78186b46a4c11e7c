//! Connections of each source address, where that is limited.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::networks::first_bits;

/// How many connections each address has. A host of IPv6 has a network of 64 bits to take addresses from, which count as one.
#[derive(Default)]
pub(super) struct PerAddress(Mutex<HashMap<IpAddr, Count>>);

#[derive(Default)]
struct Count {
    connections: u32,
    /// Whether somebody has been told that there were too many.
    told: bool,
}

/// A connection that counts; given back on drop.
pub(super) struct Counted {
    counts: Arc<PerAddress>,
    address: IpAddr,
}

/// The address has as many connections as it may have.
pub(super) struct TooMany {
    /// Since it last had none, this is the first one too many.
    pub(super) first: bool,
}

impl PerAddress {
    /// Counts a connection.
    ///
    /// # Errors
    /// If the address has `limit` of them already.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        limit: NonZeroU32,
    ) -> Result<Counted, TooMany> {
        let address = match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => first_bits(address.into(), 64).unwrap_or_else(|| address.into()),
        };
        {
            let mut counts = self.lock();
            let count = counts.entry(address).or_default();
            if count.connections >= limit.get() {
                let first = !std::mem::replace(&mut count.told, true);
                return Err(TooMany { first });
            }
            count.connections += 1;
        }
        Ok(Counted {
            counts: Arc::clone(self),
            address,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            count.connections -= 1;
            if count.connections == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_no_more_until_one_ends() {
        let counts = Arc::new(PerAddress::default());
        let limit = NonZeroU32::new(2).unwrap();
        let enter = |address: &str| counts.enter(address.parse().unwrap(), limit);
        let entered = |address: &str| enter(address).ok().unwrap();
        let refused = |address: &str| enter(address).err().unwrap().first;
        let (first, second) = (entered("192.0.2.1"), entered("::ffff:192.0.2.1"));
        assert!(refused("192.0.2.1"));
        assert!(!refused("192.0.2.1"), "it was told of");
        let other = entered("192.0.2.2");
        drop(first);
        let again = entered("192.0.2.1");
        assert!(!refused("192.0.2.1"));
        // One host of IPv6, and another one.
        let (a, b) = (entered("2001:db8::1"), entered("2001:db8::2"));
        assert!(refused("2001:db8::3"));
        let c = entered("2001:db8:0:1::1");
        drop((second, other, again, a, b, c));
        assert!(counts.lock().is_empty());
        let last = (entered("192.0.2.1"), entered("192.0.2.1"));
        assert!(refused("192.0.2.1"), "it was told of another crowd");
        drop(last);
    }
}
