//! A request as text that a fuzzer can change: `METHOD path`, a line for each header, an empty line, the body.

use xks_api::sigv4::SignedRequest;

/// What is signed of a request. A header `:authority` stands for that of HTTP/2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TextRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) authority: Option<String>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl TextRequest {
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let end = input.windows(2).position(|pair| pair == b"\n\n")?;
        let (head, rest) = input.split_at_checked(end)?;
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = str::from_utf8(lines.next()?).ok()?;
        let (method, target) = first.split_once(' ')?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            authority: None,
            headers: Vec::new(),
            body: rest.get(2..)?.to_owned(),
        };
        for line in lines {
            if let Some(authority) = line.strip_prefix(b":authority:") {
                request.authority = Some(str::from_utf8(authority).ok()?.to_owned());
                continue;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            let name = str::from_utf8(name).ok()?.to_owned();
            request.headers.push((name, value.get(1..)?.to_owned()));
        }
        Some(request)
    }

    /// What [`parse`](Self::parse) takes.
    pub(super) fn text(&self) -> Vec<u8> {
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        let target = format!("{}{}", self.path, query.unwrap_or_default());
        let mut text = format!("{} {target}\n", self.method).into_bytes();
        if let Some(authority) = &self.authority {
            text.extend_from_slice(format!(":authority:{authority}\n").as_bytes());
        }
        for (name, value) in &self.headers {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(&self.body);
        text
    }

    /// The first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other == name);
        found.map(|(_, value)| &**value)
    }

    /// Has one header of that name, with this value.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.into()));
    }

    /// As the verifier takes it.
    pub(super) fn signed(&self) -> SignedRequest<'_, impl Iterator<Item = (&str, &[u8])> + Clone> {
        SignedRequest {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            authority: self.authority.as_deref(),
            headers: self.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())),
            body: &self.body,
        }
    }

    /// The canonical request as AWS describes it, written here a second time and without any check.
    pub(super) fn canonical(&self, signed_headers: &[&str]) -> Vec<u8> {
        let mut text = format!("{}\n{}\n", self.method, self.path).into_bytes();
        text.extend_from_slice(self.query.as_deref().unwrap_or("").as_bytes());
        text.push(b'\n');
        for name in signed_headers {
            let authority = self.authority.as_deref().map(str::as_bytes);
            let value = match *name {
                "host" => self.header("host").or(authority),
                ":authority" => authority,
                name => self.header(name),
            };
            let words = value.unwrap_or_default().split(|byte| *byte == b' ');
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(&words.join(&b' '));
            text.push(b'\n');
        }
        text.extend_from_slice(format!("\n{}\n", signed_headers.join(";")).as_bytes());
        text.extend_from_slice(&self.body);
        text
    }
}
