//! `xks-proxy admin …`, `approve`, `reject` and `approvals`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::Failure;
use super::output::{OutputArguments, json, note, print, table, unexpected};
use super::whole_proxy::ProxyArguments;
use crate::admin::{Command, Reply};
use crate::control::{AdminInfo, PendingInfo, is_token_hash, new_token, token_hash};
use crate::key_manager::embedded::durable;

/// Name the people who administer: each has a token, whose hash is kept.
///
/// Without a token, whoever may use the admin socket (root and the proxy's user) is known by the number of the user.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Take in an admin; the token is printed this once
    Create {
        /// 1 to 64 characters of A-Z a-z 0-9 - . _ @
        name: String,
        /// Write the token to this new file with mode 0600 instead of standard output
        #[arg(long, value_name = "FILE", conflicts_with = "hash")]
        to: Option<PathBuf>,
        /// The hash of a token that the admin made with `admin token`, so that nobody else ever has it
        #[arg(long, value_name = "HASH", value_parser = hash)]
        hash: Option<String>,
        #[command(flatten)]
        proxy: ProxyArguments,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Make a token for oneself: the hash goes to whoever runs `admin create --hash`
    Token {
        /// The token, a new file with mode 0600
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// List all admins
    List {
        #[command(flatten)]
        proxy: ProxyArguments,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Remove an admin: the token is good for nothing from now on
    Remove {
        /// The name
        name: String,
        #[command(flatten)]
        proxy: ProxyArguments,
        #[command(flatten)]
        output: OutputArguments,
    },
}

/// Approve what another admin has requested; most of it is done at once.
#[derive(Args, Debug)]
pub(super) struct DecideArguments {
    /// The request, as `approvals list` shows it
    id: String,
    #[command(flatten)]
    proxy: ProxyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// See what waits for approval.
#[derive(Args, Debug)]
pub(super) struct ApprovalsArguments {
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    /// List what waits for approval
    List {
        #[command(flatten)]
        proxy: ProxyArguments,
        #[command(flatten)]
        output: OutputArguments,
    },
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        AdminCommand::Create {
            name,
            to,
            hash,
            proxy,
            output,
        } => create(name, to, hash, proxy, output),
        AdminCommand::Token { to, output } => {
            let hash = token_hash(&*make(Some(&to))?);
            let object = json!({"token_hash": hash, "token_file": to.display().to_string()});
            output.done(&hash, &object)
        }
        AdminCommand::List { proxy, output } => {
            let admins = match proxy.locate()?.execute(Command::ListAdmins {})? {
                Reply::Admins(admins) => admins,
                other => return Err(unexpected(other)),
            };
            if output.is_json() {
                return json(&admins);
            }
            let row = |admin: &AdminInfo| {
                let AdminInfo { name, by, created } = admin.clone();
                [name, by, created]
            };
            let rows = admins.iter().map(row).collect();
            table(["ADMIN", "MADE BY", "CREATED"], rows)
        }
        AdminCommand::Remove {
            name,
            proxy,
            output,
        } => {
            let sentence = format!("the admin {name} is removed");
            let object = json!({"removed": name});
            proxy.locate()?.execute(Command::RemoveAdmin { name })?;
            output.done(&sentence, &object)
        }
    }
}

fn create(
    name: String,
    to: Option<PathBuf>,
    hash: Option<String>,
    proxy: ProxyArguments,
    output: OutputArguments,
) -> Result<(), Failure> {
    let proxy = proxy.locate()?;
    let (token, token_hash) = match hash {
        Some(hash) => (None, hash),
        None => {
            let token = make(to.as_deref())?;
            let hash = token_hash(&token);
            (Some(token), hash)
        }
    };
    let made = proxy.execute(Command::CreateAdmin {
        name: name.clone(),
        token_hash,
    });
    if let (Err(_), Some(path)) = (&made, &to) {
        // It is worth nothing.
        let _ = durable::remove(path);
    }
    made?;
    let token = token.filter(|_| to.is_none());
    if output.is_json() {
        print(as_json(&name, to.as_deref(), token.as_ref()).as_bytes())?;
    } else if let Some(token) = &token {
        print(Zeroizing::new([token, "\n"].concat()).as_bytes())?;
    }
    note(&match token {
        Some(_) => format!("{name} is an admin; the token is not shown again."),
        None => format!("{name} is an admin."),
    });
    Ok(())
}

/// The admin, and the token if it is in no file: put together here, so that no copy of it stays behind.
fn as_json(
    name: &str,
    file: Option<&Path>,
    token: Option<&Zeroizing<String>>,
) -> Zeroizing<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let file = file.map(|path| quoted(&path.display().to_string()));
    let parts = [
        "{\"admin\":",
        &quoted(name),
        ",\"token_file\":",
        file.as_deref().unwrap_or("null"),
        ",\"token\":",
        // Of letters and digits.
        token.map_or("null", |_| "\""),
        token.map_or("", |token| token),
        token.map_or("", |_| "\""),
        "}\n",
    ];
    Zeroizing::new(parts.concat())
}

/// Makes a token, in a new file if there is to be one.
fn make(to: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let token = new_token().map_err(|e| Failure::of("the token", &e))?;
    if let Some(path) = to {
        let line = Zeroizing::new([&token, "\n"].concat());
        durable::create(path, line.as_bytes()).map_err(|e| Failure::of(path.display(), &e))?;
    }
    Ok(token)
}

pub(super) fn approve(arguments: DecideArguments) -> Result<(), Failure> {
    let DecideArguments { id, proxy, output } = arguments;
    let command = Command::Approve { id: id.clone() };
    let sentence = match proxy.locate()?.execute(command)? {
        // What it is of has an answer for the one who asked.
        Reply::Pending(pending) => format!(
            "{id} is approved: {} can run the command again until {}",
            pending.requested_by, pending.expires
        ),
        _ => format!("{id} is approved, and done"),
    };
    output.done(&sentence, &json!({"approved": id}))
}

pub(super) fn reject(arguments: DecideArguments) -> Result<(), Failure> {
    let DecideArguments { id, proxy, output } = arguments;
    let command = Command::Reject { id: id.clone() };
    proxy.locate()?.execute(command)?;
    output.done(&format!("{id} is rejected"), &json!({"rejected": id}))
}

pub(super) fn approvals(arguments: ApprovalsArguments) -> Result<(), Failure> {
    let ApprovalsCommand::List { proxy, output } = arguments.command;
    let pending = match proxy.locate()?.execute(Command::ListApprovals {})? {
        Reply::Approvals(pending) => pending,
        other => return Err(unexpected(other)),
    };
    if output.is_json() {
        return json(&pending);
    }
    let row = |pending: &PendingInfo| {
        let PendingInfo {
            id,
            operation,
            of,
            requested_by,
            approved_by,
            expires,
        } = pending.clone();
        let approved_by = approved_by.unwrap_or_else(|| "-".to_owned());
        [id, operation, of, requested_by, approved_by, expires]
    };
    table(
        [
            "ID",
            "OPERATION",
            "OF",
            "REQUESTED BY",
            "APPROVED BY",
            "VOID AT",
        ],
        pending.iter().map(row).collect(),
    )
}

fn hash(text: &str) -> Result<String, &'static str> {
    match is_token_hash(text) {
        true => Ok(text.to_owned()),
        false => Err("64 hexadecimal digits, as `xks-proxy admin token` prints them"),
    }
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy admin create alice --to alice.token --config FILE
  xks-proxy key delete payroll --token-file alice.token --config FILE
  xks-proxy approvals list --config FILE
  xks-proxy approve 1f0c9a2b --token-file bob.token --config FILE";
