//! The style sheet and the script, which are parts of the program.

use bytes::Bytes;

/// A file that pages load.
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) content_type: &'static str,
    content: &'static str,
}

impl Asset {
    /// The file at that path.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    pub(super) const fn bytes(&self) -> Bytes {
        Bytes::from_static(self.content.as_bytes())
    }
}

pub(super) const LOOK: &str = "/console/look.css";
pub(super) const SCRIPT: &str = "/console/console.js";
pub(super) const ICON: &str = "/console/icon.svg";

const ASSETS: &[Asset] = &[
    Asset {
        path: LOOK,
        content_type: "text/css; charset=utf-8",
        content: include_str!("look.css"),
    },
    Asset {
        path: SCRIPT,
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("console.js"),
    },
    Asset {
        path: ICON,
        content_type: "image/svg+xml",
        content: include_str!("icon.svg"),
    },
];
