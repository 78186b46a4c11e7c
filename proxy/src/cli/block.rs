//! `xks-proxy block`, `unblock` and `blocks`.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Failure;
use super::output::{OutputArguments, json, print, table, unexpected};
use super::whole_proxy::ProxyArguments;
use crate::admin::{Command, Reply};
use crate::control::{BlockInfo, BlockOutcome, BlockTarget, InvalidBlockTarget};

/// Refuse every call for a key, an external key store or all of them, from the next request on.
///
/// KMS gets InvalidStateException for Encrypt, Decrypt and GetKeyMetadata, and for GetHealthStatus where a whole external
/// key store is blocked. The block is kept with the keys and outlives restarts. Where several proxies share a keyring, this
/// returns when each of them has confirmed; it lists those that have not, and until when they may go on at the latest.
/// Exit status 1 means that not everything is blocked yet, or for certain.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct BlockArguments {
    /// A key id, a URI path prefix such as /tenant-a, or `all`; `key:all` is a key of that name
    #[arg(value_name = "TARGET", value_parser = target)]
    target: BlockTarget,
    /// Why, for whoever reads the log, `blocks` and `key show`
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When the block ends by itself: a time such as 2030-01-31T18:00:00Z, or how long from now: 30m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<OffsetDateTime>,
    #[command(flatten)]
    common: CommonArguments,
}

/// Lift a block.
///
/// What else is blocked stays so: a key whose external key store is blocked, too, is not usable yet.
#[derive(Args, Debug)]
pub(super) struct UnblockArguments {
    /// What was blocked, as `blocks` shows it
    #[arg(value_name = "TARGET", value_parser = target)]
    target: BlockTarget,
    #[command(flatten)]
    common: CommonArguments,
}

/// List what is blocked, by whom, why and until when.
#[derive(Args, Debug)]
pub(super) struct ListArguments {
    #[command(flatten)]
    proxy: ProxyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args, Debug)]
struct CommonArguments {
    /// How long to wait for other proxies to confirm, in seconds, up to 45
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=45))]
    wait: u64,
    #[command(flatten)]
    proxy: ProxyArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn block(arguments: BlockArguments) -> Result<(), Failure> {
    let BlockArguments {
        target,
        reason,
        until,
        common,
    } = arguments;
    let (shown, done) = (target.to_string(), "blocked");
    common.carry_out(shown, done, |patience_ms| Command::Block {
        target,
        reason,
        until: until.map(OffsetDateTime::unix_timestamp),
        patience_ms,
    })
}

pub(super) fn unblock(arguments: UnblockArguments) -> Result<(), Failure> {
    let UnblockArguments { target, common } = arguments;
    let (shown, done) = (target.to_string(), "unblocked");
    common.carry_out(shown, done, |patience_ms| Command::Unblock {
        target,
        patience_ms,
    })
}

pub(super) fn list(arguments: ListArguments) -> Result<(), Failure> {
    let blocks = match arguments.proxy.locate()?.execute(Command::ListBlocks {})? {
        Reply::Blocks(blocks) => blocks,
        other => return Err(unexpected(other)),
    };
    if arguments.output.is_json() {
        return json(&blocks);
    }
    let row = |block: &BlockInfo| {
        let until = block.until.clone();
        let until = until.unwrap_or_else(|| "-".to_owned());
        let BlockInfo {
            target,
            by,
            since,
            reason,
            ..
        } = block.clone();
        [target, by, since, until, reason]
    };
    table(
        ["TARGET", "BY", "SINCE", "UNTIL", "REASON"],
        blocks.iter().map(row).collect(),
    )
}

impl CommonArguments {
    fn carry_out(
        self,
        target: String,
        done: &str,
        command: impl FnOnce(u64) -> Command,
    ) -> Result<(), Failure> {
        let command = command(self.wait.saturating_mul(1_000));
        let outcome = match self.proxy.locate()?.execute(command)? {
            Reply::Blocked(outcome) => outcome,
            other => return Err(unexpected(other)),
        };
        if self.output.is_json() {
            json(&json!({"target": target, "outcome": &outcome}))?;
        } else if !outcome.done.is_empty() {
            print(text(&target, done, &outcome).as_bytes())?;
        }
        failure(&target, done, &outcome).map_or(Ok(()), Err)
    }
}

fn text(target: &str, done: &str, outcome: &BlockOutcome) -> String {
    let mut text = format!("{target} is {done} in {}\n", outcome.done.join(", "));
    if !outcome.confirmed.is_empty() {
        let confirmed = outcome.confirmed.join(", ");
        text.push_str(&format!("confirmed by {confirmed}\n"));
    }
    text
}

/// What is left to worry about.
fn failure(target: &str, done: &str, outcome: &BlockOutcome) -> Option<Failure> {
    let mut lines = Vec::new();
    for (name, why) in &outcome.failed {
        lines.push(format!("{target} is not {done} in {name}: {why}"));
    }
    for proxy in &outcome.unconfirmed {
        let state = match proxy.alive {
            true => "has not confirmed",
            false => "is silent",
        };
        lines.push(format!(
            "{} {state}, last heard of at {}: it may go on as before until {} at the latest; end it, or cut it off \
             from KMS, to be certain",
            proxy.proxy, proxy.last_seen, proxy.may_serve_until
        ));
    }
    (!lines.is_empty()).then(|| Failure::Failed(lines.join("\n")))
}

fn target(text: &str) -> Result<BlockTarget, InvalidBlockTarget> {
    BlockTarget::try_from(text)
}

fn until(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let wrong = "a time such as 2030-01-31T18:00:00Z, or how long from now, such as 30m, 12h or 7d";
    let parts = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = parts
        .and_then(|at| text.split_at_checked(at))
        .ok_or(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| wrong)?;
    let seconds = number.checked_mul(seconds).filter(|s| *s <= MAX_SECONDS);
    let seconds = seconds.ok_or("at most 36500d")?;
    Ok(OffsetDateTime::now_utc() + Duration::from_secs(seconds))
}

const MAX_SECONDS: u64 = 36_500 * 86_400;

const EXAMPLES: &str = "\
Examples:
  xks-proxy block payroll --reason \"leaver's laptop, INC-1234\" --config FILE     one key
  xks-proxy block /tenant-a --reason \"contract ended\" --config FILE              an external key store
  xks-proxy block all --reason \"under attack\" --until 2h --config FILE           everything, for two hours
  xks-proxy unblock payroll --config FILE
  xks-proxy blocks --config FILE --json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_or_how_long_from_now() {
        let fixed = until("2030-01-31T18:00:00Z").unwrap();
        assert_eq!(fixed.unix_timestamp(), 1_896_112_800);
        let soon = until("2h").unwrap() - OffsetDateTime::now_utc();
        assert!((7_190..=7_200).contains(&soon.whole_seconds()));
        for bad in [
            "",
            "2",
            "h",
            "2w",
            "-1h",
            "tomorrow",
            "99999999999d",
            "36501d",
        ] {
            assert!(until(bad).is_err(), "{bad}");
        }
    }
}
