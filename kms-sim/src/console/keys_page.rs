//! The list of keys: of all accounts and Regions, narrowed by a form, a page at a time.

use xks_page::{Fields, Html, InUrl, Table, counted, html, open_live, piece};

use super::badge;
use super::key_search::{Cursor, Found, KeyRow, PAGE, Search, search};
use super::layout::{Page, Place};
use super::stores;
use crate::custom_key_store::CustomKeyStoreId;
use crate::key_state::KeyState;
use crate::simulator::Simulator;
use crate::visibility::Home;

/// The page.
pub(super) fn page(simulator: &Simulator, query: &Fields) -> Page {
    let mut page = Page::new("Keys", Place::Keys);
    let main = &mut page.main;
    let wanted = Search {
        home: query.get("home").and_then(home),
        store: query.get("store").and_then(CustomKeyStoreId::parse),
        state: query.get("state").and_then(state),
        text: query.get("text"),
        after: query.get("after").and_then(Cursor::parse),
    };
    html!(main, "<h1>Keys</h1>\n");
    filter(main, simulator, query);
    let found = search(simulator, &wanted);
    open_live(main, "keys", "");
    list(main, &found);
    pages(main, &found, query);
    html!(main, "</div>\n");
    page
}

fn filter(page: &mut Html, simulator: &Simulator, query: &Fields) {
    html!(
        page,
        "<form class=\"filter\" action=\"/console/keys\" role=\"search\"><label class=\"wide\">Key id, ARN, alias or \
         description<input type=\"search\" name=\"text\" value=\"{}\" placeholder=\"alias/app\" \
         autocomplete=\"off\"></label>",
        query.get("text").unwrap_or_default()
    );
    let homes = simulator.regions().into_iter().map(|(home, _)| {
        let value = format!("{}/{}", home.account, home.region);
        (value, format!("{} {}", home.account, home.region))
    });
    choice(page, "Account and Region", "home", query, homes);
    let stores = stores::all(simulator).into_iter();
    let stores = stores.map(|store| (store.id.to_string(), store.name));
    choice(page, "Custom key store", "store", query, stores);
    let states = KeyState::ALL.map(|state| (state.name().to_owned(), state.name().to_owned()));
    choice(page, "KeyState", "state", query, states.into_iter());
    html!(page, "<button class=\"primary\">Find</button></form>\n");
}

fn choice(
    page: &mut Html,
    label: &str,
    name: &'static str,
    query: &Fields,
    options: impl Iterator<Item = (String, String)>,
) {
    html!(
        page,
        "<label>{}<select name=\"{}\"><option value=\"\">any</option>",
        label,
        name
    );
    for (value, text) in options {
        match query.get(name) == Some(&*value) {
            true => html!(
                page,
                "<option value=\"{}\" selected>{}</option>",
                value,
                text
            ),
            false => html!(page, "<option value=\"{}\">{}</option>", value, text),
        }
    }
    html!(page, "</select></label>");
}

fn list(page: &mut Html, found: &Found) {
    if found.rows.is_empty() {
        match found.next {
            None => html!(page, "<p class=\"empty\">No key is like this.</p>"),
            Some(_) => html!(
                page,
                "<p class=\"empty\">None so far; there are more to look at.</p>"
            ),
        }
        return;
    }
    let columns = &["Key", "State", "Kind", "Where", "Why it is in this state"];
    let table = Table::open(page, "Keys, in the order of their ids", columns);
    for row in &found.rows {
        let KeyRow { home, id, .. } = row;
        let mut key = piece!(
            "<a class=\"id\" href=\"/console/keys/{}/{}/{}\">{}</a>",
            InUrl(&home.account),
            InUrl(&home.region),
            InUrl(id),
            id
        );
        if let Some(alias) = &row.alias {
            html!(key, "<span class=\"alias\">{}</span>", alias);
            if row.more_aliases > 0 {
                let more = counted(row.more_aliases, "alias more", "aliases more");
                html!(key, " <small>and {}</small>", more);
            }
        }
        if !row.description.is_empty() {
            html!(key, "<small>{}</small>", row.description);
        }
        let mut state = Html::default();
        badge::key(&mut state, row.state);
        let kind = piece!(
            "<span class=\"word\">{}</span><small class=\"word\">{}</small>",
            row.origin,
            row.spec
        );
        let place = match &row.store {
            None => piece!("{}<small>{}</small>", home.account, home.region),
            Some((store, name)) => piece!(
                "<a href=\"/console/stores/{}\">{}</a><small>{} {}</small>",
                store,
                name,
                home.account,
                home.region
            ),
        };
        table.row(
            page,
            &[
                key,
                state,
                kind,
                place,
                piece!("<small>{}</small>", row.why),
            ],
        );
    }
    table.close(page);
}

fn pages(page: &mut Html, found: &Found, query: &Fields) {
    let mut filter = String::new();
    for name in ["text", "home", "store", "state"] {
        if let Some(value) = query.get(name) {
            filter.push_str(&format!("{name}={}&", InUrl(value)));
        }
    }
    html!(page, "<nav class=\"pages\" aria-label=\"Pages\">");
    if query.get("after").is_some() {
        html!(
            page,
            "<a class=\"button\" href=\"/console/keys?{}\">First page</a>",
            filter
        );
    }
    if let Some(next) = &found.next {
        html!(
            page,
            "<a class=\"button\" rel=\"next\" href=\"/console/keys?{}after={}\">{}</a>",
            filter,
            InUrl(&next.text()),
            if found.rows.len() < PAGE {
                "Look further"
            } else {
                "Next page"
            }
        );
    }
    html!(page, "</nav>");
}

fn home(text: &str) -> Option<Home> {
    let (account, region) = text.split_once('/')?;
    Some(Home {
        account: account.to_owned(),
        region: region.to_owned(),
    })
}

fn state(text: &str) -> Option<KeyState> {
    KeyState::ALL.into_iter().find(|state| state.name() == text)
}
