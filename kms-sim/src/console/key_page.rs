//! One key: its state and why, what is known of it, its last use, and what was called about it. No material is shown.

use std::ops::Bound;
use std::time::SystemTime;

use xks_page::{Count, Html, counted, fact, html, open_live, piece};

use super::badge;
use super::events_page;
use super::figures::date_and_time;
use super::key_search::{store_of, why};
use super::layout::{Page, Place};
use crate::events::Filter;
use crate::key::{Key, Origin};
use crate::simulator::{RegionState, Simulator};
use crate::visibility::Home;

/// The page; `None` if there is no such key.
pub(super) fn page(simulator: &Simulator, home: &Home, id: &str) -> Option<Page> {
    let regions = simulator.regions();
    let (_, region) = regions.iter().find(|(known, _)| known == home)?;
    let mut page = Page::new(format!("Key {id}"), Place::Elsewhere);
    let main = &mut page.main;
    {
        let now = simulator.clock().now();
        let state = region.lock();
        let key = state.keys.get(id)?;
        html!(
            main,
            "<p class=\"path\"><a href=\"/console/keys\">Keys</a></p>\n<h1 class=\"id\">{}</h1>\n",
            id
        );
        open_live(main, "key", "");
        standing(main, key, &state);
        html!(main, "<section class=\"card\"><dl class=\"facts\">");
        facts(main, key, &state, now);
        html!(main, "</dl></section>");
        aliases(main, key, &state);
        tags(main, key);
        html!(main, "</div>\n");
        policy(main, key);
    }
    html!(main, "<section><h2>What was called about it</h2>");
    open_live(main, "events", "");
    let filter = Filter {
        key: Some(id),
        ..Filter::default()
    };
    let events = simulator.events().select(&filter, EVENTS).events;
    events_page::list(main, &events);
    html!(main, "</div></section>\n");
    Some(page)
}

fn standing(page: &mut Html, key: &Key, state: &RegionState) {
    let is = key.state(&state.stores);
    html!(
        page,
        "<section class=\"card hero\"><p class=\"line\" data-announce=\"The key is {}\" id=\"key-state\">",
        is.name()
    );
    badge::key(page, is);
    html!(page, "</p><p>{}</p>", why(key, state));
    let seen = key.seen_state(&state.stores, &state.past);
    if seen != is {
        html!(
            page,
            "<p class=\"problem warn\">Reads still see it {}, for the lag that is set.</p>",
            seen.name()
        );
    }
    html!(page, "</section>");
}

fn facts(page: &mut Html, key: &Key, state: &RegionState, now: SystemTime) {
    fact(page, "ARN", &piece!("<code>{}</code>", key.arn()));
    if !key.description.is_empty() {
        fact(page, "Description", &piece!("{}", key.description));
    }
    let kind = key.kind();
    fact(
        page,
        "KeySpec and KeyUsage",
        &piece!("{} · {}", kind.spec.name(), kind.usage.name()),
    );
    fact(page, "Origin", &piece!("{}", key.origin().name()));
    if let Some(store) = store_of(key, state) {
        let store = piece!(
            "<a href=\"/console/stores/{}\">{}</a>, {}",
            store.id(),
            store.name(),
            store.connection_state()
        );
        fact(page, "Custom key store", &store);
    }
    match key.origin() {
        Origin::ExternalKeyStore { external_key, .. } => {
            let id = piece!("<code>{}</code>", external_key.as_str());
            fact(page, "External key", &id);
        }
        Origin::AwsKms(material) => {
            let rotation = match material.automatic() {
                Some(automatic) => format!(
                    "every {} days, next on {}",
                    automatic.period_days,
                    date_and_time(automatic.next)
                ),
                None => "not automatic".to_owned(),
            };
            let times = counted(material.rotations().len(), "rotation", "rotations");
            fact(page, "Rotation", &piece!("{}; {} so far", rotation, times));
        }
        Origin::External(imported) => {
            let expiry = imported.next_expiry(false).map(date_and_time);
            let expiry = expiry.unwrap_or_else(|| "does not expire".to_owned());
            fact(page, "Imported key material", &piece!("{}", expiry));
        }
        Origin::AwsKmsFixed(_) | Origin::AwsCloudHsm { .. } => {}
    }
    if let Some(set) = &key.multi_region {
        let role = if set.is_primary() {
            "primary"
        } else {
            "replica"
        };
        let regions = set.regions(now).join(", ");
        fact(page, "Multi-Region", &piece!("{}, in {}", role, regions));
    }
    fact(page, "Created", &piece!("{}", date_and_time(key.created())));
    let grants = Count::from(state.keys.grants.count_of(key.id()));
    fact(page, "Grants", &piece!("{}", grants));
    let usage = match key.last_usage.get() {
        None => piece!("not used yet"),
        Some(usage) => piece!(
            "{} at {}, <a class=\"id\" href=\"/console/events?request={}\">{}</a>",
            usage.operation,
            date_and_time(usage.at),
            usage.kms_request_id,
            usage.kms_request_id
        ),
    };
    fact(page, "Last use", &usage);
}

fn aliases(page: &mut Html, key: &Key, state: &RegionState) {
    let aliases = &state.keys.aliases;
    let count = aliases.count_of(key.id());
    html!(page, "<section><h2>Aliases</h2>");
    if count == 0 {
        html!(page, "<p class=\"empty\">None.</p>");
    }
    html!(page, "<ul class=\"tags\">");
    let names = aliases.of_key_after(key.id(), Bound::Unbounded);
    for (name, _) in names.take(SHOWN) {
        html!(page, "<li><code>{}</code></li>", name);
    }
    html!(page, "</ul>");
    if count > SHOWN {
        html!(page, "<p>and {} more.</p>", Count::from(count - SHOWN));
    }
    html!(page, "</section>");
}

fn tags(page: &mut Html, key: &Key) {
    if key.tags.is_empty() {
        return;
    }
    html!(page, "<section><h2>Tags</h2><ul class=\"tags\">");
    for (name, value) in &key.tags {
        html!(page, "<li><code>{} = {}</code></li>", name, value);
    }
    html!(page, "</ul></section>");
}

fn policy(page: &mut Html, key: &Key) {
    let text = key.policy.text(key.arn());
    let pretty: Result<serde_json::Value, _> = serde_json::from_str(&text);
    let pretty = pretty.and_then(|value| serde_json::to_string_pretty(&value));
    html!(
        page,
        "<section><h2>Key policy</h2><details id=\"policy\"><summary>Show it</summary><pre \
         tabindex=\"0\"><code>{}</code></pre></details></section>\n",
        pretty.unwrap_or_else(|_| text.into_owned())
    );
}

const SHOWN: usize = 50;
const EVENTS: usize = 10;
