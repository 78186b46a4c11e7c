//! What is no request: each gets an error of the protocol in time and changes nothing, told by a snapshot before and after.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use kms_sim::{ClientLimits, Config};
use serde_json::{Value, json};

use crate::server::{SIGNED, Server, call};

/// What must come back.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// That status, and an exception of that name.
    Exception(u16, &'static str),
    /// That status; HTTP itself is at fault, so there is no exception.
    Http(u16),
    /// The connection ends, and nothing comes.
    Closed,
}

use Expected::{Closed, Exception, Http};

/// A server that waits for nobody for long.
fn impatient() -> Server {
    Server::start(Config {
        limits: ClientLimits {
            header: Duration::from_millis(700),
            body: Duration::from_millis(700),
            ..ClientLimits::default()
        },
        ..Config::default()
    })
}

/// The whole state but its clock, which nobody stops here.
fn state(server: &Server) -> Value {
    let mut connection = harness::https::Connection::plain(server.control).expect("it listens");
    let request = format!(
        "GET /control/v1/snapshot HTTP/1.1\r\nhost: {}\r\n\r\n",
        server.control
    );
    let answer = connection.exchange(request.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200);
    answer.json()
}

/// Everything that comes back for these bytes until the server closes or `limit` is over, with the end of what is sent or without.
fn answer_to(address: SocketAddr, bytes: &[u8], ends: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    // A server that has seen enough may close while this is sent.
    let _ = stream.write_all(bytes);
    if ends {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    let start = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(buffer.get(..length).expect("what was read")),
            // It has closed with bytes of ours unread.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!(
                "{error} after {:?}: {}",
                start.elapsed(),
                String::from_utf8_lossy(&answer)
            ),
        }
    }
    answer
}

fn check(what: &str, answer: &[u8], expected: Expected) {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse::<u16>().ok());
    match expected {
        Closed => assert!(answer.is_empty(), "{what}: {text}"),
        Http(wanted) => assert_eq!(status, Some(wanted), "{what}: {text}"),
        Exception(wanted, name) => {
            assert_eq!(status, Some(wanted), "{what}: {text}");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(
                head.contains("content-type: application/x-amz-json-1.1"),
                "{what}: {head}"
            );
            let body: Value = serde_json::from_str(body)
                .unwrap_or_else(|error| panic!("{what}: {error}: {body}"));
            assert_eq!(body.get("__type"), Some(&json!(name)), "{what}: {body}");
        }
    }
}

/// A request with `connection: close`, so that the answer ends with it.
fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("POST / HTTP/1.1\r\nhost: kms\r\nconnection: close\r\n{head}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A call with a body of that length.
fn operation(name: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "x-amz-target: TrentService.{name}\r\n{SIGNED}content-length: {}\r\n",
        body.len()
    );
    request(&head, body)
}

const SERIALIZATION: Expected = Exception(400, "SerializationException");
const VALIDATION: Expected = Exception(400, "ValidationException");
const UNKNOWN: Expected = Exception(400, "UnknownOperationException");

fn prepared() -> (Server, String, Value) {
    let server = impatient();
    let mut connection = server.connect();
    let created = call(
        &mut connection,
        "CreateKey",
        "{\"Description\": \"before\"}",
    );
    let created = created.json();
    let key = created
        .pointer("/KeyMetadata/KeyId")
        .and_then(Value::as_str);
    let key = key.expect("an id").to_owned();
    let before = state(&server);
    (server, key, before)
}

#[test]
fn bodies_that_are_no_input_are_refused_and_change_nothing() {
    let (server, key, before) = prepared();
    let deep = |open: &str, close: &str| {
        format!(
            "{{\"KeyId\":{}1{}}}",
            open.repeat(5_000),
            close.repeat(5_000)
        )
    };
    let member = |member: &str| format!("{{\"KeyId\":\"{key}\",{member}}}").into_bytes();
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("UpdateKeyDescription", b"{".to_vec(), SERIALIZATION),
        ("UpdateKeyDescription", b"}".to_vec(), SERIALIZATION),
        ("UpdateKeyDescription", b"[]".to_vec(), SERIALIZATION),
        ("UpdateKeyDescription", b"null".to_vec(), SERIALIZATION),
        ("UpdateKeyDescription", b"\"KeyId\"".to_vec(), SERIALIZATION),
        ("UpdateKeyDescription", b"{} {}".to_vec(), SERIALIZATION),
        (
            "UpdateKeyDescription",
            b"\xEF\xBB\xBF{}".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            b"{\"KeyId\":\"\xFF\xFE\"}".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            b"{\"KeyId\":\"\\ud800\"}".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            b"{\"KeyId\":\"a\nb\"}".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            b"{'KeyId':'x'}".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            b"{\"KeyId\":\"x\",}".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            b"KeyId=x&Description=y".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            deep("[", "]").into_bytes(),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            deep("{\"a\":", "}").into_bytes(),
            SERIALIZATION,
        ),
        ("UpdateKeyDescription", vec![b'['; 1_000_000], SERIALIZATION),
        ("UpdateKeyDescription", vec![0; 1_000], SERIALIZATION),
        ("UpdateKeyDescription", b"{}".to_vec(), VALIDATION),
        (
            "UpdateKeyDescription",
            member("\"Description\":7"),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            member("\"Description\":{}"),
            SERIALIZATION,
        ),
        (
            "UpdateKeyDescription",
            member(&format!("\"Description\":\"{}\"", "x".repeat(8_193))),
            VALIDATION,
        ),
        (
            "UpdateKeyDescription",
            b"{\"KeyId\":\"\",\"Description\":\"\"}".to_vec(),
            VALIDATION,
        ),
        (
            "UpdateKeyDescription",
            vec![b' '; 1_048_577],
            Exception(413, "RequestEntityTooLargeException"),
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":6"),
            VALIDATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":31"),
            VALIDATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":-7"),
            VALIDATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":7.5"),
            SERIALIZATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":\"7\""),
            SERIALIZATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":1e400"),
            SERIALIZATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":99999999999999999999"),
            SERIALIZATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":4294967303"),
            SERIALIZATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":NaN"),
            SERIALIZATION,
        ),
        (
            "ScheduleKeyDeletion",
            member("\"PendingWindowInDays\":07"),
            SERIALIZATION,
        ),
        (
            "Encrypt",
            member("\"Plaintext\":\"aGVsbG8\""),
            SERIALIZATION,
        ),
        (
            "Encrypt",
            member("\"Plaintext\":\"aGVs bG8=\""),
            SERIALIZATION,
        ),
        (
            "Encrypt",
            member("\"Plaintext\":\"aGVsbG8_\""),
            SERIALIZATION,
        ),
        (
            "Encrypt",
            member("\"Plaintext\":\"aGVsbG9=\""),
            SERIALIZATION,
        ),
        ("Encrypt", member("\"Plaintext\":\"\""), VALIDATION),
        (
            "Encrypt",
            member(&format!("\"Plaintext\":\"{}\"", "AAAA".repeat(1_366))),
            VALIDATION,
        ),
        (
            "Encrypt",
            member("\"Plaintext\":\"aGVsbG8=\",\"EncryptionContext\":[]"),
            SERIALIZATION,
        ),
        (
            "Encrypt",
            member("\"Plaintext\":\"aGVsbG8=\",\"EncryptionContext\":{\"a\":1}"),
            SERIALIZATION,
        ),
        (
            "Encrypt",
            member("\"Plaintext\":\"aGVsbG8=\",\"EncryptionContext\":{\"a\":null}"),
            SERIALIZATION,
        ),
        (
            "Decrypt",
            b"{\"CiphertextBlob\":\"aGVsbG8=\"}".to_vec(),
            Exception(400, "InvalidCiphertextException"),
        ),
        (
            "TagResource",
            member(
                "\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"},{\"TagKey\":1,\"TagValue\":\"b\"}]",
            ),
            SERIALIZATION,
        ),
        (
            "TagResource",
            member("\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"},7]"),
            SERIALIZATION,
        ),
        (
            "PutKeyPolicy",
            member("\"Policy\":\"{\""),
            Exception(400, "MalformedPolicyDocumentException"),
        ),
        (
            "CreateAlias",
            b"{\"AliasName\":\"alias/\\u0000\",\"TargetKeyId\":\"x\"}".to_vec(),
            VALIDATION,
        ),
        (
            "ListKeys",
            b"{\"Marker\":\"%%%\"}".to_vec(),
            Exception(400, "InvalidMarkerException"),
        ),
    ];
    for (name, body, expected) in &cases {
        let shown: String = String::from_utf8_lossy(body).chars().take(60).collect();
        let answer = answer_to(server.address, &operation(name, body), false);
        check(&format!("{name} {shown}"), &answer, *expected);
    }
    assert_eq!(state(&server), before);
    assert!(server.stop());
}

#[test]
fn targets_and_signatures_that_are_none_are_refused_and_change_nothing() {
    let (server, key, before) = prepared();
    let body = format!("{{\"KeyId\":\"{key}\"}}");
    let length = format!("content-length: {}\r\n", body.len());
    let target = "x-amz-target: TrentService.DisableKey\r\n";
    let cases = [
        (format!("{SIGNED}{length}"), UNKNOWN),
        (format!("x-amz-target: \r\n{SIGNED}{length}"), UNKNOWN),
        (
            format!("x-amz-target: DisableKey\r\n{SIGNED}{length}"),
            UNKNOWN,
        ),
        (
            format!("x-amz-target: TrentService.\r\n{SIGNED}{length}"),
            UNKNOWN,
        ),
        (
            format!("x-amz-target: TrentService.DisableKey \u{e9}\r\n{SIGNED}{length}"),
            UNKNOWN,
        ),
        (
            format!("x-amz-target: TrentService.DisableKey.DisableKey\r\n{SIGNED}{length}"),
            UNKNOWN,
        ),
        (
            format!("x-amz-target: TrentServiceXDisableKey\r\n{SIGNED}{length}"),
            UNKNOWN,
        ),
        (
            format!(
                "x-amz-target: TrentService.{}\r\n{SIGNED}{length}",
                "a".repeat(60_000)
            ),
            UNKNOWN,
        ),
        (
            format!("{target}{length}"),
            Exception(400, "MissingAuthenticationTokenException"),
        ),
        (
            format!("{target}authorization: AWS4-HMAC-SHA256\r\n{length}"),
            Exception(400, "IncompleteSignatureException"),
        ),
        (
            format!("{target}authorization: AWS4-HMAC-SHA256 Credential=x\r\n{length}"),
            Exception(400, "IncompleteSignatureException"),
        ),
        (
            format!(
                "{target}authorization: AWS4-HMAC-SHA256 Credential=A/1/../kms/aws4_request\r\n{length}"
            ),
            Exception(400, "IncompleteSignatureException"),
        ),
        (
            format!(
                "{target}authorization: AWS4-HMAC-SHA256 Credential={}\r\n{length}",
                "/".repeat(5_000)
            ),
            Exception(400, "IncompleteSignatureException"),
        ),
    ];
    for (head, expected) in &cases {
        let answer = answer_to(server.address, &request(head, body.as_bytes()), false);
        let shown: String = head.chars().take(70).collect();
        check(&shown, &answer, *expected);
    }
    assert_eq!(state(&server), before);
    assert!(server.stop());
}

#[test]
fn what_is_no_http_is_refused_or_closed_and_changes_nothing() {
    let (server, key, before) = prepared();
    let head = format!("x-amz-target: TrentService.DisableKey\r\n{SIGNED}");
    let body = format!("{{\"KeyId\":\"{key}\"}}");
    let chunked = |chunks: &str| {
        request(
            &format!("{head}transfer-encoding: chunked\r\n"),
            chunks.as_bytes(),
        )
    };
    let no_path = Exception(404, "UnknownOperationException");
    let whole = format!("{:x}\r\n{body}\r\n", body.len());
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Http(400)),
        ("no version", b"POST /\r\n\r\n".to_vec(), Http(400)),
        ("a version of its own", b"POST / HTTP/9.9\r\nhost: kms\r\n\r\n".to_vec(), Http(400)),
        ("a header without a name", b"POST / HTTP/1.1\r\n: x\r\n\r\n".to_vec(), Http(400)),
        ("a space in a header's name", b"POST / HTTP/1.1\r\nx y: z\r\n\r\n".to_vec(), Http(400)),
        ("a NUL in a header", b"POST / HTTP/1.1\r\nhost: k\0ms\r\n\r\n".to_vec(), Http(400)),
        ("two lengths", request(&format!("{head}content-length: 2\r\ncontent-length: 3\r\n"), b"{}"), Http(400)),
        ("a length that is none", request(&format!("{head}content-length: -1\r\n"), b"{}"), Http(400)),
        ("a length beyond all", request(&format!("{head}content-length: 99999999999999999999999\r\n"), b"{}"), Http(400)),
        ("a length far too large", request(&format!("{head}content-length: 9223372036854775807\r\n"), b"{}"), Exception(413, "RequestEntityTooLargeException")),
        ("a hundred thousand headers", request(&"a: b\r\n".repeat(100_000), b""), Http(431)),
        ("a giant header", request(&format!("x: {}\r\n", "y".repeat(2_000_000)), b""), Http(431)),
        ("a chunk whose length is none", chunked(&format!("zz\r\n{body}\r\n0\r\n\r\n")), SERIALIZATION),
        ("a chunk without an end", chunked(&format!("{:x}\r\n{body}x0\r\n\r\n", body.len())), SERIALIZATION),
        ("a chunk longer than all", chunked("ffffffffffffffff1\r\n"), SERIALIZATION),
        ("a chunk that never comes", chunked(&whole), Exception(408, "RequestTimeoutException")),
        ("GET", b"GET / HTTP/1.1\r\nhost: kms\r\nconnection: close\r\n\r\n".to_vec(), no_path),
        ("PUT", b"PUT / HTTP/1.1\r\nhost: kms\r\nconnection: close\r\n\r\n".to_vec(), no_path),
        ("DELETE", b"DELETE / HTTP/1.1\r\nhost: kms\r\nconnection: close\r\n\r\n".to_vec(), no_path),
        ("a method of its own", b"BREW / HTTP/1.1\r\nhost: kms\r\nconnection: close\r\n\r\n".to_vec(), no_path),
        ("CONNECT", b"CONNECT kms:443 HTTP/1.1\r\nhost: kms\r\nconnection: close\r\n\r\n".to_vec(), no_path),
        ("a path outside", b"POST /../../etc/passwd HTTP/1.1\r\nhost: kms\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(), no_path),
        ("another's address, with a path of ours", b"POST http://kms.test/ HTTP/1.1\r\nhost: kms\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(), Exception(400, "MissingAuthenticationTokenException")),
    ];
    for (what, bytes, expected) in &cases {
        check(what, &answer_to(server.address, bytes, false), *expected);
    }
    let truncated = request(&format!("{head}content-length: 100\r\n"), body.as_bytes());
    let answer = answer_to(server.address, &truncated, true);
    check("a body that ends early", &answer, SERIALIZATION);
    let answer = answer_to(server.address, b"POST / HTTP/1.1\r\nho", true);
    check("a head that ends early", &answer, Closed);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let rubbish = [&preface[..], &[0xff; 64]].concat();
    let frames = frame_types(&answer_to(server.address, &rubbish, false));
    assert_eq!(frames.last(), Some(&GOAWAY), "HTTP/2: {frames:?}");
    assert_eq!(state(&server), before);
    assert!(server.stop());
}

#[test]
fn whoever_stalls_is_let_go_in_time() {
    let (server, _, before) = prepared();
    let head = format!("x-amz-target: TrentService.ListKeys\r\n{SIGNED}content-length: 2\r\n");
    let stalled: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("nothing", Vec::new(), Closed),
        (
            "half a head",
            b"POST / HTTP/1.1\r\nhost: kms\r\nx-amz-tar".to_vec(),
            Closed,
        ),
        (
            "half a body",
            request(&head, b"{"),
            Exception(408, "RequestTimeoutException"),
        ),
        (
            "no body",
            request(&head, b""),
            Exception(408, "RequestTimeoutException"),
        ),
    ];
    for (what, bytes, expected) in &stalled {
        check(what, &answer_to(server.address, bytes, false), *expected);
    }
    assert_eq!(state(&server), before);
    assert!(server.stop());
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let server = impatient();
    let mut stream = TcpStream::connect(server.address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    let mut all = Vec::new();
    for at in 0..100 {
        let body = json!({"Description": at.to_string()}).to_string();
        all.extend_from_slice(
            format!(
                "POST / HTTP/1.1\r\nhost: kms\r\nx-amz-target: TrentService.CreateKey\r\n{SIGNED}content-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
    }
    // Rubbish after them spoils none of them.
    all.extend_from_slice(b"\r\nrubbish\r\n\r\n");
    stream.write_all(&all).expect("it reads");
    let mut answers = Vec::new();
    stream
        .read_to_end(&mut answers)
        .expect("answers, and an end");
    let text = String::from_utf8(answers).expect("UTF-8");
    let places: Vec<_> = (0..100)
        .map(|at| {
            text.find(&format!("\"Description\":\"{at}\""))
                .unwrap_or_else(|| panic!("no answer to {at}"))
        })
        .collect();
    assert!(places.is_sorted());
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 100);
    assert_eq!(text.matches("HTTP/1.1 400 Bad Request").count(), 1);
    assert!(server.stop());
}

/// The types of HTTP/2 frames.
fn frame_types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, kind, rest @ ..] = bytes {
        types.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        bytes = rest.get(5 + length..).unwrap_or_default();
    }
    types
}

const GOAWAY: u8 = 7;

/// For an answer; far above the server's own limits.
const LIMIT: Duration = Duration::from_secs(20);
