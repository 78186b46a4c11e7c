//! Keys and their versions, a part of the list at a time, found by id.

use xks_api::message::{KeyStatus as Enabled, KeyUsage};
use xks_page::{Count, Fields, Html, InUrl, Table, counted, html, open_live, piece};

use super::parts;
use crate::key_manager::embedded::{KeyInfo, VersionState};
use crate::status::{KeyStatus, Status};

/// The content of the page.
pub(super) fn page(status: &Status, query: &Fields) -> Html {
    let mut page = Html::default();
    let main = &mut page;
    html!(main, "<h1>Keys</h1>\n");
    filter(main, query);
    open_live(main, "keys", "");
    html!(
        main,
        "<p class=\"numbers\">{} in all. An HSM and Transit alone know theirs: of these, the ones that the \
         configuration names are here.</p>",
        counted(status.keys.total, "key", "keys")
    );
    match status.keys.rows.is_empty() {
        true => html!(main, "<p class=\"empty\">No key is like this.</p>"),
        false => list(main, &status.keys.rows),
    }
    pages(main, status, query);
    html!(main, "</div>\n");
    page
}

fn filter(page: &mut Html, query: &Fields) {
    html!(
        page,
        "<form class=\"filter\" action=\"/status/keys\" role=\"search\"><label class=\"wide\">Key id\
         <input type=\"search\" name=\"key\" value=\"{}\" placeholder=\"payroll\" autocomplete=\"off\"></label>\
         <label>Prefix of its external key store<input type=\"search\" name=\"prefix\" value=\"{}\" \
         placeholder=\"/tenant-a\" autocomplete=\"off\"></label><button class=\"primary\">Find</button></form>\n",
        query.get("key").unwrap_or_default(),
        query.get("prefix").unwrap_or_default()
    );
}

fn list(page: &mut Html, keys: &[KeyStatus]) {
    let columns = &["Key", "State", "Usage", "Versions", "External key stores"];
    let table = Table::open(page, "Keys, in the order of their ids", columns);
    for key in keys {
        let mut stores = Html::default();
        for prefix in &key.uri_path_prefixes {
            stores.push(&parts::store_link(&key.id, prefix));
            html!(stores, " ");
        }
        if key.uri_path_prefixes.is_empty() {
            html!(stores, "<small>none: KMS cannot use it</small>");
        }
        let (usage, versions) = match &key.known {
            None => {
                let unknown = || piece!("<small>{} alone knows</small>", key.key_manager);
                (unknown(), unknown())
            }
            Some(known) => (usage(known), versions(key, known)),
        };
        table.row(
            page,
            &[
                piece!("<b>{}</b><small>{}</small>", key.id, key.key_manager),
                state(key),
                usage,
                versions,
                stores,
            ],
        );
    }
    table.close(page);
}

fn state(key: &KeyStatus) -> Html {
    let status = key.known.as_ref().map(|known| known.status);
    let mut cell = match (key.blocked, status) {
        (true, _) => parts::badge("bad", "BLOCKED"),
        (false, Some(Enabled::Enabled)) => parts::badge("good", "ENABLED"),
        (false, Some(Enabled::Disabled)) => parts::badge("off", "DISABLED"),
        (false, None) => parts::badge("off", "not blocked"),
    };
    let blocks = key.known.iter().flat_map(|known| &known.blocks);
    for block in blocks.filter(|_| key.blocked).take(BLOCKS) {
        html!(
            cell,
            "<small>{} by {} since {}: {}</small>",
            block.target,
            block.by,
            parts::time(&block.since),
            block.reason
        );
    }
    cell
}

fn usage(known: &KeyInfo) -> Html {
    let words = known.usage.iter().map(|usage| match usage {
        KeyUsage::Encrypt => "encrypt",
        KeyUsage::Decrypt => "decrypt",
        KeyUsage::Other(word) => word,
    });
    match words.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => piece!("none"),
        words => piece!("{}", words),
    }
}

/// The current one, and the others on demand.
fn versions(key: &KeyStatus, known: &KeyInfo) -> Html {
    let mut cell = piece!(
        "<details id=\"versions-{}-{}\"><summary id=\"version-{}-{}\">version {}</summary><ul class=\"parts\">",
        key.key_manager,
        key.id,
        key.key_manager,
        key.id,
        known.current_version
    );
    for version in known.versions.iter().rev() {
        let state = match version.state {
            _ if version.version == known.current_version => "encrypts and decrypts",
            VersionState::Usable => "decrypts",
            VersionState::Retired => "retired",
        };
        html!(
            cell,
            "<li>{}: {}<small>since {}</small></li>",
            version.version,
            state,
            parts::time(&version.created)
        );
    }
    let told = u32::try_from(known.versions.len()).unwrap_or(u32::MAX);
    match known.current_version.saturating_sub(told) {
        0 => {}
        older => html!(cell, "<li>and {} older</li>", Count(older.into())),
    }
    html!(cell, "</ul></details>");
    let newest = known.versions.last();
    if let Some(newest) = newest {
        html!(
            cell,
            "<small>since {}</small>",
            parts::time(&newest.created)
        );
    }
    cell
}

fn pages(page: &mut Html, status: &Status, query: &Fields) {
    let mut filter = String::new();
    for name in ["key", "prefix"] {
        if let Some(value) = query.get(name) {
            filter.push_str(&format!("{name}={}&", InUrl(value)));
        }
    }
    html!(page, "<nav class=\"pages\" aria-label=\"Pages\">");
    if query.get("after_key").is_some() {
        html!(
            page,
            "<a class=\"button\" id=\"first\" href=\"/status/keys?{}\">First page</a>",
            filter
        );
    }
    if let Some(next) = &status.keys.next {
        html!(
            page,
            "<a class=\"button\" id=\"next\" rel=\"next\" href=\"/status/keys?{}after_key={}\">Next page</a>",
            filter,
            InUrl(next)
        );
    }
    html!(page, "</nav>");
}

/// Blocks that are told of for one key.
const BLOCKS: usize = 3;
