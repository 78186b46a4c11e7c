//! `--accounts FILE.toml`: who can call, with which access keys, and what its identity-based policies allow it.
//!
//! `kms-sim/docs/accounts.md` explains the file. With it, signatures are verified (`signature`), and nothing is allowed
//! that no policy or grant allows (`access`).

mod canonical;
mod file;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ring::hmac;
use zeroize::Zeroizing;

use crate::api::KmsError;
use crate::caller::{Authority, RequestOrigin};
use crate::policy::{Document, Identity, PrincipalRef};
use crate::toml_document::InvalidFile;

pub(crate) use signature::{Claim, SignedHead};

/// Everyone who can call.
#[derive(Default)]
pub struct Accounts {
    by_access_key: HashMap<String, Arc<Principal>>,
    /// Users and roles, by their ARNs.
    known: BTreeSet<String>,
    accounts: BTreeSet<String>,
}

/// One access key and whose it is.
pub(crate) struct Principal {
    secret: Zeroizing<String>,
    /// What temporary credentials have beside.
    session_token: Option<Zeroizing<String>>,
    pub(crate) identity: Arc<Identity>,
    /// `aws:userid`
    pub(crate) user_id: String,
    pub(crate) policies: Arc<[Document]>,
    /// From where it calls, as far as the file says.
    pub(crate) origin: RequestOrigin,
}

impl Accounts {
    /// Reads a file.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn load(file: &Path) -> Result<Self, InvalidFile> {
        file::load(file)
    }

    /// Who has an access key.
    ///
    /// # Errors
    /// UnrecognizedClientException for one that nobody has, and for temporary credentials with another session token.
    pub(crate) fn find(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<&Arc<Principal>, KmsError> {
        let principal = self.by_access_key.get(access_key_id);
        let principal = principal.filter(|principal| principal.has_token(session_token));
        principal.ok_or_else(|| {
            KmsError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        })
    }

    /// Whether a principal that a policy names exists, as far as that is known: users and roles of the accounts in the
    /// file must be in it, of other accounts nothing is known.
    pub(crate) fn may_exist(&self, named: &PrincipalRef) -> bool {
        match named {
            PrincipalRef::Role(arn) | PrincipalRef::Principal(arn) => {
                let account = arn.split(':').nth(4).unwrap_or_default();
                let of_iam = arn.split(':').nth(2) == Some("iam");
                !of_iam || !self.accounts.contains(account) || self.known.contains(arn)
            }
            PrincipalRef::Everyone
            | PrincipalRef::Account(_)
            | PrincipalRef::UniqueId(_)
            | PrincipalRef::Service(_)
            | PrincipalRef::Other(_) => true,
        }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Accounts").field(&self.known).finish()
    }
}

impl Principal {
    /// Compares in constant time: a MAC with a key of this process for both.
    fn has_token(&self, given: Option<&str>) -> bool {
        match (&self.session_token, given) {
            (None, None) => true,
            (Some(wanted), Some(given)) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
                let tag = hmac::sign(&key, wanted.as_bytes());
                hmac::verify(&key, given.as_bytes(), tag.as_ref()).is_ok()
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// The key that signs requests of a day in a Region to a service.
    fn signing_key(&self, date: &str, region: &str, service: &str) -> hmac::Key {
        let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let first = Zeroizing::new([b"AWS4", self.secret.as_bytes()].concat());
        let mut last = hmac::sign(&key(&first), date.as_bytes());
        for part in [region, service, "aws4_request"] {
            last = hmac::sign(&key(last.as_ref()), part.as_bytes());
        }
        key(last.as_ref())
    }

    /// What it may by itself.
    pub(crate) fn authority(&self) -> Authority {
        Authority::Policies(Arc::clone(&self.policies))
    }
}
