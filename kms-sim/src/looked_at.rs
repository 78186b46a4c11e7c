//! Counts, in tests, the entries that lists look at, so that a page can be held to costing the same wherever it is.

/// The same entries, counted.
pub(crate) fn counted<T>(entries: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    #[cfg(test)]
    let entries = entries.inspect(|_| LOOKED_AT.set(LOOKED_AT.get() + 1));
    entries
}

#[cfg(test)]
thread_local! {
    static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many entries this thread looks at in the course of some work, and what comes of that.
#[cfg(test)]
pub(crate) fn while_counting<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = LOOKED_AT.get();
    let outcome = work();
    (LOOKED_AT.get() - before, outcome)
}
