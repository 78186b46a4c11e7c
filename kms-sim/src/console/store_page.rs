//! One custom key store: its state and why, how its proxy does, its last requests, its moves, and its switches.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use xks_page::{
    Count, Html, InUrl, Milliseconds, Plots, Point, Table, about, counted, fact, html, open_live,
    piece,
};

use super::Console;
use super::badge;
use super::events_page::event_time;
use super::explain;
use super::figures::{date_and_time, time_of_day};
use super::layout::{Page, Place};
use super::overview::{buttons, kind, problem};
use super::stores::{self, PlaceView, StoreView};
use super::switches;
use crate::custom_key_store::CustomKeyStoreType;
use crate::events::Filter;
use crate::observation::{STEP, exception_name};
use crate::simulator::Simulator;

/// The page; `None` if there is no such store.
pub(super) fn page(simulator: &Arc<Simulator>, console: &Console, id: &str) -> Option<Page> {
    let store = stores::find(simulator, id)?;
    let mut page = Page::new(store.name.clone(), Place::Elsewhere);
    let main = &mut page.main;
    html!(
        main,
        "<p class=\"path\"><a href=\"/console/\">Stores</a></p>\n<h1>{}</h1>\n",
        store.name
    );
    open_live(main, "state", "");
    state(main, console, &store);
    html!(main, "</div>\n");
    if store.kind == CustomKeyStoreType::ExternalKeyStore {
        html!(main, "<section><h2>The proxy, as KMS sees it</h2>");
        open_live(main, "plots", "");
        let patience = simulator.config().proxy_timeout;
        plots(main, &store.observed.points, patience);
        html!(main, "</div>\n");
        open_live(main, "proxy", "");
        proxy(main, &store, simulator.clock().now());
        html!(
            main,
            "</div></section>\n<section><h2>Last requests to the proxy</h2>"
        );
        open_live(main, "requests", "");
        requests(main, &store);
        html!(main, "</div></section>\n");
    }
    html!(
        main,
        "<section><h2 id=\"switches\">Switchboard of this store</h2>"
    );
    switches::of_store(main, simulator, console, &store);
    html!(main, "</section>\n<section><h2>Its moves</h2>");
    open_live(main, "moves", "");
    moves(main, simulator, id);
    html!(main, "</div></section>\n");
    Some(page)
}

fn state(page: &mut Html, console: &Console, store: &StoreView) {
    let id = store.id.as_str();
    html!(page, "<section class=\"card hero\"><div class=\"line\">");
    badge::connection(page, id, &store.name, store.state);
    html!(page, "<span class=\"actions\">");
    buttons(page, console, store);
    html!(
        page,
        "</span></div><p>{}</p>",
        explain::state(store.state, store.kind)
    );
    problem(page, store);
    if let Some(code) = store.code {
        html!(page, "<h2>What to look at</h2><ul class=\"checks\">");
        if store.fault.is_some() {
            html!(
                page,
                "<li>The fault that is switched on, in <a href=\"#switches\">the switchboard</a>.</li>"
            );
        }
        for check in explain::connection_error(code).checks {
            html!(page, "<li>{}</li>", check);
        }
        html!(page, "</ul>");
    }
    html!(page, "<dl class=\"facts\">");
    fact(page, "Kind", &piece!("{}", kind(store.kind)));
    fact(page, "CustomKeyStoreId", &piece!("<code>{}</code>", id));
    fact(
        page,
        "Account and Region",
        &piece!("{} · {}", store.home.account, store.home.region),
    );
    let keys = counted(store.keys, "key", "keys");
    fact(
        page,
        "Keys in it",
        &piece!("<a href=\"/console/keys?store={}\">{}</a>", id, keys),
    );
    match &store.place {
        PlaceView::Proxy {
            endpoint,
            path,
            access_key_id,
            vpc_endpoint_service,
        } => {
            let proxy = piece!("<code>{}</code><wbr><code>{}</code>", endpoint, path);
            fact(page, "Proxy", &proxy);
            let way = match vpc_endpoint_service {
                None => piece!("PUBLIC_ENDPOINT"),
                Some(service) => piece!("VPC_ENDPOINT_SERVICE <code>{}</code>", service),
            };
            fact(page, "Connectivity", &way);
            fact(
                page,
                "AccessKeyId",
                &piece!("<code>{}</code>", access_key_id),
            );
        }
        PlaceView::Cluster(cluster) => {
            fact(
                page,
                "CloudHsmClusterId",
                &piece!("<code>{}</code>", cluster),
            );
        }
    }
    fact(page, "Created", &piece!("{}", date_and_time(store.created)));
    html!(page, "</dl></section>");
}

fn proxy(page: &mut Html, store: &StoreView, now: SystemTime) {
    let observed = &store.observed;
    html!(page, "<dl class=\"facts\">");
    if let Some(health) = observed.health {
        fact(
            page,
            "Key managers, by their last health",
            &piece!(
                "{} active, {} degraded, {} unavailable",
                health.active,
                health.degraded,
                health.unavailable
            ),
        );
    }
    if let Some((name, days)) = &observed.certificate {
        let (days, when) = match *days {
            days if days < 0.0 => (-days, "days ago it ended"),
            days => (days, "days are left"),
        };
        let certificate = piece!("{}: {} {}", name, format!("{days:.0}"), when);
        fact(page, "Its certificate", &certificate);
    }
    let age = now.duration_since(store.credential_set);
    fact(
        page,
        "Its credential was set",
        &piece!("{} ago", about(age.unwrap_or_default())),
    );
    fact(
        page,
        "Refused for the quota",
        &piece!("{}", Count(observed.throttled)),
    );
    html!(page, "</dl>");
}

fn plots(page: &mut Html, points: &[Point], patience: Duration) {
    let plots = Plots {
        points,
        step: STEP,
        patience,
        latencies: ["median", "slowest"],
        slowest: "the slowest took",
    };
    plots.draw(page);
}

fn requests(page: &mut Html, store: &StoreView) {
    if store.recent.is_empty() {
        html!(
            page,
            "<p class=\"empty\">No request went to this proxy yet.</p>"
        );
        return;
    }
    let shown = store.recent.iter().take(SHOWN);
    let columns = &[
        "Time (UTC)",
        "KMS operation",
        "Asked of the proxy",
        "Latency",
        "Result",
        "kmsRequestId",
    ];
    let table = Table::open(
        page,
        "The last requests to the proxy, the latest first",
        columns,
    );
    for request in shown {
        let result = match &request.outcome {
            Ok(()) => piece!("<span class=\"result good\">ok</span>"),
            Err(failure) => piece!(
                "<span class=\"result bad\">{}</span><small>{}</small>",
                exception_name(failure).unwrap_or("not usable"),
                first_sentence(failure.message())
            ),
        };
        let id = &*request.kms_request_id;
        table.row(
            page,
            &[
                piece!("<time>{}</time>", time_of_day(request.time)),
                piece!("{}", request.kms_operation),
                piece!("{}", request.xks_operation),
                piece!("{}", Milliseconds::from(request.latency)),
                result,
                piece!(
                    "<a class=\"id\" href=\"/console/events?request={}\">{}</a>",
                    InUrl(id),
                    id
                ),
            ],
        );
    }
    table.close(page);
}

/// The rest says what callers should do.
fn first_sentence(text: &str) -> &str {
    text.find(". ")
        .and_then(|end| text.get(..=end))
        .unwrap_or(text)
}

fn moves(page: &mut Html, simulator: &Simulator, id: &str) {
    let filter = Filter {
        operation: Some("ConnectionStateChange"),
        store: Some(id),
        ..Filter::default()
    };
    let events = simulator.events().select(&filter, MOVES).events;
    if events.is_empty() {
        html!(
            page,
            "<p class=\"empty\">The store has not moved since the simulator was started.</p>"
        );
        return;
    }
    html!(page, "<ol class=\"moves\">");
    for event in events.iter().rev() {
        let record: Value = serde_json::from_str(event.line()).unwrap_or_default();
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        html!(
            page,
            "<li><time>{}</time> <b>{}</b> {}</li>",
            text("/eventTime").map(event_time).unwrap_or_default(),
            text("/serviceEventDetails/connectionState").unwrap_or_default(),
            text("/serviceEventDetails/connectionErrorCode").unwrap_or_default()
        );
    }
    html!(
        page,
        "</ol><p><a href=\"/console/events?store={}\">Everything that was called about this store</a></p>",
        id
    );
}

/// Of the requests that are kept, so many are shown.
const SHOWN: usize = 15;
const MOVES: usize = 10;
