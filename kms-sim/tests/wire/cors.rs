//! What a browser asks before a web page's SDK may call, and what it lets the page read.

use harness::https::{Connection, Response};
use kms_sim::Config;

use crate::server::{SIGNED, Server, post};

const PAGE: &str = "http://localhost:5173";

#[test]
fn a_page_of_an_allowed_origin_calls_and_reads_the_answer() {
    let server = server();
    let mut connection = server.connect();
    let asked = "authorization,content-type,x-amz-date,x-amz-target,x-amz-user-agent";
    let answer = preflight(&mut connection, PAGE, asked);
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(answer.header("access-control-allow-headers"), Some(asked));
    let methods = answer.header("access-control-allow-methods").unwrap();
    assert!(methods.contains("POST"), "{methods}");
    assert_eq!(
        answer.header("access-control-allow-private-network"),
        Some("true")
    );

    for (operation, status) in [("ListKeys", 200), ("DescribeKey", 400)] {
        let headers =
            format!("origin: {PAGE}\r\nx-amz-target: TrentService.{operation}\r\n{SIGNED}");
        let answer = post(&mut connection, &headers, "{}");
        assert_eq!(answer.status, status);
        // Errors are for the page, too.
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("x-amzn-RequestId"), "{exposed}");
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[test]
fn no_other_page_is_told_that_it_may() {
    let server = server();
    let mut connection = server.connect();
    for page in [
        "http://localhost:5174",
        "https://localhost:5173",
        "http://evil.example",
        "null",
    ] {
        let answer = preflight(&mut connection, page, "x-amz-target");
        assert_eq!(answer.status, 403, "{page}");
        let said = answer.json()["message"].to_string();
        assert!(
            said.contains("--allow-origin") && said.contains(page),
            "{said}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let headers = format!("origin: {page}\r\nx-amz-target: TrentService.ListKeys\r\n{SIGNED}");
        let answer = post(&mut connection, &headers, "{}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{page}");
    }
    // Programs are no pages.
    let answer = post(
        &mut connection,
        &format!("x-amz-target: TrentService.ListKeys\r\n{SIGNED}"),
        "{}",
    );
    assert_eq!((answer.status, answer.header("vary")), (200, None));
}

fn server() -> Server {
    Server::start(Config {
        allow_origins: vec![PAGE.parse().expect("an origin")],
        ..Config::default()
    })
}

fn preflight(connection: &mut Connection, origin: &str, headers: &str) -> Response {
    let request = format!(
        "OPTIONS / HTTP/1.1\r\nhost: kms\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: {headers}\r\naccess-control-request-private-network: true\r\n\r\n"
    );
    connection.exchange(request.as_bytes()).expect("an answer")
}
