//! Identifiers and credentials as validated types: a value that exists is well-formed.

use std::borrow::Borrow;
use std::fmt;

use zeroize::Zeroizing;

/// Names one key in the external key manager.
///
/// 1–128 characters of `A–Z a–z 0–9 - . _` (spec, "API operations").
//= xks §API operations R8
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExternalKeyId(Box<str>);

impl ExternalKeyId {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ExternalKeyId {
    type Error = InvalidExternalKeyId;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if !(1..=128).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(InvalidExternalKeyId);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ExternalKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ExternalKeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The text is no external key id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an external key id has 1 to 128 characters of A-Z a-z 0-9 - . _")]
pub struct InvalidExternalKeyId;

/// What stands before `/kms/xks/v1` in a URI path; names one external key store.
///
/// Empty, or segments of `A–Z a–z 0–9 - _`, each after one `/`, at most 117 characters in all, so that the
/// `XksProxyUriPath` stays within 128 (spec, "API operations").
//= xks §API operations R7
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UriPathPrefix(Box<str>);

impl UriPathPrefix {
    /// The prefix as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is a prefix.
    pub(crate) fn is_valid(text: &str) -> bool {
        let mut previous = b'/';
        let allowed = |b: u8| match b {
            b'/' => std::mem::replace(&mut previous, b) != b'/',
            _ => {
                previous = b;
                b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
            }
        };
        let (mut bytes, empty) = (text.bytes(), text.is_empty());
        let begins = empty || bytes.next() == Some(b'/');
        let fits = text.len() + API_PATH.len() <= MAX_URI_PATH_LEN;
        begins && fits && bytes.all(allowed) && (empty || previous != b'/')
    }

    /// The `XksProxyUriPath` that a KMS is given: the prefix and `/kms/xks/v1`.
    pub fn uri_path(&self) -> String {
        format!("{}{}", self.0, API_PATH)
    }
}

impl TryFrom<&str> for UriPathPrefix {
    type Error = InvalidUriPathPrefix;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        if !Self::is_valid(text) {
            return Err(InvalidUriPathPrefix);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for UriPathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for UriPathPrefix {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The text is no URI path prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a URI path prefix is empty, or segments of A-Z a-z 0-9 - _ each after one slash, \
     at most 117 characters, without a trailing slash"
)]
pub struct InvalidUriPathPrefix;

/// Names one [`SecretAccessKey`].
///
/// 20–30 characters of `A–Z 2–7` (spec, Appendix A).
//= xks §Appendix A R42
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccessKeyId(Box<str>);

impl AccessKeyId {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for AccessKeyId {
    type Error = InvalidAccessKeyId;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let allowed = |b: u8| matches!(b, b'A'..=b'Z' | b'2'..=b'7');
        if !(20..=30).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(InvalidAccessKeyId);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for AccessKeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The text is no access key id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an access key id has 20 to 30 characters of A-Z 2-7")]
pub struct InvalidAccessKeyId;

/// The secret half of a credential: wiped on drop, never printed.
///
/// 43–64 characters of `A–Z a–z 0–9 / + =` (spec, Appendix A).
//= xks §Appendix A R42
#[derive(Clone)]
pub struct SecretAccessKey(Zeroizing<Box<str>>);

impl SecretAccessKey {
    /// The secret itself, for signing and for the one place that shows it to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for SecretAccessKey {
    type Error = InvalidSecretAccessKey;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+' | b'=');
        if !(43..=64).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(InvalidSecretAccessKey);
        }
        Ok(Self(Zeroizing::new(text.into())))
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey([redacted])")
    }
}

/// The text is no secret access key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a secret access key has 43 to 64 characters of A-Z a-z 0-9 / + =")]
pub struct InvalidSecretAccessKey;

/// The fixed part of every API path.
pub const API_PATH: &str = "/kms/xks/v1";

const MAX_URI_PATH_LEN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_key_id_bounds_and_characters() {
        for good in ["a", "A-z.0_9", &"k".repeat(128)] {
            assert_eq!(ExternalKeyId::try_from(good).unwrap().as_str(), good);
        }
        for bad in ["", "a/b", "a b", "ä", "a%41", &"k".repeat(129)] {
            assert_eq!(
                ExternalKeyId::try_from(bad),
                Err(InvalidExternalKeyId),
                "{bad}"
            );
        }
    }

    #[test]
    fn uri_path_prefix_bounds_and_characters() {
        for good in [
            "",
            "/a",
            "/dev/tenant-a",
            "/a_b/C",
            &format!("/{}", "x".repeat(116)),
        ] {
            assert_eq!(UriPathPrefix::try_from(good).unwrap().as_str(), good);
        }
        for bad in [
            "a",
            "/",
            "/a/",
            "//a",
            "/a//b",
            "/a.b",
            &format!("/{}", "x".repeat(117)),
        ] {
            assert_eq!(
                UriPathPrefix::try_from(bad),
                Err(InvalidUriPathPrefix),
                "{bad}"
            );
        }
        assert_eq!(
            UriPathPrefix::try_from("/a").unwrap().uri_path(),
            "/a/kms/xks/v1"
        );
    }

    #[test]
    fn credential_bounds_and_characters() {
        assert!(AccessKeyId::try_from("ABCDEFGHIJKLMNOP2345").is_ok());
        for bad in [
            "ABCDEFGHIJKLMNOP234",
            "ABCDEFGHIJKLMNOP2341",
            &"A".repeat(31),
        ] {
            assert!(AccessKeyId::try_from(bad).is_err(), "{bad}");
        }
        assert!(SecretAccessKey::try_from(&*"a+/=".repeat(11)).is_ok());
        for bad in [
            "a".repeat(42),
            "a".repeat(65),
            format!("{}-", "a".repeat(43)),
        ] {
            assert!(SecretAccessKey::try_from(&*bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identifier_prints_as_its_text_and_is_found_by_it() {
        fn check<T>(text: &str)
        where
            T: for<'t> TryFrom<&'t str> + fmt::Display + Borrow<str> + Eq + std::hash::Hash,
        {
            let id = T::try_from(text).ok().unwrap();
            assert_eq!(id.to_string(), text);
            let ids = std::collections::HashSet::from([id]);
            assert!(ids.contains(text) && !ids.contains("") && !ids.contains("xyzzy"));
        }
        check::<ExternalKeyId>("demo-1");
        check::<UriPathPrefix>("/dev/tenant-a");
        check::<AccessKeyId>("ABCDEFGHIJKLMNOP2345");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = SecretAccessKey::try_from(&*"Sesame".repeat(8)).unwrap();
        assert_eq!(format!("{secret:?}"), "SecretAccessKey([redacted])");
    }
}
