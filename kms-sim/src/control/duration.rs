//! Lengths of time as people write them: `8d`, `1h30m`, `250ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A length of time that was written with its units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut total = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at(letters);
            let millis = UNITS.iter().find(|(name, _)| *name == unit);
            let (_, millis) = millis.ok_or(InvalidSpan)?;
            let number: u64 = number.parse().map_err(|_| InvalidSpan)?;
            let span = number.checked_mul(*millis).ok_or(InvalidSpan)?;
            total = total
                .checked_add(Duration::from_millis(span))
                .ok_or(InvalidSpan)?;
            rest = after;
        }
        match text.is_empty() {
            true => Err(InvalidSpan),
            false => Ok(Self(total)),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is no length of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InvalidSpan;

impl fmt::Display for InvalidSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected a length of time such as 8d, 1h30m, 45s or 250ms (units: w d h m s ms)",
        )
    }
}

/// Unit and milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_added_up() {
        for (text, millis) in [
            ("250ms", 250),
            ("45s", 45_000),
            ("8d", 691_200_000),
            ("1h30m", 5_400_000),
            ("2w1ms", 1_209_600_001),
            ("0s", 0),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Span(Duration::from_millis(millis))),
                "{text}"
            );
        }
        for wrong in [
            "",
            "8",
            "d",
            "8 d",
            "-8d",
            "1.5h",
            "8D",
            "8days",
            "99999999999999999999d",
            "99999999999999w",
        ] {
            assert_eq!(wrong.parse::<Span>(), Err(InvalidSpan), "{wrong}");
        }
    }
}
