//! `kms-sim ctl events`: the event log, once or as it grows.

use std::error::Error;
use std::io::{self, ErrorKind, Write as _};

use clap::Args;
use serde_json::Value;

use super::client::{Call, ControlUrl, query, send};
use super::render::plain;

#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Goes on with what comes, until Ctrl-C.
    #[arg(long)]
    follow: bool,

    /// Events of that name: an operation, or DeleteKey, RotateKey, ConnectionStateChange.
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,

    /// Events with that errorCode, for example KMSInvalidStateException; `any` for every error.
    #[arg(long, value_name = "CODE")]
    error: Option<String>,

    /// Events of that key: its id or ARN.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Events of that custom key store and its keys.
    #[arg(long, value_name = "ID")]
    store: Option<String>,

    /// The event with that requestID, which is the kmsRequestId of the requests to a proxy.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,

    /// How many at most, the latest; with --follow, how many of before.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    limit: u32,
}

impl EventsArgs {
    pub(super) fn call(&self, after: Option<u64>) -> Call {
        let wait = after.map(|_| WAIT_MS.to_owned());
        let path = query([
            ("Operation", self.operation.clone()),
            ("Error", self.error.clone()),
            ("Key", self.key.clone()),
            ("CustomKeyStoreId", self.store.clone()),
            ("RequestId", self.request_id.clone()),
            ("After", after.map(|after| after.to_string())),
            ("Limit", Some(self.limit.to_string())),
            ("WaitMs", wait),
        ]);
        Call::get(format!("/events{path}"))
    }

    /// Prints events, as lines of JSON or for people.
    pub(super) async fn run(self, url: &ControlUrl, json: bool) -> Result<(), Box<dyn Error>> {
        let mut answer = send(url, self.call(None)).await?;
        loop {
            let events = answer.get("Events").and_then(Value::as_array);
            let mut output = io::stdout().lock();
            for event in events.into_iter().flatten() {
                let written = match json {
                    true => writeln!(output, "{event}"),
                    false => writeln!(output, "{}", line(event)),
                };
                // `| head` has enough.
                match written.and_then(|()| output.flush()) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                    written => written?,
                }
            }
            drop(output);
            if !self.follow {
                return Ok(());
            }
            let next = answer.get("Next").and_then(Value::as_u64);
            answer = send(url, self.call(next)).await?;
        }
    }
}

/// An event for people: when, who, what, of what, how it ended, and its request.
fn line(event: &Value) -> String {
    let member = |pointer: &str| event.pointer(pointer).map(plain);
    let details = event.get("serviceEventDetails").map(Value::to_string);
    let subject =
        member("/resources/0/ARN").or_else(|| member("/requestParameters/customKeyStoreId"));
    let error = member("/errorCode").map(|code| match member("/errorMessage") {
        Some(message) if message != "null" => format!("{code}: {message}"),
        _ => code,
    });
    let outcome = error.or_else(|| details.is_none().then(|| "ok".to_owned()));
    let parts = [
        member("/eventTime"),
        member("/userIdentity/arn").or_else(|| member("/userIdentity/invokedBy")),
        member("/eventName"),
        subject,
        details,
        member("/requestID"),
        outcome,
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join("  ")
}

/// Of one request for what comes.
const WAIT_MS: &str = "25000";

pub(super) const EXAMPLES: &str = "\
Examples:
  What goes wrong, as it happens:
    kms-sim ctl events --follow --error any

  The event of a request that the log of a proxy shows:
    kms-sim ctl events --request-id 5112f4d6-db54-4af4-ae30-c55a22a8dfae --json

  Everything that is kept, as lines of JSON:
    kms-sim ctl events --json --limit 20000 > events.jsonl";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_who_did_what_and_how_it_ended() {
        let call = json!({
            "eventTime": "2022-11-24T00:26:58Z", "userIdentity": {"arn": "arn:aws:iam::111122223333:user/Alice"},
            "eventName": "Decrypt", "errorCode": "KMSInvalidStateException", "errorMessage": "It fails.",
            "resources": [{"ARN": "arn:aws:kms:us-west-2:111122223333:key/1"}], "requestID": "f1b881f8",
        });
        assert_eq!(
            line(&call),
            "2022-11-24T00:26:58Z  arn:aws:iam::111122223333:user/Alice  Decrypt  \
             arn:aws:kms:us-west-2:111122223333:key/1  f1b881f8  KMSInvalidStateException: It fails."
        );
        let change = json!({
            "eventTime": "2022-11-24T00:26:58Z", "userIdentity": {"invokedBy": "kms-sim"},
            "eventName": "ConnectionStateChange", "serviceEventDetails": {"connectionState": "CONNECTED"},
        });
        assert_eq!(
            line(&change),
            "2022-11-24T00:26:58Z  kms-sim  ConnectionStateChange  {\"connectionState\":\"CONNECTED\"}"
        );
    }
}
