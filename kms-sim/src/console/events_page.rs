//! The event log: what was called and what happened by itself, the latest first.

use std::sync::Arc;

use serde_json::Value;
use xks_page::{Fields, Html, html, open_live};

use super::layout::{Page, Place};
use crate::events::{ANY, Event, Filter};
use crate::simulator::Simulator;

/// The page.
pub(super) fn page(simulator: &Simulator, query: &Fields) -> Page {
    let mut page = Page::new("Events", Place::Events);
    let main = &mut page.main;
    html!(main, "<h1>Events</h1>\n");
    html!(
        main,
        "<form class=\"filter\" action=\"/console/events\" role=\"search\">"
    );
    for (name, label, example) in FIELDS {
        html!(
            main,
            "<label>{}<input name=\"{}\" value=\"{}\" placeholder=\"{}\" autocomplete=\"off\"></label>",
            label,
            name,
            query.get(name).unwrap_or_default(),
            example
        );
    }
    html!(
        main,
        "<label class=\"check\"><input type=\"checkbox\" name=\"failed\" value=\"yes\"{}> errors alone</label>\
         <button class=\"primary\">Find</button></form>\n",
        Checked(query.get("failed").is_some())
    );
    let error = query.get("failed").map(|_| ANY);
    let filter = Filter {
        operation: query.get("operation"),
        error: query.get("error").or(error),
        key: query.get("key"),
        store: query.get("store"),
        request_id: query.get("request"),
        after: 0,
    };
    let found = simulator.events().select(&filter, SHOWN);
    open_live(main, "events", "");
    list(main, &found.events);
    if found.truncated {
        html!(
            main,
            "<p>These are the latest {}. All that are kept: <code>kms-sim ctl events</code>.</p>",
            SHOWN
        );
    }
    html!(main, "</div>\n");
    page
}

/// Events, of which the earliest comes first.
pub(super) fn list(page: &mut Html, events: &[Arc<Event>]) {
    if events.is_empty() {
        html!(
            page,
            "<p class=\"empty\">Nothing of the kind is in the log.</p>"
        );
        return;
    }
    html!(page, "<ol class=\"events\">");
    for event in events.iter().rev() {
        one(page, event);
    }
    html!(page, "</ol>");
}

fn one(page: &mut Html, event: &Event) {
    let record: Value = serde_json::from_str(event.line()).unwrap_or_default();
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let state = text("/serviceEventDetails/connectionState");
    let (class, outcome) = match (text("/errorCode"), state) {
        (Some(error), _) => ("bad", error),
        (None, Some(state)) => ("by-itself", state),
        (None, None) => ("good", "ok"),
    };
    html!(
        page,
        "<li><details id=\"event-{}\"><summary><time>{}</time> <b>{}</b> <span class=\"result {}\">{}</span> <span \
         class=\"who\">{}</span></summary>",
        event.number(),
        text("/eventTime").map(event_time).unwrap_or_default(),
        text("/eventName").unwrap_or_default(),
        class,
        outcome,
        subject(&record)
    );
    if let Some(message) = text("/errorMessage") {
        html!(page, "<blockquote>{}</blockquote>", message);
    }
    let pretty = serde_json::to_string_pretty(&record).unwrap_or_default();
    html!(
        page,
        "<pre tabindex=\"0\"><code>{}</code></pre></details></li>",
        pretty
    );
}

/// `2026-11-24 10:58:21`
pub(super) fn event_time(time: &str) -> String {
    time.replace('T', " ").replace('Z', "")
}

/// What it is about, else who called.
fn subject(record: &Value) -> &str {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    text("/resources/0/ARN")
        .or_else(|| text("/serviceEventDetails/customKeyStoreId"))
        .or_else(|| text("/requestParameters/customKeyStoreId"))
        .or_else(|| text("/userIdentity/arn"))
        .unwrap_or_default()
}

/// The attribute of a box that is ticked.
pub(super) struct Checked(pub(super) bool);

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0 { " checked" } else { "" })
    }
}

const FIELDS: [(&str, &str, &str); 5] = [
    ("operation", "Operation", "Encrypt"),
    ("error", "Error", "KMSInvalidStateException"),
    ("key", "Key id or ARN", "1234abcd-…"),
    ("store", "Custom key store", "cks-…"),
    ("request", "Request id", "the kmsRequestId"),
];
const SHOWN: usize = 100;
