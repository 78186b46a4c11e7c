//! Certificates that do not verify: the proxy's own, looked at with other eyes.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use super::{ConnectFault, TlsFault};
use crate::xks_tls::client_config;

/// How the certificate of the proxy is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CertificateFault {
    /// By someone who trusts nobody.
    Untrusted,
    /// At that time.
    At(UnixTime),
    /// By someone who expects another host.
    OtherName,
}

impl ConnectFault {
    /// What is wrong with the certificate, if that is the fault.
    pub(crate) const fn certificate(self) -> Option<CertificateFault> {
        match self {
            Self::Tls(TlsFault::UntrustedAuthority) => Some(CertificateFault::Untrusted),
            Self::Tls(TlsFault::Expired) => Some(CertificateFault::At(LONG_AFTER)),
            Self::Tls(TlsFault::NotYetValid) => Some(CertificateFault::At(LONG_BEFORE)),
            Self::Tls(TlsFault::OtherName) => Some(CertificateFault::OtherName),
            Self::Tls(
                TlsFault::OldVersion
                | TlsFault::NoCommonSuite
                | TlsFault::ClientCertificate
                | TlsFault::PlainHttp
                | TlsFault::Closed,
            )
            | Self::Tcp(_) => None,
        }
    }
}

impl CertificateFault {
    /// The client that does not take the certificate.
    ///
    /// # Errors
    /// None that a client which could be made before would meet.
    pub(crate) fn client(self, sound: &ClientConfig) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut config = match self {
            Self::Untrusted => client_config(&[], None)?,
            Self::At(_) | Self::OtherName => sound.clone(),
        };
        if let Self::At(time) = self {
            config.time_provider = Arc::new(At(time));
        }
        Ok(Arc::new(config))
    }

    /// The host that the certificate must be for.
    pub(crate) const fn host(self, host: &str) -> &str {
        match self {
            Self::OtherName => "another-name.invalid",
            Self::Untrusted | Self::At(_) => host,
        }
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// 1971
const LONG_BEFORE: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(31_536_000));
/// 9999
const LONG_AFTER: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(253_370_764_800));
