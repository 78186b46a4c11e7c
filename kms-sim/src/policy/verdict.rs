//! What one document says about one request.

use super::context::Context;
use super::document::{Document, Effect, Statement};
use super::principal::{Identity, PrincipalMatch};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    /// Who asks.
    pub(crate) identity: &'r Identity,
    /// For example `kms:Encrypt`.
    pub(crate) action: &'r str,
    /// The ARN of a resource, or `*` for an operation that has none.
    pub(crate) resource: &'r str,
    /// What conditions ask about.
    pub(crate) context: &'r Context,
}

/// The strongest that a document says: a denial beats everything.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verdict {
    /// Nothing.
    Silent,
    /// The principal's account may allow it, with its identity policies.
    Delegated,
    /// The principal may.
    Allowed,
    /// Nobody and nothing else can allow it.
    Denied,
}

impl Document {
    /// What the document says as the policy of a resource, which names principals.
    pub(crate) fn of_resource(&self, request: &Request<'_>) -> Verdict {
        self.strongest(request, |statement| {
            let who = statement
                .principals
                .as_ref()
                .map(|principals| principals.includes(request.identity));
            match (who.unwrap_or(PrincipalMatch::None), statement.effect) {
                (PrincipalMatch::None, _) => Verdict::Silent,
                (PrincipalMatch::Account, Effect::Allow) => Verdict::Delegated,
                (PrincipalMatch::Principal, Effect::Allow) => Verdict::Allowed,
                (PrincipalMatch::Account | PrincipalMatch::Principal, Effect::Deny) => {
                    Verdict::Denied
                }
            }
        })
    }

    /// What the document says as a policy of the principal itself.
    pub(crate) fn of_identity(&self, request: &Request<'_>) -> Verdict {
        self.strongest(request, |statement| match statement.effect {
            Effect::Allow => Verdict::Allowed,
            Effect::Deny => Verdict::Denied,
        })
    }

    /// Whether the document denies anything to anyone.
    pub(crate) fn denies(&self) -> bool {
        let mut statements = self.statements.iter();
        statements.any(|statement| statement.effect == Effect::Deny)
    }

    fn strongest(&self, request: &Request<'_>, says: impl Fn(&Statement) -> Verdict) -> Verdict {
        let applying = self.statements.iter().filter(|s| s.applies(request));
        applying.map(says).max().unwrap_or(Verdict::Silent)
    }
}

impl Statement {
    /// Whether action, resource and conditions fit, whoever asks.
    fn applies(&self, request: &Request<'_>) -> bool {
        let context = request.context;
        let action = self.actions.as_ref().is_some_and(|actions| {
            actions.includes(|pattern| pattern.matches_ignoring_case(request.action, context))
        });
        let resource = || {
            self.resources.as_ref().is_some_and(|resources| {
                resources.includes(|pattern| pattern.matches(request.resource, context))
            })
        };
        action && resource() && self.conditions.iter().all(|c| c.holds(context))
    }
}
