//! How long a connection waits that comes while a proxy restarts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::LIMIT;
use super::world::{SERVICE, World};

/// Restarts the service so often, one connection after the other coming all the time; the longest that one of each
/// restart waited until a first request on it was answered, TLS and all.
pub(super) fn measure(world: &World, restarts: usize) -> Vec<Duration> {
    let systemd = world.systemd().expect("systemd");
    let config = world.client("client").config();
    let mut longest = Vec::new();
    for _ in 0..restarts {
        let (over, waits) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (config, waits) = (config.clone(), &waits);
                    scope.spawn(move || {
                        let wait = world.first_answer(config);
                        waits.lock().expect("no panic").push(wait);
                    });
                    thread::sleep(EVERY);
                }
            });
            // Whatever happens below, the connections end.
            let _over = SetAtEnd(&over);
            thread::sleep(BEFORE_AND_AFTER);
            systemd.control(&["restart", SERVICE]);
            thread::sleep(BEFORE_AND_AFTER);
        });
        let waits = waits.into_inner().expect("no panic");
        longest.push(waits.into_iter().max().expect("a connection"));
    }
    longest
}

impl World {
    /// Connects, asks, and is answered.
    fn first_answer(&self, config: super::world::ClientConfig) -> Duration {
        let start = Instant::now();
        let mut connection = self.connect_with(config).expect("a connection");
        let ping = b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answer = connection.exchange(ping).expect("an answer");
        assert_eq!(answer.status, 200);
        let wait = start.elapsed();
        assert!(wait < LIMIT);
        wait
    }
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const EVERY: Duration = Duration::from_millis(5);
const BEFORE_AND_AFTER: Duration = Duration::from_millis(200);
