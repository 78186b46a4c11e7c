//! Where the load goes: address, TLS, and who signs.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;

use http::Uri;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;

use crate::arguments::{Arguments, HttpVersion};
use crate::signing::Signer;

/// A server, and what it takes to speak to it.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// As in the `Host` header: with the port, unless it is the scheme's own.
    pub(crate) host: String,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(crate) http: HttpVersion,
}

/// One external key store, or the KMS API.
pub(crate) struct Credential {
    pub(crate) uri_path: String,
    pub(crate) signer: Signer,
}

impl Target {
    /// # Errors
    /// A sentence that names what cannot be used, and why.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, String> {
        let wrong = |problem: &str| format!("--endpoint {}: {problem}", arguments.endpoint);
        let uri: Uri = arguments.endpoint.parse().map_err(|_| wrong("is no URL"))?;
        let host = uri.host().ok_or_else(|| wrong("names no host"))?;
        if !matches!(uri.path(), "" | "/") {
            return Err(wrong(
                "has a path; --uri-path is where the XksProxyUriPath goes",
            ));
        }
        let (secure, own_port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") if arguments.kms => (false, 80),
            Some("http") => return Err(wrong("XKS proxies are reached over https")),
            _ => return Err(wrong("does not begin with https://")),
        };
        let port = uri.port_u16().unwrap_or(own_port);
        let address = match arguments.connect {
            Some(address) => address,
            None => (host.trim_matches(['[', ']']), port)
                .to_socket_addrs()
                .map_err(|error| wrong(&error.to_string()))?
                .next()
                .ok_or_else(|| wrong("has no address"))?,
        };
        let tls = if secure {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
            Some((
                tls(arguments)?,
                name.map_err(|error| wrong(&error.to_string()))?,
            ))
        } else {
            None
        };
        Ok(Self {
            address,
            host: if port == own_port {
                host.to_owned()
            } else {
                format!("{host}:{port}")
            },
            tls,
            http: arguments.http,
        })
    }
}

/// Who signs: the credential files, or what is given by hand.
///
/// # Errors
/// A sentence that names what cannot be used; never a secret.
pub(crate) fn credentials(arguments: &Arguments) -> Result<Vec<Credential>, String> {
    let region = &arguments.region;
    if arguments.kms {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| "test".to_owned());
        let signer = Signer::new(
            &variable("AWS_ACCESS_KEY_ID"),
            &variable("AWS_SECRET_ACCESS_KEY"),
            region,
            "kms",
        );
        return Ok(vec![Credential {
            uri_path: String::new(),
            signer,
        }]);
    }
    if !arguments.credential.is_empty() {
        return arguments
            .credential
            .iter()
            .map(|file| from_file(file, region))
            .collect();
    }
    let (Some(uri_path), Some(id)) = (&arguments.uri_path, &arguments.access_key_id) else {
        return Err("which external key store? Give --credential FILE".into());
    };
    let secret = std::env::var("XKS_SECRET_ACCESS_KEY")
        .map_err(|_| "XKS_SECRET_ACCESS_KEY is not set: it holds the secret of --access-key-id")?;
    Ok(vec![Credential {
        uri_path: uri_path.clone(),
        signer: Signer::new(id, &secret, region, XKS_SERVICE),
    }])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialFile {
    xks_proxy_uri_path: String,
    xks_proxy_authentication_credential: AuthenticationCredential,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AuthenticationCredential {
    access_key_id: String,
    raw_secret_access_key: String,
}

fn from_file(file: &Path, region: &str) -> Result<Credential, String> {
    let content = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    // The parser's own words are left out: they might show a part of the secret.
    let read: CredentialFile = serde_json::from_slice(&content).map_err(|_| {
        format!(
            "{} is not the JSON that `xks-proxy credential create` writes",
            file.display()
        )
    })?;
    let credential = read.xks_proxy_authentication_credential;
    let signer = Signer::new(
        &credential.access_key_id,
        &credential.raw_secret_access_key,
        region,
        XKS_SERVICE,
    );
    Ok(Credential {
        uri_path: read.xks_proxy_uri_path,
        signer,
    })
}

fn tls(arguments: &Arguments) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for file in &arguments.trust_ca {
        for certificate in certificates(file)? {
            roots
                .add(certificate)
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    if arguments.trust_ca.is_empty() {
        let bundle = certificates(Path::new(SYSTEM_BUNDLE))
            .map_err(|error| format!("{error}; give --trust-ca FILE"))?;
        roots.add_parsable_certificates(bundle);
    }
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
    let mut config = match (&arguments.client_cert, &arguments.client_key) {
        (Some(chain), Some(key)) => {
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("{}: {error}", key.display()))?;
            builder
                .with_client_auth_cert(certificates(chain)?, private)
                .map_err(|error| format!("{}: {error}", chain.display()))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match arguments.http {
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    all.map_err(|error| format!("{}: {error}", file.display()))
}

/// The service in the scope of signatures that a proxy takes.
const XKS_SERVICE: &str = "kms-xks-proxy";
/// Debian's name of it.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
