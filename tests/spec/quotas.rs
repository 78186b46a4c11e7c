//! Quotas of external key stores, and that one of them at many times its own costs another nothing.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::https::Connection;
use harness::signer::{SignedRequest, Signer};
use xks_proxy::throttle::{QuotaConfig, Rate};

use crate::key_manager::Fault;
use crate::operations::{ENCRYPT_EXAMPLE, refused};
use crate::proxy::{HOST, ID, OTHER_ID, OTHER_PREFIX, OTHER_SECRET, PREFIX, Proxy, Setup, signed};

fn number(n: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(n)
}

fn rate(per_second: u32, burst: u32) -> QuotaConfig {
    QuotaConfig {
        rate: number(per_second)
            .zip(number(burst))
            .map(|(per_second, burst)| Rate { per_second, burst }),
        concurrency: None,
    }
}

/// The first key store has the quota, the other one has none.
fn with(quota: QuotaConfig) -> Proxy {
    let mut setup = Setup::default();
    setup.key_stores[0].quota = Some(quota);
    Proxy::start_with(setup)
}

fn of_the_other_store() -> SignedRequest {
    let path = format!("{OTHER_PREFIX}/kms/xks/v1/keys/demo/encrypt");
    Signer::new(OTHER_ID, OTHER_SECRET).post(HOST, &path, ENCRYPT_EXAMPLE)
}

#[test]
fn r07_a_quota_is_of_one_prefix_and_authentic_requests_use_it_up() {
    let mut proxy = with(rate(1, 3));
    let path = format!("{PREFIX}/kms/xks/v1/keys/demo/encrypt");
    for _ in 0..10 {
        let forged = Signer::new(ID, OTHER_SECRET).post(HOST, &path, ENCRYPT_EXAMPLE);
        refused(
            &proxy.exchange(&forged),
            401,
            "AuthenticationFailedException",
        );
    }
    let mut served = 0;
    for _ in 0..20 {
        let response = proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
        match response.status {
            200 => served += 1,
            _ => refused(&response, 429, "ThrottlingException"),
        }
        let health =
            r#"{"requestMetadata": {"kmsRequestId": "r", "kmsOperation": "KmsHealthCheck"}}"#;
        assert_eq!(proxy.post("/health", health).status, 200);
        assert_eq!(proxy.exchange(&of_the_other_store()).status, 200);
    }
    // The burst, and one more for each second that this takes.
    assert!((3..20).contains(&served), "{served}");
    // A reload that changes something else gives nothing back; another quota begins anew.
    let start = Instant::now();
    proxy.change(|setup| setup.fleet_size = 5);
    let again = (0..10).filter(|_| proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status == 200);
    assert!(again.count() <= 1 + usize::try_from(start.elapsed().as_secs()).unwrap());
    proxy.change(|setup| setup.key_stores[0].quota = Some(rate(1, 8)));
    let anew = (0..8).filter(|_| proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status == 200);
    assert_eq!(anew.count(), 8);
    proxy.change(|setup| setup.key_stores[0].quota = None);
    for _ in 0..20 {
        assert_eq!(
            proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status,
            200
        );
    }
    let lines = proxy.end_and_read_log();
    let causes = lines
        .iter()
        .filter(|l| l["errorName"] == "ThrottlingException");
    assert!(causes.clone().count() > 0);
    for line in causes {
        assert_eq!(line["cause"], "quota.requests_per_second is used up");
    }
}

#[test]
fn r07_requests_at_a_time_are_limited_while_they_last() {
    let minute = Duration::from_secs(60);
    let mut setup = Setup::default();
    setup.limits.key_manager_timeout = minute;
    setup.key_stores[0].quota = Some(QuotaConfig {
        rate: None,
        concurrency: number(2),
    });
    let proxy = Proxy::start_with(setup);
    proxy.key_manager.set(Fault::Slow(minute));
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    let mut held: Vec<_> = (0..2).map(|_| proxy.connect()).collect();
    for connection in &mut held {
        connection.send(&request.http1()).unwrap();
    }
    let mut calls = 0;
    harness::wait_for("both calls", Duration::from_secs(10), || {
        calls += proxy.key_manager.take_calls().len();
        (calls >= 2).then_some(())
    });
    for _ in 0..5 {
        refused(&proxy.exchange(&request), 429, "ThrottlingException");
    }
    proxy.key_manager.set(Fault::None);
    assert_eq!(proxy.exchange(&of_the_other_store()).status, 200);
    // A client that goes away gives its place back.
    drop(held);
    harness::wait_for("a place", Duration::from_secs(10), || {
        (proxy.exchange(&request).status == 200).then_some(())
    });
    for _ in 0..5 {
        assert_eq!(proxy.exchange(&request).status, 200);
    }
}

/// Sends the other store's request again and again; how long each took.
fn times_of_the_other(proxy: &Proxy) -> Vec<Duration> {
    let request = of_the_other_store().http1();
    let mut connection = proxy.connect();
    (0..REQUESTS)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(connection.exchange(&request).unwrap().status, 200);
            start.elapsed()
        })
        .collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn r07_a_tenant_at_ten_times_its_quota_takes_nothing_from_another() {
    let proxy = with(rate(QUOTA, QUOTA / 10));
    let alone = median(times_of_the_other(&proxy));
    let (over, served, sent) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let start = Instant::now();
    let beside = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE).http1();
                let mut connection: Connection = proxy.connect();
                let (mut number, start) = (0, Instant::now());
                while !over.load(Ordering::Relaxed) {
                    // Together ten times the quota.
                    let due = Duration::from_secs(1) * CLIENTS * number / (10 * QUOTA);
                    std::thread::sleep(due.saturating_sub(start.elapsed()));
                    number += 1;
                    let status = connection.exchange(&request).unwrap().status;
                    sent.fetch_add(1, Ordering::Relaxed);
                    match status {
                        200 => served.fetch_add(1, Ordering::Relaxed),
                        status => {
                            assert_eq!(status, 429);
                            0
                        }
                    };
                }
            });
        }
        harness::wait_for(
            "the first that is turned away",
            Duration::from_secs(20),
            || (sent.load(Ordering::Relaxed) > served.load(Ordering::Relaxed)).then_some(()),
        );
        let times = times_of_the_other(&proxy);
        over.store(true, Ordering::Relaxed);
        median(times)
    });
    let took = start.elapsed();
    let (sent, served) = (sent.into_inner(), served.into_inner());
    eprintln!(
        "quota {QUOTA}/s, {sent} requests in {took:?}: {served} served; the other one's {REQUESTS} all served, \
         median {alone:?} alone and {beside:?} beside it"
    );
    let allowed = f64::from(QUOTA) * (took.as_secs_f64() + 0.1) + 1.0;
    let served = f64::from(u32::try_from(served).unwrap());
    assert!(served <= allowed, "{served} of {allowed}");
    // It is served, too: at least half of what it may have.
    assert!(
        served >= f64::from(QUOTA) * took.as_secs_f64() / 2.0,
        "{served} of {allowed}"
    );
}

const QUOTA: u32 = 50;
const CLIENTS: u32 = 4;
const REQUESTS: usize = 3_000;
