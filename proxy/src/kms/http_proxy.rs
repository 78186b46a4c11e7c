//! `HTTPS_PROXY` and `NO_PROXY`: a tunnel through an HTTP proxy, where that is the only way out.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::environment::Environment;
use super::exchange::Cause;

/// An HTTP proxy, and for which hosts it is not asked.
pub(super) struct HttpProxy {
    host: String,
    port: u16,
    /// A user and a password, as a header has them.
    authorization: Option<Zeroizing<String>>,
    except: Vec<String>,
}

impl HttpProxy {
    /// The proxy of the environment, if there is one.
    ///
    /// # Errors
    /// [`InvalidHttpProxy`], without the URL: it may hold a password.
    pub(super) fn of(environment: &Environment) -> Result<Option<Self>, InvalidHttpProxy> {
        let either = |one, other| environment.get(one).or_else(|| environment.get(other));
        let Some(url) = either("https_proxy", "HTTPS_PROXY") else {
            return Ok(None);
        };
        // Without a scheme it is HTTP, as other programs take it.
        let url = match url.contains("://") {
            true => Zeroizing::new(url.to_owned()),
            false => Zeroizing::new(["http://", url].concat()),
        };
        let uri: Uri = url.parse().map_err(|_| InvalidHttpProxy)?;
        if uri.scheme_str() != Some("http") {
            return Err(InvalidHttpProxy);
        }
        let authority = uri.authority().ok_or(InvalidHttpProxy)?;
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        let authorization = user.map(|user| {
            let user = Zeroizing::new(percent_decoded(user));
            Zeroizing::new(STANDARD.encode(&*user))
        });
        let except = either("no_proxy", "NO_PROXY").unwrap_or_default();
        Ok(Some(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authorization,
            except: except
                .split([',', ' '])
                .filter(|name| !name.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        }))
    }

    /// Whether a host is reached through it.
    pub(super) fn is_for(&self, host: &str, port: u16) -> bool {
        !self.except.iter().any(|except| {
            let (name, only) = match except.rsplit_once(':') {
                Some((name, only)) if only.bytes().all(|b| b.is_ascii_digit()) => (name, only),
                _ => (&**except, ""),
            };
            let name = name.trim_start_matches("*.").trim_start_matches('.');
            let within = || {
                let rest = host.strip_suffix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            (only.is_empty() || only == port.to_string()) && (name == "*" || within())
        })
    }

    /// A connection to a host that the proxy opens.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Cause> {
        let mut stream = TcpStream::connect((&*self.host, self.port))
            .await
            .map_err(|e| self.problem(&e))?;
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        let authorization = self.authorization.as_ref();
        let authorization = authorization
            .map(|user| Zeroizing::new(["proxy-authorization: Basic ", user, "\r\n"].concat()));
        let head = Zeroizing::new(format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n{}\r\n",
            authorization.as_ref().map_or("", |header| header)
        ));
        let written = stream.write_all(head.as_bytes()).await;
        written.map_err(|e| self.problem(&e))?;
        // Byte by byte, as what follows the head is not the proxy's.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < MAX_HEAD {
            let byte = stream.read_u8().await;
            answer.push(byte.map_err(|e| self.problem(&e))?);
        }
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().next().unwrap_or_default();
        match line.split(' ').nth(1) {
            Some("200") => Ok(stream),
            _ => Err(self.problem(&format_args!("it answers CONNECT with {line:?}"))),
        }
    }

    fn problem(&self, problem: &dyn fmt::Display) -> Cause {
        let (host, port) = (&self.host, self.port);
        format!("the HTTP proxy {host}:{port} of HTTPS_PROXY: {problem}").into()
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let [byte, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *byte == b'%');
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

/// The variable holds something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "HTTPS_PROXY: expected http://HOST:PORT, with USER:PASSWORD@ before the host if the proxy asks for them"
)]
pub struct InvalidHttpProxy;

const MAX_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::test_server::server;

    fn proxy(url: &str, except: &str) -> HttpProxy {
        let environment = Environment::of([("HTTPS_PROXY", url), ("NO_PROXY", except)]);
        HttpProxy::of(&environment).unwrap().unwrap()
    }

    #[test]
    fn hosts_are_excepted_by_name_and_by_domain() {
        let one = proxy("proxy:3128", "localhost, .amazonaws.com,example.org:8443");
        assert_eq!((&*one.host, one.port), ("proxy", 3128));
        for (host, port, expected) in [
            ("localhost", 443, false),
            ("kms.us-east-1.amazonaws.com", 443, false),
            ("notamazonaws.com", 443, true),
            ("example.org", 443, true),
            ("a.example.org", 8443, false),
        ] {
            assert_eq!(one.is_for(host, port), expected, "{host}:{port}");
        }
        assert!(!proxy("http://p", "*").is_for("x", 443));
        for bad in ["https://proxy", "socks5://proxy", "http://"] {
            let environment = Environment::of([("https_proxy", bad)]);
            assert!(HttpProxy::of(&environment).is_err(), "{bad}");
        }
        assert!(HttpProxy::of(&Environment::default()).unwrap().is_none());
    }

    #[test]
    fn a_tunnel_is_asked_for_with_user_and_password_and_may_be_refused() {
        let connect = |url: &str| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(proxy(url, "").connect("kms.example", 443))
        };
        let (url, asked) = server(vec![(200, String::new()), (407, String::new())]);
        let url = url.replace("http://", "http://us%65r:p%40ss@");
        connect(&url).unwrap();
        let error = connect(&url).unwrap_err().to_string();
        assert!(error.contains("407") && !error.contains("p@ss"), "{error}");
        let asked = asked.join().unwrap().remove(0);
        assert!(
            asked.starts_with("CONNECT kms.example:443 HTTP/1.1\r\nhost: kms.example:443\r\n"),
            "{asked}"
        );
        let user = STANDARD.encode("user:p@ss");
        assert!(asked.contains(&format!("Basic {user}\r\n")), "{asked}");
    }
}
