//! An XKS proxy that a test programs: sound by default, and wrong in exactly the way that a test asks for.
//!
//! It speaks TLS and HTTP/1.1 over blocking sockets, one thread per connection, and verifies signatures with the
//! verifier of `xks-api`. Its cipher, its CDIV and its framing are written here once more, so that a mistake in
//! `xks-api` does not hide behind the same mistake. Everything ends on drop.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use xks_api::ids::{AccessKeyId, SecretAccessKey};
use xks_api::sigv4::{Regions, SignedRequest, Verifier};

/// The host name in the certificate of a sound proxy.
pub const HOST: &str = "xks.test";
/// Its `XksProxyUriPath`.
pub const URI_PATH: &str = "/stub/kms/xks/v1";
/// Its credential.
pub const ACCESS_KEY_ID: &str = "STUBSTUBSTUBSTUBSTUB2345";
/// Its credential's secret.
pub const SECRET_ACCESS_KEY: &str = "stubSecretStubSecretStubSecretStubSecret+/==";

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// As the specification says.
    Sound,
    /// Soundly, but later.
    Late(Duration),
    /// With this status and `errorName`, and a message that no caller of KMS may see.
    Error(u16, &'static str),
    /// With this status and body.
    Body(u16, String),
    /// Soundly, after a change of the JSON.
    Changed(fn(&mut Value)),
    /// With these bytes in place of HTTP.
    Bytes(&'static [u8]),
    /// Not at all: the connection is closed.
    Hangup,
    /// Soundly, and then the connection is closed without saying so before.
    SoundThenHangup,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    /// TLS with a certificate for [`HOST`].
    Sound,
    /// TLS with a certificate for another name.
    OtherName,
    /// TLS with a certificate of an authority that nobody trusts.
    OtherAuthority,
    /// TLS with a certificate that has expired.
    Expired,
    /// TLS that asks for a client certificate of the proxy's own authority.
    ClientCertificate,
    /// The connection is closed.
    Hangup,
    /// Silence.
    Silence,
    /// An answer in plain HTTP.
    PlainHttp,
}

/// One request that reached the proxy.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The path.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The JSON body.
    pub body: Value,
}

/// The text of every [`Answer::Error`]'s `errorMessage`.
pub const SECRET_ERROR_MESSAGE: &str = "for the eyes of the administrator alone";

/// The proxy.
pub struct StubProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    authority: Authority,
    /// One for each [`Handshake`] that is TLS, so that no handshake waits for a key to be made.
    configs: Vec<(Handshake, Arc<ServerConfig>)>,
    verifier: Verifier,
    state: Mutex<State>,
}

struct State {
    handshake: Handshake,
    usual: Answer,
    once: VecDeque<Answer>,
    seen: Vec<Seen>,
    bytes: u64,
    accepted: usize,
    open: BTreeMap<usize, TcpStream>,
    listening: bool,
}

impl StubProxy {
    /// A sound proxy on a loopback port.
    pub fn start() -> Self {
        let credential = (
            AccessKeyId::try_from(ACCESS_KEY_ID).expect("a well-formed id"),
            SecretAccessKey::try_from(SECRET_ACCESS_KEY).expect("a well-formed secret"),
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let authority = authority("Stub CA");
        let proxy = Self {
            address: listener.local_addr().expect("bound"),
            shared: Arc::new(Shared {
                configs: configs(&authority),
                authority,
                verifier: Verifier::new([credential], Regions::Any).expect("one credential"),
                state: Mutex::new(State {
                    handshake: Handshake::Sound,
                    usual: Answer::Sound,
                    once: VecDeque::new(),
                    seen: Vec::new(),
                    bytes: 0,
                    accepted: 0,
                    open: BTreeMap::new(),
                    listening: true,
                }),
            }),
        };
        proxy.accept(listener);
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
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
        issue(
            &self.shared.authority,
            "cks.kms.us-east-1.amazonaws.com",
            2050,
        )
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

    /// The requests that were read so far.
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
        crate::wait_for("the stub's port to close", Duration::from_secs(10), || {
            TcpStream::connect(self.address).is_err().then_some(())
        });
    }

    /// Comes back on the same port.
    pub fn revive(&self) {
        let listener = crate::wait_for("the stub's old port", Duration::from_secs(10), || {
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

    fn connection(self: Arc<Self>, stream: TcpStream) {
        let Ok(clone) = stream.try_clone() else {
            return;
        };
        let (number, handshake) = {
            let mut state = self.lock();
            state.accepted += 1;
            let number = state.accepted;
            state.open.insert(number, clone);
            (number, state.handshake)
        };
        // Whatever ends a connection ends this thread and nothing else.
        let _ = self.converse(stream, handshake);
        self.lock().open.remove(&number);
    }

    fn converse(&self, stream: TcpStream, handshake: Handshake) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut counted = Counted {
            stream,
            shared: self,
        };
        let config = match handshake {
            Handshake::Hangup => return counted.stream.shutdown(Shutdown::Both),
            Handshake::Silence => return io::copy(&mut counted, &mut io::sink()).map(drop),
            Handshake::PlainHttp => {
                let mut hello = [0; 5];
                counted.read_exact(&mut hello)?;
                counted.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")?;
                return io::copy(&mut counted, &mut io::sink()).map(drop);
            }
            tls => {
                let found = self.configs.iter().find(|(handshake, _)| *handshake == tls);
                Arc::clone(&found.expect("one for each").1)
            }
        };
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut reader = BufReader::new(StreamOwned::new(tls, counted));
        while let Some((line, seen, body)) = read_request(&mut reader)? {
            let answer = {
                let mut state = self.lock();
                state.seen.push(seen.clone());
                let usual = state.usual.clone();
                state.once.pop_front().unwrap_or(usual)
            };
            let writer = reader.get_mut();
            let mut hang_up = false;
            let (status, body) = match answer {
                Answer::Hangup => break,
                Answer::Bytes(bytes) => {
                    writer.write_all(bytes)?;
                    break;
                }
                Answer::Error(status, name) => {
                    let body = json!({"errorName": name, "errorMessage": SECRET_ERROR_MESSAGE});
                    (status, body.to_string())
                }
                Answer::Body(status, body) => (status, body),
                Answer::Sound => self.sound(&line, &seen, &body),
                Answer::SoundThenHangup => {
                    hang_up = true;
                    self.sound(&line, &seen, &body)
                }
                Answer::Late(delay) => {
                    thread::sleep(delay);
                    self.sound(&line, &seen, &body)
                }
                Answer::Changed(change) => {
                    let (status, body) = self.sound(&line, &seen, &body);
                    let mut body: Value = serde_json::from_str(&body).expect("a sound answer");
                    change(&mut body);
                    (status, body.to_string())
                }
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            writer.write_all((head + &body).as_bytes())?;
            writer.flush()?;
            if hang_up {
                break;
            }
        }
        let stream = reader.get_mut();
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.sock.stream.shutdown(Shutdown::Both)
    }

    /// Authenticates and answers.
    fn sound(&self, line: &str, seen: &Seen, body: &[u8]) -> (u16, String) {
        let mut words = line.split(' ');
        let method = words.next().unwrap_or_default();
        let headers = seen
            .headers
            .iter()
            .map(|(name, value)| (&**name, value.as_bytes()));
        let request = SignedRequest {
            method,
            path: &seen.path,
            query: None,
            authority: None,
            headers,
            body,
        };
        if self
            .verifier
            .verify(&request, OffsetDateTime::now_utc())
            .is_err()
        {
            let body = json!({"errorName": "AuthenticationFailedException"});
            return (401, body.to_string());
        }
        let Some(operation) = seen.path.strip_prefix(URI_PATH) else {
            return (
                404,
                json!({"errorName": "InvalidUriPathException"}).to_string(),
            );
        };
        let answer = match operation.rsplit('/').next() {
            Some("health") => json!({
                "xksProxyFleetSize": 1, "xksProxyVendor": "Stub", "xksProxyModel": "Stub 1",
                "ekmVendor": "Stub",
                "ekmFleetDetails": [{"id": "1", "model": "Stub 1", "healthStatus": "ACTIVE"}],
            }),
            Some("metadata") => {
                json!({"keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED"})
            }
            Some("encrypt") => encrypt(operation, &seen.body),
            Some("decrypt") => match decrypt(operation, &seen.body) {
                Some(plaintext) => json!({"plaintext": STANDARD.encode(plaintext)}),
                None => {
                    let body = json!({"errorName": "InvalidCiphertextException"});
                    return (400, body.to_string());
                }
            },
            _ => {
                return (
                    404,
                    json!({"errorName": "InvalidUriPathException"}).to_string(),
                );
            }
        };
        (200, answer.to_string())
    }
}

/// The request line, the request and the exact body; `None` at the end of the stream.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, Seen, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let seen = Seen {
        path,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    Ok(Some((line, seen, body)))
}

/// The key is the SHA-256 of the operation's path up to the verb, so that keys differ and need no store.
fn key(operation: &str) -> LessSafeKey {
    let id = operation.rsplit_once('/').map_or(operation, |(id, _)| id);
    let digest = ring::digest::digest(&SHA256, id.as_bytes());
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, digest.as_ref()).expect("32 bytes"))
}

fn encrypt(operation: &str, body: &Value) -> Value {
    let mut text = field(body, "plaintext").unwrap_or_default();
    let aad = field(body, "additionalAuthenticatedData").unwrap_or_default();
    let mut iv = [0; NONCE_LEN];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut iv)
        .expect("random bytes");
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = key(operation)
        .seal_in_place_separate_tag(nonce, Aad::from(framed(&aad)), &mut text)
        .expect("a short text");
    let mut cdiv = Context::new(&SHA256);
    for part in [&*aad, METADATA, &iv, &text, tag.as_ref()] {
        cdiv.update(part);
    }
    let mut answer = json!({
        "ciphertext": STANDARD.encode(&text),
        "initializationVector": STANDARD.encode(iv),
        "authenticationTag": STANDARD.encode(tag),
        "ciphertextMetadata": STANDARD.encode(METADATA),
    });
    if body["ciphertextDataIntegrityValueAlgorithm"] == "SHA_256" {
        answer["ciphertextDataIntegrityValue"] = STANDARD.encode(cdiv.finish()).into();
    }
    answer
}

fn decrypt(operation: &str, body: &Value) -> Option<Vec<u8>> {
    let mut text = field(body, "ciphertext")?;
    text.extend(field(body, "authenticationTag")?);
    let iv: [u8; NONCE_LEN] = field(body, "initializationVector")?.try_into().ok()?;
    let aad = field(body, "additionalAuthenticatedData").unwrap_or_default();
    if field(body, "ciphertextMetadata")? != METADATA {
        return None;
    }
    let nonce = Nonce::assume_unique_for_key(iv);
    let opened = key(operation)
        .open_in_place(nonce, Aad::from(framed(&aad)), &mut text)
        .ok()?;
    Some(opened.to_vec())
}

fn framed(aad: &[u8]) -> Vec<u8> {
    let aad_len = u16::try_from(aad.len())
        .expect("at most 8,192 bytes")
        .to_be_bytes();
    let metadata_len = u8::try_from(METADATA.len()).expect("at most 20 bytes");
    [&aad_len, aad, &[metadata_len], METADATA].concat()
}

fn field(body: &Value, name: &str) -> Option<Vec<u8>> {
    STANDARD.decode(body.get(name)?.as_str()?).ok()
}

fn configs(authority: &Authority) -> Vec<(Handshake, Arc<ServerConfig>)> {
    let foreign = self::authority("Another CA");
    let provider = Arc::new(default_provider());
    let config = |handshake, (certificate, key)| {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("both versions");
        let builder = if handshake == Handshake::ClientCertificate {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).expect("an authority");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(vec![certificate], key);
        (
            handshake,
            Arc::new(config.expect("a certificate with its key")),
        )
    };
    vec![
        config(Handshake::Sound, issue(authority, HOST, 2050)),
        config(Handshake::OtherName, issue(authority, "other.test", 2050)),
        config(Handshake::OtherAuthority, issue(&foreign, HOST, 2050)),
        config(Handshake::Expired, issue(authority, HOST, 2020)),
        config(Handshake::ClientCertificate, issue(authority, HOST, 2050)),
    ]
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

fn issue(
    authority: &Authority,
    name: &str,
    last_year: i32,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a host name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    (certificate.der().clone(), key)
}

/// A socket that counts what comes in.
struct Counted<'s> {
    stream: TcpStream,
    shared: &'s Shared,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.shared.lock().bytes += u64::try_from(n).unwrap_or(u64::MAX);
        Ok(n)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What the stub binds into every ciphertext.
const METADATA: &[u8] = b"stub_key_version=1";
