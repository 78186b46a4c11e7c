//! HTTP/1.1: connections that are kept, bodies in pieces, and what is no proper request.

use std::thread;
use std::time::Duration;

use super::super::case::Check::{Refused, Served, Story};
use super::super::case::{
    CLIENT_ERROR, CLIENT_ERROR_OR_HANGUP, Case, Finding, Outcome, must, should,
};
use super::super::connection::{Connection, Trouble};
use super::super::kit::{AAD, Kit, PLAINTEXT};
use super::super::wire::Wire;
use super::CONTENT_TYPE;
use super::encrypt::same;
use super::key_metadata::holds;

pub(super) const CASES: &[Case] = &[
    must(
        "many-requests-on-one-connection",
        CONTENT_TYPE,
        "a connection of HTTP/1.1 serves one request after the other, as KMS keeps it open",
        Story(|kit| {
            let mut connection = kit.connection()?;
            for _ in 0..10 {
                let sealed = kit
                    .send_on(&mut connection, &kit.encrypt().sign())?
                    .sealed(Some(AAD))?;
                let answer = kit.send_on(&mut connection, &kit.decrypt(&sealed).sign())?;
                same(&answer.plaintext()?, PLAINTEXT)?;
            }
            Ok(())
        }),
    ),
    must(
        "all-operations-on-one-connection",
        CONTENT_TYPE,
        "one connection serves the four operations",
        Story(|kit| {
            let mut connection = kit.connection()?;
            for name in xks_api::route::OperationName::ALL {
                let wire = kit.request(name)?.sign();
                kit.send_on(&mut connection, &wire)?.served(name)?;
            }
            Ok(())
        }),
    ),
    should(
        "connection-kept-after-a-refusal",
        CONTENT_TYPE,
        "a refusal does not end the connection, or says that it does, so that no request of KMS is lost",
        Story(|kit| {
            let mut connection = kit.connection()?;
            let refused = kit.metadata_of(kit.target.unknown_key()).sign();
            let answer = kit.send_on(&mut connection, &refused)?;
            let closes = answer.header("connection").unwrap_or_default();
            if closes.eq_ignore_ascii_case("close") {
                return Ok(());
            }
            let wire = kit.encrypt().sign();
            kit.send_on(&mut connection, &wire)?
                .sealed(Some(AAD))
                .map(drop)
        }),
    ),
    must(
        "connection-closed-when-asked",
        CONTENT_TYPE,
        "a request with Connection: close is answered, and the connection ends",
        Story(|kit| {
            let mut connection = kit.connection()?;
            let wire = kit.encrypt().sign().add("Connection", "close");
            kit.send_on(&mut connection, &wire)?.sealed(Some(AAD))?;
            holds(connection.is_closed_within(Duration::from_secs(3)), || {
                "the connection stayed open".to_owned()
            })
        }),
    ),
    should(
        "requests-in-a-pipeline",
        CONTENT_TYPE,
        "requests that are sent before the answer to the first one are answered in their order",
        Story(pipeline),
    ),
    must(
        "request-byte-by-byte",
        CONTENT_TYPE,
        "a request that arrives in small pieces is the same request",
        Story(|kit| {
            let wire = kit.health().sign();
            let mut connection = kit.connection()?;
            for (at, piece) in wire.bytes().chunks(16).enumerate() {
                connection.send(piece).map_err(lost)?;
                if at == 3 {
                    thread::sleep(Duration::from_millis(60));
                }
            }
            received(kit, &mut connection, &wire)
        }),
    ),
    must(
        "body-later-than-head",
        CONTENT_TYPE,
        "a body that arrives a moment after the head is waited for",
        Story(|kit| {
            let wire = kit.encrypt().sign();
            let mut connection = kit.connection()?;
            connection.send(wire.head().as_bytes()).map_err(lost)?;
            thread::sleep(Duration::from_millis(100));
            connection.send(&wire.body).map_err(lost)?;
            received(kit, &mut connection, &wire)
        }),
    ),
    should(
        "body-in-chunks",
        CONTENT_TYPE,
        "a body may come in chunks, as HTTP/1.1 has it",
        Story(|kit| {
            let wire = kit.encrypt().sign().add("Transfer-Encoding", "chunked");
            let mut connection = kit.connection()?;
            connection.send(wire.head().as_bytes()).map_err(lost)?;
            for chunk in wire.body.chunks(100) {
                let head = format!("{:x}\r\n", chunk.len());
                let chunk = [head.as_bytes(), chunk, b"\r\n"].concat();
                connection.send(&chunk).map_err(lost)?;
            }
            connection.send(b"0\r\n\r\n").map_err(lost)?;
            received(kit, &mut connection, &wire)
        }),
    ),
    should(
        "expect-100-continue",
        CONTENT_TYPE,
        "a client that waits for leave to send its body gets it",
        Story(|kit| {
            let wire = kit.encrypt().sign().add("Expect", "100-continue");
            let mut connection = kit.connection()?;
            connection.send(wire.head().as_bytes()).map_err(lost)?;
            // Whether leave comes or not, a client sends in the end.
            thread::sleep(Duration::from_millis(50));
            connection.send(&wire.body).map_err(lost)?;
            received(kit, &mut connection, &wire)
        }),
    ),
    must(
        "content-type-with-charset",
        CONTENT_TYPE,
        "application/json may have a parameter",
        Served(|kit| {
            let kind = "application/json; charset=utf-8";
            Ok(kit.encrypt().sign().set("content-type", kind))
        }),
    ),
    should(
        "header-that-is-long",
        CONTENT_TYPE,
        "a request with a header of 4 KiB, which proxies on the way may add, is served",
        Served(|kit| Ok(kit.encrypt().sign().add("X-Trace", &"t".repeat(4096)))),
    ),
    should(
        "body-of-four-mebibytes",
        CONTENT_TYPE,
        "a body that is far longer than any of KMS's is refused, and not read into memory without end",
        Story(|kit| {
            let wire = kit
                .encrypt()
                .text(|text| format!("{text}{}", " ".repeat(4 * 1024 * 1024)))
                .unsigned();
            kit.refuse(Ok(wire), CLIENT_ERROR_OR_HANGUP)?;
            kit.serve(Ok(kit.encrypt().sign()))
        }),
    ),
    should(
        "content-length-that-is-no-number",
        CONTENT_TYPE,
        "a length that is none is refused",
        Refused(
            |kit| Ok(kit.encrypt().sign().add("Content-Length", "many")),
            CLIENT_ERROR_OR_HANGUP,
        ),
    ),
    should(
        "content-length-twice",
        CONTENT_TYPE,
        "two different lengths are refused, else two servers in a row disagree where the next request begins",
        Refused(
            |kit| {
                let wire = kit.encrypt().sign();
                let length = wire.body.len().to_string();
                Ok(wire
                    .add("Content-Length", &length)
                    .add("Content-Length", "5"))
            },
            CLIENT_ERROR_OR_HANGUP,
        ),
    ),
    should(
        "host-missing",
        CONTENT_TYPE,
        "a request of HTTP/1.1 without Host is refused",
        Refused(|kit| Ok(kit.encrypt().sign().without("host")), CLIENT_ERROR),
    ),
    should(
        "bytes-that-are-no-http",
        CONTENT_TYPE,
        "bytes that are no HTTP end their connection, and no other one",
        Story(|kit| {
            let mut connection = kit.connection()?;
            connection
                .send(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
                .map_err(lost)?;
            let result = connection.receive("POST");
            kit.note_text(
                "bytes that are no HTTP",
                match &result {
                    Ok(answer) => answer.shown(),
                    Err(trouble) => trouble.to_string(),
                },
            );
            match result {
                Ok(answer) => answer.refused(CLIENT_ERROR)?,
                Err(Trouble::Ended(_)) => {}
                Err(trouble) => return Err(lost(trouble)),
            }
            kit.serve(Ok(kit.encrypt().sign()))
        }),
    ),
    must(
        "idle-connections-disturb-nobody",
        CONTENT_TYPE,
        "connections on which nothing is sent do not keep others from being served",
        Story(|kit| {
            let idle = (0..20).map(|_| kit.connection());
            let idle: Vec<_> = idle.collect::<Result<_, _>>()?;
            let mut connection = kit.connection()?;
            let answer = kit.send_on(&mut connection, &kit.encrypt().sign())?;
            drop(idle);
            answer.sealed(Some(AAD)).map(drop)
        }),
    ),
    must(
        "half-a-request-disturbs-nobody",
        CONTENT_TYPE,
        "a request that never ends does not keep others from being served",
        Story(|kit| {
            let mut half = kit.connection()?;
            let head = kit.encrypt().sign().head();
            let part = head.get(..head.len() / 2).unwrap_or_default();
            half.send(part.as_bytes()).map_err(lost)?;
            let mut connection = kit.connection()?;
            let answer = kit.send_on(&mut connection, &kit.encrypt().sign())?;
            answer.sealed(Some(AAD)).map(drop)
        }),
    ),
];

fn pipeline(kit: &Kit<'_>) -> Outcome {
    let mut connection = kit.connection()?;
    let sizes = [1_usize, 17, 33];
    let mut together = Vec::new();
    for size in sizes {
        together.extend(kit.encrypt_of(&vec![b'p'; size], None).sign().bytes());
    }
    connection.send(&together).map_err(lost)?;
    for size in sizes {
        let answer = connection.receive("POST").map_err(lost)?;
        let found = answer.sealed(None)?.ciphertext.len();
        if found != size {
            return Err(Finding::failed(format!(
                "expected the answer to the plaintext of {size} bytes; got {found} bytes of ciphertext"
            )));
        }
    }
    Ok(())
}

/// Reads the answer to a request that was sent in pieces.
fn received(kit: &Kit<'_>, connection: &mut Connection, wire: &Wire) -> Outcome {
    let result = connection.receive(&wire.method);
    kit.note(wire, &result);
    result.map_err(lost)?.served(wire.operation)
}

fn lost(trouble: Trouble) -> Finding {
    Finding::failed(format!("expected an answer; {trouble}"))
}
