//! What a disconnect breaks, as a page: the tables that the code itself decides by.

use xks_page::{Html, Table, html, piece};

use super::layout::{Page, Place};
use crate::custom_key_store::CustomKeyStoreType;
use crate::disconnect_effects::{Effect, Outcome, key_states, of_keys, of_stores, proxy_failures};

/// The page.
pub(super) fn page() -> Page {
    let mut page = Page::new("What a disconnect breaks", Place::Disconnect);
    let main = &mut page.main;
    html!(
        main,
        "<h1>What a disconnect breaks</h1>\n<p>From DisconnectCustomKeyStore on, at once and for everyone, every key of \
         the store that is not pending deletion is Unavailable. Nothing is lost: ConnectCustomKeyStore makes the keys \
         usable again. These tables are made of the code that decides.</p>\n"
    );
    let kinds = [
        (
            CustomKeyStoreType::ExternalKeyStore,
            "an external key store",
        ),
        (CustomKeyStoreType::AwsCloudHsm, "a CloudHSM key store"),
    ];
    for (kind, name) in kinds {
        html!(main, "<section><h2>With a key of {}</h2>", name);
        keys(main, kind);
        html!(main, "</section>\n");
    }
    html!(main, "<section><h2>KeyState, by the store's state</h2>");
    states(main);
    html!(main, "</section>\n");
    html!(main, "<section><h2>With the store itself</h2>");
    stores(main);
    html!(
        main,
        "<p>What is refused gets CustomKeyStoreInvalidStateException, as CreateKey in a store and GenerateRandom of its \
         cluster do unless it is CONNECTED.</p></section>\n"
    );
    html!(
        main,
        "<section><h2>While the store is CONNECTED and its proxy fails</h2><p>The store stays CONNECTED and its keys stay \
         Enabled. Cryptographic operations get KMSInvalidStateException with the message.</p>"
    );
    failures(main);
    html!(main, "</section>\n");
    page
}

fn keys(page: &mut Html, kind: CustomKeyStoreType) {
    let effects = of_keys(kind);
    let columns = &["Operations", "While the store is not CONNECTED"];
    let table = Table::open(
        page,
        "Operations with a key and what becomes of them",
        columns,
    );
    for (operation, effect) in &effects {
        if let Effect::Fails(error) = effect {
            let mut outcome = piece!("<span class=\"result bad\">{}</span>", error.name());
            html!(
                outcome,
                "<small>{}</small>",
                error.message().unwrap_or_default()
            );
            table.row(
                page,
                &[piece!("<code>{}</code>", operation.name()), outcome],
            );
        }
    }
    let names = |wanted: fn(&Effect) -> bool| {
        let mut names = Html::default();
        for (operation, _) in effects.iter().filter(|(_, effect)| wanted(effect)) {
            html!(names, "<code>{}</code> ", operation.name());
        }
        names
    };
    let works = names(|effect| matches!(effect, Effect::Works));
    table.row(
        page,
        &[works, piece!("<span class=\"result good\">works</span>")],
    );
    let never = names(|effect| matches!(effect, Effect::Never(_)));
    let note = piece!("never works with such keys, connected or not");
    table.row(page, &[never, note]);
    table.close(page);
}

/// Those of both kinds are alike.
fn states(page: &mut Html) {
    let columns = &[
        "Its owner has",
        "DISCONNECTED",
        "CONNECTING",
        "CONNECTED",
        "FAILED",
        "DISCONNECTING",
    ];
    let caption = "KeyState of a key in each state of its store";
    let table = Table::open(page, caption, columns);
    for (decision, states) in key_states(CustomKeyStoreType::ExternalKeyStore) {
        let mut cells = vec![piece!("{}", decision)];
        cells.extend(states.map(|state| piece!("{}", state.name())));
        table.row(page, &cells);
    }
    table.close(page);
}

fn stores(page: &mut Html) {
    let columns = &[
        "Operation",
        "DISCONNECTED",
        "CONNECTING",
        "CONNECTED",
        "FAILED",
        "DISCONNECTING",
    ];
    let caption = "Operations with a store in each of its states";
    let table = Table::open(page, caption, columns);
    for operation in of_stores() {
        let mut cells = vec![piece!("{}", operation.name)];
        for outcome in &operation.outcomes {
            cells.push(match outcome {
                Outcome::Moves(to) => piece!("<span class=\"result good word\">→ {}</span>", to),
                Outcome::Works => piece!("<span class=\"result good\">works</span>"),
                Outcome::Fails(_) => piece!("<span class=\"result bad\">refused</span>"),
            });
        }
        table.row(page, &cells);
    }
    table.close(page);
}

fn failures(page: &mut Html) {
    let columns = &[
        "What happens",
        "Message of cryptographic operations",
        "What others get",
    ];
    let table = Table::open(
        page,
        "Failures of a proxy and what becomes of them",
        columns,
    );
    for (words, failure) in proxy_failures() {
        let mut others = piece!(
            "<small class=\"word\">CreateKey: {}</small>",
            failure.create_key_error().name()
        );
        html!(
            others,
            "<small class=\"word\">CreateCustomKeyStore: {}</small><small class=\"word\">ConnectCustomKeyStore: \
             {}</small>",
            failure.key_store_error().name(),
            failure.connection_error_code().as_str()
        );
        let cells = [
            piece!("{}", words),
            piece!("<small>{}</small>", failure.message()),
            others,
        ];
        table.row(page, &cells);
    }
    table.close(page);
}
