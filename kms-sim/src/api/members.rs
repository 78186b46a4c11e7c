//! Reads the members of a request: each is described once, with KMS's own constraints, and every violation of
//! a request is reported together in KMS's words.
//!
//! ```text
//! 2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; …
//! ```
//! A value of the wrong JSON type is a SerializationException instead. Values of sensitive members are never
//! repeated.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::KmsError;
use super::violations::Violations;

/// The input of an operation.
pub(crate) trait Input: Sized {
    /// Takes the members; what is returned counts only if no violation was found.
    fn read(members: &mut Members<'_>) -> Self;
}

/// An input without members.
impl Input for () {
    fn read(_: &mut Members<'_>) {}
}

/// Parses and validates a request body; an empty one is read as `{}`.
///
/// # Errors
/// SerializationException for what is no JSON object or has a member of the wrong type, ValidationException with
/// every violated constraint.
pub(crate) fn parse<I: Input>(body: &[u8]) -> Result<I, KmsError> {
    let members = match body {
        [] => Map::new(),
        _ => match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            Ok(_) => {
                return Err(serialization(
                    "Start of structure or map found where not expected.",
                ));
            }
            Err(_) => return Err(serialization("The request body is not valid JSON.")),
        },
    };
    let mut violations = Violations::default();
    let input = I::read(&mut Members {
        members,
        path: String::new(),
        violations: &mut violations,
    });
    violations.into_result().map(|()| input)
}

/// The members of one structure that were not taken yet.
pub(crate) struct Members<'v> {
    members: Map<String, Value>,
    /// Of the structure itself, with a final dot; empty at the top.
    path: String,
    violations: &'v mut Violations,
}

impl<'v> Members<'v> {
    /// A string.
    pub(crate) fn text(&mut self, name: &str) -> Text<'_> {
        let path = self.path_of(name);
        let value = match self.take(name) {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => {
                self.violations.wrong_type(&other, "a String");
                None
            }
        };
        Text {
            path,
            value,
            shown: true,
            violations: self.violations,
        }
    }

    /// A string out of a closed set, as the value that stands for it.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &'static [(&'static str, T)],
    ) -> Choice<'_, T> {
        Choice {
            text: self.text(name),
            choices,
        }
    }

    /// Bytes in base64; never repeated in an error, wiped on drop.
    pub(crate) fn blob(&mut self, name: &str) -> Blob<'_> {
        let path = self.path_of(name);
        let value = match self.take(name) {
            None => None,
            Some(Value::String(mut text)) => {
                let bytes = STANDARD.decode(text.as_bytes());
                text.zeroize();
                if bytes.is_err() {
                    self.violations
                        .serialization("A blob member is not base64 with padding.".to_owned());
                }
                bytes.ok().map(Zeroizing::new)
            }
            Some(other) => {
                self.violations.wrong_type(&other, "a Blob");
                None
            }
        };
        Blob {
            path,
            value,
            violations: self.violations,
        }
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, name: &str) -> Integer<'_> {
        let path = self.path_of(name);
        let value = self.take(name).and_then(|value| {
            let number = value.as_i64().and_then(|n| i32::try_from(n).ok());
            if number.is_none() {
                self.violations.wrong_type(&value, "an Integer");
            }
            number
        });
        Integer {
            path,
            value,
            violations: self.violations,
        }
    }

    /// Seconds since 1970, with fractions.
    pub(crate) fn timestamp(&mut self, name: &str) -> Option<SystemTime> {
        self.take(name).and_then(|value| {
            let seconds = value.as_f64().filter(|seconds| seconds.is_finite());
            let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
            if time.is_none() {
                self.violations.wrong_type(&value, "a Timestamp");
            }
            time
        })
    }

    /// `true`, `false` or absent.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name).and_then(|value| {
            if value.as_bool().is_none() {
                self.violations.wrong_type(&value, "a Boolean");
            }
            value.as_bool()
        })
    }

    /// A map from string to string.
    pub(crate) fn text_map(&mut self, name: &str) -> Option<BTreeMap<String, String>> {
        let members = match self.take(name)? {
            Value::Object(members) => members,
            other => {
                self.violations.wrong_type(&other, "a Map");
                return None;
            }
        };
        let mut map = BTreeMap::new();
        for (key, value) in members {
            match value {
                Value::String(text) => {
                    map.insert(key, text);
                }
                other => self.violations.wrong_type(&other, "a String"),
            }
        }
        Some(map)
    }

    /// A list of strings; `check` sees each as a member of its own (`grantTokens.1.member`).
    pub(crate) fn text_list(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
        check: impl Fn(Text<'_>) -> String,
    ) -> Option<Vec<String>> {
        let (path, values) = self.take_list(name, min, max)?;
        let read = |(position, value): (usize, Value)| {
            let value = match value {
                Value::String(text) => Some(text),
                Value::Null => None,
                other => {
                    self.violations.wrong_type(&other, "a String");
                    return String::new();
                }
            };
            check(Text {
                path: format!("{path}.{}.member", position + 1),
                value,
                shown: true,
                violations: self.violations,
            })
        };
        Some(values.into_iter().enumerate().map(read).collect())
    }

    /// A list of structures (`tags.1.member.tagKey`).
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
        read: impl Fn(&mut Members<'_>) -> T,
    ) -> Option<Vec<T>> {
        let (path, values) = self.take_list(name, min, max)?;
        let mut items = Vec::with_capacity(values.len());
        for (position, value) in values.into_iter().enumerate() {
            let Value::Object(members) = value else {
                self.violations.wrong_type(&value, "a Structure");
                continue;
            };
            items.push(read(&mut Members {
                members,
                path: format!("{path}.{}.member.", position + 1),
                violations: self.violations,
            }));
        }
        Some(items)
    }

    /// A structure inside this one.
    pub(crate) fn structure<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Members<'_>) -> T,
    ) -> Option<T> {
        let path = self.path_of(name);
        match self.take(name)? {
            Value::Object(members) => Some(read(&mut Members {
                members,
                path: path + ".",
                violations: self.violations,
            })),
            other => {
                self.violations.wrong_type(&other, "a Structure");
                None
            }
        }
    }

    /// Reports that a member which is needed is absent; for structures and lists.
    pub(crate) fn require<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let path = self.path_of(name);
            self.violations.null(&path);
        }
        value
    }

    fn take_list(&mut self, name: &str, min: usize, max: usize) -> Option<(String, Vec<Value>)> {
        let path = self.path_of(name);
        match self.take(name)? {
            Value::Array(values) => {
                let len = values.len();
                self.violations.length(&path, None, len, min, max);
                // What is too long is refused anyway; its items need not be looked at.
                Some((path, if len > max { Vec::new() } else { values }))
            }
            other => {
                self.violations.wrong_type(&other, "a List");
                None
            }
        }
    }

    /// `null` is the same as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// `XksProxyUriPath` → `xksProxyUriPath`.
    fn path_of(&self, name: &str) -> String {
        let mut path = self.path.clone();
        let mut characters = name.chars();
        path.extend(characters.next().map(|first| first.to_ascii_lowercase()));
        path.push_str(characters.as_str());
        path
    }
}

/// A string member and its constraints.
#[must_use]
pub(crate) struct Text<'v> {
    path: String,
    value: Option<String>,
    shown: bool,
    violations: &'v mut Violations,
}

impl Text<'_> {
    /// The value is a secret: no error repeats it. Comes before the constraints.
    pub(crate) fn sensitive(mut self) -> Self {
        self.shown = false;
        self
    }

    /// `min` to `max` characters.
    pub(crate) fn length(self, min: usize, max: usize) -> Self {
        if let Some(value) = &self.value {
            let shown = self.shown.then_some(value.as_str());
            self.violations
                .length(&self.path, shown, value.chars().count(), min, max);
        }
        self
    }

    /// The regular expression of KMS's model, and the function that says the same.
    pub(crate) fn pattern(self, expression: &'static str, matches: impl Fn(&str) -> bool) -> Self {
        if let Some(value) = self.value.as_deref().filter(|value| !matches(value)) {
            let shown = self.shown.then_some(value);
            let rule = format_args!("Member must satisfy regular expression pattern: {expression}");
            self.violations.add(&self.path, shown, rule);
        }
        self
    }

    /// One of a closed set.
    pub(crate) fn one_of(self, names: &[&str]) -> Self {
        if let Some(value) = self.value.as_deref().filter(|value| !names.contains(value)) {
            let shown = self.shown.then_some(value);
            let rule = format_args!("Member must satisfy enum value set: [{}]", names.join(", "));
            self.violations.add(&self.path, shown, rule);
        }
        self
    }

    /// The value, if there is one.
    pub(crate) fn optional(self) -> Option<String> {
        self.value
    }

    /// The value; its absence is a violation.
    pub(crate) fn required(self) -> String {
        if self.value.is_none() {
            self.violations.null(&self.path);
        }
        self.value.unwrap_or_default()
    }
}

/// A string member out of a closed set.
#[must_use]
pub(crate) struct Choice<'v, T: 'static> {
    text: Text<'v>,
    choices: &'static [(&'static str, T)],
}

impl<T: Copy> Choice<'_, T> {
    /// The value, if there is one.
    pub(crate) fn optional(self) -> Option<T> {
        let names: Vec<&str> = self.choices.iter().map(|(name, _)| *name).collect();
        let value = self.text.one_of(&names).value?;
        let found = self.choices.iter().find(|(name, _)| *name == value);
        found.map(|(_, value)| *value)
    }
}

/// A member of bytes.
#[must_use]
pub(crate) struct Blob<'v> {
    path: String,
    value: Option<Zeroizing<Vec<u8>>>,
    violations: &'v mut Violations,
}

impl Blob<'_> {
    /// `min` to `max` bytes.
    pub(crate) fn length(self, min: usize, max: usize) -> Self {
        if let Some(value) = &self.value {
            self.violations
                .length(&self.path, None, value.len(), min, max);
        }
        self
    }

    /// The bytes, if there are any.
    pub(crate) fn optional(self) -> Option<Zeroizing<Vec<u8>>> {
        self.value
    }

    /// The bytes; their absence is a violation.
    pub(crate) fn required(self) -> Zeroizing<Vec<u8>> {
        if self.value.is_none() {
            self.violations.null(&self.path);
        }
        self.value.unwrap_or_default()
    }
}

/// A member that is a whole number.
#[must_use]
pub(crate) struct Integer<'v> {
    path: String,
    value: Option<i32>,
    violations: &'v mut Violations,
}

impl Integer<'_> {
    /// The value, if there is one, from `min` to `max`.
    pub(crate) fn range(self, min: u16, max: u16) -> Option<u16> {
        let value = self.value?;
        let rule = if value < i32::from(min) {
            format!("Member must have value greater than or equal to {min}")
        } else if value > i32::from(max) {
            format!("Member must have value less than or equal to {max}")
        } else {
            return u16::try_from(value).ok();
        };
        self.violations
            .add(&self.path, Some(&value.to_string()), rule);
        None
    }
}

fn serialization(message: &'static str) -> KmsError {
    KmsError::new("SerializationException", message)
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
