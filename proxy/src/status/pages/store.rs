//! One external key store: its requests by operation, its credentials, its keys and its denials.

use xks_page::{Count, Html, InUrl, Table, fact, html, open_live, piece};

use super::parts;
use crate::status::{CredentialStatus, KeyStoreStatus, ROTATE_AFTER, Status};

/// The content of the page.
pub(super) fn page(status: &Status, store: &KeyStoreStatus) -> Html {
    let mut page = Html::default();
    let main = &mut page;
    let prefix = &store.uri_path_prefix;
    html!(
        main,
        "<p class=\"path\"><a href=\"/status\">Status</a></p><h1>{}</h1>\n",
        parts::shown(prefix)
    );
    open_live(main, "facts", "");
    facts(main, store);
    parts::blocks(main, &status.blocks);
    html!(main, "</div>\n");
    open_live(main, "requests", "");
    match &store.traffic {
        None => parts::not_counted(main),
        Some(traffic) => {
            parts::plots(main, &status.minutes);
            html!(main, "<h2>The last hour</h2>");
            parts::requests(main, &traffic.last_hour);
            html!(main, "<h2>Since the proxy was started</h2>");
            parts::requests(main, &traffic.since_start);
            operations(main, store);
        }
    }
    html!(main, "</div>\n<h2>Credentials</h2>\n");
    open_live(main, "credentials", "");
    credentials(main, store);
    html!(
        main,
        "</div>\n<h2>Keys</h2>\n<p><a href=\"/status/keys?prefix={}\">Keys of this external key store</a></p>\n\
         <h2>Recent denials</h2>\n",
        InUrl(parts::shown(prefix))
    );
    open_live(main, "denials", "");
    let all: Vec<_> = status.denials.iter().collect();
    parts::denials(main, &all, parts::Whose::OneStores);
    html!(main, "</div>\n");
    page
}

fn facts(page: &mut Html, store: &KeyStoreStatus) {
    html!(page, "<div class=\"card\"><dl class=\"facts\">");
    let state = match store.blocked {
        true => parts::badge("bad", "BLOCKED"),
        false => parts::badge("good", "serving"),
    };
    fact(page, "State", &state);
    fact(page, "Key manager", &piece!("{}", store.key_manager));
    let mut keys = piece!("{}", store.keys.join(", "));
    match store.key_patterns.saturating_sub(store.keys.len()) {
        0 => {}
        more => html!(keys, " and {} more", Count::from(more)),
    }
    fact(page, "Which keys", &keys);
    let policy = store.policy.as_deref();
    let policy = policy.unwrap_or("none: whoever KMS's own policies allow");
    fact(page, "Policy", &piece!("{}", policy));
    let quota = store.quota.as_deref().unwrap_or("none");
    fact(page, "Quota", &piece!("{}", quota));
    html!(page, "</dl></div>");
}

fn operations(page: &mut Html, store: &KeyStoreStatus) {
    if store.operations.is_empty() {
        return;
    }
    html!(page, "<h2>By operation</h2>");
    let columns = &[
        "Operation",
        "Last hour",
        "Not served",
        "50 %",
        "99 %",
        "Since the start",
    ];
    let table = Table::open(page, "Requests by operation", columns);
    for of in &store.operations {
        let hour = &of.traffic.last_hour;
        let at = |pick: fn(&crate::status::Latency) -> u64| match &hour.latency {
            None => piece!("–"),
            Some(latency) => piece!("{}", parts::micros(pick(latency))),
        };
        table.row(
            page,
            &[
                piece!("{}", of.operation),
                piece!("{}", Count(hour.total)),
                piece!("{}", Count(hour.total.saturating_sub(hour.ok))),
                at(|latency| latency.p50_us),
                at(|latency| latency.p99_us),
                piece!("{}", Count(of.traffic.since_start.total)),
            ],
        );
    }
    table.close(page);
}

fn credentials(page: &mut Html, store: &KeyStoreStatus) {
    let all = &store.credentials;
    if all.rows.is_empty() {
        html!(
            page,
            "<p class=\"empty\">None: nobody can call this external key store.</p>"
        );
        return;
    }
    let columns = &["Access key id", "Age", "Last used (UTC)", "Kept in"];
    let table = Table::open(page, "Credentials, the oldest first", columns);
    for credential in &all.rows {
        table.row(page, &row(credential));
    }
    table.close(page);
    if all.total > all.rows.len() {
        let more = all.total - all.rows.len();
        html!(
            page,
            "<p class=\"empty\">And {} more.</p>",
            Count::from(more)
        );
    }
}

fn row(credential: &CredentialStatus) -> [Html; 4] {
    let age = match (credential.age_seconds, &credential.created) {
        (Some(age), Some(created)) => {
            let mut cell = match age > ROTATE_AFTER {
                true => parts::badge("wait", &parts::days(age)),
                false => piece!("{}", parts::days(age)),
            };
            html!(cell, "<small>{}</small>", parts::time(created));
            cell
        }
        _ => piece!("<small>the file does not say</small>"),
    };
    let used = match &credential.last_used {
        None => piece!("<small>not since the start</small>"),
        Some(time) => piece!("<time>{}</time>", parts::time(time)),
    };
    let kept = credential.kept_by.as_deref().unwrap_or("a file");
    [
        piece!("<code>{}</code>", credential.access_key_id),
        age,
        used,
        piece!("{}", kept),
    ]
}
