//! What policies denied last.

use xks_page::{Fields, Html, html, open_live};

use super::parts;
use crate::status::Status;

/// The content of the page.
pub(super) fn page(status: &Status, query: &Fields) -> Html {
    let mut page = Html::default();
    html!(
        page,
        "<h1>Denials</h1>\n<p>What the policies of external key stores denied last: a few of each, all 50 that are remembered on the page of one, since the proxy was \
         started. All of them are in the request log and in the audit log.</p>\n\
         <form class=\"filter\" action=\"/status/denials\" role=\"search\"><label class=\"wide\">Prefix\
         <input type=\"search\" name=\"store\" value=\"{}\" placeholder=\"/tenant-a\" autocomplete=\"off\"></label>\
         <button class=\"primary\">Find</button></form>\n",
        query.get("store").unwrap_or_default()
    );
    open_live(&mut page, "denials", "");
    let all: Vec<_> = status.denials.iter().collect();
    parts::denials(&mut page, &all, parts::Whose::asked(query));
    html!(page, "</div>\n");
    page
}
