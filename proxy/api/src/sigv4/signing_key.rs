//! Signing keys: how one is derived from a secret, and the bounded cache of those in use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ring::hmac;
use time::Date;
use zeroize::Zeroizing;

/// Derives the signing key of a credential scope from a secret.
pub(super) fn derive(secret: &str, date: &str, region: &str, service: &str) -> hmac::Key {
    let sign = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
    };
    let secret = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
    let key = sign(&secret, date);
    let key = sign(key.as_ref(), region);
    let key = sign(key.as_ref(), service);
    let key = sign(key.as_ref(), "aws4_request");
    hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
}

/// The signing keys of all secrets of a verifier, for each date and Region that verified requests came with.
///
/// A KMS signs all requests of a Region and day in one scope, so there are few of them.
#[derive(Default)]
pub(super) struct SigningKeys {
    scopes: ArcSwap<Vec<Arc<Scope>>>,
}

struct Scope {
    date: Date,
    region: Box<str>,
    keys: Vec<hmac::Key>,
}

impl SigningKeys {
    /// Calls `f` with the key at `position`, if the scope is known.
    pub(super) fn with<T>(
        &self,
        date: Date,
        region: &str,
        position: usize,
        f: impl FnOnce(&hmac::Key) -> T,
    ) -> Option<T> {
        let scopes = self.scopes.load();
        let scope = scopes.iter().find(|s| s.is(date, region))?;
        scope.keys.get(position).map(f)
    }

    /// Takes up the keys of a scope, in the order of their positions. Forgets those of days that no request can be
    /// signed for any more, and of the scope taken up first when there are too many.
    pub(super) fn remember(&self, date: Date, region: &str, keys: Vec<hmac::Key>) {
        let scope = Arc::new(Scope {
            date,
            region: region.into(),
            keys,
        });
        self.scopes.rcu(|scopes| {
            let near = |s: &&Arc<Scope>| (s.date - date).whole_days().abs() <= 1;
            let other = |s: &&Arc<Scope>| !s.is(date, region);
            let kept = scopes.iter().filter(near).filter(other);
            let surplus = (kept.clone().count() + 1).saturating_sub(MAX_SCOPES);
            kept.skip(surplus)
                .chain([&scope])
                .cloned()
                .collect::<Vec<_>>()
        });
    }
}

impl Scope {
    fn is(&self, date: Date, region: &str) -> bool {
        self.date == date && *self.region == *region
    }
}

/// More Regions than AWS has in one partition, on both sides of a midnight.
const MAX_SCOPES: usize = 64;
