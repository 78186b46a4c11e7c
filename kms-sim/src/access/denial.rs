//! Why a caller may not, in the words of AWS.

use crate::api::KmsError;
use crate::caller::Caller;

/// Why a caller may not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Denial {
    /// A statement of an identity-based policy denies it.
    ByIdentityPolicy,
    /// A statement of the key policy denies it.
    ByKeyPolicy,
    /// The account could allow it, and does not.
    NoIdentityPolicy,
    /// The key policy lets neither the principal nor its account.
    NoKeyPolicy,
    /// A key of another account, of which nothing is told.
    OtherAccount,
}

impl Denial {
    pub(super) fn error(self, caller: &Caller, action: &str, resource: Option<&str>) -> KmsError {
        let on = resource.map_or_else(String::new, |resource| format!(" on resource: {resource}"));
        let why = match self {
            Self::ByIdentityPolicy => {
                " with an explicit deny in an identity-based policy".to_owned()
            }
            Self::ByKeyPolicy => " with an explicit deny in a resource-based policy".to_owned(),
            Self::NoIdentityPolicy => {
                format!(" because no identity-based policy allows the {action} action")
            }
            Self::NoKeyPolicy => {
                format!(" because no resource-based policy allows the {action} action")
            }
            Self::OtherAccount => return other_account(caller, action),
        };
        access_denied(caller, action, &format!("{on}{why}"))
    }
}

/// What is told of keys of other accounts that the caller may not use, or that do not exist.
pub(crate) fn other_account(caller: &Caller, action: &str) -> KmsError {
    access_denied(
        caller,
        action,
        " on this resource because the resource does not exist in this Region, no resource-based policies allow \
         access, or a resource-based policy explicitly denies access",
    )
}

fn access_denied(caller: &Caller, action: &str, why: &str) -> KmsError {
    KmsError::new(
        "AccessDeniedException",
        format!(
            "User: {} is not authorized to perform: {action}{why}",
            caller.principal_arn
        ),
    )
}
