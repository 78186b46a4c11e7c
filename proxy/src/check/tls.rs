//! Tries the listener's TLS in memory: the chain as a client sees it, names, dates, and a handshake with each suite.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ServerConfig;
use rustls::{
    CertificateError as E, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    RootCertStore, ServerConnection, SignatureScheme, SupportedCipherSuite,
};
use x509_parser::prelude::{
    ASN1Time, CertificateRevocationList, FromDer, GeneralName, X509Certificate,
};

use super::{Finding, Severity};
use crate::tls::{ClientAuthentication, TlsMaterial, provider, server_config};

pub(super) fn check(material: &TlsMaterial, host: Option<&str>, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let failure = |text: String| Finding::new(Severity::Failure, "tls", text);
    let mut names = Vec::new();
    for (number, der) in material.chain.iter().enumerate() {
        let which = which(number);
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            findings.push(failure(format!("{which} is no X.509 certificate")));
            continue;
        };
        findings.push(dates(&which, &certificate, now));
        if number == 0 {
            names = dns_names(&certificate);
        }
    }
    findings.push(chain(material, now));
    findings.push(host_names(&names, host));
    match server_config(material) {
        Ok(config) => {
            let asks = match material.client {
                None => Asks::Nothing,
                Some(_) => Asks::Certificate,
            };
            findings.push(suites(&Arc::new(config), asks));
        }
        Err(error) => findings.push(failure(error.to_string())),
    }
    if let Some(client) = &material.client {
        findings.extend(client_authentication(client, now));
    }
    findings
}

/// What the server asks a client for.
#[derive(Clone, Copy)]
enum Asks {
    Nothing,
    Certificate,
}

fn client_authentication(client: &ClientAuthentication, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    for root in &client.roots {
        if let Ok((_, root)) = X509Certificate::from_der(root) {
            findings.push(dates(
                &format!("the client CA {}", root.subject()),
                &root,
                now,
            ));
        }
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for crl in &client.crls {
        let Ok((_, crl)) = CertificateRevocationList::from_der(crl) else {
            continue;
        };
        let which = format!("the revocation list of {}", crl.issuer());
        let past = |end: &ASN1Time| u64::try_from(end.timestamp()).unwrap_or_default() < now;
        findings.push(match crl.next_update() {
            Some(end) if past(&end) => Finding::new(
                Severity::Failure,
                "tls",
                format!(
                    "{which} expired at {end}, and everyone whom it concerns is refused: renew it"
                ),
            ),
            Some(end) => Finding::new(
                Severity::Good,
                "tls",
                format!("{which} is valid until {end}"),
            ),
            None => Finding::new(Severity::Good, "tls", format!("{which} has no end")),
        });
    }
    let names = client.subject_common_names.join(", ");
    findings.push(Finding::new(
        Severity::Good,
        "tls",
        format!("clients must show a certificate of these CAs for {names}"),
    ));
    findings
}

/// Of each certificate that is shown to clients.
pub(super) fn dates_of_chain(material: &TlsMaterial, now: SystemTime) -> Vec<Finding> {
    let certificates = material.chain.iter().enumerate();
    certificates
        .filter_map(|(number, der)| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(dates(&which(number), &certificate, now))
        })
        .collect()
}

fn which(number: usize) -> String {
    match number {
        0 => "the server's certificate".to_owned(),
        n => format!("certificate {} of the chain", n + 1),
    }
}

fn dates(which: &str, certificate: &X509Certificate<'_>, now: SystemTime) -> Finding {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    let days = (validity.not_after.timestamp() - now) / 86_400;
    let (severity, text) = if validity.not_after.timestamp() < now {
        (
            Severity::Failure,
            format!("{which} expired at {}: renew it", validity.not_after),
        )
    } else if validity.not_before.timestamp() > now {
        let begin = validity.not_before;
        (
            Severity::Failure,
            format!("{which} is not valid before {begin}: is the clock of this machine right?"),
        )
    } else if days < 30 {
        (
            Severity::Warning,
            format!(
                "{which} expires in {days} days, at {}: renew it",
                validity.not_after
            ),
        )
    } else {
        (
            Severity::Good,
            format!("{which} is valid until {}", validity.not_after),
        )
    };
    Finding::new(severity, "tls", text)
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let Some(extension) = extension else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

/// Whether each certificate vouches for the one before it.
fn chain(material: &TlsMaterial, now: SystemTime) -> Finding {
    let [leaf, between @ ..] = &*material.chain else {
        return Finding::new(Severity::Failure, "tls", "the chain is empty");
    };
    let Some(top) = between.last() else {
        return Finding::new(
            Severity::Warning,
            "tls",
            "the chain is the server's certificate alone: unless a root that clients have issued it, \
             certificate_file needs the intermediate certificates, too",
        );
    };
    let verified = verify_under(top, leaf, between, now);
    match verified {
        Ok(()) => Finding::new(
            Severity::Good,
            "tls",
            "the certificates of the chain fit together",
        ),
        Err(error) => Finding::new(
            Severity::Failure,
            "tls",
            format!(
                "the certificates of the chain do not lead from the server's to the last one: {error}; \
                 expected the server's first, and each followed by its issuer"
            ),
        ),
    }
}

fn verify_under(
    top: &CertificateDer<'static>,
    leaf: &CertificateDer<'_>,
    between: &[CertificateDer<'static>],
    now: SystemTime,
) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(top.clone())?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()))
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
    let (_, parsed) = X509Certificate::from_der(leaf)
        .map_err(|_| Error::General("the server's certificate cannot be read".into()))?;
    // The name is looked at on its own: here, one that the certificate has will do.
    let name = dns_names(&parsed)
        .into_iter()
        .find_map(|name| ServerName::try_from(name.replacen('*', "any", 1)).ok())
        .unwrap_or_else(|| ServerName::try_from("localhost").expect("a name"));
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    match verifier.verify_server_cert(leaf, between, &name, &[], now) {
        Ok(_) => Ok(()),
        // Names and dates are findings of their own.
        Err(Error::InvalidCertificate(
            E::NotValidForName
            | E::NotValidForNameContext { .. }
            | E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. },
        )) => Ok(()),
        Err(error) => Err(error),
    }
}

fn host_names(names: &[String], host: Option<&str>) -> Finding {
    let list = names.join(", ");
    let covers = |name: &String, host: &str| match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(host),
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
    };
    let (severity, text) = match host {
        _ if names.is_empty() => (
            Severity::Failure,
            "the server's certificate has no DNS name; KMS looks for the endpoint's host there"
                .to_owned(),
        ),
        None => (
            Severity::Good,
            format!("the server's certificate is for {list}"),
        ),
        Some(host) if names.iter().any(|name| covers(name, host)) => (
            Severity::Good,
            format!("the server's certificate is for {host}"),
        ),
        Some(host) => (
            Severity::Failure,
            format!("the server's certificate is for {list}; expected {host}"),
        ),
    };
    Finding::new(severity, "tls", text)
}

/// Shakes hands in memory, with each suite that a KMS may offer.
fn suites(server: &Arc<ServerConfig>, asks: Asks) -> Finding {
    let mut good = Vec::new();
    for suite in provider().cipher_suites {
        if handshake(Arc::clone(server), suite, asks).is_some() {
            good.push(format!("{:?}", suite.suite()));
        }
    }
    if good.is_empty() {
        let text = "no handshake succeeds with any suite of the specification: is the private key of a \
                    kind that TLS servers use (ECDSA P-256 or P-384, RSA, Ed25519)?";
        return Finding::new(Severity::Failure, "tls", text);
    }
    let text = format!("handshakes succeed with {}", good.join(", "));
    Finding::new(Severity::Good, "tls", text)
}

/// `Some` if the server's part of a handshake comes to its end, as far as a client without a certificate can tell.
fn handshake(server: Arc<ServerConfig>, suite: SupportedCipherSuite, asks: Asks) -> Option<()> {
    let one_suite = CryptoProvider {
        cipher_suites: vec![suite],
        ..provider()
    };
    let client = ClientConfig::builder_with_provider(Arc::new(one_suite))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").ok()?;
    let mut client = ClientConnection::new(Arc::new(client), name).ok()?;
    let mut server = ServerConnection::new(server).ok()?;
    // A handshake takes two round trips at most.
    for _ in 0..8 {
        pass_on(&mut |w| client.write_tls(w), &mut |r| server.read_tls(r))?;
        if server.process_new_packets().is_err() {
            // It got as far as to ask for a certificate that this client does not have.
            let agreed = server.negotiated_cipher_suite() == Some(suite);
            return (matches!(asks, Asks::Certificate) && agreed).then_some(());
        }
        pass_on(&mut |w| server.write_tls(w), &mut |r| client.read_tls(r))?;
        client.process_new_packets().ok()?;
        if !client.is_handshaking() && !server.is_handshaking() {
            return Some(());
        }
    }
    None
}

fn pass_on(
    write: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<usize>,
    read: &mut dyn FnMut(&mut dyn Read) -> std::io::Result<usize>,
) -> Option<()> {
    let mut bytes = Vec::new();
    while write(&mut bytes).ok()? > 0 {}
    let mut rest = &*bytes;
    while !rest.is_empty() {
        if read(&mut rest).ok()? == 0 {
            return None;
        }
    }
    Some(())
}

/// Takes any certificate: the chain is looked at on its own, the proof of the key is what is tried here.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateRevocationListDer, PrivateKeyDer};

    use super::*;

    macro_rules! pem {
        ($name:literal) => {
            include_bytes!(concat!("../../../certs/", $name)).as_slice()
        };
    }

    fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .unwrap()
    }

    fn material() -> TlsMaterial {
        let mut chain = certificates(pem!("server-ecdsa.crt.pem"));
        chain.extend(certificates(pem!("root-ca.crt.pem")));
        TlsMaterial {
            chain,
            key: PrivateKeyDer::from_pem_slice(pem!("server-ecdsa.test-key.pem")).unwrap(),
            client: None,
        }
    }

    fn worst(material: &TlsMaterial, host: Option<&str>, now: SystemTime) -> (Severity, String) {
        let findings = check(material, host, now);
        let worst = findings.into_iter().max_by_key(|f| f.severity).unwrap();
        (worst.severity, worst.text)
    }

    #[test]
    fn what_fits_is_good() {
        let now = SystemTime::now();
        for host in [None, Some("xks.test"), Some("XKS.test")] {
            let (severity, text) = worst(&material(), host, now);
            assert_eq!(severity, Severity::Good, "{text}");
        }
        let findings = check(&material(), None, now);
        let suites = findings
            .iter()
            .find(|f| f.text.contains("handshakes"))
            .unwrap();
        assert_eq!(
            suites.text,
            "handshakes succeed with TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256, \
             TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        );
    }

    #[test]
    fn each_defect_is_found() {
        let now = SystemTime::now();
        let years = |n: u64| Duration::from_secs(n * 365 * 86_400);
        let (severity, text) = worst(&material(), Some("example.com"), now);
        assert!(
            severity == Severity::Failure && text.contains("expected example.com"),
            "{text}"
        );
        let (severity, text) = worst(&material(), None, now + years(60));
        assert!(
            severity == Severity::Failure && text.contains("expired"),
            "{text}"
        );
        let (severity, text) = worst(&material(), None, UNIX_EPOCH + years(10));
        assert!(
            severity == Severity::Failure && text.contains("clock"),
            "{text}"
        );
        let mut foreign = material();
        foreign.chain[1] = certificates(pem!("foreign-ca.crt.pem")).remove(0);
        let findings = check(&foreign, None, now);
        assert!(
            findings.iter().any(|f| f.text.contains("do not lead")),
            "{findings:?}"
        );
        let mut alone = material();
        alone.chain.truncate(1);
        let (severity, text) = worst(&alone, None, now);
        assert!(
            severity == Severity::Warning && text.contains("intermediate"),
            "{text}"
        );
    }

    #[test]
    fn client_certificates_do_not_hide_the_handshake() {
        let now = SystemTime::now();
        let mut material = material();
        material.client = Some(ClientAuthentication {
            roots: certificates(pem!("client-ca.crt.pem")),
            crls: CertificateRevocationListDer::pem_slice_iter(pem!("client-ca.crl.pem"))
                .collect::<Result<_, _>>()
                .unwrap(),
            subject_common_names: vec!["cks.kms.us-east-1.amazonaws.com".into()],
        });
        let (severity, text) = worst(&material, None, now);
        assert_eq!(severity, Severity::Good, "{text}");
        let later = now + Duration::from_secs(60 * 365 * 86_400);
        let findings = check(&material, None, later);
        let crl = findings
            .iter()
            .find(|f| f.text.contains("revocation"))
            .unwrap();
        assert_eq!(crl.severity, Severity::Failure);
    }
}
