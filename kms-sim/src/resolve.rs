//! Where an endpoint's host is dialled: a mapping given at start, else DNS and port 443.
//!
//! AWS KMS always dials `https://host:443`. A proxy under test listens elsewhere, so its address comes from outside
//! the API; TLS server name, `Host` and signature keep the plain host.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::config::Resolve;

impl FromStr for Resolve {
    type Err = InvalidResolve;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, address) = text.split_once('=').ok_or(InvalidResolve)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(InvalidResolve);
        }
        Ok(Self {
            host: host.to_owned(),
            address: address.parse().map_err(|_| InvalidResolve)?,
        })
    }
}

/// The text is no mapping.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected HOST=IP:PORT, for example xks.test=127.0.0.1:8443 or xks.test=[::1]:8443; the host \
     is that of XksProxyUriEndpoint, without https:// and without a port"
)]
pub struct InvalidResolve;

/// Every mapping; of two for one host the later counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver(BTreeMap<Box<str>, SocketAddr>);

impl Resolver {
    /// The addresses to try, in order.
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        match self.0.get(host.to_ascii_lowercase().as_str()) {
            Some(address) => Ok(vec![*address]),
            None => Ok(tokio::net::lookup_host((host, HTTPS)).await?.collect()),
        }
    }
}

impl<'r> FromIterator<&'r Resolve> for Resolver {
    fn from_iter<I: IntoIterator<Item = &'r Resolve>>(mappings: I) -> Self {
        let lower = |m: &Resolve| (m.host.to_ascii_lowercase().into(), m.address);
        Self(mappings.into_iter().map(lower).collect())
    }
}

const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mapped_host_is_found_in_any_case_and_the_later_mapping_counts() {
        let resolver: Resolver = ["Xks.Test=127.0.0.1:1", "xks.test=[::1]:8443"]
            .map(|text| text.parse::<Resolve>().unwrap())
            .iter()
            .collect();
        let expected: SocketAddr = "[::1]:8443".parse().unwrap();
        assert_eq!(resolver.addresses("XKS.test").await.unwrap(), [expected]);
    }

    #[tokio::test]
    async fn an_unmapped_host_is_dialled_on_port_443() {
        let found = Resolver::default().addresses("127.0.0.1").await.unwrap();
        assert_eq!(found, ["127.0.0.1:443".parse().unwrap()]);
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for bad in [
            "",
            "xks.test",
            "=127.0.0.1:1",
            "xks.test=127.0.0.1",
            "xks.test=other:1",
            "https://xks.test=127.0.0.1:1",
            "xks.test:443=127.0.0.1:1",
        ] {
            assert!(bad.parse::<Resolve>().is_err(), "{bad}");
        }
    }
}
