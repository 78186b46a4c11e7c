//! A measurement, not a test: how soon a change of one proxy is used by two others.
//!
//! `cargo test --test backends -- --ignored --nocapture how_soon_a_change`

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use harness::wait_for;
use xks_proxy::key_manager::embedded::{Embedded, Usages};

use super::{Fleet, SOON, encrypt, id, shared};

#[test]
#[ignore = "a measurement, for a quiet machine"]
fn how_soon_a_change_is_used_by_the_whole_fleet() {
    let Some(server) = shared() else { return };
    let mut fleet = Fleet::new(server);
    // Nothing arrives by polling.
    fleet.config.poll_interval = Duration::from_secs(600);
    let (a, others) = (fleet.open("a"), [fleet.open("b"), fleet.open("c")]);
    let admin = a.administration();
    admin.create_key(&id("k"), Usages::EncryptDecrypt).unwrap();
    let (mut acknowledged, mut everywhere) = (Vec::new(), Vec::new());
    for _ in 0..CHANGES {
        let last = wait_for("the version of before", SOON, || same(&a, &others));
        let start = Instant::now();
        admin.rotate_key(&id("k")).unwrap();
        acknowledged.push(start.elapsed());
        while others.iter().any(|other| version(other) <= last) {
            assert!(start.elapsed() < SOON);
            thread::sleep(Duration::from_micros(50));
        }
        everywhere.push(start.elapsed());
    }
    tell("acknowledged", acknowledged);
    tell("used by three proxies", everywhere);
}

fn same(one: &Embedded, others: &[Embedded]) -> Option<u32> {
    let of_one = version(one);
    others
        .iter()
        .all(|other| version(other) == of_one)
        .then_some(of_one)
}

/// The version that encrypts: three bytes of the metadata.
fn version(embedded: &Embedded) -> u32 {
    encrypt(embedded, "k").map_or(0, |sealed| match *sealed.metadata.as_bytes() {
        [_, a, b, c, ..] => u32::from_be_bytes([0, a, b, c]),
        _ => 0,
    })
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let line = format!(
        "{what}: p50 {:?}, p99 {:?}, max {:?} of {}\n",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        times.len()
    );
    // Past the capture of output.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

const CHANGES: usize = 500;
