//! The policy of one key: its text as it was given, read once; keys with the default policy keep nothing.

use std::borrow::Cow;
use std::sync::Arc;

use super::context;
use crate::accounts::Accounts;
use crate::api::KmsError;
use crate::caller::{Authority, Caller};
use crate::operation::Operation;
use crate::policy::{Document, Kind, PrincipalMatch, PrincipalRef, Request, Verdict};

/// A key policy.
#[derive(Clone, Debug, Default)]
pub(crate) enum KeyPolicy {
    /// That of a key that was created without one: its account decides with identity-based policies.
    #[default]
    Default,
    /// One that was given.
    Given(Arc<Given>),
}

/// A policy that was given.
#[derive(Debug)]
pub(crate) struct Given {
    text: String,
    document: Document,
}

impl KeyPolicy {
    /// Reads a key policy.
    ///
    /// # Errors
    /// LimitExceededException for more than 32 KiB, MalformedPolicyDocumentException for what KMS refuses.
    pub(crate) fn parse(text: String) -> Result<Self, KmsError> {
        if text.len() > MAX_POLICY_LEN {
            return Err(KmsError::new(
                "LimitExceededException",
                format!(
                    "The key policy has {} bytes; at most {MAX_POLICY_LEN} are allowed.",
                    text.len()
                ),
            ));
        }
        match Document::parse(&text, Kind::Key) {
            Ok(document) => Ok(Self::Given(Arc::new(Given { text, document }))),
            Err(why) => Err(malformed(why.to_string())),
        }
    }

    /// The policy of a key that was saved with this text. One that would not be taken any more says nothing.
    pub(crate) fn restore(text: String, key_arn: &str) -> Self {
        if text == default_text(key_arn) {
            return Self::Default;
        }
        let document = Document::parse(&text, Kind::Key).unwrap_or_default();
        Self::Given(Arc::new(Given { text, document }))
    }

    /// The text, as GetKeyPolicy gives it; the default policy of a key names its account.
    pub(crate) fn text(&self, key_arn: &str) -> Cow<'_, str> {
        match self {
            Self::Default => default_text(key_arn).into(),
            Self::Given(given) => (&*given.text).into(),
        }
    }

    /// Every principal that it names, beside the key's own account.
    pub(super) fn principals(&self) -> impl Iterator<Item = &PrincipalRef> {
        let document = match self {
            Self::Default => None,
            Self::Given(given) => Some(&given.document),
        };
        document.into_iter().flat_map(Document::principals)
    }

    /// Whether it denies anything to anyone.
    pub(super) fn denies(&self) -> bool {
        match self {
            Self::Default => false,
            Self::Given(given) => given.document.denies(),
        }
    }

    /// What it says, as the policy of a key of that account.
    pub(super) fn verdict(&self, account: &str, request: &Request<'_>) -> Verdict {
        match self {
            Self::Given(given) => given.document.of_resource(request),
            Self::Default => {
                let owner = PrincipalRef::Account(account.to_owned());
                match owner.means(request.identity) {
                    PrincipalMatch::None => Verdict::Silent,
                    PrincipalMatch::Account => Verdict::Delegated,
                    PrincipalMatch::Principal => Verdict::Allowed,
                }
            }
        }
    }
}

impl KeyPolicy {
    /// Checks a policy that the caller gives a key: its principals exist, as far as that is known, and the caller can
    /// change it again, unless it bypasses that check.
    ///
    /// # Errors
    /// MalformedPolicyDocumentException
    pub(crate) fn check(
        &self,
        caller: &Caller,
        accounts: Option<&Accounts>,
        bypass_lockout: bool,
    ) -> Result<(), KmsError> {
        let exists = |named| accounts.is_none_or(|accounts| accounts.may_exist(named));
        if !self.principals().all(exists) {
            return Err(malformed(
                "Policy contains a statement with one or more invalid principals.",
            ));
        }
        match bypass_lockout {
            true => Ok(()),
            false => self.check_lockout(caller),
        }
    }

    /// Checks that the caller, who gives its own key this policy, can change it again.
    ///
    /// Where nobody said who may what, everyone can whom the policy does not deny it.
    ///
    /// # Errors
    /// MalformedPolicyDocumentException
    fn check_lockout(&self, caller: &Caller) -> Result<(), KmsError> {
        let (context, everyone) = match caller.authority {
            Authority::Everything if !self.denies() => return Ok(()),
            Authority::Everything => (context::of_caller(caller), true),
            Authority::Policies(_) => (context::of_caller(caller), false),
        };
        let verdict = self.verdict(
            &caller.account,
            &Request {
                identity: &caller.identity,
                action: Operation::PutKeyPolicy.action(),
                resource: "*",
                context: &context,
            },
        );
        match verdict {
            Verdict::Allowed | Verdict::Delegated => Ok(()),
            Verdict::Silent if everyone => Ok(()),
            Verdict::Silent | Verdict::Denied => Err(malformed(
                "The new key policy will not allow you to update the key policy in the future.",
            )),
        }
    }
}

/// MalformedPolicyDocumentException
fn malformed(why: impl Into<Cow<'static, str>>) -> KmsError {
    KmsError::new("MalformedPolicyDocumentException", why)
}

fn default_text(key_arn: &str) -> String {
    let mut parts = key_arn.split(':');
    let partition = parts.nth(1).unwrap_or("aws");
    let account = parts.nth(2).unwrap_or_default();
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:{partition}:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

const MAX_POLICY_LEN: usize = 32_768;
