//! What grants allow: to whom, which operations, with which encryption context.

use std::ops::Bound;

use super::context::encryption_context;
use super::denial::Denial;
use super::facts::{Facts, Pairs};
use super::identity_verdict;
use super::permission::Access;
use crate::caller::{Authority, Caller};
use crate::grant::{Grant, GrantConstraints, GrantPrincipal};
use crate::key::Key;
use crate::operation::Operation;
use crate::policy::{IdentityKind, PrincipalMatch, PrincipalRef, Request, Verdict};
use crate::simulator::RegionState;

/// To whom a grant allows what is asked for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Granted {
    No,
    /// To the principal's account, which decides further.
    ToAccount,
    ToPrincipal,
}

impl RegionState {
    /// Whether a grant of the key allows it: one that is seen everywhere, or one whose token the request has.
    pub(super) fn granted(
        &self,
        access: Access,
        caller: &Caller,
        key: &Key,
        facts: &Facts,
    ) -> Granted {
        let seen = self
            .past
            .grants_of_key_after(&self.keys, key, None, Bound::Unbounded);
        let tokens = facts.grant_tokens.iter().flatten();
        let by_token = tokens.filter_map(|token| {
            let (key_id, grant) = self.keys.grants.find_token(token)?;
            let grant = self.keys.grants.get(key_id, grant)?;
            (key_id == key.id()).then_some(grant)
        });
        let allowing = seen
            .chain(by_token)
            .filter(|grant| grant.allows(access, facts));
        let to = allowing.map(|grant| match means(&grant.terms.grantee, caller) {
            PrincipalMatch::None => Granted::No,
            PrincipalMatch::Account => Granted::ToAccount,
            PrincipalMatch::Principal => Granted::ToPrincipal,
        });
        to.max().unwrap_or(Granted::No)
    }

    /// Whether the caller may retire a grant: the grant says so, no policy can; a policy can deny it.
    pub(super) fn may_retire(
        &self,
        caller: &Caller,
        key: &Key,
        facts: &Facts,
        request: &Request<'_>,
    ) -> Result<(), Denial> {
        let own = *caller.account == *self.home().account;
        if identity_verdict(caller, request) == Verdict::Denied {
            return Err(Denial::ByIdentityPolicy);
        }
        if key.policy.verdict(&self.home().account, request) == Verdict::Denied {
            return Err(match own {
                true => Denial::ByKeyPolicy,
                false => Denial::OtherAccount,
            });
        }
        if own && matches!(caller.authority, Authority::Everything) {
            return Ok(());
        }
        // The account's root user can retire every grant on its keys.
        if own && caller.identity.kind == IdentityKind::Root {
            return Ok(());
        }
        let grants = &self.keys.grants;
        let id = match (&facts.grant_token, &facts.grant_id) {
            (Some(token), _) => grants.find_token(token).map(|(_, grant)| &**grant),
            (None, id) => id.as_deref(),
        };
        let grant = id.and_then(|id| grants.get(key.id(), id));
        match grant {
            Some(grant) if grant.can_be_retired_by(caller) => Ok(()),
            // A grant that is not there is not found, unless it is another account's key.
            None if own => Ok(()),
            Some(_) if own => Err(Denial::NoKeyPolicy),
            None | Some(_) => Err(Denial::OtherAccount),
        }
    }
}

impl Grant {
    fn allows(&self, access: Access, facts: &Facts) -> bool {
        let operations = &self.terms.operations;
        if !operations
            .iter()
            .any(|name| name == access.grant_operation())
        {
            return false;
        }
        let constraints = self.terms.constraints.as_ref();
        match access.operation() {
            // Constraints say nothing about these.
            Operation::DescribeKey | Operation::RetireGrant | Operation::GetPublicKey => true,
            Operation::CreateGrant => self.allows_grant(facts),
            _ => {
                let none = Pairs::new();
                let context = encryption_context(access, facts).unwrap_or(&none);
                constraints.is_none_or(|constraints| constraints.admit(context))
            }
        }
    }

    /// Whether the grant lets its grantee create one as asked for: with no more operations, and constraints at least as
    /// strict.
    fn allows_grant(&self, facts: &Facts) -> bool {
        let operations = facts.operations.as_deref().unwrap_or_default();
        let no_more = operations
            .iter()
            .all(|name| self.terms.operations.contains(name));
        let asked = facts.constraints.as_ref();
        let as_strict = self.terms.constraints.as_ref().is_none_or(|own| {
            let equals = asked.and_then(|asked| asked.encryption_context_equals.as_ref());
            let subset = asked.and_then(|asked| asked.encryption_context_subset.as_ref());
            let by_equals = own
                .encryption_context_equals
                .as_ref()
                .is_none_or(|own| equals == Some(own));
            let by_subset = own.encryption_context_subset.as_ref().is_none_or(|own| {
                [equals, subset]
                    .into_iter()
                    .flatten()
                    .any(|asked| includes(asked, own))
            });
            by_equals && by_subset
        });
        no_more && as_strict
    }

    /// By its retiring principal, and by its grantee if it allows that.
    fn can_be_retired_by(&self, caller: &Caller) -> bool {
        let is = |principal: &GrantPrincipal| means(principal, caller) == PrincipalMatch::Principal;
        let terms = &self.terms;
        terms.retiring.as_ref().is_some_and(is)
            || terms.operations.iter().any(|name| name == "RetireGrant") && is(&terms.grantee)
    }
}

impl GrantConstraints {
    fn admit(&self, context: &Pairs) -> bool {
        let equals = self.encryption_context_equals.as_ref();
        let subset = self.encryption_context_subset.as_ref();
        // Requests of a service for a resource of its own are not simulated: none has a source.
        self.source_arn.is_none()
            && equals.is_none_or(|wanted| includes(context, wanted) && includes(wanted, context))
            && subset.is_none_or(|wanted| includes(context, wanted))
    }
}

/// The names of a constraint's pairs are not case sensitive, the values are.
fn includes(all: &Pairs, some: &Pairs) -> bool {
    let is = |(name, value): (&String, &String)| {
        let mut all = all.iter();
        all.any(|(n, v)| n.to_lowercase() == name.to_lowercase() && v == value)
    };
    some.iter().all(is)
}

fn means(principal: &GrantPrincipal, caller: &Caller) -> PrincipalMatch {
    match principal {
        GrantPrincipal::Aws(text) => PrincipalRef::of_aws(text)
            .map_or(PrincipalMatch::None, |named| named.means(&caller.identity)),
        // A service calls in the name of a principal, never by itself.
        GrantPrincipal::Service(_) => PrincipalMatch::None,
    }
}
