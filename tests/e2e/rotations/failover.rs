//! The key manager fails over: the database with the keyring is killed, and its standby takes over; the leader of a Transit
//! cluster is killed, and another one is elected.

use std::sync::Arc;
use std::time::Duration;

use harness::openbao::{OpenBao, Tenant};
use harness::postgres::Postgres;
use harness::wait_for;
use rustix::process::Signal;

use super::window::Window;
use super::world::{KEY, World};
use super::{LIMIT, Options};

pub(super) const DATABASE: &str = "key manager: the database is killed, its standby takes over";
pub(super) const TRANSIT: &str =
    "key manager: the leader of three OpenBao servers is killed; a quarter of the rate";

/// Kills the primary under load and promotes the standby; the end of it is a change that the standby takes.
pub(super) fn of_database(options: &Options, primary: &Postgres, standby: &Postgres) -> Window {
    eprintln!("rotating: {DATABASE}");
    let world = World::in_a_database(options, primary, standby);
    let mut is_over = false;
    let length = options.window + Duration::from_secs(2);
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

/// Kills the leader under load; the end of it is another leader.
pub(super) fn of_transit(options: &Options, nodes: Vec<OpenBao>) -> Window {
    eprintln!("rotating: {TRANSIT}");
    // Every request is one or two of OpenBao's, whose servers share this machine with everything else.
    let options = &Options {
        rate: (options.rate / 4).max(1),
        ..options.clone()
    };
    let nodes: Vec<_> = nodes.into_iter().map(Arc::new).collect();
    let tenant = Tenant::root_of(Arc::clone(&nodes[0]));
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let world = World::in_transit(options, &tenant, &addresses);
    let leader = wait_for("a leader", LIMIT, || {
        nodes.iter().position(|node| node.is_active())
    });
    let length = options.window + Duration::from_secs(5);
    Window::around(&world, options, length, || {
        nodes[leader].signal(Signal::KILL);
        let others = || {
            nodes
                .iter()
                .enumerate()
                .filter(|(number, _)| *number != leader)
        };
        wait_for("another leader", LIMIT, || {
            others().any(|(_, node)| node.is_active()).then_some(())
        });
    })
}
