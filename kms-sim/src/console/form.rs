//! What forms of the console have in common: numbers, and the token that shows that it is a form of this console.

use ring::digest::{SHA256, digest};
use xks_page::{Fields, Html, html};

use crate::api::KmsError;
use crate::control::ControlError;
use crate::key_material::fill_random;

/// In every form; other pages do not know it.
pub(crate) struct Token(String);

impl Token {
    /// For the life of a process.
    ///
    /// # Errors
    /// No random bytes.
    pub(super) fn random() -> Result<Self, KmsError> {
        let mut bytes = [0; 32];
        fill_random(&mut bytes)?;
        Ok(Self(hex(&bytes)))
    }

    /// Begins a form that is sent to that path.
    pub(super) fn open_form(&self, page: &mut Html, action: &str, class: &'static str) {
        html!(
            page,
            "<form method=\"post\" action=\"{}\" class=\"{}\"><input type=\"hidden\" name=\"token\" value=\"{}\">",
            action,
            class,
            self.0
        );
    }

    /// Tells processes apart, without telling the token.
    pub(super) fn process(&self) -> String {
        let digest = digest(&SHA256, self.0.as_bytes());
        hex(digest.as_ref().split_at(8).0)
    }

    /// Whether the form is one of this process.
    ///
    /// # Errors
    /// 403 that says what to do.
    pub(super) fn check(&self, fields: &Fields) -> Result<(), ControlError> {
        // Digests tell nothing about where two texts begin to differ.
        let same = |given: &str| {
            let of = |text: &str| digest(&SHA256, text.as_bytes());
            of(given).as_ref() == of(&self.0).as_ref()
        };
        match fields.get("token").is_some_and(same) {
            true => Ok(()),
            false => Err(ControlError::forbidden(
                "The form is not of this console, or of one that was started before. Load the page again and repeat.",
            )),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number, if the field has one.
///
/// # Errors
/// 400 that names the field.
pub(super) fn number<N: std::str::FromStr>(
    fields: &Fields,
    name: &str,
) -> Result<Option<N>, ControlError> {
    let Some(text) = fields.get(name) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(ControlError::invalid(format!(
            "{name} is '{}', which is not a number that can be used here.",
            text.escape_default()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_without_the_token_of_this_process_is_refused() {
        let (token, other) = (Token::random().unwrap(), Token::random().unwrap());
        let with = |token: &str| Fields::read(&format!("a=1&token={token}"));
        assert!(token.check(&with(&token.0)).is_ok());
        assert!(token.check(&with(&other.0)).is_err());
        assert!(token.check(&with("")).is_err());
        assert!(token.check(&Fields::default()).is_err());
        assert_ne!(token.process(), other.process());
        assert!(!token.0.starts_with(&token.process()), "it is not told");
    }

    #[test]
    fn a_field_that_is_no_number_is_told() {
        let fields = Fields::read("n=12&x=1e9&empty=");
        assert_eq!(number::<u32>(&fields, "n").unwrap(), Some(12));
        assert_eq!(number::<u32>(&fields, "none").unwrap(), None);
        assert_eq!(number::<u32>(&fields, "empty").unwrap(), None);
        assert!(number::<u32>(&fields, "x").is_err());
    }
}
