//! The switches of one store: the fault of its link, its transitions, its quota, its cluster, its VPC endpoint service.
//!
//! Each is a form of its own; what is on is said in words and by `aria-pressed`.

use std::sync::Arc;

use super::Console;
use super::events_page::Checked;
use super::infrastructure;
use super::presets::PRESETS;
use super::stores::{FaultView, PlaceView, StoreView};
use crate::connection::ConnectionErrorCode;
use crate::custom_key_store::CustomKeyStoreType;
use crate::defect::Defect;
use crate::fault::Scope;
use crate::quota::Rate;
use crate::simulator::Simulator;
use crate::transitions::Phase;
use xks_api::error::ErrorName;
use xks_api::route::OperationName;
use xks_page::{Html, html, open_live};

/// All of them.
pub(super) fn of_store(
    page: &mut Html,
    simulator: &Arc<Simulator>,
    console: &Console,
    store: &StoreView,
) {
    let id = store.id.as_str();
    let back = format!("/console/stores/{id}");
    if store.kind == CustomKeyStoreType::ExternalKeyStore {
        html!(page, "<h3>The link to the proxy</h3>");
        let scope = Scope::Store(id.to_owned());
        let own = store.fault.as_ref().filter(|fault| fault.scope == scope);
        open_live(page, "link", "");
        links(page, console, &back, &scope, own);
        html!(page, "</div>");
        own_fault(page, console, &back, &scope);
    }
    html!(page, "<h3>Its transitions</h3>");
    open_live(page, "transitions", "");
    transitions(page, console, &back, Some(id), &store.held, store.failure);
    html!(page, "</div>");
    html!(page, "<h3>Its quota</h3>");
    let rates = simulator.quotas().rates();
    let own = rates.stores.get(id).copied();
    let form = RateForm {
        action: "/console/switch/quota",
        back: &back,
        store: Some(id),
        label: "Cryptographic requests a second",
        rate: own.unwrap_or(rates.store),
    };
    rate(page, console, &form);
    match &store.place {
        PlaceView::Cluster(cluster) => {
            html!(page, "<h3>The cluster</h3>");
            open_live(page, "cluster", "");
            infrastructure::cluster(page, simulator, console, &back, cluster);
            html!(page, "</div>");
        }
        PlaceView::Proxy {
            vpc_endpoint_service: Some(service),
            ..
        } => {
            html!(page, "<h3>The VPC endpoint service</h3>");
            open_live(page, "service", "");
            infrastructure::service(page, simulator, console, &back, service);
            html!(page, "</div>");
        }
        PlaceView::Proxy { .. } => {}
    }
}

/// The presets of a link, one of which may be on.
pub(super) fn links(
    page: &mut Html,
    console: &Console,
    back: &str,
    scope: &Scope,
    on: Option<&FaultView>,
) {
    if let Some(fault) = on {
        html!(
            page,
            "<div class=\"problem warn line\"><span><b>On:</b> {}",
            fault.words.join("; ")
        );
        let operations = &fault.fault.operations;
        if !operations.is_empty() {
            let names = operations.iter().map(|operation| operation.as_str());
            html!(page, "; for {}", names.collect::<Vec<_>>().join(", "));
        }
        if let Some(left) = fault.left {
            html!(page, "; {} times more", left);
        }
        html!(page, "</span>");
        open(page, console, "/console/switch/mend", back, "inline");
        scope_field(page, scope);
        html!(
            page,
            "<button id=\"mend\" class=\"primary\">Mend the link</button></form></div>"
        );
    }
    // Pressed again, a switch mends what it has done.
    html!(page, "<ul class=\"switches\">");
    for preset in &PRESETS {
        let is_on = on.is_some_and(|on| on.left.is_none() && preset.is(&on.fault));
        let action = match is_on {
            true => "/console/switch/mend",
            false => "/console/switch/link",
        };
        html!(page, "<li>");
        open(page, console, action, back, "");
        scope_field(page, scope);
        html!(
            page,
            "<input type=\"hidden\" name=\"preset\" value=\"{}\"><button id=\"preset-{}\" aria-pressed=\"{}\">{}<small>{}</small></button></form></li>",
            preset.word,
            preset.word,
            is_on,
            preset.label,
            preset.note
        );
    }
    html!(page, "</ul>");
}

/// A form with everything that a fault can have.
pub(super) fn own_fault(page: &mut Html, console: &Console, back: &str, scope: &Scope) {
    html!(
        page,
        "<details id=\"own-fault\"><summary>A fault of your own</summary>"
    );
    open(page, console, "/console/switch/link", back, "fields");
    scope_field(page, scope);
    fault_fields(page);
    html!(
        page,
        "<button class=\"primary\">Switch it on</button></form></details>\n"
    );
}

/// The members of `PUT /control/v1/link`, by their names.
pub(super) fn fault_fields(page: &mut Html) {
    for (name, label, attributes) in NUMBERS {
        html!(
            page,
            "<label>{}<input name=\"{}\" inputmode=\"decimal\" placeholder=\"{}\" autocomplete=\"off\"></label>",
            label,
            name,
            attributes
        );
    }
    select(page, "TCP", "Tcp", &TCP);
    select(page, "TLS", "Tls", &TLS);
    let names = ErrorName::ALL.map(ErrorName::as_str);
    select(page, "Answer: errorName", "ErrorName", &names);
    select(page, "Answer: a defect", "Defect", &Defect::NAMES);
    html!(
        page,
        "<label>Answer: body<input name=\"Body\" autocomplete=\"off\"></label><fieldset><legend>Who meets \
         it</legend>"
    );
    for operation in OperationName::ALL {
        html!(
            page,
            "<label class=\"check\"><input type=\"checkbox\" name=\"Operations\" value=\"{}\"{}> {}</label>",
            operation.as_str(),
            Checked(true),
            operation.as_str()
        );
    }
    html!(page, "</fieldset>");
}

/// What holds a store, or every store, in a state, and what its next attempt ends with.
pub(super) fn transitions(
    page: &mut Html,
    console: &Console,
    back: &str,
    store: Option<&str>,
    held: &[Phase],
    failure: Option<ConnectionErrorCode>,
) {
    html!(page, "<ul class=\"switches\">");
    for (phase, state) in [
        (Phase::Connecting, "CONNECTING"),
        (Phase::Disconnecting, "DISCONNECTING"),
    ] {
        let is_held = held.contains(&phase);
        let (action, note) = match is_held {
            true => ("/console/switch/release", "Press to let it go on."),
            false => ("/console/switch/hold", "It stays there until it is let go."),
        };
        html!(page, "<li>");
        open(page, console, action, back, "");
        store_field(page, store);
        html!(
            page,
            "<input type=\"hidden\" name=\"State\" value=\"{}\"><button id=\"hold-{}\" aria-pressed=\"{}\">Hold in {}<small>{}</small></button></form></li>",
            state,
            state,
            is_held,
            state,
            note
        );
    }
    html!(page, "</ul>");
    if let Some(code) = failure {
        html!(
            page,
            "<p class=\"problem warn\"><b>On:</b> the next attempt to connect ends with {}.</p>",
            code.as_str()
        );
    }
    open(page, console, "/console/switch/fail", back, "row");
    store_field(page, store);
    let codes = ConnectionErrorCode::ALL.map(ConnectionErrorCode::as_str);
    html!(
        page,
        "<label>The next attempt to connect ends with<select id=\"fail-code\" name=\"Code\">"
    );
    for code in codes {
        html!(page, "<option>{}</option>", code);
    }
    html!(
        page,
        "</select></label><button id=\"fail\">Set</button></form>"
    );
}

/// A form for requests per second.
pub(super) struct RateForm<'f> {
    pub(super) action: &'static str,
    pub(super) back: &'f str,
    pub(super) store: Option<&'f str>,
    pub(super) label: &'static str,
    pub(super) rate: Rate,
}

pub(super) fn rate(page: &mut Html, console: &Console, form: &RateForm<'_>) {
    let value = form.rate.map_or_else(String::new, |rate| rate.to_string());
    open(page, console, form.action, form.back, "row");
    store_field(page, form.store);
    html!(
        page,
        "<label>{}<input name=\"Rate\" inputmode=\"numeric\" value=\"{}\" placeholder=\"no limit\" \
         autocomplete=\"off\"></label><button>Set</button></form>",
        form.label,
        value
    );
}

/// Begins a form that leads back to a page.
pub(super) fn open(
    page: &mut Html,
    console: &Console,
    action: &str,
    back: &str,
    class: &'static str,
) {
    console.token.open_form(page, action, class);
    html!(
        page,
        "<input type=\"hidden\" name=\"back\" value=\"{}\">",
        back
    );
}

fn scope_field(page: &mut Html, scope: &Scope) {
    match scope {
        Scope::Store(id) => store_field(page, Some(id)),
        Scope::Endpoint(host) => html!(
            page,
            "<input type=\"hidden\" name=\"XksProxyUriEndpoint\" value=\"https://{}\">",
            host
        ),
        Scope::All => {}
    }
}

fn store_field(page: &mut Html, store: Option<&str>) {
    if let Some(id) = store {
        html!(
            page,
            "<input type=\"hidden\" name=\"CustomKeyStoreId\" value=\"{}\">",
            id
        );
    }
}

fn select(page: &mut Html, label: &str, name: &'static str, words: &[&str]) {
    html!(
        page,
        "<label>{}<select name=\"{}\"><option value=\"\">as it is</option>",
        label,
        name
    );
    for word in words {
        html!(page, "<option>{}</option>", word);
    }
    html!(page, "</select></label>");
}

const NUMBERS: [(&str, &str, &str); 8] = [
    ("LatencyMs", "Later by, in ms", "0"),
    ("JitterMs", "and up to so much more, in ms", "0"),
    ("Loss", "Share of requests that are lost", "0.3"),
    (
        "ResetAfterBytes",
        "Reset after bytes of the answer",
        "never",
    ),
    (
        "BytesPerSecond",
        "Bytes a second of the answer",
        "as they come",
    ),
    ("Status", "Answer: status", "as it is"),
    ("Times", "How many attempts meet it", "all"),
    ("Seed", "Seed of loss and jitter", "0"),
];
const TCP: [&str; 4] = ["refused", "black-hole", "no-address", "silent"];
const TLS: [&str; 9] = [
    "untrusted-authority",
    "expired",
    "not-yet-valid",
    "other-name",
    "old-version",
    "no-common-suite",
    "client-certificate",
    "plain-http",
    "closed",
];
