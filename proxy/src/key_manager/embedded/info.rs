//! What administrators are told of keys and credentials: without secrets, but for the one answer that shows a new one.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use xks_api::ids::{AccessKeyId, SecretAccessKey, UriPathPrefix};
use xks_api::message::{KeyStatus, KeyUsage};
use zeroize::Zeroizing;

use super::record::VersionState;
use crate::control::BlockInfo;

/// One key and its versions.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyInfo {
    /// The external key id.
    pub id: String,
    /// What it may be used for.
    pub usage: Vec<KeyUsage>,
    /// Whether it may be used at all.
    pub status: KeyStatus,
    /// RFC 3339.
    pub created: String,
    /// The version that encrypts.
    pub current_version: u32,
    /// From version 1 to the current one.
    pub versions: Vec<VersionInfo>,
    /// Blocks on the key, on everything, or on an external key store that uses its key manager.
    #[serde(default)]
    pub blocks: Vec<BlockInfo>,
}

/// One version of a key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VersionInfo {
    /// Its number.
    pub version: u32,
    /// Whether it decrypts.
    pub state: VersionState,
    /// RFC 3339.
    pub created: String,
}

/// One credential, without its secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CredentialInfo {
    /// Names it.
    pub access_key_id: String,
    /// The external key store that it is good for.
    pub uri_path_prefix: String,
    /// RFC 3339.
    pub created: String,
    /// When the server that was asked last took a signature of it, in RFC 3339; `None` if not since its start.
    #[serde(default)]
    pub last_used: Option<String>,
}

/// A credential just made: the only time that its secret is shown.
#[derive(Debug)]
pub struct NewCredential {
    /// The external key store that it is good for.
    pub uri_path_prefix: UriPathPrefix,
    /// Names it.
    pub access_key_id: AccessKeyId,
    /// The shared secret.
    pub secret: SecretAccessKey,
}

impl NewCredential {
    /// The JSON file that the KMS console takes.
    //= xks §Console configuration R41
    pub fn console_json(&self) -> Zeroizing<String> {
        // Every part is of characters that JSON takes as they are; the text is written once, into a buffer of its size.
        let parts = [
            "{\"XksProxyUriPath\":\"",
            &self.uri_path_prefix.uri_path(),
            "\",\"XksProxyAuthenticationCredential\":{\"AccessKeyId\":\"",
            self.access_key_id.as_str(),
            "\",\"RawSecretAccessKey\":\"",
            self.secret.expose(),
            "\"}}",
        ];
        Zeroizing::new(parts.concat())
    }
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    time.format(&Rfc3339)
        .expect("years 0 to 9999 and whole minutes of offset")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_timestamp_is_that_of_rfc_3339() {
        let time = datetime!(2026-11-24 09:05:07 UTC);
        assert_eq!(timestamp(time), "2026-11-24T09:05:07Z");
    }
}
