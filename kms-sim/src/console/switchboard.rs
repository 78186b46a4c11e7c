//! The switchboard of everything: links, transitions, quotas, staleness, the clock, and the way back to the beginning.

use std::sync::Arc;

use xks_page::{Count, Html, html, open_live};

use super::Console;
use super::figures::date_and_time;
use super::layout::{Page, Place};
use super::stores::{self, FaultView, PlaceView};
use super::switches::{self, RateForm, open, rate};
use crate::fault::Scope;
use crate::simulator::Simulator;
use crate::transitions::Phase;

/// The page.
pub(super) fn page(simulator: &Arc<Simulator>, console: &Console) -> Page {
    let mut page = Page::new("Switchboard", Place::Switchboard);
    let main = &mut page.main;
    html!(
        main,
        "<h1>Switchboard</h1>\n<p>Faults happen for real where they can: what fails then goes the way of a real failure. \
         A store has switches of its own on its page; of several faults the narrowest counts.</p>\n\
         <section><h2>Links to proxies</h2>"
    );
    let faults = stores::faults(simulator);
    open_live(main, "links", "");
    list(main, console, &faults);
    html!(main, "<h3>Every link</h3>");
    let on = faults.iter().find(|fault| fault.scope == Scope::All);
    switches::links(main, console, BACK, &Scope::All, on);
    html!(main, "</div>");
    endpoint(main, simulator, console);
    html!(
        main,
        "</section>\n<section><h2>Transitions of every store</h2>"
    );
    open_live(main, "transitions", "");
    let settings = simulator.connector().transitions().settings();
    let held = [Phase::Connecting, Phase::Disconnecting].into_iter();
    let held: Vec<_> = held
        .filter(|phase| settings.held.contains(&(None, *phase)))
        .collect();
    let failure = settings.failures.get(&None).copied();
    switches::transitions(main, console, BACK, None, &held, failure);
    open(
        main,
        console,
        "/console/switch/transitions-reset",
        BACK,
        "row",
    );
    html!(
        main,
        "<button>Hold nothing, fail nothing</button></form></div></section>\n<section><h2>Quotas</h2>"
    );
    quotas(main, simulator, console);
    html!(main, "</section>\n<section><h2>Stale reads</h2>");
    lag(main, simulator, console);
    html!(main, "</section>\n<section><h2>The clock</h2>");
    open_live(main, "clock", "");
    clock(main, simulator, console);
    html!(main, "</div>");
    advance(main, console);
    html!(
        main,
        "</section>\n<section><h2>Everything</h2><p><a class=\"button danger\" href=\"/console/reset\">Forget \
         everything…</a></p></section>\n"
    );
    page
}

fn list(page: &mut Html, console: &Console, faults: &[FaultView]) {
    if faults.is_empty() {
        html!(page, "<p class=\"empty\">No link has a fault.</p>");
        return;
    }
    html!(page, "<ul class=\"parts\">");
    for fault in faults {
        html!(page, "<li class=\"problem warn line\"><span>");
        match &fault.scope {
            Scope::Store(id) => html!(page, "<a href=\"/console/stores/{}\">{}</a>", id, id),
            Scope::Endpoint(host) => html!(page, "<code>https://{}</code>", host),
            Scope::All => html!(page, "<b>Every link</b>"),
        }
        html!(page, ": {}</span>", fault.words.join("; "));
        open(page, console, "/console/switch/mend", BACK, "inline");
        match &fault.scope {
            Scope::Store(id) => {
                html!(
                    page,
                    "<input type=\"hidden\" name=\"CustomKeyStoreId\" value=\"{}\">",
                    id
                );
            }
            Scope::Endpoint(host) => html!(
                page,
                "<input type=\"hidden\" name=\"XksProxyUriEndpoint\" value=\"https://{}\">",
                host
            ),
            Scope::All => {}
        }
        html!(page, "<button>Mend</button></form></li>");
    }
    html!(page, "</ul>");
}

/// A fault of one's own, of a link that is chosen.
fn endpoint(page: &mut Html, simulator: &Simulator, console: &Console) {
    html!(
        page,
        "<details id=\"own-fault\"><summary>A fault of your own</summary>"
    );
    open(page, console, "/console/switch/link", BACK, "fields");
    html!(
        page,
        "<label>Of which link<select name=\"CustomKeyStoreId\"><option value=\"\">every link, or that to the endpoint</option>"
    );
    for store in stores::all(simulator) {
        if let PlaceView::Proxy { .. } = store.place {
            html!(
                page,
                "<option value=\"{}\">{}</option>",
                store.id,
                store.name
            );
        }
    }
    html!(
        page,
        "</select></label><label>XksProxyUriEndpoint<input name=\"XksProxyUriEndpoint\" placeholder=\"https://xks.test\" \
         autocomplete=\"off\"></label>"
    );
    switches::fault_fields(page);
    html!(
        page,
        "<button class=\"primary\">Switch it on</button></form></details>"
    );
}

fn quotas(page: &mut Html, simulator: &Simulator, console: &Console) {
    let rates = simulator.quotas().rates();
    for (action, label, value) in [
        (
            "/console/switch/quota",
            "Cryptographic requests a second, of a store without a quota of its own",
            rates.store,
        ),
        (
            "/console/switch/quota-account",
            "Cryptographic requests a second, of an account in a Region",
            rates.account,
        ),
        (
            "/console/switch/quota-keys",
            "Keys of an account in a Region",
            Some(rates.max_keys),
        ),
    ] {
        let form = RateForm {
            action,
            back: BACK,
            store: None,
            label,
            rate: value,
        };
        rate(page, console, &form);
    }
    if !rates.stores.is_empty() {
        let own = Count::from(rates.stores.len());
        html!(page, "<p>Stores with a quota of their own: {}.</p>", own);
    }
    open(page, console, "/console/switch/quota-reset", BACK, "row");
    html!(page, "<button>As at the start</button></form>");
}

fn lag(page: &mut Html, simulator: &Simulator, console: &Console) {
    let (lag, seed) = simulator.consistency().settings();
    open(page, console, "/console/switch/lag", BACK, "row");
    html!(
        page,
        "<label>Changes are seen up to so many ms later<input name=\"LagMs\" inputmode=\"numeric\" value=\"{}\" \
         autocomplete=\"off\"></label><label>Seed<input name=\"Seed\" inputmode=\"numeric\" value=\"{}\" \
         autocomplete=\"off\"></label><button>Set</button></form>",
        lag.as_millis(),
        seed
    );
}

fn clock(page: &mut Html, simulator: &Simulator, console: &Console) {
    let clock = simulator.clock();
    let stands_still = clock.is_frozen();
    html!(
        page,
        "<p>It shows <time class=\"big\">{}</time>{}.</p><ul class=\"switches\">",
        date_and_time(clock.now()),
        if stands_still {
            " and stands still"
        } else {
            ""
        }
    );
    let (action, note) = match stands_still {
        true => ("/console/switch/clock/resume", "Press to let it go on."),
        false => ("/console/switch/clock/freeze", "From now on."),
    };
    html!(page, "<li>");
    open(page, console, action, BACK, "");
    html!(
        page,
        "<button id=\"freeze\" aria-pressed=\"{}\">Stands still<small>{}</small></button></form></li></ul>",
        stands_still,
        note
    );
}

fn advance(page: &mut Html, console: &Console) {
    open(page, console, "/console/switch/clock/advance", BACK, "row");
    html!(
        page,
        "<label>Forward by<input name=\"By\" placeholder=\"8d\" autocomplete=\"off\" required></label>\
         <button>Set</button></form>"
    );
    open(page, console, "/console/switch/clock/reset", BACK, "row");
    html!(page, "<button>The system's time again</button></form>");
}

const BACK: &str = "/console/switchboard";
