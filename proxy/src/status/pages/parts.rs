//! Pieces that several pages have.

use std::time::Duration;

use xks_page::{
    Count, Fields, Html, InUrl, Milliseconds, Plots, Point, Table, about, fact, figure, html, piece,
};

use crate::control::BlockInfo;
use crate::status::{DenialStatus, Latency, Listed, Minute, Requests, Severity, Status, Traffic};

/// A prefix as people see it.
pub(super) fn shown(prefix: &str) -> &str {
    match prefix {
        "" => "/",
        prefix => prefix,
    }
}

/// A prefix that leads to its page; `of` is the row that it is in, so that a link keeps the focus when its part of the page
/// is brought up to date.
pub(super) fn store_link(of: &str, prefix: &str) -> Html {
    piece!(
        "<a id=\"{}-{}\" href=\"/status/store?prefix={}\">{}</a>",
        of,
        shown(prefix),
        InUrl(shown(prefix)),
        shown(prefix)
    )
}

/// `2026-11-24 10:58:21`
pub(super) fn time(rfc3339: &str) -> String {
    rfc3339.replace('T', " ").replace('Z', "")
}

/// ACTIVE, DEGRADED, UNAVAILABLE or UNKNOWN; `id` and `name` are for those who hear that it has changed.
pub(super) fn state(id: &str, name: &str, state: &str) -> Html {
    let class = match state {
        "ACTIVE" => "good",
        "DEGRADED" => "wait",
        "UNAVAILABLE" => "bad",
        _ => "off",
    };
    piece!(
        "<span class=\"badge {}\" id=\"state-{}\" data-announce=\"{} is {}\">{}</span>",
        class,
        id,
        name,
        state,
        state
    )
}

/// A word with a shape and a colour.
pub(super) fn badge(class: &str, word: &str) -> Html {
    piece!("<span class=\"badge {}\">{}</span>", class, word)
}

/// How long something has been, or will be.
pub(super) fn days(seconds: u64) -> String {
    about(Duration::from_secs(seconds))
}

pub(super) fn micros(micros: u64) -> Milliseconds {
    Milliseconds::from(Duration::from_micros(micros))
}

/// What there is to look at.
pub(super) fn problems(page: &mut Html, status: &Status) {
    for problem in &status.problems {
        let class = match problem.severity {
            Severity::Failure => "bad",
            Severity::Warning => "warn",
        };
        html!(page, "<p class=\"problem {}\">", class);
        // What is between backticks is a command.
        for (at, piece) in problem.text.split('`').enumerate() {
            match at % 2 {
                0 => html!(page, "{}", piece),
                _ => html!(page, "<code>{}</code>", piece),
            }
        }
        html!(page, "</p>\n");
    }
}

/// Latency and requests of the last hour.
pub(super) fn plots(page: &mut Html, minutes: &[Minute]) {
    let point = |minute: &Minute| Point {
        requests: minute.requests,
        errors: minute.errors,
        latency: minute.latency.map(|Latency { p50_us, p99_us, .. }| {
            let of = |us| micros(us).0;
            (of(p50_us), of(p99_us))
        }),
    };
    let points: Vec<_> = minutes.iter().map(point).collect();
    let plots = Plots {
        points: &points,
        step: Duration::from_secs(60),
        patience: Duration::from_millis(250),
        latencies: ["median", "99th percentile"],
        slowest: "the 99th percentile of the slowest minute was",
    };
    plots.draw(page);
}

/// Requests of the last hour in single numbers.
pub(super) fn traffic_figures(page: &mut Html, status: &Status, traffic: &Traffic) {
    let hour = &traffic.last_hour;
    let errors = hour.total.saturating_sub(hour.ok);
    let seconds = status.uptime_seconds.unwrap_or_default().clamp(1, 3_600);
    figure(page, Count(hour.total), "requests in the last hour", "");
    let tenths = hour.total.saturating_mul(10) / seconds;
    let rate = format!("{}.{}", Count(tenths / 10), tenths % 10);
    figure(page, rate, "a second on average", "");
    let class = if hour.failed > 0 { "bad" } else { "" };
    figure(page, Count(errors), "of them not served", class);
    if let Some(latency) = hour.latency {
        figure(page, micros(latency.p50_us), "median", "");
        figure(page, micros(latency.p99_us), "99th percentile", "");
    }
}

/// The same in a list of facts, with everything that is known.
pub(super) fn requests(page: &mut Html, requests: &Requests) {
    html!(page, "<dl class=\"facts\">");
    for (name, count) in [
        ("Served", requests.ok),
        ("Refused (4xx)", requests.refused),
        ("Failed (5xx)", requests.failed),
        ("Given up by KMS", requests.abandoned),
    ] {
        fact(page, name, &piece!("{}", Count(count)));
    }
    if let Some(latency) = requests.latency {
        for (name, us) in [
            ("50 % took at most", latency.p50_us),
            ("90 %", latency.p90_us),
            ("99 %", latency.p99_us),
            ("99.9 %", latency.p999_us),
        ] {
            fact(page, name, &piece!("{}", micros(us)));
        }
    }
    html!(page, "</dl>");
    if !requests.errors.is_empty() {
        html!(page, "<ul class=\"tags\">");
        for error in &requests.errors {
            html!(
                page,
                "<li><span class=\"result bad\">{}</span> {}</li>",
                error.error_name,
                Count(error.count)
            );
        }
        html!(page, "</ul>");
    }
}

/// Whose denials are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// Those of every external key store.
    Everybodys,
    /// Those of external key stores that somebody looks for.
    Found,
    /// Those of one.
    OneStores,
}

impl Whose {
    /// As the query of a page says.
    pub(super) fn asked(query: &Fields) -> Self {
        match ["store", "prefix"]
            .iter()
            .any(|name| query.get(name).is_some())
        {
            true => Self::Found,
            false => Self::Everybodys,
        }
    }
}

/// What is blocked, by whom, and why; nothing where nothing is.
pub(super) fn blocks(page: &mut Html, blocks: &Listed<BlockInfo>) {
    if blocks.rows.is_empty() {
        return;
    }
    html!(page, "<h2>Blocks</h2>\n");
    let columns = &["Blocked", "Reason", "By", "Since (UTC)", "Until (UTC)"];
    let table = Table::open(page, "What is blocked until it is unblocked", columns);
    for block in &blocks.rows {
        let until = match &block.until {
            None => piece!("<small>it is lifted</small>"),
            Some(until) => piece!("<time>{}</time>", time(until)),
        };
        table.row(
            page,
            &[
                badge("bad", &block.target),
                piece!("{}", block.reason),
                piece!("{}", block.by),
                piece!("<time>{}</time>", time(&block.since)),
                until,
            ],
        );
    }
    table.close(page);
    let more = match blocks.next {
        None => "",
        Some(_) => "There are more: xks-proxy blocks lists them. ",
    };
    html!(
        page,
        "<p class=\"empty\">{}<code>xks-proxy unblock</code> lifts one.</p>",
        more
    );
}

/// The last requests that policies denied.
pub(super) fn denials(page: &mut Html, denials: &[&DenialStatus], whose: Whose) {
    if denials.is_empty() {
        let none = match whose {
            Whose::Everybodys => "No policy denied a request since the proxy was started.",
            Whose::Found => {
                "No policy of an external key store that was looked for denied a request since the proxy was started."
            }
            Whose::OneStores => {
                "The policy of this external key store denied no request since the proxy was started."
            }
        };
        html!(page, "<p class=\"empty\">{}</p>", none);
        return;
    }
    let columns = &[
        "Time (UTC)",
        "Denied by",
        "Who",
        "What",
        "Key",
        "kmsRequestId",
    ];
    let caption = "The last requests that policies denied, the latest first";
    let table = Table::open(page, caption, columns);
    for (after, denial) in denials.iter().enumerate() {
        // Counted from the last row, which stays while others are added; KMS asks twice with one id.
        let row = format!("denial-{}", denials.len() - after);
        let mut key = piece!("{}<small>in ", denial.external_key_id);
        key.push(&store_link(&row, &denial.uri_path_prefix));
        html!(key, "</small>");
        table.row(
            page,
            &[
                piece!("<time>{}</time>", time(&denial.at)),
                piece!(
                    "<span class=\"result bad\">{}</span><small>{}</small>",
                    denial.denied_by,
                    denial.why
                ),
                piece!("<code>{}</code>", denial.aws_principal_arn),
                piece!(
                    "<span class=\"word\">{}</span><small>for KMS's {}</small>",
                    denial.operation,
                    denial.kms_operation
                ),
                key,
                piece!("<code>{}</code>", denial.kms_request_id),
            ],
        );
    }
    table.close(page);
}

/// Where nothing is counted.
pub(super) fn not_counted(page: &mut Html) {
    html!(
        page,
        "<p class=\"empty\">Requests are counted where the configuration has <code>metrics_listen</code> or \
         <code>[admin]</code>.</p>"
    );
}
