//! Reads the members of a request: each is described once, with KMS's own constraints, and every violation of
//! a request is reported together in KMS's words.
//!
//! ```text
//! 2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; …
//! ```
//! A value of the wrong JSON type is a SerializationException instead. Values of sensitive members are never
//! repeated.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::KmsError;

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

/// What is wrong with a request.
#[derive(Default)]
struct Violations {
    /// The first value of a wrong type; outranks the constraints.
    serialization: Option<String>,
    found: Vec<String>,
}

impl Violations {
    fn add(&mut self, path: &str, value: Option<&str>, rule: impl Display) {
        let mut text = String::from("Value ");
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, "'{value}' ");
        }
        let _ = write!(text, "at '{path}' failed to satisfy constraint: {rule}");
        self.found.push(text);
    }

    fn null(&mut self, path: &str) {
        self.found.push(format!(
            "Value null at '{path}' failed to satisfy constraint: Member must not be null"
        ));
    }

    fn length(&mut self, path: &str, value: Option<&str>, len: usize, min: usize, max: usize) {
        if len < min {
            let rule = format_args!("Member must have length greater than or equal to {min}");
            self.add(path, value, rule);
        } else if len > max {
            let rule = format_args!("Member must have length less than or equal to {max}");
            self.add(path, value, rule);
        }
    }

    fn wrong_type(&mut self, found: &Value, expected: &str) {
        let token = match found {
            Value::Null => "NULL_VALUE",
            Value::Bool(true) => "TRUE_VALUE",
            Value::Bool(false) => "FALSE_VALUE",
            Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
            Value::Number(_) => "NUMBER_VALUE",
            Value::String(_) => "STRING_VALUE",
            Value::Array(_) => "START_ARRAY",
            Value::Object(_) => "START_OBJECT",
        };
        self.serialization(format!("{token} can not be converted to {expected}"));
    }

    fn serialization(&mut self, message: String) {
        self.serialization.get_or_insert(message);
    }

    fn into_result(self) -> Result<(), KmsError> {
        if let Some(message) = self.serialization {
            return Err(KmsError::new("SerializationException", message));
        }
        let count = match self.found.len() {
            0 => return Ok(()),
            1 => "1 validation error".to_owned(),
            n => format!("{n} validation errors"),
        };
        let list = self.found.join("; ");
        Err(KmsError::validation(format!("{count} detected: {list}")))
    }
}

fn serialization(message: &'static str) -> KmsError {
    KmsError::new("SerializationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Sample;

    impl Input for Sample {
        fn read(m: &mut Members<'_>) -> Self {
            m.text("CustomKeyStoreId").length(1, 64).required();
            m.text("KeyStorePassword")
                .sensitive()
                .length(7, 32)
                .optional();
            m.text("AliasName")
                .pattern("^[a-z]+$", |s| s.bytes().all(|b| b.is_ascii_lowercase()))
                .optional();
            m.blob("Plaintext").length(1, 4).optional();
            m.integer("Limit").range(1, 1000);
            m.choice("KeySpec", &[("AES_256", 32), ("AES_128", 16)])
                .optional();
            m.text_list("GrantTokens", 0, 10, |t| t.length(1, 3).required());
            m.list("Tags", 0, 200, |m| {
                m.text("TagKey").length(1, 128).required()
            });
            m.structure("XksProxyAuthenticationCredential", |m| {
                m.text("AccessKeyId").sensitive().length(20, 30).required()
            });
            m.boolean("DryRun");
            m.text_map("EncryptionContext");
            Self
        }
    }

    fn error(body: &str) -> (&'static str, String) {
        let error = parse::<Sample>(body.as_bytes()).unwrap_err();
        (error.name(), error.message().unwrap().to_owned())
    }

    /// The texts that LocalStack recorded against AWS, and those of the API documentation.
    #[test]
    fn violations_read_as_those_of_kms() {
        for (body, expected) in [
            (
                "",
                "1 validation error detected: Value null at 'customKeyStoreId' failed to satisfy constraint: Member must not be null",
            ),
            (
                r#"{"CustomKeyStoreId":null}"#,
                "1 validation error detected: Value null at 'customKeyStoreId' failed to satisfy constraint: Member must not be null",
            ),
            (
                r#"{"CustomKeyStoreId":""}"#,
                "1 validation error detected: Value '' at 'customKeyStoreId' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                r#"{"CustomKeyStoreId":"a","Plaintext":"AAAAAAA="}"#,
                "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4",
            ),
            (
                r#"{"CustomKeyStoreId":"a","KeyStorePassword":"Sesame"}"#,
                "1 validation error detected: Value at 'keyStorePassword' failed to satisfy constraint: Member must have length greater than or equal to 7",
            ),
            (
                r#"{"CustomKeyStoreId":"a","Limit":0}"#,
                "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
            ),
            (
                r#"{"CustomKeyStoreId":"a","Limit":1001}"#,
                "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000",
            ),
            (
                r#"{"CustomKeyStoreId":"a","KeySpec":"DES"}"#,
                "1 validation error detected: Value 'DES' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]",
            ),
            (
                r#"{"CustomKeyStoreId":"a","AliasName":"A"}"#,
                "1 validation error detected: Value 'A' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z]+$",
            ),
            (
                r#"{"CustomKeyStoreId":"a","Tags":[{"TagKey":"x"},{"TagKey":""}]}"#,
                "1 validation error detected: Value '' at 'tags.2.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                r#"{"CustomKeyStoreId":"a","GrantTokens":["abcd"]}"#,
                "1 validation error detected: Value 'abcd' at 'grantTokens.1.member' failed to satisfy constraint: Member must have length less than or equal to 3",
            ),
            (
                r#"{"XksProxyAuthenticationCredential":{"AccessKeyId":"AAA"}}"#,
                "2 validation errors detected: Value null at 'customKeyStoreId' failed to satisfy constraint: Member must not be null; Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must have length greater than or equal to 20",
            ),
        ] {
            assert_eq!(
                error(body),
                ("ValidationException", expected.to_owned()),
                "{body}"
            );
        }
    }

    #[test]
    fn wrong_types_are_serialization_exceptions_and_outrank_violations() {
        for body in [
            "[]",
            "{",
            "7",
            r#"{"CustomKeyStoreId":7}"#,
            r#"{"CustomKeyStoreId":"a","Limit":"7"}"#,
            r#"{"CustomKeyStoreId":"a","Limit":1.5}"#,
            r#"{"CustomKeyStoreId":"a","Limit":99999999999}"#,
            r#"{"CustomKeyStoreId":"a","Plaintext":"AAA"}"#,
            r#"{"Plaintext":"?"}"#,
            r#"{"CustomKeyStoreId":"a","DryRun":"true"}"#,
            r#"{"CustomKeyStoreId":"a","Tags":{}}"#,
            r#"{"CustomKeyStoreId":"a","Tags":["x"]}"#,
            r#"{"CustomKeyStoreId":"a","EncryptionContext":{"a":1}}"#,
            r#"{"CustomKeyStoreId":"a","XksProxyAuthenticationCredential":"x"}"#,
        ] {
            assert_eq!(error(body).0, "SerializationException", "{body}");
        }
    }

    #[test]
    fn secrets_are_not_repeated_and_unknown_members_are_ignored() {
        let body = r#"{"KeyStorePassword":"Sesame","Plaintext":"U2VzYW1lIQ==","Future":[1]}"#;
        let (_, message) = error(body);
        assert!(
            !message.contains("Sesame") && !message.contains("U2Vz"),
            "{message}"
        );
        parse::<Sample>(br#"{"CustomKeyStoreId":"a","Future":[1]}"#).unwrap();
    }
}
