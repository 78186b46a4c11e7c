//! Who may do what: the doors through which every operation passes, before it looks at states.
//!
//! Operations on keys pass [`RegionState::authorize`] where they find their key, all others pass [`authorize_account`]
//! where their input is read; so an operation cannot do without. Key policies, identity-based policies and grants are
//! brought together here; what one policy says is `policy`'s.
//!
//! Sources: AWS KMS Developer Guide, "Troubleshooting AWS KMS permissions" (the order of the questions), "Permissions
//! reference", "Grants in AWS KMS"; IAM User Guide, "Policy evaluation logic".

mod aliases;
mod context;
mod denial;
mod facts;
mod grants;
mod key_policy;
mod permission;
#[cfg(test)]
mod tests;

use crate::api::KmsError;
use crate::caller::{Authority, Caller};
use crate::key::Key;
use crate::operation::Operation;
use crate::policy::{Context, IdentityKind, Request, Verdict};
use crate::simulator::RegionState;
use denial::Denial;
use grants::Granted;

pub(crate) use denial::other_account;
pub(crate) use facts::Facts;
pub(crate) use key_policy::KeyPolicy;
pub(crate) use permission::{Access, Needs};

impl RegionState {
    /// Whether the caller may do that with a key of this account and Region; `named` is how the request names the key.
    ///
    /// # Errors
    /// AccessDeniedException
    pub(crate) fn authorize(
        &self,
        access: Access,
        caller: &Caller,
        key: &Key,
        named: &str,
    ) -> Result<(), KmsError> {
        if access.operation().needs() == Needs::Account {
            return Ok(());
        }
        let own = *caller.account == *self.home().account;
        let everything = matches!(caller.authority, Authority::Everything);
        if own && everything && !key.policy.denies() {
            return Ok(());
        }
        let mut context = context::of_caller(caller);
        let facts = caller.facts()?;
        context::add_request(&mut context, access, &facts, caller, key);
        context::add_key(&mut context, self, key, named);
        let request = Request {
            identity: &caller.identity,
            action: access.action(),
            resource: key.arn(),
            context: &context,
        };
        let answer = match access.operation() {
            Operation::RetireGrant => self.may_retire(caller, key, &facts, &request),
            _ => self.may(access, caller, key, &facts, &request),
        };
        answer.map_err(|denial| denial.error(caller, access.action(), Some(key.arn())))
    }

    fn may(
        &self,
        access: Access,
        caller: &Caller,
        key: &Key,
        facts: &Facts,
        request: &Request<'_>,
    ) -> Result<(), Denial> {
        let own = *caller.account == *self.home().account;
        let of_identity = identity_verdict(caller, request);
        let of_key = key.policy.verdict(&self.home().account, request);
        if of_identity == Verdict::Denied {
            return Err(Denial::ByIdentityPolicy);
        }
        if of_key == Verdict::Denied {
            return Err(match own {
                true => Denial::ByKeyPolicy,
                false => Denial::OtherAccount,
            });
        }
        if own && matches!(caller.authority, Authority::Everything) {
            return Ok(());
        }
        let granted = self.granted(access, caller, key, facts);
        if granted == Granted::ToPrincipal || own && of_key == Verdict::Allowed {
            return Ok(());
        }
        let by_account = of_key >= Verdict::Delegated || granted == Granted::ToAccount;
        match (by_account, of_identity) {
            (true, Verdict::Allowed) => Ok(()),
            (true, _) => Err(Denial::NoIdentityPolicy),
            (false, _) if own => Err(Denial::NoKeyPolicy),
            (false, _) => Err(Denial::OtherAccount),
        }
    }
}

/// Whether the caller may do what has no key: in its own account, by its identity-based policies alone.
///
/// # Errors
/// AccessDeniedException
pub(crate) fn authorize_account(caller: &Caller, operation: Operation) -> Result<(), KmsError> {
    if operation.needs() != Needs::Account || matches!(caller.authority, Authority::Everything) {
        return Ok(());
    }
    let facts = caller.facts()?;
    let mut context = context::of_caller(caller);
    context::add_account_request(&mut context, operation, &facts);
    let action = Access::from(operation).action();
    by_identity(caller, action, EVERYTHING, &context)?;
    if facts.has_tags() {
        by_identity(caller, TAG_RESOURCE, EVERYTHING, &context)?;
    }
    Ok(())
}

/// Whether the caller may create a key, with the tags of the request, in the Region to which it replicates one.
///
/// # Errors
/// AccessDeniedException
pub(crate) fn authorize_replica(there: &Caller) -> Result<(), KmsError> {
    if matches!(there.authority, Authority::Everything) {
        return Ok(());
    }
    let facts = there.facts()?;
    let mut context = context::of_caller(there);
    context::add_account_request(&mut context, Operation::ReplicateKey, &facts);
    by_identity(there, Operation::CreateKey.action(), EVERYTHING, &context)?;
    match facts.has_tags() {
        true => by_identity(there, TAG_RESOURCE, EVERYTHING, &context),
        false => Ok(()),
    }
}

/// Whether the caller's identity-based policies allow an action on a resource without a policy of its own.
fn by_identity(
    caller: &Caller,
    action: &str,
    resource: &str,
    context: &Context,
) -> Result<(), KmsError> {
    let request = Request {
        identity: &caller.identity,
        action,
        resource,
        context,
    };
    let denial = match identity_verdict(caller, &request) {
        Verdict::Allowed => return Ok(()),
        Verdict::Denied => Denial::ByIdentityPolicy,
        Verdict::Delegated | Verdict::Silent => Denial::NoIdentityPolicy,
    };
    Err(denial.error(caller, action, Some(resource)))
}

fn identity_verdict(caller: &Caller, request: &Request<'_>) -> Verdict {
    match &caller.authority {
        Authority::Everything => Verdict::Allowed,
        // No policy limits the root user.
        Authority::Policies(_) if caller.identity.kind == IdentityKind::Root => Verdict::Allowed,
        Authority::Policies(policies) => {
            let verdicts = policies.iter().map(|policy| policy.of_identity(request));
            verdicts.max().unwrap_or(Verdict::Silent)
        }
    }
}

const EVERYTHING: &str = "*";
const TAG_RESOURCE: &str = "kms:TagResource";
