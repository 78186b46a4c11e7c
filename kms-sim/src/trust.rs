//! Reads certificates and keys for the program: authorities of proxies, its own identity, its client identity.

use std::io;
use std::path::{Path, PathBuf};

use kms_sim::{ClientCertificate, ServerTls};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The authorities in the files that were named, then those that the system trusts, if it has a bundle.
///
/// # Errors
/// A file that was named and cannot be used.
pub(crate) fn authorities(named: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, UnusableFile> {
    let mut authorities = Vec::new();
    for file in named {
        for certificate in certificates(file)? {
            check(&certificate).map_err(|problem| UnusableFile::new(file, problem))?;
            authorities.push(certificate);
        }
    }
    for file in SYSTEM_BUNDLES.iter().map(Path::new) {
        if let Ok(bundle) = certificates(file) {
            // A bundle of hundreds may hold one that rustls does not take; that one is not missed.
            authorities.extend(
                bundle
                    .into_iter()
                    .filter(|certificate| check(certificate).is_ok()),
            );
            break;
        }
    }
    Ok(authorities)
}

/// The simulator's own identity.
pub(crate) fn server_identity(certificate: &Path, key: &Path) -> Result<ServerTls, UnusableFile> {
    let (certificates, key) = pair(["--tls-cert", "--tls-key"], certificate, key)?;
    Ok(ServerTls { certificates, key })
}

/// What a proxy that asks for a client certificate is shown; `options` named the two files.
pub(crate) fn client_identity(
    options: [&'static str; 2],
    certificate: &Path,
    key: &Path,
) -> Result<ClientCertificate, UnusableFile> {
    let (chain, key) = pair(options, certificate, key)?;
    Ok(ClientCertificate { chain, key })
}

/// A file that was named on the command line and cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}{}{}: {problem}", option.unwrap_or_default(), if option.is_some() { " " } else { "" }, path.display())]
pub(crate) struct UnusableFile {
    option: Option<&'static str>,
    path: Box<Path>,
    problem: Problem,
}

impl UnusableFile {
    fn new(path: &Path, problem: Problem) -> Self {
        Self {
            option: None,
            path: path.into(),
            problem,
        }
    }

    /// Named with this option.
    pub(crate) fn of(self, option: &'static str) -> Self {
        let option = Some(option);
        Self { option, ..self }
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot be read: {0}; expected a PEM file that this user may read")]
    Unreadable(io::Error),
    #[error("expected PEM with -----BEGIN CERTIFICATE-----, found none")]
    NoCertificate,
    #[error("expected a private key in PEM (PKCS#8, PKCS#1 or SEC1), found none")]
    NoKey,
    #[error("is not PEM: {0}")]
    NotPem(pem::Error),
    #[error(
        "holds a certificate that cannot be an authority: {0}; expected that of a certificate authority"
    )]
    NoAuthority(rustls::Error),
    #[error("is not the key of the first certificate in {}: {error}; name the two that were made together", certificate.display())]
    OtherKey {
        certificate: PathBuf,
        error: rustls::Error,
    },
}

/// A chain and the key of its first certificate.
fn pair(
    [of_certificate, of_key]: [&'static str; 2],
    certificate: &Path,
    key: &Path,
) -> Result<Pair, UnusableFile> {
    let chain = certificates(certificate).map_err(|error| error.of(of_certificate))?;
    let private = private_key(key).map_err(|error| error.of(of_key))?;
    CertifiedKey::from_der(
        chain.clone(),
        private.clone_key(),
        &ring::default_provider(),
    )
    .map_err(|error| {
        let certificate = certificate.to_owned();
        UnusableFile::new(key, Problem::OtherKey { certificate, error }).of(of_key)
    })?;
    Ok((chain, private))
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, UnusableFile> {
    let text = read(file)?;
    let parsed = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = parsed.map_err(|error| UnusableFile::new(file, Problem::NotPem(error)))?;
    match found.is_empty() {
        true => Err(UnusableFile::new(file, Problem::NoCertificate)),
        false => Ok(found),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, UnusableFile> {
    let text = zeroize::Zeroizing::new(read(file)?);
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let problem = match error {
            pem::Error::NoItemsFound => Problem::NoKey,
            error => Problem::NotPem(error),
        };
        UnusableFile::new(file, problem)
    })
}

fn read(file: &Path) -> Result<Vec<u8>, UnusableFile> {
    std::fs::read(file).map_err(|error| UnusableFile::new(file, Problem::Unreadable(error)))
}

fn check(authority: &CertificateDer<'static>) -> Result<(), Problem> {
    RootCertStore::empty()
        .add(authority.clone())
        .map_err(Problem::NoAuthority)
}

/// The options of a client's identity.
pub(crate) const CLIENT: [&str; 2] = ["--client-cert", "--client-key"];

/// Debian, Fedora, SUSE, Alpine and macOS; the first that is there.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
