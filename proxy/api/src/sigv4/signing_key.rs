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

#[cfg(test)]
mod tests {
    use ring::digest;
    use time::macros::date;

    use super::*;

    /// AWS General Reference, "Deriving the signing key", its example with the key in hexadecimal.
    #[test]
    fn the_documented_key_is_derived() {
        let key = derive(
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "20150830",
            "us-east-1",
            "iam",
        );
        let expected = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        let bytes: Vec<u8> = (0..32)
            .map(|i| u8::from_str_radix(&expected[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let expected = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let message = b"a key shows itself by what it signs";
        let tag = hmac::sign(&key, message);
        assert_eq!(tag.as_ref(), hmac::sign(&expected, message).as_ref());
    }

    fn keys(seed: &str) -> Vec<hmac::Key> {
        let key = |n: u8| {
            let bytes = digest::digest(&digest::SHA256, format!("{seed}{n}").as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
        };
        vec![key(0), key(1)]
    }

    fn sign(keys: &SigningKeys, date: Date, region: &str, position: usize) -> Option<Vec<u8>> {
        keys.with(date, region, position, |key| {
            hmac::sign(key, b"m").as_ref().to_vec()
        })
    }

    #[test]
    fn keys_are_found_by_date_region_and_position() {
        let cache = SigningKeys::default();
        let today = date!(2026 - 11 - 24);
        assert_eq!(sign(&cache, today, "eu-west-1", 0), None);
        cache.remember(today, "eu-west-1", keys("eu"));
        cache.remember(today, "us-east-1", keys("us"));
        let expected = |seed: &str, position: usize| {
            let tag = hmac::sign(&keys(seed)[position], b"m");
            Some(tag.as_ref().to_vec())
        };
        for position in [0, 1] {
            assert_eq!(
                sign(&cache, today, "eu-west-1", position),
                expected("eu", position)
            );
            assert_eq!(
                sign(&cache, today, "us-east-1", position),
                expected("us", position)
            );
        }
        assert_eq!(sign(&cache, today, "us-east-1", 2), None);
        assert_eq!(sign(&cache, today, "us-east-2", 0), None);
        assert_eq!(sign(&cache, date!(2026 - 11 - 25), "us-east-1", 0), None);
    }

    #[test]
    fn the_cache_is_bounded_and_forgets_days_that_are_over() {
        let cache = SigningKeys::default();
        let yesterday = date!(2026 - 11 - 24);
        let today = date!(2026 - 11 - 25);
        cache.remember(yesterday, "r-0", keys("y"));
        for n in 0..MAX_SCOPES {
            cache.remember(today, &format!("r-{n}"), keys("t"));
            cache.remember(today, &format!("r-{n}"), keys("t"));
        }
        assert_eq!(cache.scopes.load().len(), MAX_SCOPES);
        assert_eq!(sign(&cache, yesterday, "r-0", 0), None);
        assert!(sign(&cache, today, "r-0", 0).is_some());
        cache.remember(date!(2026 - 11 - 26), "r-1", keys("m"));
        assert_eq!(cache.scopes.load().len(), MAX_SCOPES);
        assert!(sign(&cache, today, "r-1", 0).is_some());
        cache.remember(date!(2026 - 11 - 27), "r-1", keys("m"));
        assert_eq!(cache.scopes.load().len(), 2);
        assert_eq!(sign(&cache, today, "r-1", 0), None);
    }
}
