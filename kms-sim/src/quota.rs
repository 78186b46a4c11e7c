//! Quotas that people set: how many cryptographic requests a second a custom key store takes, and an account in a Region;
//! how many keys an account has.
//!
//! A bucket holds the requests of one second. Real time counts, since it is the load on real parts that is limited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::KmsError;
use crate::custom_key_store::CustomKeyStoreType;
use crate::operation::Operation;

/// Every quota and what is used of it; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas(Arc<Mutex<State>>);

/// Requests per second; `None` for no limit.
pub(crate) type Rate = Option<u32>;

#[derive(Debug, Default)]
struct State {
    rates: Rates,
    /// Those that a reset goes back to.
    initial: Rates,
    buckets: BTreeMap<Subject, Bucket>,
}

/// What was set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rates {
    /// Of a store that has none of its own.
    pub(crate) store: Rate,
    /// Of stores that have.
    pub(crate) stores: BTreeMap<String, Rate>,
    /// Of an account in a Region, over all of its keys.
    pub(crate) account: Rate,
    /// How many keys an account has in a Region.
    pub(crate) max_keys: u32,
}

/// Who uses a quota.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Subject {
    Store(String),
    Account(String, String),
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            store: Some(DEFAULT_OF_STORE),
            stores: BTreeMap::new(),
            account: None,
            max_keys: MAX_KEYS,
        }
    }
}

impl Quotas {
    /// Quotas of which that of keys is another.
    pub(crate) fn with_max_keys(max_keys: u32) -> Self {
        let rates = Rates {
            max_keys,
            ..Rates::default()
        };
        Self(Arc::new(Mutex::new(State {
            initial: rates.clone(),
            rates,
            buckets: BTreeMap::new(),
        })))
    }

    /// Whether there may be one key more than these.
    ///
    /// # Errors
    /// LimitExceededException
    pub(crate) fn admit_key(&self, count: usize) -> Result<(), KmsError> {
        let max = self.lock().rates.max_keys;
        match u32::try_from(count).is_ok_and(|count| count < max) {
            true => Ok(()),
            false => Err(KmsError::new(
                "LimitExceededException",
                format!("The account has {count} KMS keys in this Region; its quota is {max}."),
            )),
        }
    }

    /// Counts one request of an operation with a key, in its store if it has one, against what is allowed.
    ///
    /// # Errors
    /// ThrottlingException
    pub(crate) fn admit(
        &self,
        operation: Operation,
        account: (&str, &str),
        store: Option<(&str, CustomKeyStoreType)>,
    ) -> Result<(), KmsError> {
        let store = store
            .filter(|(_, kind)| counts_for_store(operation, *kind))
            .map(|(id, _)| id);
        let of_account = operation.is_cryptographic();
        if store.is_none() && !of_account {
            return Ok(());
        }
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(id) = store {
            let rates = &state.rates;
            let rate = *rates.stores.get(id).unwrap_or(&rates.store);
            state.take(rate, now, || Subject::Store(id.to_owned()))?;
        }
        if of_account {
            let rate = state.rates.account;
            let (account, region) = account;
            let subject = || Subject::Account(account.to_owned(), region.to_owned());
            state.take(rate, now, subject)?;
        }
        Ok(())
    }

    /// Changes what is set; everyone starts with a full second.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Rates)) {
        let mut state = self.lock();
        change(&mut state.rates);
        state.buckets.clear();
    }

    /// As at the start.
    pub(crate) fn reset(&self) {
        let initial = self.lock().initial.clone();
        self.set(|rates| *rates = initial);
    }

    /// What is set.
    pub(crate) fn rates(&self) -> Rates {
        self.lock().rates.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(
        &mut self,
        rate: Rate,
        now: Instant,
        subject: impl FnOnce() -> Subject,
    ) -> Result<(), KmsError> {
        let Some(rate) = rate else {
            return Ok(());
        };
        let bucket = self.buckets.entry(subject()).or_default();
        match bucket.take(rate, now) {
            true => Ok(()),
            false => Err(KmsError::new("ThrottlingException", THROTTLED)),
        }
    }
}

/// The generic cell rate algorithm: when the requests so far are worked off at the rate.
#[derive(Debug, Default)]
struct Bucket {
    busy_until: Option<Instant>,
}

impl Bucket {
    fn take(&mut self, rate: u32, now: Instant) -> bool {
        let Some(interval) = SECOND.checked_div(rate) else {
            return false;
        };
        let start = self.busy_until.map_or(now, |until| until.max(now));
        let end = start + interval;
        if end.duration_since(now) > SECOND {
            return false;
        }
        self.busy_until = Some(end);
        true
    }
}

const fn counts_for_store(operation: Operation, kind: CustomKeyStoreType) -> bool {
    match kind {
        CustomKeyStoreType::AwsCloudHsm => operation.is_cryptographic(),
        CustomKeyStoreType::ExternalKeyStore => {
            operation.is_cryptographic() || matches!(operation, Operation::DescribeKey)
        }
    }
}

/// Requests per second of a store, until AWS raises it.
pub(crate) const DEFAULT_OF_STORE: u32 = 1_800;

/// Keys of an account in a Region, until AWS raises it.
pub(crate) const MAX_KEYS: u32 = 100_000;

const SECOND: Duration = Duration::from_secs(1);

const THROTTLED: &str =
    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_requests_as_the_rate_and_they_come_back_evenly() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let taken = (0..100).filter(|_| bucket.take(10, start)).count();
        assert_eq!(taken, 10);
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!bucket.take(10, at(99)));
        assert!(bucket.take(10, at(100)));
        assert!(!bucket.take(10, at(100)));
        let taken = (0..100).filter(|_| bucket.take(10, at(5_000))).count();
        assert_eq!(taken, 10, "no more than a second's is saved up");
        assert!(!Bucket::default().take(0, start));
    }

    #[test]
    fn there_are_as_many_keys_as_the_quota_says_and_a_reset_goes_back_to_the_first() {
        let quotas = Quotas::with_max_keys(2);
        assert!(quotas.admit_key(1).is_ok());
        let error = quotas.admit_key(2).unwrap_err();
        assert_eq!(error.name(), "LimitExceededException");
        quotas.set(|rates| rates.max_keys = 3);
        assert!(quotas.admit_key(2).is_ok());
        quotas.reset();
        assert!(quotas.admit_key(2).is_err());
        // AWS KMS Developer Guide, "Resource quotas": 100,000 KMS keys.
        assert!(Quotas::default().admit_key(99_999).is_ok());
        assert!(Quotas::default().admit_key(100_000).is_err());
    }

    #[test]
    fn stores_have_1800_of_their_own_and_other_operations_are_free() {
        let quotas = Quotas::default();
        let xks = CustomKeyStoreType::ExternalKeyStore;
        let account = ("111122223333", "us-east-1");
        let admit = |operation, store| quotas.admit(operation, account, store).is_ok();
        quotas.set(|rates| {
            rates.stores.insert("cks-1".to_owned(), Some(2));
        });
        let one = Some(("cks-1", xks));
        assert!(admit(Operation::Encrypt, one) && admit(Operation::DescribeKey, one));
        assert!(!admit(Operation::Decrypt, one) && !admit(Operation::DescribeKey, one));
        assert!(admit(Operation::TagResource, one));
        assert!(admit(Operation::Encrypt, Some(("cks-2", xks))));
        assert!(admit(Operation::Encrypt, None));
        assert_eq!(quotas.rates().store, Some(1_800));
        quotas.set(|rates| rates.account = Some(1));
        assert!(admit(Operation::Encrypt, None));
        assert!(!admit(Operation::Encrypt, Some(("cks-2", xks))));
        assert!(admit(Operation::DescribeKey, None));
    }
}
