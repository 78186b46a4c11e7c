//! What is wrong with a request, in KMS's words.

use std::fmt::{Display, Write as _};

use serde_json::Value;

use super::KmsError;

/// What is wrong with a request.
#[derive(Default)]
pub(crate) struct Violations {
    /// The first value of a wrong type; outranks the constraints.
    serialization: Option<String>,
    /// Where, and what is said of it.
    found: Vec<(String, String)>,
}

impl Violations {
    /// A violated rule; `value` is repeated if it is no secret.
    pub(crate) fn add(&mut self, path: &str, value: Option<&str>, rule: impl Display) {
        let mut text = String::from("Value ");
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, "'{value}' ");
        }
        let _ = write!(text, "at '{path}' failed to satisfy constraint: {rule}");
        self.found.push((path.to_owned(), text));
    }

    /// A member that must be there and is not; one of which something was said is there.
    pub(crate) fn null(&mut self, path: &str) {
        if self.found.iter().any(|(place, _)| place == path) {
            return;
        }
        let text =
            format!("Value null at '{path}' failed to satisfy constraint: Member must not be null");
        self.found.push((path.to_owned(), text));
    }

    /// What is too short or too long for `min` to `max`, if it is.
    pub(crate) fn length(
        &mut self,
        path: &str,
        value: Option<&str>,
        len: usize,
        min: usize,
        max: usize,
    ) {
        if len < min {
            let rule = format_args!("Member must have length greater than or equal to {min}");
            self.add(path, value, rule);
        } else if len > max {
            let rule = format_args!("Member must have length less than or equal to {max}");
            self.add(path, value, rule);
        }
    }

    /// A value of another JSON type than the member's.
    pub(crate) fn wrong_type(&mut self, found: &Value, expected: &str) {
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

    /// What cannot be read at all; the first one counts.
    pub(crate) fn serialization(&mut self, message: String) {
        self.serialization.get_or_insert(message);
    }

    /// All of them in one exception.
    ///
    /// # Errors
    /// SerializationException, or ValidationException with every violation.
    pub(crate) fn into_result(self) -> Result<(), KmsError> {
        if let Some(message) = self.serialization {
            return Err(KmsError::new("SerializationException", message));
        }
        let count = match self.found.len() {
            0 => return Ok(()),
            1 => "1 validation error".to_owned(),
            n => format!("{n} validation errors"),
        };
        let texts: Vec<String> = self.found.into_iter().map(|(_, text)| text).collect();
        let list = texts.join("; ");
        Err(KmsError::validation(format!("{count} detected: {list}")))
    }
}
