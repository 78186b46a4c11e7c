//! `xks-proxy reload`.

use std::io::Write as _;

use clap::Args;

use super::Failure;
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
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let proxy = arguments.proxy.locate()?;
    let Some(client) = proxy.server()? else {
        return Err(proxy.no_server());
    };
    let reply = client
        .execute(&Command::Reload {})
        .map_err(|e| Failure::Failed(e.to_string()))?;
    let mut output = String::from("reloaded\n");
    if let Reply::Reloaded(lines) = reply {
        for line in lines {
            output.push_str(&line);
            output.push('\n');
        }
    }
    std::io::stdout()
        .write_all(output.as_bytes())
        .map_err(|e| Failure::of("standard output", &e))
}
