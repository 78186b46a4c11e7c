//! `xks-proxy kms …` when KMS does what it is asked, and its answer is lost on the way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use harness::process::run;
use serde_json::{Map, Value};

use crate::clients::{Client, RustSdk};
use crate::kms_commands::{Commands, ENDPOINT, LIMIT, signs_with};
use crate::scenario::PACE;
use crate::stage::Stage;

/// Relays requests to a KMS, and loses the first answer to each of these operations.
struct Lossy {
    url: String,
    lost: Arc<AtomicUsize>,
}

impl Lossy {
    fn start(kms: SocketAddr, operations: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lost = Arc::new(AtomicUsize::new(0));
        let left = Arc::new(Mutex::new(operations.to_vec()));
        let count = Arc::clone(&lost);
        // Ends with the test program; each connection's thread ends with the connection.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (left, count) = (Arc::clone(&left), Arc::clone(&count));
                std::thread::spawn(move || relay(client.unwrap(), kms, &left, &count));
            }
        });
        Self { url, lost }
    }
}

fn relay(
    mut client: TcpStream,
    kms: SocketAddr,
    left: &Mutex<Vec<&'static str>>,
    lost: &AtomicUsize,
) {
    while let Some(request) = message(&mut client) {
        let mut server = TcpStream::connect(kms).unwrap();
        server.write_all(&request).unwrap();
        let answer = message(&mut server).expect("an answer of kms-sim");
        let head = String::from_utf8_lossy(&request).into_owned();
        let mut left = left.lock().unwrap();
        let at = left.iter().position(|operation| {
            head.contains(&format!("x-amz-target: TrentService.{operation}\r\n"))
        });
        if let Some(at) = at {
            left.remove(at);
            lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        drop(left);
        if client.write_all(&answer).is_err() {
            return;
        }
    }
}

/// One message of HTTP/1.1 with its body; `None` at the end of the connection.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length: usize = length.map_or(0, |l| l.lines().next().unwrap().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

#[test]
fn what_kms_has_done_is_found_when_its_answer_is_lost() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let kms_sim = stage.endpoint_url();
    let kms_sim: SocketAddr = kms_sim.strip_prefix("http://").unwrap().parse().unwrap();
    let operations = [
        "CreateCustomKeyStore",
        "ConnectCustomKeyStore",
        "CreateKey",
        "CreateAlias",
        "UpdateCustomKeyStore",
        "DescribeCustomKeyStores",
        "DisconnectCustomKeyStore",
    ];
    let lossy = Lossy::start(kms_sim, &operations);
    let over_it = |arguments: &[&str]| -> Value {
        let mut command = commands.command(&[arguments, &["--json"]].concat());
        command.env("AWS_ENDPOINT_URL_KMS", &lossy.url);
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let mut kms = RustSdk::new(stage.endpoint_url());
    let before = commands.credentials();

    let linked = over_it(&["kms", "link", "--uri-endpoint", ENDPOINT]);
    assert_eq!(linked["connection_state"], "CONNECTED");
    assert_eq!(linked["access_key_id"], *signs_with(&mut kms));
    assert_eq!(commands.credentials().len(), before.len() + 1);
    let key = over_it(&["kms", "create-key", "demo", "--alias", "payroll"]);
    let keys = kms.call("ListKeys", &Map::new()).unwrap();
    assert_eq!(keys["Keys"].as_array().map(Vec::len), Some(1), "{keys}");
    assert_eq!(keys["Keys"][0]["KeyArn"], key["arn"]);
    let rotated = over_it(&["kms", "rotate-credential", "--quiet-for", "1s"]);
    assert_eq!(rotated["new"], *signs_with(&mut kms));
    assert_eq!(commands.credentials().len(), before.len() + 1);
    let left = over_it(&["kms", "disconnect"]);
    assert_eq!(left["connection_state"], "DISCONNECTED");
    assert_eq!(lossy.lost.load(Ordering::Relaxed), operations.len());
}
