//! The Region of a credential scope, and which Regions a key store takes requests from.

use std::fmt;
use std::ops::RangeInclusive;

/// A Region as a credential scope names it, such as `us-gov-west-1`.
///
/// 1–64 characters of `a–z 0–9 -`; whether AWS has such a Region is not this type's question.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Region(Box<str>);

impl Region {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Region {
    type Error = InvalidRegion;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        if !LEN.contains(&text.len()) || !text.bytes().all(is_region_byte) {
            return Err(InvalidRegion);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no name of a Region.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a Region has 1 to 64 characters of a-z 0-9 -, such as us-east-1")]
pub struct InvalidRegion;

/// The Regions whose KMS may call a key store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Regions {
    /// Every Region: the signature alone decides.
    Any,
    /// These and no other.
    Only(Vec<Region>),
}

impl Regions {
    pub(super) fn allow(&self, region: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(regions) => regions.iter().any(|r| r.as_str() == region),
        }
    }
}

pub(super) const LEN: RangeInclusive<usize> = 1..=64;

pub(super) fn is_region_byte(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_bounds_and_characters() {
        for good in ["us-east-1", "us-gov-west-1", "x", &"a".repeat(64)] {
            let region = Region::try_from(good).unwrap();
            assert_eq!((region.as_str(), &*region.to_string()), (good, good));
        }
        for bad in ["", "US-EAST-1", "us east", "us/east", &"a".repeat(65)] {
            assert_eq!(Region::try_from(bad), Err(InvalidRegion), "{bad}");
        }
    }

    #[test]
    fn only_the_named_regions_are_allowed() {
        let only = Regions::Only(vec!["eu-west-1".try_into().unwrap()]);
        assert!(only.allow("eu-west-1") && Regions::Any.allow("us-east-1"));
        assert!(!only.allow("eu-west-2") && !only.allow("eu-west-") && !only.allow(""));
        assert!(!Regions::Only(Vec::new()).allow("eu-west-1"));
    }
}
