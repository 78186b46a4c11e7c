//! `/control/v1/events` and `/control/v1/events.jsonl`: the event log, to look at, to follow and to download.

use std::time::Duration;

use http::Method;
use tokio::time::timeout;

use super::error::ControlError;
use super::request::{ControlRequest, Reply};
use crate::events::{Filter, MAX_SELECTION, Selection};
use crate::simulator::Simulator;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One object, with where to continue.
    Json,
    /// A line for each event.
    Lines,
}

pub(super) async fn answer(
    simulator: &Simulator,
    request: &ControlRequest<'_>,
    form: Form,
) -> Result<Reply, ControlError> {
    match (request.path, request.method) {
        ([], &Method::GET) => {}
        ([], _) => return Err(ControlError::method("GET")),
        _ => return Err(super::unknown_path()),
    }
    let query = request.query(&PARAMETERS)?;
    let [operation, error, key, store, request_id, after, limit, wait] = *query else {
        return Err(ControlError::internal("The query cannot be read."));
    };
    let filter = Filter {
        operation,
        error,
        key,
        store,
        request_id,
        after: number("After", after, u64::MAX)?,
    };
    let limit = request.limit(limit, MAX_SELECTION)?;
    let wait = Duration::from_millis(number("WaitMs", wait, LONGEST_WAIT_MS)?);
    let found = select(simulator, filter, limit, wait).await;
    let lines = found.events.iter().map(|event| event.line());
    Ok(match form {
        Form::Lines => Reply::Text {
            content_type: "application/x-ndjson",
            body: lines.flat_map(|line| [line, "\n"]).collect(),
        },
        // The lines as they are: members in CloudTrail's order.
        Form::Json => Reply::Text {
            content_type: "application/json",
            body: format!(
                "{{\"Events\":[{}],\"Next\":{},\"Truncated\":{}}}\n",
                lines.collect::<Vec<_>>().join(","),
                found.next,
                found.truncated
            ),
        },
    })
}

/// What is there, or, if that is nothing, what comes within the time.
async fn select(
    simulator: &Simulator,
    mut filter: Filter<'_>,
    limit: usize,
    wait: Duration,
) -> Selection {
    let log = simulator.events();
    let mut found = log.select(&filter, limit);
    if !wait.is_zero() {
        let comes = async {
            // Events that are not wanted end no waiting.
            while found.events.is_empty() && log.later_than(found.next).await {
                filter.after = found.next;
                found = log.select(&filter, limit);
            }
        };
        // Nothing is an answer, too.
        drop(timeout(wait, comes).await);
    }
    found
}

fn number(name: &str, given: Option<&str>, most: u64) -> Result<u64, ControlError> {
    let Some(given) = given else {
        return Ok(0);
    };
    let number = given.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| {
        ControlError::invalid(format!(
            "{name} is '{}'; expected a number from 0 to {most}.",
            given.escape_default()
        ))
    })
}

const PARAMETERS: [&str; 8] = [
    "Operation",
    "Error",
    "Key",
    "CustomKeyStoreId",
    "RequestId",
    "After",
    "Limit",
    "WaitMs",
];
const LONGEST_WAIT_MS: u64 = 60_000;
