//! Where the style sheet, the script and the icon are, which are parts of the program.

use xks_page::Asset;

/// The file at that path.
pub(super) fn find(path: &str) -> Option<Asset> {
    match path {
        LOOK => Some(Asset::LOOK),
        SCRIPT => Some(Asset::SCRIPT),
        ICON => Some(Asset::icon(include_str!("icon.svg"))),
        _ => None,
    }
}

pub(super) const LOOK: &str = "/console/look.css";
pub(super) const SCRIPT: &str = "/console/live.js";
pub(super) const ICON: &str = "/console/icon.svg";
