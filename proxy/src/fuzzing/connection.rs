//! The bytes of a connection, as they come out of TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::Door;
use crate::server::{Protocol, Transport, serve_stream};

impl Transport for DuplexStream {
    type Raw = Self;

    fn raw(&mut self) -> &mut Self {
        self
    }
}

impl Door {
    /// `2` for HTTP/2 or anything else for HTTP/1.1, then all that a client sends. Gives what it is sent back.
    ///
    /// # Panics
    /// The connection does not end, something is an internal error, or a request is served that nobody has signed.
    pub fn connection(&self, input: &[u8]) -> Vec<u8> {
        let Some((first, sent)) = input.split_first() else {
            return Vec::new();
        };
        let protocol = match first {
            b'2' => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let (client, server) = duplex(BUFFER);
        let serving = serve_stream(server, protocol, Arc::clone(&self.runtime));
        let talking = async {
            let (mut reading, mut writing) = split(client);
            let mut answer = Vec::new();
            let sending = async {
                // The server may close early, which is its right.
                let _ = writing.write_all(sent).await;
                for _ in 0..TURNS {
                    yield_now().await;
                }
                let _ = writing.shutdown().await;
            };
            let receiving = async {
                let _ = reading.read_to_end(&mut answer).await;
            };
            tokio::join!(sending, receiving);
            answer
        };
        let both = async { tokio::join!(serving, talking) };
        let ended = self.executor.block_on(async { timeout(LIMIT, both).await });
        let ((), answer) = ended.expect("a connection ends");
        check(protocol, sent, &answer);
        answer
    }
}

fn check(protocol: Protocol, sent: &[u8], answer: &[u8]) {
    let has = |text: &[u8], part: &str| text.windows(part.len()).any(|at| at == part.as_bytes());
    assert!(!has(answer, "InternalException"), "an internal error");
    if protocol == Protocol::Http1 && !answer.is_empty() {
        assert!(answer.starts_with(b"HTTP/1."), "no answer of HTTP");
        assert!(!has(answer, " 500 "), "an internal error");
    }
    if SERVED.iter().any(|member| has(answer, member)) {
        let signed = GENUINE.iter().any(|signature| has(sent, signature));
        assert!(signed, "served without a signature");
    }
}

/// A member of the answer to each operation.
const SERVED: [&str; 4] = [
    "\"xksProxyFleetSize\":",
    "\"keySpec\":",
    "\"ciphertext\":",
    "\"plaintext\":",
];

/// The signatures in the corpus that are those of their requests.
const GENUINE: [&str; 4] = [
    "49c74a6ba79a454f4cd08f3271803346b67899391048222c96d4da0f8bfa650a",
    "5f52c2dacf9ebc8e5bdfbf73f6b40f35e0e5bc70ab18aa3743f7197ca4978aed",
    "7c358b7d37817a397daffa0752b9478a5a2b1772491e2fbbf9ee5bde28887087",
    "e9e5518bf49755fb8d1dad30101d6c94aa277cf05987b514474826bf0b3efdd6",
];

const BUFFER: usize = 64 * 1024;
/// For streams of HTTP/2, which are tasks of their own.
const TURNS: usize = 64;
const LIMIT: Duration = Duration::from_secs(20);
