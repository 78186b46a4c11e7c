//! Patterns in which `*` stands for any characters and `?` for one. Matching allocates nothing.

/// A pattern for the whole of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Glob(Box<str>);

impl From<&str> for Glob {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Glob {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Greedy with one point to come back to: linear for one `*`, at most quadratic for many.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_bytes(), text.as_bytes());
        let mut after_star: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern, rest) {
                ([b'*', p @ ..], _) => {
                    pattern = p;
                    after_star = Some((p, rest));
                }
                ([b'?', p @ ..], [_, r @ ..]) => (pattern, rest) = (p, r),
                ([a, p @ ..], [b, r @ ..]) if a == b => (pattern, rest) = (p, r),
                ([], []) => return true,
                _ => match after_star {
                    Some((p, [_, r @ ..])) => {
                        (pattern, rest) = (p, r);
                        after_star = Some((p, r));
                    }
                    _ => return false,
                },
            }
        }
    }

    /// Whether this matches everything that the other one does. `true` is certain; `false` may be wrong where several
    /// wildcards stand side by side.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        // The other pattern is taken for a text in which only a `*` takes in a `*`, and no letter a `?`.
        table(&self.0, &other.0, |at| match (at.a, at.b) {
            ([], []) => true,
            ([b'*', ..], _) => at.without_a || (!at.b.is_empty() && at.without_b),
            ([b'?', ..], [b, ..]) => *b != b'*' && at.without_both,
            ([a, ..], [b, ..]) => a == b && at.without_both,
            _ => false,
        })
    }

    /// Whether some text matches both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        table(&self.0, &other.0, |at| match (at.a, at.b) {
            ([], []) => true,
            ([b'*', ..], _) => at.without_a || (!at.b.is_empty() && at.without_b),
            (_, [b'*', ..]) => at.without_b || (!at.a.is_empty() && at.without_a),
            ([a, ..], [b, ..]) => (a == b || *a == b'?' || *b == b'?') && at.without_both,
            _ => false,
        })
    }
}

/// Two suffixes, and what was found of those that are shorter by the first character.
struct Suffixes<'a> {
    a: &'a [u8],
    b: &'a [u8],
    without_a: bool,
    without_b: bool,
    without_both: bool,
}

/// Decides about each pair of suffixes, the shortest first, and so about the whole.
fn table(a: &str, b: &str, decide: impl Fn(Suffixes<'_>) -> bool) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut below = vec![false; b.len() + 2];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 2];
        for j in (0..=b.len()).rev() {
            let at = |row: &[bool], j: usize| row.get(j).copied().unwrap_or_default();
            let decided = decide(Suffixes {
                a: a.get(i..).unwrap_or_default(),
                b: b.get(j..).unwrap_or_default(),
                without_a: at(&below, j),
                without_b: at(&row, j + 1),
                without_both: at(&below, j + 1),
            });
            if let Some(cell) = row.get_mut(j) {
                *cell = decided;
            }
        }
        below = row;
    }
    below.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_patterns_share() {
        for (a, b, meets, covers) in [
            ("*", "x*", true, true),
            ("x*", "*", true, false),
            ("payroll-*", "payroll-?", true, true),
            ("payroll-?", "payroll-*", true, false),
            ("a*", "b*", false, false),
            ("*a", "*b", false, false),
            ("a*b", "*c*", true, false),
            ("a?", "a", false, false),
            ("", "*", true, false),
            ("*", "", true, true),
            ("a", "a", true, true),
            ("arn:aws:iam::1:*", "arn:aws:iam::1:role/*", true, true),
        ] {
            let (a, b) = (Glob::from(a), Glob::from(b));
            assert_eq!(a.meets(&b), meets, "{a:?} {b:?}");
            assert_eq!(b.meets(&a), meets, "{b:?} {a:?}");
            assert_eq!(a.covers(&b), covers, "{a:?} {b:?}");
        }
    }

    proptest! {
        /// Against every text of up to eight letters: two patterns of four characters that meet do so in one of them.
        #[test]
        fn meeting_and_covering_are_about_texts(a in "[ab?*]{0,4}", b in "[ab?*]{0,4}") {
            let (a, b) = (Glob::from(&*a), Glob::from(&*b));
            let mut texts = vec![String::new()];
            for at in 0..255 {
                for letter in ['a', 'b'] {
                    texts.push(format!("{}{letter}", texts[at]));
                }
            }
            let both = texts.iter().any(|t| a.matches(t) && b.matches(t));
            prop_assert_eq!(a.meets(&b), both);
            if a.covers(&b) {
                for text in texts.iter().filter(|t| b.matches(t)) {
                    prop_assert!(a.matches(text), "{:?} covers {:?}, but not {}", a, b, text);
                }
            }
        }
    }
}
