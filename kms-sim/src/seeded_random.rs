//! Numbers that look random and follow from a seed, so that what happened can happen again. Not for secrets.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SeededRandom(u64);

impl SeededRandom {
    /// The sequence of that seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something happens whose probability is so many millionths.
    pub(crate) fn happens(&mut self, millionths: u32) -> bool {
        self.next() % 1_000_000 < u64::from(millionths)
    }

    /// Up to `longest`, in whole milliseconds.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.next() % millis.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's output for the seed 1234567.
    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        let mut random = SeededRandom::new(1_234_567);
        let found: Vec<u64> = (0..5).map(|_| random.next()).collect();
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn probabilities_and_bounds_hold() {
        let mut random = SeededRandom::new(7);
        assert!((0..1_000).all(|_| !random.happens(0) && random.happens(1_000_000)));
        let happened = (0..10_000).filter(|_| random.happens(300_000)).count();
        assert!((2_700..3_300).contains(&happened), "{happened}");
        let longest = Duration::from_millis(3);
        assert!((0..100).all(|_| random.up_to(longest) <= longest));
        assert_eq!(random.up_to(Duration::ZERO), Duration::ZERO);
    }
}
