//! Messages that travel together: each has its own result, and a server or policy that does not do batches gets single
//! requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use harness::openbao::{OpenBao, Tenant};
use serde_json::{Value, json};
use xks_api::fields::{Aad, Plaintext};
use xks_api::sealed::{FramedAad, Sealed};
use xks_proxy::key_manager::KeyManagerError;
use xks_proxy::key_manager::transit::{Address, Settings, Transit};

use super::backend::{TEST_KEY, available, resolve, with_token};

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_meet_travel_together_and_each_has_its_own_result() {
    let Some((tenant, transit, _folder)) = service(|_| {}) else {
        return;
    };
    work(&transit, &transit).await;
    for path in ["transit/encrypt/k", "transit/decrypt/k"] {
        let requests = tenant.bao.audited(path);
        let messages: usize = requests.iter().sum();
        assert!(messages >= WORKERS * ROUNDS, "{path}: {messages}");
        assert!(requests.iter().any(|messages| *messages > 2), "{path}");
        assert!(*requests.iter().max().unwrap() <= Settings::MAX_BATCH);
        assert!(requests.len() < messages / 2, "{path}: {requests:?}");
    }
    // What does not verify was asked for once more by itself.
    let decrypted: usize = tenant.bao.audited("transit/decrypt/k").iter().sum();
    assert!(decrypted > 2 * WORKERS * ROUNDS, "{decrypted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_one_is_a_request_for_each_message() {
    let Some((tenant, transit, _folder)) = service(|settings| settings.max_batch = 1) else {
        return;
    };
    work(&transit, &transit).await;
    assert_eq!(
        tenant.bao.audited("transit/encrypt/k"),
        [1; 1 + WORKERS * ROUNDS]
    );
    assert_eq!(
        tenant.bao.audited("transit/decrypt/k"),
        [1; 2 * WORKERS * ROUNDS]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_refuses_batches_gets_a_request_for_each_message() {
    let Some((tenant, transit, folder)) = service(|_| {}) else {
        return;
    };
    // The parameters of single messages alone.
    let policy = "path \"transit/keys/+\" { capabilities = [\"read\"] }\n\
        path \"transit/+/+\" { capabilities = [\"update\"]\n allowed_parameters = {\n\
        plaintext = []\n ciphertext = []\n associated_data = []\n key_version = [] } }\n\
        path \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n\
        path \"sys/capabilities-self\" { capabilities = [\"update\"] }\n";
    tenant.post("sys/policies/acl/single", &json!({"policy": policy}));
    let token = tenant.token(&["single"], "1h");
    std::fs::write(super::backend::token_file(&folder), token).unwrap();
    work(&transit, &transit).await;
    let requests = tenant.bao.audited("transit/encrypt/k");
    assert!(
        requests.iter().all(|messages| *messages == 1),
        "{requests:?}"
    );
    let looked = tenant.bao.audited(&format!("transit/encrypt/{TEST_KEY}"));
    assert!(looked.contains(&2), "{looked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_the_aad_of_batches_gets_a_request_for_each_message() {
    let Some((tenant, right, folder)) = service(|_| {}) else {
        return;
    };
    let forgetful = Forgetful::start(&tenant);
    let address = Address::try_from(&*format!("http://{}", forgetful.address)).unwrap();
    let settings = Settings {
        addresses: vec![address],
        ..with_token(&tenant, "1h").0
    };
    let token = tenant.token(&["xks-proxy"], "1h");
    let token_file = folder.path().join("other-token");
    std::fs::write(&token_file, token).unwrap();
    let login = xks_proxy::key_manager::transit::Login::TokenFile(token_file);
    let transit = Arc::new(Transit::open("forgetful", Settings { login, ..settings }).unwrap());
    // Decrypted by way of the server itself, with the right AAD.
    work(&transit, &right).await;
    let batches = forgetful.batches.lock().unwrap().clone();
    assert!(!batches.is_empty(), "nothing was found out");
    assert!(
        batches.iter().all(|path| path.ends_with(TEST_KEY)),
        "{batches:?}"
    );
}

/// A server of its own with an audit log, and the key `k`.
fn service(change: impl Fn(&mut Settings)) -> Option<(Tenant, Arc<Transit>, tempfile::TempDir)> {
    let bao = available(OpenBao::start_with_audit_log())?;
    let tenant = Tenant::root_of(Arc::new(bao));
    tenant.create_key("k");
    tenant.create_key(TEST_KEY);
    let (mut settings, folder) = with_token(&tenant, "1h");
    change(&mut settings);
    let transit = Transit::open("batches", settings).unwrap();
    Some((tenant, Arc::new(transit), folder))
}

/// Many at a time encrypt and decrypt, each message with a text and an AAD of its own, and decrypt with another one's AAD.
async fn work(encrypts: &Arc<Transit>, decrypts: &Arc<Transit>) {
    // The key is read before, and the token got.
    seal(encrypts, "before", "").await;
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (encrypts, decrypts) = (Arc::clone(encrypts), Arc::clone(decrypts));
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let text = format!("message {round} of {worker}");
                    let aad = format!("{worker}/{round}");
                    let sealed = seal(&encrypts, &text, &aad).await;
                    let opened = open(&decrypts, &sealed, &aad).await.unwrap();
                    assert_eq!(opened.expose(), text.as_bytes());
                    let refused = open(&decrypts, &sealed, "another one's").await;
                    assert!(matches!(refused, Err(KeyManagerError::InvalidCiphertext)));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn seal(transit: &Transit, text: &str, aad: &str) -> Sealed {
    let key = resolve(transit, "k").await.unwrap();
    let metadata = key.metadata().unwrap();
    let aad = FramedAad::new(&Aad::try_from(aad.as_bytes().to_vec()).unwrap(), &metadata);
    let plaintext = Plaintext::from(text.as_bytes());
    key.seal(&plaintext, metadata, &aad).await.unwrap()
}

async fn open(transit: &Transit, sealed: &Sealed, aad: &str) -> Result<Plaintext, KeyManagerError> {
    let key = resolve(transit, "k").await.unwrap();
    let aad = FramedAad::new(
        &Aad::try_from(aad.as_bytes().to_vec()).unwrap(),
        &sealed.metadata,
    );
    key.open(sealed, &aad).await
}

/// Passes requests on to a server, but for the AAD of messages in batches.
struct Forgetful {
    address: SocketAddr,
    /// The paths that batches came for.
    batches: Arc<Mutex<Vec<String>>>,
}

impl Forgetful {
    fn start(tenant: &Tenant) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let batches = Arc::<Mutex<Vec<String>>>::default();
        let (bao, seen) = (Arc::clone(&tenant.bao), Arc::clone(&batches));
        // Ends with the process: a thread that waits for connections.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (bao, seen) = (Arc::clone(&bao), Arc::clone(&seen));
                std::thread::spawn(move || pass_on(stream.unwrap(), &bao, &seen));
            }
        });
        Self { address, batches }
    }
}

fn pass_on(stream: TcpStream, bao: &OpenBao, batches: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let header = |name: &str| {
            let found = lines.iter().find_map(|line| {
                line.split_once(": ")
                    .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            });
            found.map_or("", |(_, value)| value)
        };
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let mut words = lines.first()?.split(' ');
        let (method, path) = (words.next()?, words.next()?.strip_prefix("/v1/")?);
        let mut body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if let Some(items) = body["batch_input"].as_array_mut() {
            for item in items {
                item.as_object_mut()?.remove("associated_data");
            }
            batches.lock().unwrap().push(path.to_owned());
        }
        let (status, answer) = bao.call(method, path, header("x-vault-token"), None, &body);
        let answer = answer.to_string();
        let len = answer.len();
        write!(
            stream,
            "HTTP/1.1 {status} -\r\ncontent-length: {len}\r\n\r\n{answer}"
        )
        .ok()?;
    }
}

const WORKERS: usize = 32;
const ROUNDS: usize = 10;
