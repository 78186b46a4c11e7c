//! The names of clusters, HSMs and backups, as AWS CloudHSM makes them.

use std::fmt;

use crate::api::KmsError;
use crate::key_material::fill_random;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident = $prefix:literal;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// A new one, which no other is equal to.
            pub(super) fn random() -> Result<Self, KmsError> {
                Ok(Self(format!(concat!($prefix, "-{}"), random_word()?).into()))
            }

            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        /// Any text can be looked for; only one that was made is found.
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    )+ };
}

ids! {
    /// `cluster-` and 11 characters of `2–7 a–z`.
    ClusterId = "cluster";
    /// `hsm-` and 11 characters of `2–7 a–z`.
    HsmId = "hsm";
    /// `backup-` and 11 characters of `2–7 a–z`.
    BackupId = "backup";
}

fn random_word() -> Result<String, KmsError> {
    let mut bytes = [0; 11];
    fill_random(&mut bytes)?;
    let character = |byte: u8| match byte & 31 {
        n @ 0..26 => char::from(b'a' + n),
        n => char::from(b'2' + (n - 26)),
    };
    Ok(bytes.into_iter().map(character).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_as_the_kms_api_wants_it() {
        for _ in 0..100 {
            let id = ClusterId::random().unwrap();
            let rest = id.as_str().strip_prefix("cluster-").unwrap();
            // CloudHsmClusterIdType: cluster-[2-7a-zA-Z]{11,16}, 19 to 24 characters.
            assert!(rest.len() == 11 && id.as_str().len() == 19, "{id}");
            assert!(
                rest.bytes().all(|b| matches!(b, b'2'..=b'7' | b'a'..=b'z')),
                "{id}"
            );
        }
    }
}
