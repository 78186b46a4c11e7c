//! The id of a custom key store.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::KmsError;
use crate::key_material::fill_random;

/// `cks-` and 17 lowercase hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub(crate) struct CustomKeyStoreId(Box<str>);

impl CustomKeyStoreId {
    pub(super) fn random() -> Result<Self, KmsError> {
        let mut bytes = [0; 9];
        fill_random(&mut bytes)?;
        let digits = bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        Ok(Self(format!("cks-{digits:.17}").into()))
    }

    /// The id that is written so; `None` for what is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("cks-")?;
        let lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == 17 && digits.bytes().all(lower)).then(|| Self(text.into()))
    }

    /// An id that no store has.
    #[cfg(test)]
    pub(crate) fn unknown() -> Self {
        Self("cks-00000000000000000".into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomKeyStoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
