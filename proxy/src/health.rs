//! How each key manager is: a probe that encrypts and decrypts, its last results, and the status they give.
//!
//! | last result | status |
//! |---|---|
//! | failed, or none within a minute | UNAVAILABLE |
//! | good, but slower than `health.slow_after`, or one of the four before it failed | DEGRADED |
//! | good | ACTIVE |
//!
//! A result older than a minute is never told: the request probes at once, within its own deadline.

use std::collections::{HashSet, VecDeque};
use std::error::Error as _;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use xks_api::fields::{Aad, Plaintext};
use xks_api::message::HealthStatus;
use xks_api::sealed::FramedAad;

use crate::key_manager::{KeyManager, KeyManagerError};
use crate::runtime::Runtime;

/// What GetHealthStatus says of the proxy itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyIdentity {
    /// `xksProxyFleetSize`
    pub fleet_size: NonZeroU32,
    /// `xksProxyVendor`
    pub vendor: String,
    /// `xksProxyModel`: product name and version.
    pub model: String,
}

/// A key manager, its name in the configuration, and what the probes found.
pub struct Monitored {
    name: Box<str>,
    key_manager: Arc<dyn KeyManager>,
    slow_after: Duration,
    history: Mutex<History>,
}

impl Monitored {
    /// A key manager that no probe has tried yet.
    pub fn new(name: &str, key_manager: Arc<dyn KeyManager>, slow_after: Duration) -> Self {
        Self {
            name: name.into(),
            key_manager,
            slow_after,
            history: Mutex::default(),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From where on a probe counts as slow.
    pub fn slow_after(&self) -> Duration {
        self.slow_after
    }

    /// The key manager.
    pub fn key_manager(&self) -> &dyn KeyManager {
        &*self.key_manager
    }

    /// Encrypts and decrypts with the test key, and keeps the result.
    ///
    /// # Errors
    /// What the key manager failed with; [`KeyManagerError::TimedOut`] if it took longer than `limit`.
    //= xks §GetHealthStatus R24, R25
    pub async fn probe(&self, limit: Duration) -> Result<Duration, KeyManagerError> {
        let started = Instant::now();
        let result = match timeout(limit, round_trip(&*self.key_manager)).await {
            Ok(result) => result,
            Err(_) => Err(KeyManagerError::TimedOut),
        };
        let took = started.elapsed();
        let outcome = match &result {
            Ok(()) if took > self.slow_after => Outcome::Slow,
            Ok(()) => Outcome::Good,
            Err(_) => Outcome::Failed,
        };
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(started, outcome);
        result.map(|()| took)
    }

    /// The status as it was at most a minute ago, or as it is now.
    //= xks §GetHealthStatus R29
    pub(crate) async fn health(&self, deadline: Instant) -> HealthStatus {
        if let Some(status) = self.known(Instant::now()) {
            return status;
        }
        // Ends early enough that the answer is still in time.
        let end = deadline.checked_sub(ANSWER_TIME).unwrap_or(deadline);
        match timeout_at(end, self.probe(MAX_AGE)).await {
            Ok(_) => self
                .known(Instant::now())
                .unwrap_or(HealthStatus::Unavailable),
            Err(_) => HealthStatus::Unavailable,
        }
    }

    /// The status that fresh results give, if there are any.
    pub fn known(&self, now: Instant) -> Option<HealthStatus> {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .status(now)
    }
}

/// Probes every key manager of the moment, again and again. Ends when it is dropped.
pub async fn watch(runtime: &Runtime, interval: Duration) {
    let mut failing = HashSet::new();
    loop {
        let key_managers = runtime.snapshot().key_managers.clone();
        let mut probes = JoinSet::new();
        for key_manager in key_managers {
            probes.spawn(async move {
                let result = key_manager.probe(PROBE_LIMIT).await;
                (key_manager, result)
            });
        }
        while let Some(ended) = probes.join_next().await {
            let Ok((key_manager, result)) = ended else {
                // The probe panicked, which was reported; without a result, the last one grows old.
                continue;
            };
            let name = key_manager.name();
            match result {
                Ok(took) => {
                    if failing.remove(name) {
                        tracing::info!(key_manager = name, ?took, "the key manager is back");
                    }
                }
                Err(error) => {
                    let source = error.source().map(ToString::to_string);
                    tracing::error!(
                        key_manager = name,
                        %error,
                        cause = source.as_deref(),
                        "the key manager does not encrypt and decrypt"
                    );
                    failing.insert(name.to_owned());
                }
            }
        }
        sleep(interval).await;
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Good,
    Slow,
    Failed,
}

/// The last results, the newest first.
#[derive(Default)]
struct History(VecDeque<(Instant, Outcome)>);

impl History {
    fn add(&mut self, at: Instant, outcome: Outcome) {
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front((at, outcome));
    }

    fn status(&self, now: Instant) -> Option<HealthStatus> {
        let (at, last) = self.0.front()?;
        if now.saturating_duration_since(*at) > MAX_AGE {
            return None;
        }
        let flapping = self.0.iter().any(|(_, o)| *o == Outcome::Failed);
        Some(match last {
            Outcome::Failed => HealthStatus::Unavailable,
            Outcome::Slow => HealthStatus::Degraded,
            Outcome::Good if flapping => HealthStatus::Degraded,
            Outcome::Good => HealthStatus::Active,
        })
    }
}

async fn round_trip(key_manager: &dyn KeyManager) -> Result<(), KeyManagerError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| KeyManagerError::Unavailable("no random bytes".into()))?;
    let plaintext = Plaintext::from(&bytes[..]);
    let key = key_manager.test_key().await?;
    let metadata = key.metadata()?;
    let aad = FramedAad::new(&Aad::default(), &metadata);
    let sealed = key.seal(&plaintext, metadata, &aad).await?;
    if key.open(&sealed, &aad).await? != plaintext {
        let cause = "what it decrypts is not what it encrypted";
        return Err(KeyManagerError::Unavailable(cause.into()));
    }
    Ok(())
}

const MAX_AGE: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 5;
/// A probe that takes longer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn status(outcomes: &[Outcome], age: Duration) -> Option<HealthStatus> {
        let mut history = History::default();
        let start = Instant::now();
        for outcome in outcomes {
            history.add(start, *outcome);
        }
        history.status(start + age)
    }

    #[test]
    fn r29_each_row_of_the_table() {
        use Outcome::{Failed, Good, Slow};
        let fresh = Duration::from_secs(60);
        assert_eq!(status(&[], fresh), None);
        assert_eq!(status(&[Good], fresh), Some(HealthStatus::Active));
        assert_eq!(status(&[Good], fresh + Duration::from_millis(1)), None);
        assert_eq!(
            status(&[Good, Failed], fresh),
            Some(HealthStatus::Unavailable)
        );
        assert_eq!(status(&[Failed, Good], fresh), Some(HealthStatus::Degraded));
        assert_eq!(status(&[Good, Slow], fresh), Some(HealthStatus::Degraded));
        assert_eq!(status(&[Slow, Good], fresh), Some(HealthStatus::Active));
        let recovered = [Failed, Good, Good, Good, Good];
        assert_eq!(status(&recovered, fresh), Some(HealthStatus::Degraded));
        let long_ago = [Failed, Good, Good, Good, Good, Good];
        assert_eq!(status(&long_ago, fresh), Some(HealthStatus::Active));
    }
}
