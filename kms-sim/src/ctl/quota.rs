//! `kms-sim ctl quota`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, members};
use super::render;

#[derive(Args, Debug)]
pub(super) struct QuotaArgs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sets the quota of a store, or of all that have none of their own.
    Set {
        /// Requests per second, or `unlimited`.
        #[arg(long, value_name = "N")]
        per_second: Rate,
        /// The CustomKeyStoreId; without it the stores that have no quota of their own.
        #[arg(long, value_name = "ID")]
        store: Option<String>,
    },
    /// Sets the quota of every account in each Region, over all of its keys.
    SetAccount {
        /// Requests per second, or `unlimited`.
        #[arg(long, value_name = "N")]
        per_second: Rate,
    },
    /// Sets how many keys an account may have in a Region; those that there are stay.
    SetKeys {
        /// 100,000 in AWS KMS, until AWS raises it.
        #[arg(long, value_name = "N")]
        max: u32,
    },
    /// Goes back to 1,800 for each store, no limit for accounts, and as many keys as `serve --max-keys` says.
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Rate(Option<u32>);

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "unlimited" => Ok(Self(None)),
            number => match number.parse() {
                Ok(number) => Ok(Self(Some(number))),
                Err(_) => Err("expected a number of requests per second, or unlimited"),
            },
        }
    }
}

impl QuotaArgs {
    pub(super) fn call(self) -> Call {
        match self.command {
            None => Call::get("/quota"),
            Some(Command::Set {
                per_second: Rate(rate),
                store,
            }) => {
                let body = members([
                    ("CustomKeyStoreId", store.map(Value::from)),
                    ("RequestsPerSecond", Some(json!(rate))),
                ]);
                Call::put("/quota", body)
            }
            Some(Command::SetAccount {
                per_second: Rate(rate),
            }) => Call::put("/quota/account", json!({"RequestsPerSecond": rate})),
            Some(Command::SetKeys { max }) => Call::put("/quota/keys", json!({"MaxKeys": max})),
            Some(Command::Reset) => Call::delete("/quota"),
        }
    }
}

/// `null` is no limit: the word that sets it.
pub(super) fn render(answer: &Value) -> String {
    render::render(&worded(answer))
}

fn worded(value: &Value) -> Value {
    match value {
        Value::Null => "unlimited".into(),
        Value::Array(elements) => elements.iter().map(worded).collect(),
        Value::Object(members) => {
            let worded = |(name, value): (&String, _)| (name.clone(), worded(value));
            members.iter().map(worded).collect()
        }
        other => other.clone(),
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  Every request with a key of the store is throttled:
    kms-sim ctl quota set --per-second 0 --store cks-…

  As AWS has raised it:
    kms-sim ctl quota set --per-second 10000

  The next CreateKey gets a LimitExceededException:
    kms-sim ctl quota set-keys --max 0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_limit_is_shown() {
        let answer = json!({"MaxKeys": 5, "Stores": [{"RequestsPerSecond": null}]});
        let expected = "MaxKeys: 5\nStores:\n  RequestsPerSecond: unlimited\n";
        assert_eq!(render(&answer), expected);
    }
}
