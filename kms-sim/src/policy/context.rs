//! The request context: what conditions and policy variables can ask about.

use std::collections::BTreeMap;

/// Condition keys and their values; the names of keys have no case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// A key with one value.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.set_all(key, [value.into()]);
    }

    /// A key with one value, if there is one.
    pub(crate) fn set_optional(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// A key with any number of values; with none it is as if the key were not there.
    pub(crate) fn set_all(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        let values: Vec<String> = values.into_iter().collect();
        if !values.is_empty() {
            self.0.insert(key.to_ascii_lowercase(), values);
        }
    }

    /// The values of a key; `None` if it is not there.
    pub(super) fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// What a policy variable stands for: the value of a key that has one.
    pub(super) fn variable(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            [value] => Some(value),
            _ => None,
        }
    }
}
