//! The program that is attacked, and the honest client that is served meanwhile.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harness::https::Connection;
use harness::programs::DevProxy;
use harness::tls::TlsClient;
use rustix::process::Signal;
use serde_json::json;

/// `xks-proxy dev`, with deadlines that tests can wait for.
pub struct Target {
    pub proxy: DevProxy,
    _folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
    before_kib: u64,
}

/// What an attack came to.
#[derive(Debug)]
pub struct Figures {
    /// Of the honest client.
    pub served: usize,
    /// Turned away with ThrottlingException.
    pub shed: usize,
    pub failed: usize,
    pub slowest: Duration,
    /// At the worst moment, in KiB above what the idle program has.
    pub grown_kib: u64,
    /// Descriptors that were open at the worst moment.
    pub descriptors: usize,
}

impl Target {
    pub fn start(limits: &str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        harness::descriptors::raise();
        let folder = harness::temp_dir();
        let mut proxy = DevProxy::start(folder.path());
        let file = folder.path().join("xks-proxy.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        assert!(!config.contains("[limits]"), "{config}");
        std::fs::write(&file, format!("{config}\n[limits]\n{limits}\n")).unwrap();
        proxy.process().signal(Signal::HUP);
        proxy.process().wait_until("the reload", LIMIT, |process| {
            process.stderr().contains("reloaded").then_some(())
        });
        let mut target = Self {
            before_kib: 0,
            proxy,
            _folder: folder,
            _alone: alone,
        };
        // What the first requests leave behind is no attacker's doing.
        let (figures, ()) = target.under(|_| std::thread::sleep(Duration::from_millis(300)));
        assert_eq!(figures.failed, 0);
        target.before_kib = target.status("VmHWM:");
        target
    }

    /// Serves the honest client while the attack lasts, on a connection that it has and now and then on a new one.
    pub fn under<T>(&mut self, attack: impl FnOnce(&DevProxy) -> T) -> (Figures, T) {
        let (over, descriptors) = (AtomicBool::new(false), AtomicUsize::new(0));
        let folder = format!("/proc/{}/fd", self.proxy.process().id());
        let proxy = &self.proxy;
        let (told, times, shed, failed) = std::thread::scope(|scope| {
            let honest = scope.spawn(|| {
                let (mut times, mut shed, mut failed) = (Vec::new(), 0, 0);
                let mut kept = proxy.connect();
                while !over.load(Ordering::Relaxed) || times.len() < 10 {
                    let start = Instant::now();
                    let served = match times.len() % 10 {
                        9 => encrypts(proxy, &mut proxy.connect()),
                        _ => encrypts(proxy, &mut kept),
                    };
                    match served {
                        Ok(200) => times.push(start.elapsed()),
                        Ok(429) => shed += 1,
                        _ => {
                            failed += 1;
                            kept = proxy.connect();
                        }
                    }
                    let open = std::fs::read_dir(Path::new(&folder)).map_or(0, Iterator::count);
                    descriptors.fetch_max(open, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(10));
                }
                (times, shed, failed)
            });
            let told = attack(proxy);
            over.store(true, Ordering::Relaxed);
            let (times, shed, failed) = honest.join().expect("the honest client");
            (told, times, shed, failed)
        });
        assert!(self.proxy.process().exited().is_none(), "it still runs");
        let figures = Figures {
            served: times.len(),
            shed,
            failed,
            slowest: times.into_iter().max().unwrap_or_default(),
            grown_kib: self.status("VmHWM:").saturating_sub(self.before_kib),
            descriptors: descriptors.into_inner(),
        };
        (figures, told)
    }

    /// A line of the process's status, in KiB.
    fn status(&mut self, name: &str) -> u64 {
        let file = format!("/proc/{}/status", self.proxy.process().id());
        let status = std::fs::read_to_string(file).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let digits = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        digits
            .and_then(|digits| digits.trim().parse().ok())
            .expect("a number of KiB")
    }
}

impl Figures {
    /// The memory stayed within the bound, and the honest client was served.
    pub fn hold(&self, attack: &str, most_kib: u64) {
        assert!(self.shed <= 1 + self.served / 100, "{attack}: {self:?}");
        self.hold_but_for_overload(attack, most_kib);
    }

    /// The same where an attack takes all processors for a moment, as mere requests of strangers do, too: then a share of
    /// requests is turned away, and not one of them is lost.
    pub fn hold_but_for_overload(&self, attack: &str, most_kib: u64) {
        eprintln!("{attack}: {self:?}");
        assert_eq!(self.failed, 0, "{attack}: {self:?}");
        assert!(self.served >= 10, "{attack}: {self:?}");
        assert!(self.grown_kib < most_kib, "{attack}: {self:?}");
        assert!(self.slowest < Duration::from_secs(5), "{attack}: {self:?}");
    }
}

/// The status of one request of the honest client.
fn encrypts(proxy: &DevProxy, connection: &mut Connection) -> std::io::Result<u16> {
    let body = json!({
        "requestMetadata": {
            "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
            "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "kmsOperation": "Encrypt",
            "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        },
        "plaintext": "SGVsbG8gV29ybGQh",
        "encryptionAlgorithm": "AES_GCM",
    });
    let path = format!("{}/keys/demo/encrypt", proxy.env.uri_path);
    let request = proxy.env.signer.post("localhost", &path, body.to_string());
    Ok(connection.exchange(&request.http1())?.status)
}

/// A connection over which raw frames of HTTP/2 go, after the preface and empty settings.
pub fn http2(proxy: &DevProxy) -> Connection {
    let config = TlsClient::trusting(&proxy.env.ca_file)
        .alpn(&["h2"])
        .config();
    let mut connection =
        Connection::tls(proxy.env.address, "localhost", config).expect("a connection");
    connection
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("the preface");
    connection
        .send(&frame(SETTINGS, 0, 0, &[]))
        .expect("settings");
    connection
}

/// A frame as RFC 9113 lays it out.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len())
        .expect("a length")
        .to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// For one thing to happen.
pub const LIMIT: Duration = Duration::from_secs(30);
