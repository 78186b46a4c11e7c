//! What to do about the certificate of a server that the proxy connects to, when it is refused.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Advice for whoever writes the configuration, if an error or what lies behind it is of a certificate.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(rustls::Error::InvalidCertificate(certificate)) = tls_error(this) {
            return of_certificate(certificate);
        }
        error = this.source();
    }
    None
}

/// An I/O error has another one in it, which is not its source.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let within = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    error
        .downcast_ref()
        .or_else(|| within.and_then(|error| error.downcast_ref()))
}

fn of_certificate(error: &CertificateError) -> Option<&'static str> {
    match error {
        CertificateError::UnknownIssuer => Some(
            "no CA in ca_file has issued it: put the CA of this server there, or have the server show its intermediate \
             certificates",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Some("name the server in the configuration as its certificate does")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_within_an_io_error_and_behind_another_one() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);

        let refused = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let within = || io::Error::new(io::ErrorKind::InvalidData, refused());
        let expected = of_certificate(&CertificateError::UnknownIssuer);
        assert!(expected.is_some());
        assert_eq!(advice(&refused()), expected);
        assert_eq!(advice(&within()), expected);
        assert_eq!(advice(&Outer(within())), expected);
        let other = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(advice(&Outer(other)), None);
    }
}
