//! The XksProxyUriEndpoint: where KMS reaches a proxy.

use std::fmt;

/// `https://` and a host, 10 to 128 characters, without a port: KMS connects to port 443.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UriEndpoint(Box<str>);

impl UriEndpoint {
    /// As KMS is told.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        self.0.strip_prefix(SCHEME).unwrap_or_default()
    }
}

impl TryFrom<&str> for UriEndpoint {
    type Error = InvalidUriEndpoint;

    /// A slash at the end, as browsers add one, is left out.
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let host = text.strip_prefix(SCHEME).ok_or(InvalidUriEndpoint)?;
        if !(10..=128).contains(&text.len()) || host.is_empty() || !host.bytes().all(allowed) {
            return Err(InvalidUriEndpoint);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for UriEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no XksProxyUriEndpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "an endpoint is https:// and a host name, without port and path, such as https://xks.example.com"
)]
pub struct InvalidUriEndpoint;

const SCHEME: &str = "https://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_what_kms_takes() {
        for (text, host) in [
            ("https://xks.example.com", "xks.example.com"),
            ("https://xks.example.com/", "xks.example.com"),
            ("https://10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(UriEndpoint::try_from(text).unwrap().host(), host);
        }
        for bad in [
            "",
            "xks.example.com",
            "http://xks.example.com",
            "https://",
            "https://a",
            "https://xks.example.com:443",
            "https://xks.example.com/tenant-a",
            &format!("https://{}", "x".repeat(121)),
        ] {
            assert_eq!(UriEndpoint::try_from(bad), Err(InvalidUriEndpoint), "{bad}");
        }
    }
}
