//! Key managers behind the proxy: what the proxy itself spends for a request, and how much later an answer comes than from the
//! key manager alone.
//!
//! An Encrypt asks for the integrity value, so that the key manager encrypts and decrypts; a Decrypt decrypts. Latency is
//! what one client sees that sends one request after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use harness::openbao::{OpenBao, Tenant, ca_file};
use harness::softhsm::SoftHsm;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Run;
use crate::clients::{Client, Destination, Protocol, Request, Shape, round};
use crate::decrypt::decrypt_body;
use crate::request::{SIZES, encrypt_body};
use crate::results::Results;
use crate::servers::{Server, Setup};

/// What a key manager does alone, in milliseconds and CPU microseconds.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Bare {
    encrypt: f64,
    decrypt: f64,
    /// In the process that calls; none for a key manager in a process of its own.
    encrypt_micros: f64,
    decrypt_micros: f64,
}

pub(crate) fn pkcs11(run: &Run, results: &mut Results) {
    let softhsm = match SoftHsm::prepare() {
        Ok(softhsm) => softhsm,
        Err(reason) => return println!("  not measured: {reason}"),
    };
    for label in ["demo", "xks-proxy-test"] {
        let made = softhsm
            .tool()
            .args(["--keygen", "--key-type", "AES:32", "--sensitive"])
            .args(["--label", label])
            .output();
        let made = made.expect("pkcs11-tool");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    let configuration = softhsm.configuration().into_os_string();
    let proxy = Server::proxy_with(Setup {
        key_manager: Some("hsm"),
        more: format!(
            "[key_managers.hsm]\ntype = \"pkcs11\"\nlibrary = {:?}\ntoken_label = \"{}\"\npin_env = \"HSM_PIN\"\n",
            softhsm.library().display().to_string(),
            SoftHsm::TOKEN,
        ),
        environment: vec![
            ("SOFTHSM2_CONF", configuration.clone()),
            ("HSM_PIN", SoftHsm::PIN.into()),
        ],
        ..Setup::default()
    });
    let bare = || {
        let this = std::env::current_exe().expect("this program");
        let output = std::process::Command::new(this)
            .env("SOFTHSM2_CONF", &configuration)
            .env(BARE_PKCS11, softhsm.library())
            .env("XKS_BARE_SECONDS", run.time.as_secs_f64().to_string())
            .output()
            .expect("this program");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("figures")
    };
    compare(run, results, "SoftHSM", &proxy, bare);
}

pub(crate) fn transit(run: &Run, results: &mut Results) {
    let bao = match OpenBao::start() {
        Ok(bao) => Arc::new(bao),
        Err(reason) => return println!("  not measured: {reason}"),
    };
    let tenant = Tenant::root_of(Arc::clone(&bao));
    tenant.create_key("demo");
    tenant.create_key("xks-proxy-test");
    let token = tenant.token(&["xks-proxy"], "1h");
    let folder = harness::temp_dir();
    let token_file = folder.path().join("token");
    write_secret(&token_file, &token);
    let proxy = Server::proxy_with(Setup {
        key_manager: Some("bao"),
        more: format!(
            "[key_managers.bao]\ntype = \"transit\"\naddresses = [\"https://{}\"]\nca_file = {:?}\ntoken_file = {:?}\n",
            bao.address,
            ca_file(),
            token_file,
        ),
        ..Setup::default()
    });
    let bare = || run.executor.block_on(bare_transit(run, &bao, &token));
    compare(run, results, "OpenBao", &proxy, bare);
}

fn compare(run: &Run, results: &mut Results, name: &str, proxy: &Server, bare: impl Fn() -> Bare) {
    let embedded = Server::proxy(crate::store::Crowd::default());
    let encrypt = encrypt_body(SIZES[0]);
    let shape = Shape {
        protocol: Protocol::Http1,
        connections: 16,
        streams: 1,
    };
    let (mut ours, mut least, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    let (mut later_encrypt, mut later_decrypt) = (Vec::new(), Vec::new());
    for _ in 0..run.rounds {
        let [behind, embedded] = [proxy, &embedded].map(|server| {
            let requests: Arc<[Request]> =
                Arc::new([server.request(Protocol::Http1, "encrypt", &encrypt)]);
            let to = server.destination();
            let round = round(&to, &server.processes, &requests, shape, run.time);
            run.executor.block_on(round).micros
        });
        let bare = bare();
        ours.push(behind - bare.encrypt_micros - bare.decrypt_micros);
        least.push(embedded);
        let [through_encrypt, through_decrypt] = run.executor.block_on(through(run, proxy));
        later_encrypt.push(through_encrypt - bare.encrypt - bare.decrypt);
        later_decrypt.push(through_decrypt - bare.decrypt);
        alone.push(bare);
    }
    let mut bare = |figure: &str, of: fn(&Bare) -> f64| {
        let values = alone.iter().map(of).collect();
        results.row(&format!("{name} alone"), figure, "ms", None, values);
    };
    bare("p50 of encrypting", |bare| bare.encrypt);
    bare("p50 of decrypting", |bare| bare.decrypt);
    let least = results.row("embedded", "CPU per Encrypt", "µs", None, least);
    let series = format!("{name} behind the proxy");
    let figure = "the proxy's own CPU per Encrypt";
    let ours = results.row(&series, figure, "µs", None, ours);
    let figure = "Encrypt, added at p50";
    let encrypt = results.row(&series, figure, "ms", None, later_encrypt);
    let figure = "Decrypt, added at p50";
    let decrypt = results.row(&series, figure, "ms", None, later_decrypt);
    results.at_most(
        "the proxy's own CPU, of the embedded path's",
        ours / least,
        2.0,
        "×",
    );
    results.at_most("Encrypt, added at p50", encrypt, 0.3, "ms");
    results.at_most("Decrypt, added at p50", decrypt, 0.3, "ms");
}

/// The p50 of Encrypt and Decrypt through a proxy.
async fn through(run: &Run, proxy: &Server) -> [f64; 2] {
    let to = proxy.destination();
    let config = Arc::new(to.config(Protocol::Http1));
    let mut client = Client::open(&to, &config, Protocol::Http1).await;
    let body = encrypt_body(SIZES[0]);
    let encrypt = proxy.request(Protocol::Http1, "encrypt", &body);
    let sealed = client.exchange(encrypt.clone()).await;
    let decrypt = decrypt_body(&body, &sealed);
    let decrypt = proxy.request(Protocol::Http1, "decrypt", &decrypt);
    [
        median(run.time / 2, &mut client, &encrypt).await,
        median(run.time / 2, &mut client, &decrypt).await,
    ]
}

async fn bare_transit(run: &Run, bao: &OpenBao, token: &str) -> Bare {
    let to = Destination {
        address: bao.address,
        ca_file: ca_file(),
    };
    let config = Arc::new(to.config(Protocol::Http1));
    let mut client = Client::open(&to, &config, Protocol::Http1).await;
    let request = |operation: &str, body: &Value| -> Request {
        http::Request::post(format!("/v1/transit/{operation}/demo"))
            .header("host", "localhost")
            .header("x-vault-token", token)
            .body(http_body_util::Full::from(body.to_string()))
            .expect("a request")
    };
    // What the proxy sends for 32 bytes and 100 of AAD.
    let aad = "YWFh".repeat(40);
    let plaintext = "cHBw".repeat(11);
    let encrypt = request(
        "encrypt",
        &json!({"plaintext": plaintext, "associated_data": aad}),
    );
    let answer = client.exchange(encrypt.clone()).await;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let ciphertext = &answer["data"]["ciphertext"];
    let decrypt = request(
        "decrypt",
        &json!({"ciphertext": ciphertext, "associated_data": aad}),
    );
    Bare {
        encrypt: median(run.time / 2, &mut client, &encrypt).await,
        decrypt: median(run.time / 2, &mut client, &decrypt).await,
        ..Bare::default()
    }
}

/// Of the time that one request after the other takes, in milliseconds.
async fn median(time: Duration, client: &mut Client, request: &Request) -> f64 {
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        client.exchange(request.clone()).await;
        times.push(start.elapsed());
    }
    middle(times)
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Whether this process is to measure a PKCS#11 library alone.
pub(crate) fn is_bare_pkcs11() -> bool {
    std::env::var_os(BARE_PKCS11).is_some()
}

/// Encrypts and decrypts with the key `demo` in one session, and prints what that took.
pub(crate) fn bare_pkcs11() {
    let library: PathBuf = std::env::var_os(BARE_PKCS11).expect("a library").into();
    let seconds = std::env::var("XKS_BARE_SECONDS").expect("a time");
    let time = Duration::from_secs_f64(seconds.parse().expect("a time"));
    let pkcs11 = Pkcs11::new(library).expect("a library");
    pkcs11
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .expect("a library that starts");
    let slot = pkcs11.get_slots_with_initialized_token().expect("slots")[0];
    let session = pkcs11.open_ro_session(slot).expect("a session");
    let pin = AuthPin::new(SoftHsm::PIN.into());
    session.login(UserType::User, Some(&pin)).expect("a login");
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(b"demo".to_vec()),
    ];
    let key = session.find_objects(&template).expect("objects")[0];
    let sealed = gcm(&session, key, |session, mechanism| {
        session.encrypt(mechanism, key, &[b'p'; 32])
    });
    let (encrypt, encrypt_micros) = timed(time / 2, || {
        gcm(&session, key, |session, mechanism| {
            session.encrypt(mechanism, key, &[b'p'; 32])
        });
    });
    let (decrypt, decrypt_micros) = timed(time / 2, || {
        gcm(&session, key, |session, mechanism| {
            session.decrypt(mechanism, key, &sealed)
        });
    });
    let bare = Bare {
        encrypt,
        decrypt,
        encrypt_micros,
        decrypt_micros,
    };
    println!("{}", serde_json::to_string(&bare).expect("JSON"));
}

fn gcm(
    session: &Session,
    _key: ObjectHandle,
    work: impl FnOnce(&Session, &Mechanism<'_>) -> cryptoki::error::Result<Vec<u8>>,
) -> Vec<u8> {
    let mut iv = [7; 12];
    let aad = [b'a'; 122];
    let params = GcmParams::new(&mut iv, &aad, 128.into()).expect("parameters");
    work(session, &Mechanism::AesGcm(params)).expect("an operation")
}

/// The p50 of something in milliseconds, and its CPU microseconds.
fn timed(time: Duration, mut work: impl FnMut()) -> (f64, f64) {
    let end = Instant::now() + time;
    let (mut times, before) = (Vec::new(), cpu());
    while Instant::now() < end {
        let start = Instant::now();
        work();
        times.push(start.elapsed());
    }
    let spent = cpu().saturating_sub(before).as_secs_f64() * 1e6;
    let micros = spent / times.len() as f64;
    (middle(times), micros)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("time that has passed");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("nanoseconds"))
}

fn write_secret(file: &std::path::Path, secret: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    std::io::Write::write_all(&mut opened.expect("a file"), secret.as_bytes()).expect("a file");
}

/// Names the library, for a process of this program that measures it alone.
const BARE_PKCS11: &str = "XKS_BARE_PKCS11";
