//! The commands that govern a proxy as a whole, for its server and for a command that finds none running.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::time::timeout;
use xks_api::ids::ExternalKeyId;

use super::protocol::{Command, Refusal, Reply};
use super::who::Who;
use crate::control::{self, BlockOutcome, BlockTarget, NewBlock, Scopes};
use crate::key_manager::{KeyManager, KeyManagerError};

/// Carries out a command that is for a proxy as a whole; other commands come back. Called on threads that may block.
///
/// # Errors
/// What is refused, in words.
pub(crate) fn govern(
    command: Command,
    who: &Who,
    scopes: impl FnOnce() -> Scopes,
    executor: &Handle,
) -> Result<Result<Reply, Command>, Refusal> {
    let reply = match command {
        Command::Block {
            target,
            reason,
            until,
            patience_ms,
        } => {
            let until = until.map(OffsetDateTime::from_unix_timestamp).transpose();
            let new = NewBlock {
                target,
                reason: reason_of(&reason)?,
                by: who.to_string(),
                until: until.map_err(|_| Refusal::new(&"there is no such time"))?,
            };
            let has_key = |key_manager: &dyn KeyManager, id: &ExternalKeyId| {
                let found = async { timeout(ASK_LIMIT, key_manager.resolve(id)).await };
                match executor.block_on(found) {
                    Ok(found) => found.map(drop),
                    Err(_) => Err(KeyManagerError::TimedOut),
                }
            };
            let patience = Duration::from_millis(patience_ms).min(MAX_PATIENCE);
            let target = new.target.clone();
            let outcome = control::block(&scopes(), new, patience, &has_key)?;
            told(outcome, &target, "blocked")?
        }
        Command::Unblock {
            target,
            patience_ms,
        } => {
            let patience = Duration::from_millis(patience_ms).min(MAX_PATIENCE);
            let outcome = control::unblock(&scopes(), &target, patience)?;
            told(outcome, &target, "unblocked")?
        }
        Command::ListBlocks {} => Reply::Blocks(control::list_blocks(&scopes())),
        Command::CreateAdmin { name, token_hash } => {
            if !control::is_admin_name(&name) || !control::is_token_hash(&token_hash) {
                return Err(Refusal::new(
                    &"an admin has a name of 1 to 64 characters of A-Z a-z 0-9 - . _ @, and the hash of a token",
                ));
            }
            control::create_admin(&scopes(), &name, &token_hash, &who.to_string())?;
            Reply::Done
        }
        Command::RemoveAdmin { name } => {
            control::remove_admin(&scopes(), &name)?;
            Reply::Done
        }
        Command::ListAdmins {} => Reply::Admins(control::admins(&scopes())),
        Command::ListApprovals {} => {
            let pending = control::pending(&scopes()).into_iter();
            Reply::Approvals(pending.map(|(id, request)| request.info(&id)).collect())
        }
        other => return Ok(Err(other)),
    };
    Ok(Ok(reply))
}

/// What was done nowhere was not done.
fn told(outcome: BlockOutcome, target: &BlockTarget, done: &str) -> Result<Reply, Refusal> {
    if !outcome.done.is_empty() {
        return Ok(Reply::Blocked(outcome));
    }
    let line = |(name, why): &(String, String)| format!("{target} is not {done} in {name}: {why}");
    let lines: Vec<_> = outcome.failed.iter().map(line).collect();
    Err(Refusal::new(&lines.join("\n")))
}

/// It is shown to people and written to logs, line by line.
fn reason_of(text: &str) -> Result<String, Refusal> {
    let printable = !text.chars().any(char::is_control);
    match (1..=MAX_REASON_LEN).contains(&text.trim().len()) && printable {
        true => Ok(text.trim().to_owned()),
        false => Err(Refusal::new(&format_args!(
            "a reason is one line of 1 to {MAX_REASON_LEN} bytes"
        ))),
    }
}

const MAX_REASON_LEN: usize = 500;
/// How long a key manager is asked whether it has a key; one that does not answer may have it.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// Less than a client waits for its answer.
const MAX_PATIENCE: Duration = Duration::from_secs(45);
