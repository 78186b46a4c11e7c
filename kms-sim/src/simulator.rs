//! The whole state: one [`Region`] for each account and Region, each behind one lock.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use dashmap::DashMap;

use crate::custom_key_store::CustomKeyStores;

/// Who calls, and where.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// 12 digits.
    pub(crate) account: String,
    /// For example `us-east-1`.
    pub(crate) region: String,
    /// `awsPrincipalArn` of the requests to the proxy.
    pub(crate) principal_arn: String,
    /// `x-amzn-RequestId` of the answer and `kmsRequestId` of the requests to the proxy.
    pub(crate) request_id: String,
}

/// The simulator: every account and Region that was ever called.
pub(crate) struct Simulator {
    regions: DashMap<(String, String), Arc<Region>>,
}

impl Simulator {
    /// The caller's account and Region, made at its first call.
    pub(crate) fn region(&self, caller: &Caller) -> Arc<Region> {
        let key = (caller.account.clone(), caller.region.clone());
        self.regions.entry(key).or_default().clone()
    }

    /// The simulator's time.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// One account and Region.
#[derive(Default)]
pub(crate) struct Region {
    state: Mutex<RegionState>,
}

impl Region {
    /// Locks the state; never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, RegionState> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What an account has in a Region: every check and its change happen under one lock, so they cannot race.
#[derive(Default)]
pub(crate) struct RegionState {
    /// Custom key stores.
    pub(crate) stores: CustomKeyStores,
}
