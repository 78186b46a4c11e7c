//! The first page: every custom key store with its state, and how its proxy does.

use std::time::Duration;

use xks_page::{Count, Html, Milliseconds, counted, html, open_live, sparkline};

use super::Console;
use super::badge;
use super::explain;
use super::layout::{Page, Place};
use super::stores::{self, PlaceView, StoreView};
use crate::connection::ConnectionState;
use crate::custom_key_store::CustomKeyStoreType;
use crate::observation::{ProxyRequest, STEP};
use crate::rfc3339;
use crate::simulator::Simulator;

/// The page.
pub(super) fn page(simulator: &Simulator, console: &Console) -> Page {
    let mut page = Page::new("Custom key stores", Place::Overview);
    let main = &mut page.main;
    let stores = stores::all(simulator);
    html!(main, "<h1>Custom key stores</h1>\n");
    open_live(main, "summary", "");
    summary(main, simulator, &stores);
    html!(main, "</div>\n");
    open_live(main, "stores", "");
    if stores.is_empty() {
        html!(
            main,
            "<section class=\"card empty\"><h2>No custom key store yet</h2><p>Create one with \
             CreateCustomKeyStore, start with a state of your own (<code>kms-sim serve --seed FILE</code>), or see the \
             whole story first:</p><pre><code>kms-sim demo</code></pre></section>"
        );
    }
    let mut home = None;
    for store in &stores {
        if home.as_ref() != Some(&store.home) {
            if home.is_some() {
                html!(main, "</div>");
            }
            html!(
                main,
                "<h2 class=\"home\">Account {} <span>{}</span></h2><div class=\"cards\">",
                store.home.account,
                store.home.region
            );
            home = Some(store.home.clone());
        }
        card(main, console, store);
    }
    if home.is_some() {
        html!(main, "</div>");
    }
    html!(main, "</div>\n");
    page
}

fn summary(page: &mut Html, simulator: &Simulator, stores: &[StoreView]) {
    let regions = simulator.regions();
    let keys: usize = regions
        .iter()
        .map(|(_, region)| region.lock().keys.count())
        .sum();
    let in_state = |state| stores.iter().filter(|store| store.state == state).count();
    let faults = stores::faults(simulator).len();
    html!(page, "<ul class=\"figures\">");
    let mut figure = |number: &str, what: &str, class: &'static str| {
        html!(
            page,
            "<li class=\"{}\"><b>{}</b> {}</li>",
            class,
            number,
            what
        );
    };
    let connected = in_state(ConnectionState::Connected);
    figure(
        &format!("{connected} of {}", stores.len()),
        "stores CONNECTED",
        "",
    );
    let failed = in_state(ConnectionState::Failed);
    if failed > 0 {
        figure(&failed.to_string(), "FAILED", "bad");
    }
    figure(
        &Count::from(keys).to_string(),
        if keys == 1 { "key" } else { "keys" },
        "",
    );
    figure(
        &regions.len().to_string(),
        match regions.len() {
            1 => "account and Region that was called",
            _ => "accounts and Regions that were called",
        },
        "",
    );
    if faults > 0 {
        figure(
            &counted(faults, "link", "links"),
            "with a fault that was switched on",
            "warn",
        );
    }
    let clock = simulator.clock();
    if clock.is_frozen() {
        let now = rfc3339::seconds(clock.now());
        figure("Clock stands still", &format!("at {now}"), "warn");
    }
    html!(page, "</ul>");
}

fn card(page: &mut Html, console: &Console, store: &StoreView) {
    let id = store.id.as_str();
    html!(
        page,
        "<article class=\"card store\" aria-labelledby=\"name-{}\"><header><h3 id=\"name-{}\"><a href=\"/console/stores/{}\">{}</a></h3>",
        id,
        id,
        id,
        store.name
    );
    badge::connection(page, id, &store.name, store.state);
    html!(
        page,
        "</header><p class=\"where\">{} · <code>{}</code></p><p class=\"where\">{}</p>",
        kind(store.kind),
        id,
        place(&store.place)
    );
    problem(page, store);
    if store.kind == CustomKeyStoreType::ExternalKeyStore {
        sparkline(page, &store.observed.points, STEP);
        html!(page, "<p class=\"numbers\">{}</p>", numbers(store));
    }
    html!(
        page,
        "<footer><a href=\"/console/keys?store={}\">{}</a><span class=\"actions\">",
        id,
        counted(store.keys, "key", "keys")
    );
    buttons(page, console, store);
    html!(page, "</span></footer></article>");
}

/// Whatever keeps the keys of the store from being used, or is going to.
pub(super) fn problem(page: &mut Html, store: &StoreView) {
    if let Some(code) = store.code {
        html!(
            page,
            "<p class=\"problem bad\"><b>{}</b> {}</p>",
            code.as_str(),
            explain::connection_error(code).meaning
        );
    }
    if let Some(fault) = &store.fault {
        html!(
            page,
            "<p class=\"problem warn\"><b>Fault switched on:</b> {}.</p>",
            fault.words.join("; ")
        );
    }
    let recent = |request: &&ProxyRequest| request.time.elapsed().is_ok_and(|age| age < RECENT);
    let last = store.recent.iter().filter(recent).take(LATEST);
    let failed = last
        .clone()
        .filter(|request| request.outcome.is_err())
        .count();
    if store.state == ConnectionState::Connected && failed > 0 {
        html!(
            page,
            "<p class=\"problem bad\"><b>{} of {}</b> to the proxy within a minute failed. The store stays CONNECTED all \
             the same.</p>",
            failed,
            counted(last.count(), "request", "requests")
        );
    }
}

/// How many requests there were, how many failed, and the median of the newest step that has one.
fn numbers(store: &StoreView) -> String {
    let points = &store.observed.points;
    let requests: u64 = points.iter().map(|point| point.requests).sum();
    let errors: u64 = points.iter().map(|point| point.errors).sum();
    let median = points.iter().rev().find_map(|point| point.latency);
    let median = median.map_or_else(String::new, |(median, _)| {
        format!(" · median {}", Milliseconds(median))
    });
    format!(
        "{} requests in 5 minutes · {} failed{median}",
        Count(requests),
        Count(errors)
    )
}

/// Connect and Disconnect, as the state allows them.
pub(super) fn buttons(page: &mut Html, console: &Console, store: &StoreView) {
    let id = store.id.as_str();
    match store.state {
        ConnectionState::Disconnected => {
            console
                .token
                .open_form(page, &format!("/console/stores/{id}/connect"), "inline");
            html!(
                page,
                "<button id=\"connect-{}\" class=\"primary\">Connect<span class=\"unseen\"> {}</span></button></form>",
                id,
                store.name
            );
        }
        ConnectionState::Connected | ConnectionState::Connecting | ConnectionState::Failed => {
            html!(
                page,
                "<a class=\"button\" id=\"disconnect-{}\" href=\"/console/stores/{}/disconnect\">Disconnect…<span \
             class=\"unseen\"> {}</span></a>",
                id,
                id,
                store.name
            )
        }
        ConnectionState::Disconnecting => {}
    }
}

pub(super) const fn kind(kind: CustomKeyStoreType) -> &'static str {
    match kind {
        CustomKeyStoreType::ExternalKeyStore => "External key store",
        CustomKeyStoreType::AwsCloudHsm => "CloudHSM key store",
    }
}

fn place(place: &PlaceView) -> String {
    match place {
        PlaceView::Proxy { endpoint, path, .. } => format!("{endpoint}{path}"),
        PlaceView::Cluster(id) => id.clone(),
    }
}

/// Of which requests it is told whether they failed: so many at most, and no older ones.
const LATEST: usize = 10;
const RECENT: Duration = Duration::from_secs(60);
