//! An XKS proxy that a test, or a script, programs: sound by default, and wrong in exactly the way that it is told.
//!
//! It speaks TLS and HTTP/1.1 over blocking sockets, one thread per connection, and verifies signatures with the
//! verifier of `xks-api`. Its ciphertexts are toys: the keys follow from the ids. Everything ends on drop.

mod answer;
mod certificates;
mod cipher;
mod conversation;
mod request;
mod script;
mod script_file;
mod sound;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use certificates::{Authority, authority, configs, issue};
use sound::Sound;

pub use crate::defect::Defect;
pub use answer::{Answer, Call, Handshake, Incoming, Reply, Seen};
pub use script::{InvalidScript, Script};

/// The host name in the certificate of a sound proxy.
pub const HOST: &str = "xks.test";
/// Its `XksProxyUriPath`.
pub const URI_PATH: &str = "/stub/kms/xks/v1";
/// Its credential.
pub const ACCESS_KEY_ID: &str = "STUBSTUBSTUBSTUBSTUB2345";
/// Its credential's secret.
pub const SECRET_ACCESS_KEY: &str = "stubSecretStubSecretStubSecretStubSecret+/==";
/// The `XksProxyUriPath` of another store of every stub, whose credential nobody has.
pub const LOCKED_URI_PATH: &str = "/stub-locked/kms/xks/v1";
/// The path that load balancers ask with GET.
pub const LOAD_BALANCER_PATH: &str = "/ping";
/// The text of every [`Answer::Error`]'s `errorMessage`.
pub const SECRET_ERROR_MESSAGE: &str = "for the eyes of the administrator alone";

/// The proxy.
pub struct StubProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    authority: Authority,
    configs: Vec<(Handshake, Arc<ServerConfig>)>,
    sound: Sound,
    script: Script,
    state: Mutex<State>,
    /// Held by the one connection of [`Handshake::OneAtATime`].
    alone: Mutex<()>,
}

struct State {
    handshake: Handshake,
    usual: Answer,
    once: VecDeque<Answer>,
    /// How often each rule of the script, and each of its handshakes, has matched.
    matched: Vec<u64>,
    matched_handshakes: Vec<u64>,
    seen: Vec<Seen>,
    bytes: u64,
    accepted: usize,
    open: BTreeMap<usize, TcpStream>,
    listening: bool,
}

impl StubProxy {
    /// A sound proxy on a loopback port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        Self::with_script(Script::default(), listener).expect("a sound proxy")
    }

    /// A proxy that does as a script says.
    ///
    /// # Errors
    /// No certificate for the host of the script, or a credential that is none.
    pub fn with_script(script: Script, listener: TcpListener) -> io::Result<Self> {
        let authority = authority("Stub CA")?;
        let proxy = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                configs: configs(&authority, &script.host)?,
                authority,
                sound: Sound::new(&script).map_err(io::Error::other)?,
                state: Mutex::new(State {
                    handshake: Handshake::Sound,
                    usual: Answer::Sound,
                    once: VecDeque::new(),
                    matched: vec![0; script.rules.len()],
                    matched_handshakes: vec![0; script.handshakes.len()],
                    seen: Vec::new(),
                    bytes: 0,
                    accepted: 0,
                    open: BTreeMap::new(),
                    listening: true,
                }),
                alone: Mutex::new(()),
                script,
            }),
        };
        proxy.accept(listener);
        Ok(proxy)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority of its certificate.
    pub fn ca(&self) -> CertificateDer<'static> {
        self.shared.authority.der().clone()
    }

    /// The same in PEM.
    pub fn ca_pem(&self) -> String {
        self.shared.authority.pem()
    }

    /// A client certificate of its authority, with its key.
    pub fn client_certificate(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.client_certificate_of("cks.kms.us-east-1.amazonaws.com")
    }

    /// The same with another subject.
    pub fn client_certificate_of(
        &self,
        name: &str,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        issue(&self.shared.authority, name, 2019, 2050).expect("a certificate")
    }

    /// What it answers to a request that came in another way than over its own connections.
    pub fn answer(
        &self,
        request: &Incoming,
        answer: fn(&Call<'_>) -> Option<Reply>,
    ) -> Option<Reply> {
        answer(&Call {
            request,
            sound: &self.shared.sound,
        })
    }

    /// Its identity, for a server of another protocol.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let mut configs = self.shared.configs.iter();
        let sound = configs.find(|(handshake, _)| *handshake == Handshake::Sound);
        Arc::clone(&sound.expect("a sound configuration").1)
    }

    /// From now on every request is answered so.
    pub fn always(&self, answer: Answer) {
        self.shared.lock().usual = answer;
    }

    /// The next request, after those already planned, is answered so.
    pub fn next(&self, answer: Answer) {
        self.shared.lock().once.push_back(answer);
    }

    /// From now on new connections fare so.
    pub fn handshake(&self, handshake: Handshake) {
        self.shared.lock().handshake = handshake;
    }

    /// The requests that were read so far, but no more than the last [`MAX_SEEN`].
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// The bytes that came in so far, TLS included.
    pub fn bytes(&self) -> u64 {
        self.shared.lock().bytes
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Closes every connection, but goes on listening.
    pub fn cut(&self) {
        for stream in self.shared.lock().open.values() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Dies: connections are cut and new ones refused.
    pub fn kill(&self) {
        self.shared.lock().listening = false;
        self.cut();
        // Wakes the acceptor, which then closes the port.
        drop(TcpStream::connect(self.address));
        wait_for("the stub's port did not close", || {
            TcpStream::connect(self.address).is_err().then_some(())
        });
    }

    /// Comes back on the same port.
    pub fn revive(&self) {
        let listener = wait_for("the stub's old port is taken", || {
            TcpListener::bind(self.address).ok()
        });
        self.shared.lock().listening = true;
        self.accept(listener);
    }

    fn accept(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if !shared.lock().listening {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.connection(stream));
            }
        });
    }
}

impl Drop for StubProxy {
    fn drop(&mut self) {
        self.shared.lock().listening = false;
        self.cut();
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, stream: TcpStream) {
        let Ok(clone) = stream.try_clone() else {
            return;
        };
        let (number, handshake) = {
            let mut state = self.lock();
            state.accepted += 1;
            let number = state.accepted;
            state.open.insert(number, clone);
            let rules = self.script.handshakes.iter();
            let limits = rules.map(|rule| (true, rule.skip, rule.times));
            let chosen = choose(limits, &mut state.matched_handshakes);
            let chosen = chosen.and_then(|at| self.script.handshakes.get(at));
            (
                number,
                chosen.map_or(state.handshake, |rule| rule.handshake),
            )
        };
        // Whatever ends a connection ends this thread and nothing else.
        let _ = conversation::converse(self, stream, handshake);
        self.lock().open.remove(&number);
    }

    /// Takes note of a request: how it is answered, and after what delay.
    fn plan(&self, seen: &Seen) -> (Duration, Answer) {
        let mut state = self.lock();
        if state.seen.len() == MAX_SEEN {
            state.seen.remove(0);
        }
        state.seen.push(seen.clone());
        if let Some(answer) = state.once.pop_front() {
            return (Duration::ZERO, answer);
        }
        let mut segments = seen.path.rsplit('/');
        let (verb, key) = (segments.next().unwrap_or_default(), segments.next());
        let metadata = seen.body.get("requestMetadata");
        let operation = metadata.and_then(|metadata| metadata.get("kmsOperation")?.as_str());
        let matches = |rule: &script::Rule| {
            let on = rule.on.as_ref();
            on.is_none_or(|on| on.iter().any(|on| on.as_str() == verb))
                && (rule.key.is_none() || rule.key.as_deref() == key)
                && (rule.kms_operation.is_none() || rule.kms_operation.as_deref() == operation)
        };
        let rules = self.script.rules.iter();
        let limits = rules.map(|rule| (matches(rule), rule.skip, rule.times));
        match choose(limits, &mut state.matched).and_then(|at| self.script.rules.get(at)) {
            Some(rule) => (rule.delay(), rule.answer()),
            None => (Duration::ZERO, state.usual.clone()),
        }
    }
}

/// The first rule that matches and is neither to come nor used up; every rule that is looked at counts its matches.
fn choose(
    rules: impl Iterator<Item = (bool, u64, Option<u64>)>,
    counts: &mut [u64],
) -> Option<usize> {
    for ((at, (matches, skip, times)), count) in rules.enumerate().zip(counts) {
        if matches {
            *count += 1;
            if *count > skip && times.is_none_or(|times| *count - skip <= times) {
                return Some(at);
            }
        }
    }
    None
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn wait_for<T>(failure: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{failure}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Requests that are remembered.
pub const MAX_SEEN: usize = 10_000;
