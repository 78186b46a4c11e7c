//! The whole state as data: records that are saved one by one in a data folder, and all together in a snapshot.
//!
//! One form for both, with a version. **Key material and credentials are in it**: an image is test material, to be kept
//! like the keys of a test. Faults and other settings of a running simulator are not in it.

mod fields;
mod imported;
mod name;
mod region;
mod restore;
mod still;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Hands;
use crate::cloudhsm::{BackupImage, ClusterImage, ClusterKeyImage};
use crate::custom_key_store::StoreImage;
use crate::vpc_endpoint_service::VpcEndpointService;

pub(crate) use fields::{FixedSecret, Material, Password, SecretText, instant};
pub(crate) use name::RecordName;
pub(crate) use region::{AliasImage, GrantImage, KeyImage};
pub(crate) use restore::Restored;

/// One thing that is saved by itself.
#[derive(Deserialize, Serialize)]
pub(crate) enum Record {
    Clock(Hands),
    CloudHsmCluster(ClusterImage),
    CloudHsmKey(ClusterKeyImage),
    CloudHsmBackup(BackupImage),
    VpcEndpointService(VpcEndpointService),
    CustomKeyStore(Box<StoreImage>),
    Key(Box<KeyImage>),
    Alias(AliasImage),
    Grant(Box<GrantImage>),
}

/// A snapshot: every record.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StateImage {
    version: u32,
    /// For whoever opens the file; not read.
    #[serde(default)]
    warning: String,
    records: Vec<Record>,
}

impl StateImage {
    /// A snapshot of these records.
    pub(crate) fn new(records: Vec<Record>) -> Self {
        Self {
            version: VERSION,
            warning: WARNING.to_owned(),
            records,
        }
    }

    /// The records.
    ///
    /// # Errors
    /// Another version.
    pub(crate) fn into_records(self) -> Result<Vec<Record>, StateError> {
        check_version(self.version)?;
        Ok(self.records)
    }
}

/// Whether this program reads images of that version.
pub(crate) fn check_version(found: u32) -> Result<(), StateError> {
    match found {
        VERSION => Ok(()),
        found => Err(StateError::Version(found)),
    }
}

/// Why an image is none that the simulator can take.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum StateError {
    #[error(
        "the state has version {0}; this kms-sim reads version {VERSION}. Use the kms-sim that wrote it, or begin anew"
    )]
    Version(u32),
    #[error("the record {name} cannot be used: {defect}")]
    Record { name: String, defect: Defect },
}

impl StateError {
    pub(crate) fn record(name: &RecordName, defect: Defect) -> Self {
        Self::Record {
            name: name.to_string(),
            defect,
        }
    }
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Defect {
    /// It names something that there is not.
    Reference(&'static str),
    /// A value is not what it should be.
    Value(&'static str),
    /// Something else has what it claims for itself.
    Taken(&'static str),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(what) => write!(f, "it names {what} that the state does not have"),
            Self::Value(what) => write!(f, "{what} in it cannot be read"),
            Self::Taken(what) => write!(f, "another record has {what} already"),
        }
    }
}

/// Raised by every change of the form.
pub(crate) const VERSION: u32 = 1;

const WARNING: &str =
    "TEST MATERIAL: this file holds key material, passwords and proxy credentials in clear.";

#[cfg(test)]
mod tests;
