//! From external key ids to keys of a token, version by version.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use xks_api::ids::ExternalKeyId;

use crate::key_manager::embedded::Usages;

/// Which external keys there are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyMap {
    /// Keys with a table of their own.
    pub listed: HashMap<ExternalKeyId, MappedKey>,
    /// What an id without one leads to.
    pub unlisted: Unlisted,
}

/// What an id leads to that is not listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unlisted {
    /// The keys that have it as label.
    ByLabel,
    /// No key.
    Unknown,
}

/// An external key, as it is configured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MappedKey {
    /// Where its versions are.
    pub versions: Versions,
    /// What it may be used for at most; the token's own attributes count in any case.
    pub usages: Usages,
    /// Whether it may be used at all.
    pub enabled: bool,
}

/// The versions of an external key: each a key of its own in the token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Versions {
    /// Version 1 has this label, version 2 the label and `:2`, and so on; the highest encrypts.
    Numbered(String),
    /// These; the highest that is not retired encrypts.
    Listed(BTreeMap<u32, MappedVersion>),
}

/// One version of a listed key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MappedVersion {
    /// Where it is.
    pub locator: Locator,
    /// Whether what it encrypted is answered with InvalidStateException.
    pub retired: bool,
}

/// What finds one key in a token.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Locator {
    /// `CKA_LABEL`
    Label(String),
    /// `CKA_ID`
    Id(Vec<u8>),
}

impl KeyMap {
    /// What an external key id leads to.
    pub(super) fn get(&self, id: &ExternalKeyId) -> Option<Cow<'_, MappedKey>> {
        match (self.listed.get(id), self.unlisted) {
            (Some(key), _) => Some(Cow::Borrowed(key)),
            (None, Unlisted::Unknown) => None,
            (None, Unlisted::ByLabel) => Some(Cow::Owned(MappedKey {
                versions: Versions::Numbered(id.as_str().to_owned()),
                usages: Usages::EncryptDecrypt,
                enabled: true,
            })),
        }
    }
}

impl Versions {
    /// Where a version is or would be.
    pub(super) fn version(&self, number: u32) -> Option<MappedVersion> {
        match self {
            Self::Listed(versions) => versions.get(&number).cloned(),
            Self::Numbered(label) => {
                let label = match number {
                    0 => return None,
                    1 => label.clone(),
                    // No external key id has a colon, so that no version is also a key of its own.
                    n => format!("{label}:{n}"),
                };
                Some(MappedVersion {
                    locator: Locator::Label(label),
                    retired: false,
                })
            }
        }
    }

    /// The number of the first version.
    pub(super) fn first(&self) -> Option<u32> {
        match self {
            Self::Numbered(_) => Some(1),
            Self::Listed(versions) => versions.first_key_value().map(|(number, _)| *number),
        }
    }

    /// Whether one of the versions has, or could have, this label.
    pub fn reach(&self, wanted: &str) -> bool {
        match self {
            Self::Listed(versions) => versions
                .values()
                .any(|version| matches!(&version.locator, Locator::Label(l) if l == wanted)),
            Self::Numbered(label) => match wanted.strip_prefix(&**label) {
                Some("") => true,
                Some(rest) => rest
                    .strip_prefix(':')
                    .is_some_and(|digits| digits.parse::<u32>().is_ok()),
                None => false,
            },
        }
    }
}

/// A version's number has three bytes in the metadata of a message.
pub const MAX_VERSION: u32 = (1 << 24) - 1;

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "the label {label:?}"),
            Self::Id(id) => {
                f.write_str("the id ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_versions_have_labels() {
        let versions = Versions::Numbered("a.b".into());
        let label = |n| versions.version(n).map(|v| v.locator);
        assert_eq!(label(0), None);
        assert_eq!(label(1), Some(Locator::Label("a.b".into())));
        assert_eq!(label(12), Some(Locator::Label("a.b:12".into())));
        for (wanted, reached) in [
            ("a.b", true),
            ("a.b:2", true),
            ("a.b:x", false),
            ("a.bc", false),
            ("a", false),
        ] {
            assert_eq!(versions.reach(wanted), reached, "{wanted}");
        }
    }
}
