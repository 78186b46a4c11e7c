//! Requests of HTTP/1.1 as they are read from a connection, strictly: what is no request is refused and ends it.

use std::io::{self, BufRead, Read as _, Write};

use super::answer::Incoming;

/// What came of reading.
pub(super) enum Read {
    /// A request.
    Request(Incoming),
    /// No request: the status with which it is refused.
    Refused(u16),
    /// The end of the stream.
    End,
}

/// Reads one request; `leave` gets the word that a client may wait for before its body.
pub(super) fn read<S: BufRead>(
    stream: &mut S,
    leave: fn(&mut S) -> &mut dyn Write,
) -> io::Result<Read> {
    let mut head = stream.take(MAX_HEAD);
    let mut line = String::new();
    match head.read_line(&mut line) {
        Ok(0) => return Ok(Read::End),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Read::Refused(400)),
        Err(error) => return Err(error),
    }
    let words: Vec<_> = line.trim_end().split(' ').collect();
    let &[method, target, "HTTP/1.1"] = words.as_slice() else {
        return Ok(Read::Refused(400));
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut names = Vec::new();
    loop {
        let mut header = String::new();
        if head.read_line(&mut header)? == 0 {
            return Ok(Read::Refused(431));
        }
        let header = header.trim_end_matches(['\r', '\n']);
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else {
            return Ok(Read::Refused(400));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        names.push(name.to_owned());
    }
    let values = |name: &str| -> Vec<&str> {
        let of_name = headers.iter().filter(|(sent, _)| sent == name);
        of_name.map(|(_, value)| &**value).collect()
    };
    let expects = values("expect");
    let waits = expects
        .iter()
        .any(|value| value.eq_ignore_ascii_case("100-continue"));
    let chunked = values("transfer-encoding");
    let lengths = values("content-length");
    let body = match (chunked.as_slice(), lengths.as_slice()) {
        ([], []) => Some(0),
        ([], [length]) => match length.parse() {
            Ok(length) if length > MAX_BODY => return Ok(Read::Refused(413)),
            Ok(length) => Some(length),
            Err(_) => return Ok(Read::Refused(400)),
        },
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => None,
        _ => return Ok(Read::Refused(400)),
    };
    if waits {
        let writer = leave(stream);
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        writer.flush()?;
    }
    let body = match body {
        Some(length) => {
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            body
        }
        None => match chunks(stream)? {
            Some(body) => body,
            None => return Ok(Read::Refused(400)),
        },
    };
    Ok(Read::Request(Incoming {
        method,
        target,
        headers,
        names,
        body,
    }))
}

/// A body in chunks; `None` for one that is none, or too long.
fn chunks(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.take(MAX_HEAD).read_line(&mut line)?;
        let Ok(length) = usize::from_str_radix(line.trim_end(), 16) else {
            return Ok(None);
        };
        if body.len() + length > MAX_BODY {
            return Ok(None);
        }
        let mut chunk = vec![0; length];
        stream.read_exact(&mut chunk)?;
        body.extend(chunk);
        stream.read_exact(&mut [0; 2])?;
        if length == 0 {
            return Ok(Some(body));
        }
    }
}

const MAX_HEAD: u64 = 64 * 1024;
const MAX_BODY: usize = 8 * 1024 * 1024;
