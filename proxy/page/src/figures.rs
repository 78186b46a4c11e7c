//! Numbers and lengths of time as people read them.

use std::fmt::{self, Display};
use std::time::Duration;

/// `1,234,567`
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

impl From<usize> for Count {
    fn from(count: usize) -> Self {
        Self(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `1 key`, `1,234 keys`
pub fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{} {many}", Count::from(count)),
    }
}

/// `42 µs`, `0.42 ms`, `4.2 ms`, `12 ms`, `1.2 s`
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds(pub f64);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms < 0.1 => write!(f, "{:.0} µs", ms * 1_000.0),
            ms if ms < 1.0 => write!(f, "{ms:.2} ms"),
            ms if ms < 10.0 => write!(f, "{ms:.1} ms"),
            ms if ms < 1_000.0 => write!(f, "{ms:.0} ms"),
            ms => write!(f, "{:.1} s", ms / 1_000.0),
        }
    }
}

impl From<Duration> for Milliseconds {
    fn from(time: Duration) -> Self {
        Self(time.as_secs_f64() * 1_000.0)
    }
}

/// `3 days`, `5 hours`: what it is about, in its largest unit.
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, one, many) = match seconds {
        0..60 => (seconds, "second", "seconds"),
        60..3_600 => (seconds / 60, "minute", "minutes"),
        3_600..172_800 => (seconds / 3_600, "hour", "hours"),
        _ => (seconds / 86_400, "day", "days"),
    };
    counted(usize::try_from(count).unwrap_or(usize::MAX), one, many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_have_their_units() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(Count(count).to_string(), text);
        }
        assert_eq!(counted(1, "key", "keys"), "1 key");
        assert_eq!(counted(2_000, "key", "keys"), "2,000 keys");
        for (milliseconds, text) in [
            (0.044, "44 µs"),
            (0.444, "0.44 ms"),
            (4.44, "4.4 ms"),
            (251.3, "251 ms"),
            (1_250.0, "1.2 s"),
        ] {
            assert_eq!(Milliseconds(milliseconds).to_string(), text);
        }
        assert_eq!(about(Duration::from_secs(59)), "59 seconds");
        assert_eq!(about(Duration::from_hours(49)), "2 days");
    }
}
