//! Attackers who send: heads beyond all measure, streams that are reset at once, settings and pings without end.

use std::time::{Duration, Instant};

use harness::https::Connection;

use crate::target::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, Target, frame,
    http2,
};

/// Sends the same again and again until the server ends the connection or `limit` bytes are sent. How many were.
fn flood(connection: &mut Connection, bytes: impl Fn(u32) -> Vec<u8>, limit: usize) -> usize {
    let (start, mut sent) = (Instant::now(), 0);
    for number in 0.. {
        let bytes = bytes(number);
        if sent >= limit
            || start.elapsed() > Duration::from_secs(20)
            || connection.send(&bytes).is_err()
        {
            break;
        }
        sent += bytes.len();
    }
    sent
}

#[test]
fn giant_headers() {
    let mut target = Target::start("");
    let (figures, sent) = target.under(|proxy| {
        let mut most = 0;
        for _ in 0..20 {
            let mut connection = proxy.connect();
            connection
                .send(b"POST / HTTP/1.1\r\nhost: localhost\r\nx-a: ")
                .unwrap();
            most = most.max(flood(&mut connection, |_| vec![b'a'; 16 * 1024], FLOOD));

            let mut connection = http2(proxy);
            // A literal field whose value announces four MiB (RFC 7541, 5.1).
            let field = [&[0, 3][..], b"x-a", &[0x7f, 0x81, 0xff, 0xff, 1]].concat();
            connection.send(&frame(HEADERS, 0, 1, &field)).unwrap();
            let more = frame(CONTINUATION, 0, 1, &vec![b'a'; 16_000]);
            most = most.max(flood(&mut connection, |_| more.clone(), FLOOD));
        }
        most
    });
    eprintln!("giant headers: at most {sent} bytes were taken from a connection");
    // What was sent is in buffers of the kernel, too.
    assert!(sent < FLOOD, "it never ended the connection: {sent} bytes");
    figures.hold("giant headers", 64 * 1024);
}

#[test]
fn rapid_reset() {
    let mut target = Target::start("");
    let (figures, streams) = target.under(|proxy| {
        let mut most = 0;
        for _ in 0..10 {
            let mut connection = http2(proxy);
            let path = format!("{}/keys/demo/encrypt", proxy.env.uri_path);
            let request = request_head(&path);
            let reset = |number: u32| {
                let stream = 2 * number + 1;
                // Several at a time, as the attack has it.
                [
                    frame(HEADERS, END_HEADERS | END_STREAM, stream, &request),
                    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
                ]
                .concat()
            };
            let each = reset(0).len();
            most = most.max(flood(&mut connection, reset, FLOOD) / each);
        }
        most
    });
    eprintln!("rapid reset: at most {streams} streams until the connection was ended");
    assert!(
        streams < FLOOD / 200,
        "it never ended the connection: {streams} streams"
    );
    figures.hold("rapid reset", 64 * 1024);
}

#[test]
fn settings_and_ping_floods() {
    let mut target = Target::start("");
    let (figures, sent) = target.under(|proxy| {
        let window = [&[0, 4][..], &65_535_u32.to_be_bytes()].concat();
        let settings = frame(SETTINGS, 0, 0, &window).repeat(100);
        let pings = frame(PING, 0, 0, &[7; 8]).repeat(100);
        // Nobody reads the acknowledgements, which must not pile up.
        let floods = [settings, pings];
        std::thread::scope(|scope| {
            // Each comes back when it was thrown out.
            let again = |bytes: &Vec<u8>| {
                let sent = (0..ROUNDS).map(|_| flood(&mut http2(proxy), |_| bytes.clone(), FLOOD));
                sent.max().unwrap_or_default()
            };
            let flood = |bytes| move || again(bytes);
            let threads: Vec<_> = (0..4)
                .flat_map(|_| &floods)
                .map(|b| scope.spawn(flood(b)))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("a flood"))
                .max()
                .unwrap_or_default()
        })
    });
    eprintln!(
        "settings and ping floods: at most {sent} bytes were taken from each of {} connections",
        8 * ROUNDS
    );
    // The kernel's buffers are between.
    assert!(sent < FLOOD, "it never ended the connection: {sent} bytes");
    figures.hold_but_for_overload("settings and ping floods", 64 * 1024);
    let (afterwards, ()) = target.under(|_| std::thread::sleep(Duration::from_secs(1)));
    afterwards.hold("after the floods", 64 * 1024);
}

/// `POST` of a path, without Huffman and without a dynamic table (RFC 7541).
fn request_head(path: &str) -> Vec<u8> {
    let len = u8::try_from(path.len()).expect("a short path");
    // :method POST and :scheme https of the static table; :path and :authority as literals with indexed names.
    [
        &[0x83, 0x87, 0x04, len][..],
        path.as_bytes(),
        &[0x01, 9],
        b"localhost",
    ]
    .concat()
}

/// More than any bound of the server, and little enough for a test.
const FLOOD: usize = 16 << 20;
const ROUNDS: usize = 5;
