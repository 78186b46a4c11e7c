//! The password of the `kmsuser`: 7 to 32 characters that are wiped on drop and never shown by accident.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use zeroize::Zeroizing;

use crate::api::KmsError;
use crate::key_material::fill_random;

/// The password of the crypto user `kmsuser`.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyStorePassword(Zeroizing<String>);

impl KeyStorePassword {
    /// A random one of 32 characters, as KMS sets it when it connects.
    ///
    /// # Errors
    /// KMSInternalException if the system has no random bytes.
    pub(super) fn random() -> Result<Self, KmsError> {
        let mut bytes = Zeroizing::new([0; 24]);
        fill_random(&mut *bytes)?;
        let text = Zeroizing::new(URL_SAFE.encode(bytes.as_slice()));
        Ok(Self(text))
    }

    /// The password itself: for whoever made the cluster, once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Zeroizing<String>> for KeyStorePassword {
    type Error = InvalidPassword;

    fn try_from(text: Zeroizing<String>) -> Result<Self, Self::Error> {
        if !(7..=32).contains(&text.chars().count()) {
            return Err(InvalidPassword);
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for KeyStorePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Not 7 to 32 characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a kmsuser password has 7 to 32 characters")]
pub struct InvalidPassword;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_api_and_nothing_is_shown() {
        for (len, fits) in [(6, false), (7, true), (32, true), (33, false)] {
            let password = KeyStorePassword::try_from(Zeroizing::new("é".repeat(len)));
            assert_eq!(password.is_ok(), fits, "{len}");
        }
        let password = KeyStorePassword::random().unwrap();
        assert_eq!(password.expose().len(), 32);
        assert_ne!(password, KeyStorePassword::random().unwrap());
        assert_eq!(format!("{password:?}"), "[redacted]");
    }
}
