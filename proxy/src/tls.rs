//! TLS as the specification asks for it: rustls with ring, TLS 1.2 and 1.3, four suites, optional client certificates.

mod client_name;
pub(crate) mod refused_server;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use client_name::NamedClientVerifier;

/// What the listener shows and asks for.
#[derive(Debug)]
pub struct TlsMaterial {
    /// The server's certificate first, then its issuers.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub key: PrivateKeyDer<'static>,
    /// Present if clients must show a certificate, too.
    pub client: Option<ClientAuthentication>,
}

/// Which client certificates are taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientAuthentication {
    /// Root CAs.
    pub roots: Vec<CertificateDer<'static>>,
    /// Revoked certificates; without any, none is checked for revocation.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    /// The subject common names, one of which a certificate must have: `cks.kms.<region>.amazonaws.com`.
    pub subject_common_names: Vec<String>,
}

/// Why certificates, keys or names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain or the key.
    #[error("the certificate chain and the private key do not go together: {0}")]
    Certificate(#[source] rustls::Error),
    /// A root CA.
    #[error("a client CA certificate cannot be used as a root: {0}")]
    Root(#[source] rustls::Error),
    /// Roots and CRLs as a whole.
    #[error("client certificates cannot be verified with these roots and CRLs: {0}")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    /// Protocol versions.
    #[error("TLS cannot be set up: {0}")]
    Protocol(#[source] rustls::Error),
}

/// Makes the listener's configuration, with resumption state of its own: a session of an older configuration, whose
/// client may be revoked by now, is never resumed.
///
/// # Errors
/// [`TlsError`] for material that does not fit together.
//= xks §API content type R3
//= xks §Authentication R31, R33
pub fn server_config(material: &TlsMaterial) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Protocol)?;
    let builder = match &material.client {
        None => builder.with_no_client_auth(),
        Some(client) => builder.with_client_cert_verifier(Arc::new(verifier(client, &provider)?)),
    };
    let certified =
        CertifiedKey::from_der(material.chain.clone(), material.key.clone_key(), &provider)
            .map_err(TlsError::Certificate)?;
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    //= xks §API content type R2
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
    Ok(config)
}

/// ring, with the specification's suites alone.
pub(crate) fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| SUITES.contains(&suite.suite()));
    provider
}

fn verifier(
    client: &ClientAuthentication,
    provider: &Arc<CryptoProvider>,
) -> Result<NamedClientVerifier, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in &client.roots {
        roots.add(root.clone()).map_err(TlsError::Root)?;
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if !client.crls.is_empty() {
        // Only issuers with a CRL revoke; a CRL past its date says nothing reliable.
        builder = builder
            .with_crls(client.crls.iter().cloned())
            .allow_unknown_revocation_status()
            .enforce_revocation_expiration();
    }
    Ok(NamedClientVerifier::new(
        builder.build().map_err(TlsError::Verifier)?,
        client.subject_common_names.clone(),
    ))
}

/// The four suites of the specification; the ECDHE one for both kinds of certificate.
const SUITES: [CipherSuite; 4] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

const RESUMABLE_SESSIONS: usize = 4_096;
