//! The status page and what is behind it: rendered here, with one small script that keeps it up to date.

mod denials;
mod keys;
mod overview;
mod parts;
mod store;

use xks_page::{Asset, Fields, Html, Site, piece};

use super::{Status, Wanted};

/// What is at a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Page {
    /// How everything does.
    Overview,
    /// One external key store.
    Store,
    /// Keys, a part of the list at a time.
    Keys,
    /// What policies denied last.
    Denials,
}

/// What all pages of a process have in common.
pub(crate) struct Pages<'p> {
    /// Another text for each process.
    pub(crate) process: &'p str,
    /// Who looks.
    pub(crate) admin: &'p str,
}

impl Page {
    /// The page at that path.
    pub(crate) fn find(path: &str) -> Option<Self> {
        let all = [Self::Overview, Self::Store, Self::Keys, Self::Denials];
        all.into_iter().find(|page| page.path() == path)
    }

    /// The file at that path, which pages load.
    pub(crate) fn asset(path: &str) -> Option<Asset> {
        let [look, script, icon] = ASSETS;
        match path {
            _ if path == look => Some(Asset::LOOK),
            _ if path == script => Some(Asset::SCRIPT),
            _ if path == icon => Some(Asset::icon(include_str!("icon.svg"))),
            _ => None,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/status",
            Self::Store => "/status/store",
            Self::Keys => "/status/keys",
            Self::Denials => "/status/denials",
        }
    }
}

impl Pages<'_> {
    /// The whole page; `None` where there is no such external key store.
    pub(crate) fn render(&self, page: Page, status: &Status, query: &Fields) -> Option<String> {
        let (title, main) = match page {
            Page::Overview => ("Status".to_owned(), overview::page(status, query)),
            Page::Store => {
                let store = status.only_store()?;
                let title = parts::shown(&store.uri_path_prefix).to_owned();
                (title, store::page(status, store))
            }
            Page::Keys => ("Keys".to_owned(), keys::page(status, query)),
            Page::Denials => ("Denials".to_owned(), denials::page(status, query)),
        };
        Some(self.document(&title, page.path(), &main))
    }

    /// The page of an error.
    pub(crate) fn refusal(&self, text: &str) -> String {
        let main = piece!(
            "<h1>That cannot be shown</h1>\n<p class=\"problem bad\" role=\"alert\">{}</p>\n\
             <p><a class=\"button\" href=\"/status\">Status</a></p>\n",
            text
        );
        self.document("That cannot be shown", "", &main)
    }

    fn document(&self, title: &str, place: &str, main: &Html) -> String {
        let site = Site {
            name: "xks-proxy",
            process: self.process,
            navigation: "Status",
            places: &PLACES,
            assets: ASSETS,
            every_ms: 5_000,
        };
        let footer = piece!(
            "xks-proxy {}, read-only, for {}. The same by command: <code>xks-proxy status</code>; \
             <a href=\"/status.json\">as JSON</a>.",
            env!("CARGO_PKG_VERSION"),
            self.admin
        );
        site.document(title, place, main, &footer)
    }
}

impl Wanted {
    /// As the query of a page says.
    pub(crate) fn asked(query: &Fields) -> Result<Self, UnknownParameter> {
        if let Some(unknown) = query.names().find(|name| !PARAMETERS.contains(name)) {
            return Err(UnknownParameter(unknown.chars().take(SHOWN).collect()));
        }
        let text = |name| query.get(name).map(str::to_owned);
        Ok(Self {
            prefix: text("prefix"),
            store: text("store"),
            key: text("key"),
            after_store: text("after_store"),
            after_key: text("after_key"),
        })
    }
}

/// A query asks for something that there is not: everything would be told as if it were what was asked for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("There is no parameter {0}: there are prefix, store, key, after_store and after_key.")]
pub(crate) struct UnknownParameter(String);

const PARAMETERS: [&str; 5] = ["prefix", "store", "key", "after_store", "after_key"];
/// Characters of a name that are repeated.
const SHOWN: usize = 60;

const PLACES: [(&str, &str); 3] = [
    (Page::Overview.path(), "Overview"),
    (Page::Keys.path(), "Keys"),
    (Page::Denials.path(), "Denials"),
];
const ASSETS: [&str; 3] = ["/status/look.css", "/status/live.js", "/status/icon.svg"];
