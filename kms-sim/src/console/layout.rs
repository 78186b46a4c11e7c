//! What every page of the console has: its place in the navigation, and what was just done.

use xks_page::{Html, Site, html, piece};

use super::Console;
use super::assets::{ICON, LOOK, SCRIPT};

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
    const NAMES: [(&'static str, &'static str); 5] = [
        (Self::Overview.path(), "Stores"),
        (Self::Keys.path(), "Keys"),
        (Self::Events.path(), "Events"),
        (Self::Switchboard.path(), "Switchboard"),
        (Self::Disconnect.path(), "What a disconnect breaks"),
    ];

    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/console/",
            Self::Keys => "/console/keys",
            Self::Events => "/console/events",
            Self::Switchboard => "/console/switchboard",
            Self::Disconnect => "/console/disconnect",
            Self::Elsewhere => "",
        }
    }
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
        let site = Site {
            name: "kms-sim",
            process: &console.token.process(),
            navigation: "Console",
            places: &Place::NAMES,
            assets: [LOOK, SCRIPT, ICON],
            every_ms: 1_000,
        };
        let mut main = Html::default();
        if let Some(text) = done.and_then(told) {
            html!(
                main,
                "<p class=\"notice good\" role=\"status\">{}</p>\n",
                text
            );
        }
        main.push(&self.main);
        let footer = piece!(
            "kms-sim {} simulates AWS KMS for tests. Nothing here is a secret of AWS. The same by command: \
             <code>kms-sim ctl --help</code>",
            env!("CARGO_PKG_VERSION")
        );
        site.document(&self.title, self.place.path(), &main, &footer)
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
