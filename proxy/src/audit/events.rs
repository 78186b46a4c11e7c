//! Lines that are no requests: what administrators did, and what became of the log itself.

use std::time::SystemTime;

use crate::request_log::{push_name, push_text, push_time};

/// What an administrator, or the proxy on its own, does to keys, credentials, configuration or approvals.
#[derive(Clone, Copy, Debug)]
pub struct AdminEvent<'a> {
    /// Who: `uid 1000`, the name of an administrator, or `the proxy` itself.
    pub admin: &'a str,
    /// What: `create-key`, `reload`.
    pub command: &'a str,
    /// Of what: a key, a prefix, an access key id; may be empty.
    pub of: &'a str,
    /// How far it has come.
    pub phase: Phase,
    /// Further members, in camel case: `("reason", …)`. None may be secret.
    pub details: &'a [(&'a str, &'a str)],
}

/// How far something has come that an administrator does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It is about to be tried.
    Requested,
    /// It was done.
    Done,
    /// It was not done.
    Refused,
}

impl<'a> AdminEvent<'a> {
    /// Something that is about to be tried.
    pub const fn requested(admin: &'a str, command: &'a str, of: &'a str) -> Self {
        Self {
            admin,
            command,
            of,
            phase: Phase::Requested,
            details: &[],
        }
    }

    /// The same in another phase.
    pub(super) const fn with<'b>(
        &self,
        phase: Phase,
        details: &'b [(&'b str, &'b str)],
    ) -> AdminEvent<'b>
    where
        'a: 'b,
    {
        AdminEvent {
            phase,
            details,
            ..*self
        }
    }

    pub(super) fn line(&self, now: SystemTime) -> Vec<u8> {
        let phase = match self.phase {
            Phase::Requested => "requested",
            Phase::Done => "done",
            Phase::Refused => "refused",
        };
        let mut event = Event::at("admin", now)
            .text("admin", self.admin)
            .text("command", self.command);
        if !self.of.is_empty() {
            event = event.text("of", self.of);
        }
        event = event.text("phase", phase);
        for (name, value) in self.details {
            event = event.text(name, value);
        }
        event.finish()
    }
}

/// A line with `time` and `event`.
pub(super) struct Event(String);

impl Event {
    pub(super) fn new(name: &str) -> Self {
        Self::at(name, SystemTime::now())
    }

    fn at(name: &str, now: SystemTime) -> Self {
        let mut line = String::from("{\"time\":\"");
        push_time(&mut line, now);
        line.push('"');
        Self(line).text("event", name)
    }

    pub(super) fn text(mut self, name: &str, value: &str) -> Self {
        push_name(&mut self.0, name);
        push_text(&mut self.0, value);
        self
    }

    pub(super) fn number(mut self, name: &str, value: u64) -> Self {
        push_name(&mut self.0, name);
        self.0.push_str(&value.to_string());
        self
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.push_str("}\n");
        self.0.into_bytes()
    }
}

pub(super) fn time(at: SystemTime) -> String {
    let mut text = String::new();
    push_time(&mut text, at);
    text
}
