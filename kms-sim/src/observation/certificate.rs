//! The certificate that a proxy has proved itself with: whose it is and when it ends.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The leaf certificate of a proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ProxyCertificate {
    /// The common name of the subject, or the first DNS name if it has none.
    pub(crate) name: String,
    not_after: SystemTime,
    der: Box<[u8]>,
}

impl ProxyCertificate {
    /// Reads one that a handshake has accepted; `None` if it ends before 1970.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut names = certificate.subject().iter_common_name();
        let common_name = names.next().and_then(|name| name.as_str().ok());
        let not_after = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
        Some(Self {
            name: common_name.map_or_else(|| dns_name(&certificate), str::to_owned),
            not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(not_after),
            der: der.as_ref().into(),
        })
    }

    /// Whether it is that one.
    pub(crate) fn is(&self, der: &CertificateDer<'_>) -> bool {
        *self.der == **der
    }

    /// Days until it ends, by the system's time, which decides in handshakes; negative after that.
    pub(crate) fn days_to_expire(&self, now: SystemTime) -> f64 {
        match self.not_after.duration_since(now) {
            Ok(left) => days(left),
            Err(over) => -days(over.duration()),
        }
    }
}

fn dns_name(certificate: &X509Certificate<'_>) -> String {
    use x509_parser::extensions::GeneralName;
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension
        .iter()
        .flat_map(|names| &names.value.general_names);
    let mut names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.next().unwrap_or_default()
}

/// Days with their fraction.
pub(crate) fn days(time: Duration) -> f64 {
    time.as_secs_f64() / 86_400.0
}
