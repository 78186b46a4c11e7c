//! TLS: versions and suites, and that there is nothing without it.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use rustls::version::{TLS12, TLS13};

use super::super::case::Check::Story;
use super::super::case::{Case, Finding, Outcome, must, should};
use super::super::connection::{Connection, Trouble, dial};
use super::super::kit::{AAD, Kit};
use super::super::tls_client::{Offer, Suites};
use super::key_metadata::holds;
use super::{AUTHENTICATION, CONTENT_TYPE};

pub(super) const CASES: &[Case] = &[
    must(
        "certificate-of-the-host",
        AUTHENTICATION,
        "the server's certificate is for the host of the endpoint, valid now, and of an authority that is trusted",
        Story(|kit| kit.connection().map(drop)),
    ),
    must(
        "suite-of-the-specification",
        CONTENT_TYPE,
        "one of the four cipher suites of the specification is agreed on, also if others are offered",
        Story(|kit| {
            let specified = Offer::of_kms(kit.target);
            served_with(kit, &specified)?;
            let all = Offer {
                suites: Suites::All,
                ..specified
            };
            served_with(kit, &all)
        }),
    ),
    should(
        "tls-1-3",
        CONTENT_TYPE,
        "TLS 1.3 is there",
        Story(|kit| {
            served_with(
                kit,
                &Offer {
                    versions: &[&TLS13],
                    ..Offer::of_kms(kit.target)
                },
            )
        }),
    ),
    should(
        "tls-1-2",
        CONTENT_TYPE,
        "TLS 1.2 is there, for a KMS that does not speak 1.3",
        Story(|kit| {
            served_with(
                kit,
                &Offer {
                    versions: &[&TLS12],
                    ..Offer::of_kms(kit.target)
                },
            )
        }),
    ),
    should(
        "tls-1-1-refused",
        CONTENT_TYPE,
        "a version before TLS 1.2 is refused",
        Story(old_version),
    ),
    must(
        "no-plain-http",
        AUTHENTICATION,
        "what comes without TLS is not served",
        Story(plain),
    ),
    must(
        "http-1-1-without-asking-for-it",
        CONTENT_TYPE,
        "a client that agrees on no protocol in the handshake is served over HTTP/1.1",
        Story(|kit| {
            let mut config = (*Offer::of_kms(kit.target)
                .config(kit.target)
                .map_err(|error| Finding::failed(error.to_string()))?)
            .clone();
            config.alpn_protocols.clear();
            let config = std::sync::Arc::new(config);
            let connection = Connection::open(kit.target, &config);
            let mut connection =
                connection.map_err(|trouble| Finding::failed(trouble.to_string()))?;
            let answer = kit.send_on(&mut connection, &kit.encrypt().sign())?;
            answer.sealed(Some(AAD)).map(drop)
        }),
    ),
];

/// An Encrypt over a connection of such a client.
pub(super) fn served_with(kit: &Kit<'_>, offer: &Offer<'_>) -> Outcome {
    let config = offer
        .config(kit.target)
        .map_err(|error| Finding::failed(error.to_string()))?;
    let connection = Connection::open(kit.target, &config);
    let mut connection = connection.map_err(|trouble| Finding::failed(trouble.to_string()))?;
    let answer = kit.send_on(&mut connection, &kit.encrypt().sign())?;
    answer.sealed(Some(AAD)).map(drop)
}

/// A ClientHello of TLS 1.1, which no library of today writes.
fn old_version(kit: &Kit<'_>) -> Outcome {
    let mut socket = dial(kit.target).map_err(|trouble| Finding::failed(trouble.to_string()))?;
    let hello = client_hello(&kit.target.host);
    let mut answer = [0; 11];
    // A server that does not like it may close at once.
    let read = socket
        .write_all(&hello)
        .and_then(|()| socket.read_exact(&mut answer));
    kit.note_text(
        "a ClientHello of TLS 1.1",
        match &read {
            Ok(()) => format!("{answer:02x?}"),
            Err(error) => error.to_string(),
        },
    );
    // A handshake record with a ServerHello.
    let agreed = read.is_ok() && answer.first() == Some(&22) && answer.get(5) == Some(&2);
    holds(!agreed, || "the server agreed to TLS 1.1".to_owned())
}

fn client_hello(host: &str) -> Vec<u8> {
    let u16 = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    let vector = |content: &[u8]| [&u16(content.len()), content].concat();
    let name = [&[0][..], &vector(host.as_bytes())].concat();
    let extensions = [
        // server_name, supported_groups, ec_point_formats
        [&[0, 0][..], &vector(&vector(&name))].concat(),
        [&[0, 10][..], &vector(&vector(&[0, 23, 0, 24, 0, 29]))].concat(),
        vec![0, 11, 0, 2, 1, 0],
    ]
    .concat();
    // ECDHE and RSA with AES in CBC mode.
    let suites = [
        0xc0, 0x0a, 0xc0, 0x14, 0xc0, 0x09, 0xc0, 0x13, 0, 0x35, 0, 0x2f,
    ];
    let body = [
        &[3, 2][..],
        &[0x5a; 32],
        &[0],
        &vector(&suites),
        &[1, 0],
        &vector(&extensions),
    ]
    .concat();
    let handshake = [&[1, 0][..], &vector(&body)].concat();
    [&[22, 3, 1][..], &vector(&handshake)].concat()
}

/// A whole request in plain HTTP on the port of TLS.
fn plain(kit: &Kit<'_>) -> Outcome {
    let mut socket = dial(kit.target).map_err(|trouble| Finding::failed(trouble.to_string()))?;
    let wire = kit.encrypt().sign();
    let mut answer = Vec::new();
    // Whatever ends the reading: what was read until then decides.
    let _ = socket.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = socket
        .write_all(&wire.bytes())
        .and_then(|()| socket.read_to_end(&mut answer).map(drop));
    let text = String::from_utf8_lossy(&answer);
    kit.note(&wire, &Err(Trouble::NotHttp("it was sent without TLS")));
    holds(!text.contains(" 200 "), || {
        "the request was served without TLS".to_owned()
    })
}
