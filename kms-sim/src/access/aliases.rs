//! Aliases: what changes one needs a permission on the alias, which has no policy of its own, and on its keys.

use super::{Needs, by_identity, context};
use crate::api::KmsError;
use crate::arn::alias_arn;
use crate::caller::{Authority, Caller};
use crate::operation::Operation;
use crate::simulator::RegionState;

impl RegionState {
    /// Whether the caller may create, change or delete an alias, and, for an alias that has one, may do so with its key.
    ///
    /// # Errors
    /// AccessDeniedException
    pub(crate) fn authorize_alias(
        &self,
        operation: Operation,
        caller: &Caller,
        name: &str,
    ) -> Result<(), KmsError> {
        debug_assert_eq!(operation.needs(), Needs::OwnKey, "{operation:?}");
        if let Authority::Policies(_) = caller.authority {
            let context = context::of_caller(caller);
            by_identity(
                caller,
                operation.action(),
                &alias_arn(caller, name),
                &context,
            )?;
        }
        let target = self.keys.aliases.target(name);
        match target.and_then(|target| self.keys.get(target)) {
            Some(key) => self.authorize(operation.into(), caller, key, name),
            None => Ok(()),
        }
    }
}
