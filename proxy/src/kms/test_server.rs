//! A server of tests that answers each connection's one request with what it was given.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Answers one request after another with these statuses and bodies; what it was asked comes back at the end.
pub(super) fn server(answers: Vec<(u16, String)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                    let head = head.to_ascii_lowercase();
                    let length = head.split("content-length: ").nth(1);
                    let length = length.and_then(|l| l.lines().next()?.parse().ok());
                    if rest.len() >= length.unwrap_or(0) {
                        asked.push(text);
                        break;
                    }
                }
                let read = stream.read(&mut buffer).unwrap();
                assert_ne!(read, 0, "the request ends early: {text}");
                request.extend_from_slice(&buffer[..read]);
            }
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nx-amzn-requestid: the-id\r\nconnection: close\r\n\r\n"
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
        asked
    });
    (url, asked)
}
