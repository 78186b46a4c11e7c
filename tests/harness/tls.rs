//! rustls client configurations for tests, over ring: which roots, which versions, which client certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A client under construction; by default both versions and every suite, no client certificate, no ALPN.
#[derive(Clone)]
pub struct TlsClient {
    roots: RootCertStore,
    identity: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Vec<SupportedCipherSuite>,
    alpn: Vec<Vec<u8>>,
}

impl TlsClient {
    /// Trusts the certificates of a PEM file.
    pub fn trusting(ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in chain(ca) {
            roots
                .add(certificate)
                .unwrap_or_else(|e| panic!("{}: {e}", ca.display()));
        }
        Self {
            roots,
            identity: None,
            versions: rustls::ALL_VERSIONS.to_vec(),
            suites: ring::ALL_CIPHER_SUITES.to_vec(),
            alpn: Vec::new(),
        }
    }

    /// Presents a certificate chain with its key, both PEM files.
    pub fn identity(mut self, certificates: &Path, key: &Path) -> Self {
        let key = PrivateKeyDer::from_pem_file(key)
            .unwrap_or_else(|error| panic!("{}: {error}", key.display()));
        self.identity = Some((chain(certificates), Arc::new(key)));
        self
    }

    /// Offers these protocol versions alone.
    pub fn versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// Offers these suites alone.
    pub fn suites(mut self, suites: &[SupportedCipherSuite]) -> Self {
        self.suites = suites.to_vec();
        self
    }

    /// Offers these application protocols.
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        self
    }

    /// The configuration.
    pub fn config(&self) -> Arc<ClientConfig> {
        let provider = CryptoProvider {
            cipher_suites: self.suites.clone(),
            ..ring::default_provider()
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .expect("versions that the suites can serve")
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .expect("a client certificate with its key"),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }
}

fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
