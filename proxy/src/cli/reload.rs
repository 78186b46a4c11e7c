//! `xks-proxy reload`.

use clap::Args;
use serde_json::json;

use super::Failure;
use super::output::{OutputArguments, unexpected};
use super::whole_proxy::ProxyArguments;
use crate::admin::{Command, Reply};

/// Have the running server read its configuration again, as SIGHUP does, and wait for what comes of it.
///
/// Certificates, client CAs, credentials, keys, key stores and limits are taken up; if anything is wrong, everything stays
/// as it was, and this command fails and says what. A key manager that is out of reach is nothing wrong with the
/// configuration: it is told of.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    proxy: ProxyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let proxy = arguments.proxy.locate()?;
    let Some(client) = proxy.server()? else {
        return Err(proxy.no_server());
    };
    let reply = client
        .execute(&Command::Reload {})
        .map_err(|e| Failure::Failed(e.to_string()))?;
    let lines = match reply {
        Reply::Done => Vec::new(),
        Reply::Reloaded(lines) => lines,
        other => return Err(unexpected(other)),
    };
    let mut sentences = vec!["reloaded".to_owned()];
    sentences.extend_from_slice(&lines);
    let object = json!({ "reloaded": true, "remarks": lines });
    arguments.output.done(&sentences.join("\n"), &object)
}
