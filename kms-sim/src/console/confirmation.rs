//! What will fail, before somebody disconnects a store or forgets everything.

use xks_page::{Count, counted, html};

use super::Console;
use super::badge;
use super::layout::{Page, Place};
use super::stores::{self, StoreView};
use crate::connection::ConnectionState;
use crate::custom_key_store::CustomKeyStoreType;
use crate::disconnect_effects::failing;
use crate::simulator::Simulator;

/// Asks whether a store is to be disconnected; `None` if there is no such store.
pub(super) fn disconnect(simulator: &Simulator, console: &Console, id: &str) -> Option<Page> {
    let store = stores::find(simulator, id)?;
    let mut page = Page::new(format!("Disconnect {}?", store.name), Place::Elsewhere);
    let main = &mut page.main;
    html!(
        main,
        "<p class=\"path\"><a href=\"/console/\">Stores</a> <a href=\"/console/stores/{}\">{}</a></p>\n\
         <h1>Disconnect {}?</h1>\n<section class=\"card confirm\"><p class=\"line\">It is ",
        id,
        store.name,
        store.name
    );
    badge::connection(main, id, &store.name, store.state);
    html!(main, "</p>");
    match store.state {
        ConnectionState::Connected => consequences(&mut page, simulator, &store),
        ConnectionState::Connecting | ConnectionState::Failed => html!(
            main,
            "<p>Its keys are Unavailable already, so nothing fails that does not fail now.</p>"
        ),
        ConnectionState::Disconnected | ConnectionState::Disconnecting => {
            html!(main, "<p>There is nothing left to disconnect.</p>");
        }
    }
    let main = &mut page.main;
    console
        .token
        .open_form(main, &format!("/console/stores/{id}/disconnect"), "actions");
    html!(
        main,
        "<button class=\"danger\" id=\"confirm\">Disconnect</button> <a class=\"button\" href=\"/console/stores/{}\">Leave \
         it as it is</a></form></section>\n",
        id
    );
    Some(page)
}

fn consequences(page: &mut Page, simulator: &Simulator, store: &StoreView) {
    let main = &mut page.main;
    let counts = stores::count_keys(simulator, store);
    let unavailable = counts.unavailable();
    let become_unavailable = match unavailable {
        1 => "becomes Unavailable",
        _ => "become Unavailable",
    };
    html!(
        main,
        "<p class=\"big\"><b id=\"unavailable\">{}</b> {} at once",
        counted(unavailable, "key", "keys"),
        become_unavailable
    );
    if counts.disabled > 0 {
        html!(
            main,
            ", {} of which {} disabled anyway",
            Count::from(counts.disabled),
            if counts.disabled == 1 { "is" } else { "are" }
        );
    }
    html!(main, ".");
    if counts.pending_deletion > 0 {
        html!(
            main,
            " {} more stay PendingDeletion.",
            Count::from(counts.pending_deletion)
        );
    }
    let failing = failing(store.kind);
    html!(
        main,
        "</p><h2>These fail until the store is CONNECTED again</h2><ul class=\"operations\">"
    );
    for (operation, _) in &failing {
        html!(main, "<li><code>{}</code></li>", operation.name());
    }
    html!(main, "<li><code>CreateKey</code> in this store</li>");
    if store.kind == CustomKeyStoreType::AwsCloudHsm {
        html!(main, "<li><code>GenerateRandom</code> of its cluster</li>");
    }
    html!(main, "</ul>");
    if let Some((_, error)) = failing.first() {
        html!(
            main,
            "<p>Callers get <code>{}</code>:</p><blockquote>{}</blockquote>",
            error.name(),
            error.message().unwrap_or_default()
        );
    }
    html!(
        main,
        "<p>Requests that run now have half a second to end. Nothing is deleted: policies, aliases, tags and grants can \
         be changed all the time, and <code>ConnectCustomKeyStore</code> makes the keys Enabled again. \
         <a href=\"/console/disconnect\">Everything that a disconnect breaks, and does not</a>.</p>"
    );
}

/// Asks whether everything is to be forgotten.
pub(super) fn reset(simulator: &Simulator, console: &Console) -> Page {
    let mut page = Page::new("Forget everything?", Place::Switchboard);
    let main = &mut page.main;
    let regions = simulator.regions();
    let (mut keys, mut stores) = (0, 0);
    for (_, region) in &regions {
        let state = region.lock();
        keys += state.keys.count();
        stores += state.stores.iter().count();
    }
    html!(
        main,
        "<p class=\"path\"><a href=\"/console/switchboard\">Switchboard</a></p>\n<h1>Forget everything?</h1>\n\
         <section class=\"card confirm\"><p class=\"big\"><b>{}</b> and <b>{}</b> go, and with them aliases, grants, \
         clusters, VPC endpoint services, faults, holds, quotas and the clock's setting. What was encrypted with \
         them can never be decrypted.</p><p>A copy of the state is made by <code>kms-sim ctl snapshot FILE</code>.</p>",
        counted(keys, "key", "keys"),
        counted(stores, "custom key store", "custom key stores")
    );
    console
        .token
        .open_form(main, "/console/switch/reset", "actions");
    html!(
        main,
        "<button class=\"danger\" id=\"confirm\">Forget everything</button> <a class=\"button\" \
         href=\"/console/switchboard\">Leave it as it is</a></form></section>\n"
    );
    page
}
