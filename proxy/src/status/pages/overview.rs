//! The first page: how everything does.

use xks_page::{Count, Fields, Html, InUrl, Table, counted, figure, html, open_live, piece};

use super::parts;
use crate::status::{
    CertificateStatus, InstanceStatus, KeyManagerStatus, KeyStoreStatus, ROTATE_AFTER, Requests,
    Status,
};

/// The content of the page.
pub(super) fn page(status: &Status, query: &Fields) -> Html {
    let mut page = Html::default();
    let main = &mut page;
    html!(main, "<h1>Status of the proxy</h1>\n");
    open_live(main, "summary", "");
    summary(main, status);
    parts::problems(main, status);
    parts::blocks(main, &status.blocks);
    html!(main, "</div>\n");
    open_live(main, "plots", "");
    match &status.traffic {
        Some(_) => parts::plots(main, &status.minutes),
        None => parts::not_counted(main),
    }
    html!(main, "</div>\n<h2>Key managers</h2>\n");
    open_live(main, "key-managers", "");
    key_managers(main, status);
    html!(main, "</div>\n<h2>External key stores</h2>\n");
    filter(main, query);
    open_live(main, "key-stores", "");
    key_stores(main, status, query);
    unrouted(main, status);
    html!(main, "</div>\n<h2>Certificates</h2>\n");
    open_live(main, "certificates", "");
    certificates(main, &status.certificates);
    html!(main, "</div>\n<h2>Recent denials</h2>\n");
    open_live(main, "denials", "");
    let last = status.last_denials(LAST);
    parts::denials(main, &last, parts::Whose::asked(query));
    if status.denials.len() > LAST {
        html!(
            main,
            "<p><a id=\"more\" href=\"/status/denials\">More of them</a></p>"
        );
    }
    html!(main, "</div>\n");
    page
}

fn summary(page: &mut Html, status: &Status) {
    html!(page, "<ul class=\"figures\">");
    let managers = &status.key_managers;
    let active = managers.iter().filter(|m| m.state == "ACTIVE").count();
    let number = format!("{active} of {}", managers.len());
    let class = if active < managers.len() { "warn" } else { "" };
    figure(page, number, "key managers ACTIVE", class);
    let stores = Count::from(status.key_stores.total);
    figure(page, stores, "external key stores", "");
    figure(page, Count::from(status.keys.total), "keys", "");
    if let Some(traffic) = &status.traffic {
        parts::traffic_figures(page, status, traffic);
    }
    if let Some(uptime) = status.uptime_seconds {
        figure(page, parts::days(uptime), "since its start", "");
    }
    if let Some(audit) = &status.audit {
        let class = if audit.failing { "bad" } else { "" };
        figure(page, Count(audit.sequence), "lines in the audit log", class);
    }
    html!(
        page,
        "</ul><p class=\"numbers\">As of <time>{}</time> UTC.</p>\n",
        parts::time(&status.now)
    );
}

fn key_managers(page: &mut Html, status: &Status) {
    let columns = &["Name", "State", "Circuit", "Calls", "Instances", "Keys"];
    let table = Table::open(page, "Key managers, by their name", columns);
    for manager in &status.key_managers {
        let KeyManagerStatus {
            name, kind, vendor, ..
        } = manager;
        let (circuit, calls) = match &manager.circuit {
            None => (piece!("<small>needs none</small>"), piece!("at once")),
            Some(circuit) => {
                let state = match circuit.open {
                    true => parts::badge("bad", "open: left alone"),
                    false => parts::badge("good", "closed"),
                };
                let calls = piece!(
                    "{} running<small>{} waiting</small>",
                    circuit.running,
                    circuit.waiting
                );
                (state, calls)
            }
        };
        let keys = match manager.keys {
            None => piece!("<small>it alone knows</small>"),
            Some(keys) => piece!("{}", Count::from(keys)),
        };
        table.row(
            page,
            &[
                piece!("<b>{}</b><small>{}, {}</small>", name, kind, vendor),
                parts::state(name, name, &manager.state),
                circuit,
                calls,
                instances(&manager.instances),
                keys,
            ],
        );
    }
    table.close(page);
}

fn instances(all: &[InstanceStatus]) -> Html {
    let mut cell = Html::default();
    for instance in all {
        html!(
            cell,
            "<span>{}</span><small>{}, {}</small>",
            instance.id,
            instance.model,
            instance.state
        );
    }
    cell
}

fn filter(page: &mut Html, query: &Fields) {
    html!(
        page,
        "<form class=\"filter\" action=\"/status\" role=\"search\"><label class=\"wide\">Prefix\
         <input type=\"search\" name=\"store\" value=\"{}\" placeholder=\"/tenant-a\" autocomplete=\"off\"></label>\
         <button class=\"primary\">Find</button></form>\n",
        query.get("store").unwrap_or_default()
    );
}

fn key_stores(page: &mut Html, status: &Status, query: &Fields) {
    if status.key_stores.rows.is_empty() {
        html!(page, "<p class=\"empty\">No prefix is like this.</p>");
        return;
    }
    let columns = &[
        "Prefix",
        "Requests, last hour",
        "Not served",
        "Latency",
        "Key manager",
        "Credentials",
    ];
    let caption = "External key stores, by their prefix";
    let table = Table::open(page, caption, columns);
    for store in &status.key_stores.rows {
        table.row(page, &row(store));
    }
    table.close(page);
    html!(page, "<nav class=\"pages\" aria-label=\"Pages\">");
    let filter = query.get("store").unwrap_or_default();
    let filter = match filter {
        "" => String::new(),
        text => format!("store={}&", InUrl(text)),
    };
    if query.get("after_store").is_some() {
        html!(
            page,
            "<a class=\"button\" id=\"first\" href=\"/status?{}\">First page</a>",
            filter
        );
    }
    if let Some(next) = &status.key_stores.next {
        html!(
            page,
            "<a class=\"button\" id=\"next\" rel=\"next\" href=\"/status?{}after_store={}\">Next page</a>",
            filter,
            InUrl(next)
        );
    }
    html!(page, "</nav>");
}

fn unrouted(page: &mut Html, status: &Status) {
    for error in &status.unrouted {
        html!(
            page,
            "<p class=\"empty\">{} under no prefix that there is: {}</p>",
            Count(error.count),
            error.error_name
        );
    }
}

fn row(store: &KeyStoreStatus) -> [Html; 6] {
    let mut prefix = parts::store_link("store", &store.uri_path_prefix);
    if store.blocked {
        html!(prefix, " ");
        prefix.push(&parts::badge("bad", "BLOCKED"));
    }
    let hour = store.traffic.as_ref().map(|traffic| &traffic.last_hour);
    let [total, errors, latency] = hour.map_or_else(|| [(); 3].map(|()| piece!("–")), counts);
    let mut credentials = piece!(
        "{}",
        counted(store.credentials.total, "credential", "credentials")
    );
    let oldest = store.credentials.rows.first().and_then(|c| c.age_seconds);
    if let Some(oldest) = oldest {
        let age = parts::days(oldest);
        html!(credentials, "<small>the oldest: {}</small>", age);
        if oldest > ROTATE_AFTER {
            credentials.push(&parts::badge("wait", "rotate"));
        }
    }
    let manager = piece!("{}", store.key_manager);
    [prefix, total, errors, latency, manager, credentials]
}

/// How many requests, how many of them failed and why, and how long they took.
fn counts(hour: &Requests) -> [Html; 3] {
    let errors = match hour.total.saturating_sub(hour.ok) {
        0 => piece!("0"),
        errors => {
            let mut cell = piece!("{}", Count(errors));
            for error in hour.errors.iter().take(3) {
                html!(
                    cell,
                    "<small>{} {}</small>",
                    Count(error.count),
                    error.error_name
                );
            }
            cell
        }
    };
    let latency = match hour.latency {
        None => piece!("–"),
        Some(latency) => piece!(
            "{}<small>99 %: {}</small>",
            parts::micros(latency.p50_us),
            parts::micros(latency.p99_us)
        ),
    };
    [piece!("{}", Count(hour.total)), errors, latency]
}

fn certificates(page: &mut Html, certificates: &[CertificateStatus]) {
    let columns = &["For", "Subject", "Expires (UTC)", "Left"];
    let table = Table::open(page, "Certificates", columns);
    for certificate in certificates {
        let left = match u64::try_from(certificate.seconds_left) {
            Err(_) => parts::badge("bad", "expired"),
            Ok(left) if left < certificate.renew_within() => {
                parts::badge("wait", &parts::days(left))
            }
            Ok(left) => parts::badge("good", &parts::days(left)),
        };
        table.row(
            page,
            &[
                piece!("{}", certificate.of),
                piece!("<code>{}</code>", certificate.subject),
                piece!("<time>{}</time>", parts::time(&certificate.not_after)),
                left,
            ],
        );
    }
    table.close(page);
}

/// Denials on this page.
const LAST: usize = 5;
