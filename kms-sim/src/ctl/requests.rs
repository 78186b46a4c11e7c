//! `kms-sim ctl requests`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::client::{Call, query};
use super::render::plain;

#[derive(Args, Debug)]
pub(super) struct RequestsArgs {
    /// The CustomKeyStoreId; without it the requests to every proxy.
    #[arg(long, value_name = "ID")]
    store: Option<String>,

    /// How many at most; 128 are kept of each store.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=128))]
    limit: u32,
}

impl RequestsArgs {
    pub(super) fn call(self) -> Call {
        let limit = self.limit.to_string();
        let parameters = [("CustomKeyStoreId", self.store), ("Limit", Some(limit))];
        Call::get(format!("/requests{}", query(parameters)))
    }
}

/// A line for each request.
pub(super) fn render(answer: &Value) -> String {
    let requests = answer.get("Requests").and_then(Value::as_array);
    let requests = requests.map(Vec::as_slice).unwrap_or_default();
    if requests.is_empty() {
        return "No request to a proxy was seen.\n".to_owned();
    }
    let mut text = String::new();
    for request in requests {
        let member = |name| request.get(name).map(plain).unwrap_or_default();
        let latency = request.get("LatencyMs").and_then(Value::as_f64);
        let outcome = match request.get("ExceptionName").and_then(Value::as_str) {
            Some(exception) => exception,
            None => &member("Outcome"),
        };
        // A String takes everything.
        let _ = writeln!(
            text,
            "{} {} {} for {} {:.1} ms {} {}",
            member("Time"),
            member("CustomKeyStoreId"),
            member("XksOperation"),
            member("KmsOperation"),
            latency.unwrap_or_default(),
            outcome,
            member("KmsRequestId"),
        );
    }
    text
}

pub(super) const EXAMPLES: &str = "\
Examples:
  The last five requests to the proxy of a store:
    kms-sim ctl requests --store cks-… --limit 5";
