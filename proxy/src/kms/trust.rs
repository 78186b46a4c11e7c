//! TLS to AWS: certificates of public CAs, from the bundle of the system or the one that a variable names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// TLS that trusts a bundle of CAs; without one, that of the system.
///
/// # Errors
/// [`TrustError`].
pub(super) fn client_config(bundle: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let path = match bundle {
        Some(path) => path.to_owned(),
        None => SYSTEM_BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file())
            .ok_or(TrustError::NoBundle)?,
    };
    let unusable = |found: String| TrustError::Unusable {
        path: path.clone(),
        found,
    };
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    let certificates = certificates.map_err(|e| unusable(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    // A bundle may have roots of a kind that nobody takes any more.
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(unusable("it holds no certificate of a CA".to_owned()));
    }
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Tls)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No file of the system.
    #[error(
        "this system has no bundle of public CAs (looked for {}): install ca-certificates, or name a PEM file in AWS_CA_BUNDLE",
        SYSTEM_BUNDLES.join(", ")
    )]
    NoBundle,
    /// A file that is there.
    #[error(
        "the CAs in {path} cannot be used: {found}; AWS_CA_BUNDLE, SSL_CERT_FILE or ca_bundle of the profile can name another file"
    )]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// rustls took none of the protocol versions.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// Debian and Alpine, Fedora and RHEL, openSUSE, others.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
