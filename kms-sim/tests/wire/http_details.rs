//! What HTTP allows and SDKs, proxies and curl make use of.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kms_sim::{Clock, Config};
use serde_json::json;

use crate::server::{SIGNED, Server, call, post};

#[test]
fn a_body_may_wait_for_100_continue() {
    let server = Server::start(Config::default());
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: kms\r\nx-amz-target: TrentService.ListKeys\r\n{SIGNED}content-length: 2\r\n\
         expect: 100-continue\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    connection.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"{}").unwrap();
    let mut line = [0; 15];
    connection.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 200 OK");
}

#[test]
fn a_body_may_come_in_chunks() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: kms\r\nX-AMZ-TARGET: TrentService.CreateKey\r\n{SIGNED}transfer-encoding: chunked\r\n\
         \r\n10\r\n{{\"Description\": \r\n9;x=y\r\n\"chunked\"\r\n1\r\n}}\r\n0\r\ntrailer: x\r\n\r\n"
    );
    let created = connection.exchange(request.as_bytes()).unwrap();
    assert_eq!(created.json()["KeyMetadata"]["Description"], "chunked");
}

#[test]
fn headers_that_say_nothing_to_kms_change_nothing() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    for headers in [
        "accept-encoding: gzip, deflate, br, zstd\r\n",
        "user-agent: \u{1F511} ()[]{}<>@,;:\\\"/?= \u{FF}\r\n",
        "amz-sdk-invocation-id: x\r\namz-sdk-request: attempt=1; max=3\r\nx-amzn-query-mode: true\r\n",
        "content-type: application/x-amz-json-1.0\r\n",
        "accept: application/cbor\r\n",
    ] {
        let headers = format!("x-amz-target: TrentService.ListKeys\r\n{headers}{SIGNED}");
        let response = post(&mut connection, &headers, "{}");
        assert_eq!(response.status, 200, "{headers}");
        assert_eq!(response.header("content-encoding"), None);
        assert_eq!(
            response.header("content-type"),
            Some("application/x-amz-json-1.1")
        );
    }
    // The value names an operation, in its case.
    let headers = format!("x-amz-target: trentservice.listkeys\r\n{SIGNED}");
    let response = post(&mut connection, &headers, "{}");
    assert_eq!(response.json()["__type"], "UnknownOperationException");
    // KMS's model has awsJson alone.
    let cbor = format!(
        "POST /service/TrentService/operation/ListKeys HTTP/1.1\r\nhost: kms\r\nsmithy-protocol: rpc-v2-cbor\r\n\
         content-type: application/cbor\r\n{SIGNED}content-length: 1\r\n\r\n\u{0}"
    );
    assert_eq!(connection.exchange(cbor.as_bytes()).unwrap().status, 404);
}

/// SDKs correct their clock by it and sign the next request with the corrected time.
#[test]
fn the_date_of_answers_is_real_whatever_the_simulators_clock_says() {
    let clock = Clock::default();
    let server = Server::start(Config {
        clock: clock.clone(),
        ..Config::default()
    });
    clock.advance(Duration::from_secs(400 * 86_400));
    let response = call(&mut server.connect(), "CreateKey", "{}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let created = response.json()["KeyMetadata"]["CreationDate"]
        .as_f64()
        .unwrap();
    assert!(created > now.as_secs_f64() + 399.0 * 86_400.0);
    let date = response.header("date").expect("a Date header");
    let real = httpdate(date);
    assert!(real.abs_diff(now.as_secs()) < 600, "{date}");
}

#[test]
fn an_answer_is_not_to_be_kept_by_anyone() {
    let server = Server::start(Config::default());
    let mut connection = server.connect();
    for body in [json!({}), json!({"NumberOfBytes": 8})] {
        let response = call(&mut connection, "GenerateRandom", &body.to_string());
        assert_eq!(
            response.header("cache-control"),
            Some("no-cache, no-store, must-revalidate, private")
        );
    }
}

/// `Tue, 24 Nov 2026 10:45:00 GMT` → seconds since 1970.
fn httpdate(text: &str) -> u64 {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(text, format).expect("a date of HTTP");
    date.assume_utc()
        .unix_timestamp()
        .try_into()
        .expect("after 1970")
}
