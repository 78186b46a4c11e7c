//! The key manager fails over: the database with the keyring is killed, and its standby takes over.

use std::time::Duration;

use harness::postgres::Postgres;
use harness::wait_for;

use super::window::Window;
use super::world::{KEY, World};
use super::{LIMIT, Options};

pub(super) const NAME: &str = "key manager: the database is killed, its standby takes over";

/// Kills the primary under load and promotes the standby; the end of it is a change that the standby takes.
pub(super) fn window(options: &Options, primary: &Postgres, standby: &Postgres) -> Window {
    eprintln!("rotating: {NAME}");
    let world = World::in_a_database(options, primary, standby);
    let mut is_over = false;
    let length = options.window + Duration::from_secs(TAKES);
    Window::around(&world, options, length, || {
        if !std::mem::replace(&mut is_over, true) {
            primary.wait_until_followed_by(standby);
            primary.kill();
            standby.promote();
        }
        wait_for("a change", LIMIT, || {
            world.try_proxy(&["key", "rotate", KEY]).ok()
        });
    })
}

const TAKES: u64 = 4;
