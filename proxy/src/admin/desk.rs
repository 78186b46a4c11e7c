//! What becomes of a command that a server was sent: who may ask for it, whether it waits for approval, and its record.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::runtime::Handle;
use xks_api::ids::AccessKeyId;

use super::asked::Asked;
use super::govern::govern;
use super::protocol::{Command, Probed, Refusal, Reply};
use super::socket::Server;
use super::two_person::Desk;
use super::who::Who;
use crate::control::{self, Scopes};
use crate::key_manager::embedded::{Administration, CredentialInfo, timestamp};

/// Where a command came in.
#[derive(Clone)]
pub(super) enum Door {
    /// The socket of a key manager's data folder.
    Keyring(Arc<Administration>),
    /// The socket of `state_dir`, or the admin listener: the command names a key manager, or the only one is meant.
    Proxy,
}

/// A command as it was sent.
pub(super) struct Sent {
    pub(super) command: Command,
    /// The user at the other end of a socket.
    pub(super) peer: Option<u32>,
    pub(super) token: Option<super::SecretText>,
    pub(super) key_manager: Option<String>,
}

/// Carries a command out, on a thread that may block.
pub(super) fn carry_out(sent: Sent, door: &Door, server: &dyn Server) -> Result<Reply, Refusal> {
    let who = match (&sent.token, sent.peer) {
        (Some(token), _) => control::authenticate(&server.scopes(), token.expose()).map(Who::Admin),
        (None, Some(uid)) => Some(Who::User(uid)),
        (None, None) => None,
    };
    let Some(who) = who else {
        tracing::warn!("a command without the token of an admin");
        return Err(Refusal::new(
            &"the token is none of an admin: give --token-file FILE with one that `xks-proxy admin create` printed",
        ));
    };
    let (name, of) = sent.command.describe();
    let of = of.into_owned();
    let result = at_desk(sent, door, server, &who);
    match &result {
        Ok(_) => tracing::info!(command = name, of, %who, "administered"),
        Err(refusal) => tracing::warn!(command = name, of, %who, %refusal, "not administered"),
    }
    result
}

fn at_desk(sent: Sent, door: &Door, server: &dyn Server, who: &Who) -> Result<Reply, Refusal> {
    let Sent {
        command,
        key_manager,
        ..
    } = sent;
    let keyring = match door {
        Door::Keyring(administration) => Some(Arc::clone(administration)),
        Door::Proxy => None,
    };
    let policy = server.approval();
    let concerns_approval = matches!(command, Command::Approve { .. } | Command::Reject { .. });
    if policy.of(&command).is_none() && !concerns_approval {
        let asked = Asked::of(&command);
        return recorded(&asked, who, server, || {
            run(command, who, keyring, key_manager.as_deref(), server)
        });
    }
    let scopes = server.scopes();
    let meant = match &keyring {
        None => key_manager,
        Some(keyring) => name_of(&scopes, keyring),
    };
    let desk = Desk {
        policy: &policy,
        scopes: &scopes,
        audit: server.audit(),
        who,
        key_manager: meant.as_deref(),
    };
    match command {
        Command::Approve { id } => {
            let asked = Asked::of(&Command::Approve { id: id.clone() });
            let mut approved = None;
            let reply = recorded(&asked, who, server, || {
                let (request, command) = desk.approve(&id)?;
                let reply = Reply::Pending(request.info(&id));
                approved = command.map(|command| (request, command));
                Ok(reply)
            })?;
            let Some((request, command)) = approved else {
                return Ok(reply);
            };
            let asked = Asked::of(&command).approved(&request);
            recorded(&asked, who, server, || {
                run(command, who, None, request.key_manager.as_deref(), server)
            })
        }
        Command::Reject { id } => {
            let asked = Asked::of(&Command::Reject { id: id.clone() });
            recorded(&asked, who, server, || {
                desk.reject(&id).map(|_| Reply::Done)
            })
        }
        command => {
            if let Some(reply) = desk.hold(&command)? {
                return Ok(reply);
            }
            let asked = Asked::of(&command);
            recorded(&asked, who, server, || {
                run(command, who, keyring, meant.as_deref(), server)
            })
        }
    }
}

fn recorded(
    asked: &Asked,
    who: &Who,
    server: &dyn Server,
    work: impl FnOnce() -> Result<Reply, Refusal>,
) -> Result<Reply, Refusal> {
    asked.audited(server.audit(), &who.to_string(), work)
}

fn run(
    command: Command,
    who: &Who,
    keyring: Option<Arc<Administration>>,
    key_manager: Option<&str>,
    server: &dyn Server,
) -> Result<Reply, Refusal> {
    let command = match govern(command, who, || server.scopes(), &Handle::current())? {
        Ok(reply) => return Ok(reply),
        Err(command) => command,
    };
    let keyring = || match &keyring {
        Some(keyring) => Ok(Arc::clone(keyring)),
        None => named(&server.scopes(), key_manager),
    };
    match command {
        Command::Probe {} => Ok(Reply::Probed(server.probe())),
        Command::Status { wanted } => Ok(Reply::Status(Box::new(server.status(&wanted)))),
        Command::Reload {} => match server.reload() {
            Ok(reloaded) => {
                // Key managers that are away stand in no configuration's way, but whoever changed it wants to know.
                let failing = server.probe().into_iter().filter_map(Probed::into_trouble);
                let texts = reloaded.into_texts().into_iter().chain(failing);
                Ok(Reply::Reloaded(texts.collect()))
            }
            Err(error) => Err(Refusal::new(&error)),
        },
        Command::ListCredentials {} => {
            let mut reply = command.execute(&*keyring()?)?;
            if let Reply::Credentials(credentials) = &mut reply {
                add_last_uses(credentials, &server.last_uses());
            }
            Ok(reply)
        }
        command => command.execute(&*keyring()?),
    }
}

fn name_of(scopes: &Scopes, keyring: &Arc<Administration>) -> Option<String> {
    let of_it = |known: &Arc<Administration>| Arc::ptr_eq(known, keyring);
    let mut scopes = scopes.scopes.iter();
    let scope = scopes.find(|scope| scope.keyring.as_ref().is_some_and(of_it))?;
    scope.key_managers.first().cloned()
}

/// The keyring of this name, or the only one.
fn named(scopes: &Scopes, name: Option<&str>) -> Result<Arc<Administration>, Refusal> {
    let of_name = |names: &[String]| name.is_none_or(|name| names.iter().any(|n| n == name));
    let keyrings: Vec<_> = scopes
        .scopes
        .iter()
        .filter(|scope| of_name(&scope.key_managers))
        .filter_map(|scope| scope.keyring.clone())
        .collect();
    match <[_; 1]>::try_from(keyrings) {
        Ok([keyring]) => Ok(keyring),
        Err(_) => Err(Refusal::new(
            &"name a key manager of type \"embedded\" or \"postgres\" of the configuration with --key-manager NAME",
        )),
    }
}

fn add_last_uses(credentials: &mut [CredentialInfo], uses: &[(AccessKeyId, OffsetDateTime)]) {
    for credential in credentials {
        let uses = uses
            .iter()
            .filter(|(id, _)| id.as_str() == credential.access_key_id);
        credential.last_used = uses.map(|(_, time)| *time).max().map(timestamp);
    }
}
