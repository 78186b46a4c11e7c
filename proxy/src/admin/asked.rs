//! What was asked for, kept for the logs while the command itself is carried out.

use super::protocol::{Command, Refusal, Reply};
use crate::audit::{AdminEvent, AuditLog, Phase};
use crate::control::PendingRequest;

/// What was asked for, and of what.
pub(crate) struct Asked {
    pub(super) name: &'static str,
    pub(super) of: String,
    details: Vec<(&'static str, String)>,
}

impl Asked {
    pub(crate) fn of(command: &Command) -> Self {
        let (name, of) = command.describe();
        Self {
            name,
            of: of.into_owned(),
            details: command.details(),
        }
    }

    /// Something about a request for approval.
    pub(super) fn new(name: &'static str, request: &PendingRequest) -> Self {
        Self {
            name,
            of: request.of.clone(),
            details: vec![
                ("operation", request.operation.clone()),
                ("requestedBy", request.requested_by.clone()),
            ],
        }
    }

    /// With the two who made it happen.
    pub(super) fn approved(mut self, request: &PendingRequest) -> Self {
        let by = ("requestedBy", request.requested_by.clone());
        self.details.push(by);
        self
    }

    /// Does it, recorded before and after where there is an audit log.
    ///
    /// # Errors
    /// Those of `work`; that a strict log could not record it, and then nothing was done.
    pub(crate) fn audited(
        &self,
        audit: Option<&AuditLog>,
        admin: &str,
        work: impl FnOnce() -> Result<Reply, Refusal>,
    ) -> Result<Reply, Refusal> {
        let details: Vec<_> = self.details.iter().map(|(n, v)| (*n, &**v)).collect();
        let event = AdminEvent {
            admin,
            command: self.name,
            of: &self.of,
            phase: Phase::Requested,
            details: &details,
        };
        AuditLog::administer(audit, event, work)
    }
}
