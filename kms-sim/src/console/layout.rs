//! The frame of every page: title, navigation, what was just done, and the parts that stay up to date.

use super::Console;
use super::assets::{ICON, LOOK, SCRIPT};
use super::html::{Html, html};

/// The places that the navigation leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Overview,
    Keys,
    Events,
    Switchboard,
    Disconnect,
    /// None of them.
    Elsewhere,
}

impl Place {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Overview, "/console/", "Stores"),
        (Self::Keys, "/console/keys", "Keys"),
        (Self::Events, "/console/events", "Events"),
        (Self::Switchboard, "/console/switchboard", "Switchboard"),
        (
            Self::Disconnect,
            "/console/disconnect",
            "What a disconnect breaks",
        ),
    ];
}

/// A page of the console.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) place: Place,
    pub(super) main: Html,
}

impl Page {
    pub(super) fn new(title: impl Into<String>, place: Place) -> Self {
        Self {
            title: title.into(),
            place,
            main: Html::default(),
        }
    }

    /// The whole document; `done` is what was just done, by its word.
    pub(super) fn render(&self, console: &Console, done: Option<&str>) -> String {
        let mut page = Html::default();
        html!(
            page,
            "<!doctype html>\n<html lang=\"en\" data-process=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} · kms-sim</title>\n",
            console.token.process(),
            self.title
        );
        html!(
            page,
            "<link rel=\"icon\" href=\"{}\">\n<link rel=\"stylesheet\" href=\"{}\">\n\
             <script src=\"{}\" defer></script>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the content</a>\n",
            ICON,
            LOOK,
            SCRIPT
        );
        self.header(&mut page);
        html!(page, "<main id=\"main\" tabindex=\"-1\">\n");
        if let Some(text) = done.and_then(told) {
            html!(
                page,
                "<p class=\"notice good\" role=\"status\">{}</p>\n",
                text
            );
        }
        page.push(&self.main);
        html!(
            page,
            "</main>\n<footer><p>kms-sim {} simulates AWS KMS for tests. Nothing here is a secret of AWS. \
             The same by command: <code>kms-sim ctl --help</code></p></footer>\n\
             <p id=\"announcer\" class=\"unseen\" aria-live=\"polite\"></p>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        );
        page.into_string()
    }

    fn header(&self, page: &mut Html) {
        html!(
            page,
            "<header class=\"top\"><a class=\"brand\" href=\"/console/\"><img src=\"{}\" alt=\"\" width=\"26\" \
             height=\"26\"> kms-sim</a>\n<nav aria-label=\"Console\"><ul>",
            ICON
        );
        for (place, path, name) in Place::ALL {
            match place == self.place {
                true => html!(
                    page,
                    "<li><a href=\"{}\" aria-current=\"page\">{}</a></li>",
                    path,
                    name
                ),
                false => html!(page, "<li><a href=\"{}\">{}</a></li>", path, name),
            }
        }
        // The script fills it; without one nothing is live.
        html!(page, "</ul></nav><div id=\"live\"></div></header>\n");
    }
}

/// What a word in the address means: only these texts can be shown by a link.
fn told(word: &str) -> Option<&'static str> {
    let found = DONE.iter().find(|(known, _)| *known == word);
    found.map(|(_, text)| *text)
}

const DONE: &[(&str, &str)] = &[
    ("connect", "KMS connects the store."),
    ("disconnect", "KMS disconnects the store."),
    ("fault", "The link has the fault from its next request on."),
    ("mended", "The link is mended."),
    ("transition", "The transitions are set."),
    ("quota", "The quota is set."),
    ("lag", "The lag is set."),
    ("clock", "The simulator's clock is set."),
    ("cluster", "The cluster is changed."),
    ("service", "The VPC endpoint service is changed."),
    ("reset", "Everything is forgotten, as if just started."),
];

/// Opens a part of a page that the script keeps up to date.
pub(super) fn open_live(page: &mut Html, id: &str, class: &'static str) {
    html!(page, "<div data-live id=\"{}\" class=\"{}\">", id, class);
}

/// A table whose cells name their column where there is no room for columns.
pub(super) struct Table {
    columns: &'static [&'static str],
}

impl Table {
    /// Opens one; `caption` is for those who do not see it.
    pub(super) fn open(page: &mut Html, caption: &str, columns: &'static [&'static str]) -> Self {
        html!(
            page,
            "<table role=\"table\"><caption class=\"unseen\">{}</caption><thead role=\"rowgroup\"><tr role=\"row\">",
            caption
        );
        for column in columns {
            html!(
                page,
                "<th role=\"columnheader\" scope=\"col\">{}</th>",
                column
            );
        }
        html!(page, "</tr></thead><tbody role=\"rowgroup\">");
        Self { columns }
    }

    /// A row; one piece for each column.
    pub(super) fn row(&self, page: &mut Html, cells: &[Html]) {
        html!(page, "<tr role=\"row\">");
        for (column, cell) in self.columns.iter().zip(cells) {
            html!(page, "<td role=\"cell\" data-label=\"{}\"><div>", column);
            page.push(cell);
            html!(page, "</div></td>");
        }
        html!(page, "</tr>");
    }

    pub(super) fn close(self, page: &mut Html) {
        html!(page, "</tbody></table>");
    }
}

/// A piece that is one template.
macro_rules! piece {
    ($template:literal $(, $value:expr)* $(,)?) => {{
        let mut piece = $crate::console::html::Html::default();
        $crate::console::html::html!(piece, $template $(, $value)*);
        piece
    }};
}
pub(super) use piece;

/// A name and what it is, in a list of such.
pub(super) fn fact(page: &mut Html, name: &str, value: &Html) {
    html!(page, "<div><dt>{}</dt><dd>", name);
    page.push(value);
    html!(page, "</dd></div>");
}
