//! States as people see them at a glance: a word, a shape and a colour, none of which says more than the others.

use xks_page::{Html, html};

use crate::connection::ConnectionState;
use crate::key_state::KeyState;

/// The ConnectionState of a store; `name` is for those who hear that it has changed.
pub(super) fn connection(page: &mut Html, id: &str, name: &str, state: ConnectionState) {
    let class = match state {
        ConnectionState::Connected => "good",
        ConnectionState::Connecting | ConnectionState::Disconnecting => "busy",
        ConnectionState::Failed => "bad",
        ConnectionState::Disconnected => "off",
    };
    html!(
        page,
        "<span class=\"badge {}\" id=\"state-{}\" data-announce=\"{} is {}\">{}</span>",
        class,
        id,
        name,
        state,
        state
    );
}

/// The KeyState of a key.
pub(super) fn key(page: &mut Html, state: KeyState) {
    let class = match state {
        KeyState::Enabled => "good",
        KeyState::Disabled => "off",
        KeyState::Creating | KeyState::Updating => "busy",
        KeyState::PendingDeletion | KeyState::PendingReplicaDeletion | KeyState::PendingImport => {
            "wait"
        }
        KeyState::Unavailable => "bad",
    };
    html!(
        page,
        "<span class=\"badge {}\">{}</span>",
        class,
        state.name()
    );
}
