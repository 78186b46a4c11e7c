//! KMS's side of TLS with a proxy: what it offers, whom it trusts, and its client certificate.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The certificate that KMS presents to a proxy that asks for one, with the subject
/// `CN=cks.kms.<region>.amazonaws.com`.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

/// TLS 1.2 and 1.3 with the suites that the specification names, HTTP/1.1 alone.
///
/// Nothing is resumed, so that every connection sees the proxy's certificate anew.
///
/// # Errors
/// An authority that cannot be read, or a client certificate that does not fit its key.
pub(crate) fn client_config(
    authorities: &[CertificateDer<'static>],
    certificate: Option<&ClientCertificate>,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            builder.with_client_auth_cert(certificate.chain.clone(), certificate.key.clone_key())?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

//= xks §API content type R3
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| {
        matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_256_GCM_SHA384
                | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        )
    });
    provider
}
