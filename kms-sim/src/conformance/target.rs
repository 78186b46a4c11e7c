//! The proxy under test: where it is, what it trusts, and which of its keys the suite may use.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::xks_tls::ClientCertificate;

/// The proxy under test.
pub struct Target {
    /// The host of the `XksProxyUriEndpoint`: TLS server name, and `Host` of every request.
    pub host: String,
    /// The port in `Host`, if the endpoint names one; AWS KMS knows 443 alone.
    pub port: Option<u16>,
    /// Where it is dialled, the first that answers.
    pub addresses: Vec<SocketAddr>,
    /// `XksProxyUriPath`
    pub uri_path: String,
    /// The credential of the store.
    pub credential: Credential,
    /// The Region in signatures.
    pub region: String,
    /// A key that is enabled and has both usages.
    pub key_id: String,
    /// Who it trusts is for the proxy; these are the authorities that the suite trusts.
    pub trust: Vec<CertificateDer<'static>>,
    /// What KMS shows a proxy that asks for a certificate.
    pub client: Option<ClientCertificate>,
    /// What a proxy may have besides.
    pub more: More,
    /// `awsPrincipalArn` of every request.
    pub principal_arn: String,
    /// `kmsKeyArn` of every request.
    pub kms_key_arn: String,
    /// How long the suite waits for an answer, far longer than KMS.
    pub patience: Duration,
}

/// What makes further cases run.
#[derive(Default)]
pub struct More {
    /// A second key with both usages.
    pub other_key: Option<String>,
    /// A key for ENCRYPT alone.
    pub encrypt_only_key: Option<String>,
    /// A key for DECRYPT alone.
    pub decrypt_only_key: Option<String>,
    /// A key that is DISABLED.
    pub disabled_key: Option<String>,
    /// An id that no key has; one that is made up without it.
    pub unknown_key: Option<String>,
    /// A second credential of the same store.
    pub second_credential: Option<Credential>,
    /// The `XksProxyUriPath` of another store of the proxy, which has another credential.
    pub other_uri_path: Option<String>,
    /// A certificate of the right authority with another subject.
    pub other_subject: Option<ClientCertificate>,
    /// The path that load balancers ask with GET.
    pub load_balancer_path: Option<String>,
}

/// An access key id and its secret.
#[derive(Clone)]
pub struct Credential {
    /// `AccessKeyId`
    pub access_key_id: String,
    /// `RawSecretAccessKey`
    pub secret_access_key: String,
}

impl Target {
    /// As in `Host`.
    pub(super) fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// An id that no key has.
    pub(super) fn unknown_key(&self) -> &str {
        let named = self.more.unknown_key.as_deref();
        named.unwrap_or("kms-sim-conformance-no-such-key")
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("host", &self.host)
            .field("uri_path", &self.uri_path)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
