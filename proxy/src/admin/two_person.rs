//! Two-person approval: what is put under it is requested by one named administrator and done once another has approved.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;

use super::asked::Asked;
use super::protocol::{Command, Refusal, Reply};
use super::who::Who;
use crate::audit::AuditLog;
use crate::control::{self, ControlError, PendingRequest, Scopes};

/// What is under two-person approval.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ApprovalPolicy {
    /// Operations that wait for it; none, if it is empty.
    pub operations: Vec<Operation>,
    /// When a request is void.
    pub expires_after: Duration,
}

/// An operation that can be put under approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// `key delete`
    DeleteKey,
    /// `key export-backup`
    ExportBackup,
    /// `unblock`
    Unblock,
    /// `admin create`, `admin remove`: always, once there are two admins, or one could stand for two.
    Admins,
}

impl Operation {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeleteKey => "delete-key",
            Self::ExportBackup => "export-backup",
            Self::Unblock => "unblock",
            Self::Admins => "admins",
        }
    }
}

impl ApprovalPolicy {
    /// The operation of a command that waits for approval.
    pub(crate) fn of(&self, command: &Command) -> Option<Operation> {
        let operation = match command {
            Command::DeleteKey { .. } => Operation::DeleteKey,
            Command::ExportBackup { .. } => Operation::ExportBackup,
            Command::Unblock { .. } => Operation::Unblock,
            Command::CreateAdmin { .. } | Command::RemoveAdmin { .. } => Operation::Admins,
            _ => return None,
        };
        let covered = match operation {
            Operation::Admins => !self.operations.is_empty(),
            operation => self.operations.contains(&operation),
        };
        covered.then_some(operation)
    }
}

/// What a command needs to be carried out, besides itself.
pub(super) struct Desk<'a> {
    pub(super) policy: &'a ApprovalPolicy,
    pub(super) scopes: &'a Scopes,
    pub(super) audit: Option<&'a AuditLog>,
    pub(super) who: &'a Who,
    /// The key manager whose socket it came through, or that it names.
    pub(super) key_manager: Option<&'a str>,
}

impl Desk<'_> {
    /// Keeps a command that needs approval; `None` where it needs none, or has it.
    ///
    /// # Errors
    /// Without a name, nobody asks for approval; what the store refuses.
    pub(super) fn hold(&self, command: &Command) -> Result<Option<Reply>, Refusal> {
        let Some(operation) = self.policy.of(command) else {
            return Ok(None);
        };
        if operation == Operation::Admins && control::admins(self.scopes).len() < 2 {
            return Ok(None);
        }
        let name = self.name()?;
        let (_, of) = command.describe();
        if operation == Operation::ExportBackup && self.use_approval(operation, name, &of)? {
            return Ok(None);
        }
        let expires = OffsetDateTime::now_utc() + self.policy.expires_after;
        let command = match operation {
            // It has the key of the backup, and its answer is for the one who asked.
            Operation::ExportBackup => None,
            _ => Some(serde_json::to_value(command).expect("strings and numbers encode")),
        };
        let request = PendingRequest {
            operation: operation.as_str().to_owned(),
            of: of.into_owned(),
            key_manager: self.key_manager.map(str::to_owned),
            requested_by: name.to_owned(),
            expires: expires.unix_timestamp(),
            approved_by: None,
            command,
        };
        let asked = Asked::new("request-approval", &request);
        let reply = asked.audited(self.audit, &self.who.to_string(), || {
            let id = control::request(self.scopes, &request)?;
            Ok(Reply::Pending(request.info(&id)))
        })?;
        Ok(Some(reply))
    }

    /// Approves; gives what is to be carried out now.
    ///
    /// # Errors
    /// [`ControlError::OwnRequest`] for the one who asked.
    pub(super) fn approve(&self, id: &str) -> Result<(PendingRequest, Option<Command>), Refusal> {
        let name = self.name()?;
        let other = |request: &PendingRequest| match request.requested_by == name {
            true => Err(ControlError::OwnRequest(id.to_owned())),
            false => Ok(()),
        };
        let kept = control::pending(self.scopes).into_iter();
        let kept = kept.filter(|(known, _)| known == id).map(|(_, r)| r).next();
        let kept = kept.ok_or_else(|| ControlError::NoSuchRequest(id.to_owned()))?;
        other(&kept)?;
        let request = match kept.command {
            None => PendingRequest {
                approved_by: Some(name.to_owned()),
                ..control::mark(self.scopes, id, name, other)?
            },
            Some(_) => control::take(self.scopes, id, other)?,
        };
        let command = request.command.clone().map(parse).transpose()?;
        Ok((request, command))
    }

    /// Takes a request away, whoever made it.
    pub(super) fn reject(&self, id: &str) -> Result<PendingRequest, Refusal> {
        self.name()?;
        Ok(control::take(self.scopes, id, |_| Ok(()))?)
    }

    /// Whether somebody else has approved this; if so, that is used up.
    fn use_approval(&self, operation: Operation, name: &str, of: &str) -> Result<bool, Refusal> {
        let approved = |request: &PendingRequest| {
            request.operation == operation.as_str()
                && request.of == of
                && request.requested_by == name
                && request.key_manager.as_deref() == self.key_manager
                && request.approved_by.is_some()
        };
        let mut pending = control::pending(self.scopes).into_iter();
        let Some((id, _)) = pending.find(|(_, request)| approved(request)) else {
            return Ok(false);
        };
        control::take(self.scopes, &id, |_| Ok(()))?;
        Ok(true)
    }

    fn name(&self) -> Result<&str, Refusal> {
        match self.who {
            Who::Admin(name) => Ok(name),
            Who::User(_) => Err(Refusal::new(
                &"this is under two-person approval, so it must be known who asks: give --token-file FILE with the \
                  token that `xks-proxy admin create` printed",
            )),
        }
    }
}

fn parse(command: Value) -> Result<Command, Refusal> {
    serde_json::from_value(command).map_err(|error| {
        Refusal::new(&format_args!(
            "the request is of another version of the program ({error})"
        ))
    })
}
