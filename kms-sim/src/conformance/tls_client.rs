//! TLS configurations of the suite: KMS's own, and those of clients that offer less or show another certificate.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::{CipherSuite, ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::target::Target;
use crate::xks_tls::ClientCertificate;

/// What a client offers and shows.
pub(super) struct Offer<'c> {
    pub(super) versions: &'c [&'static SupportedProtocolVersion],
    pub(super) suites: Suites,
    pub(super) certificate: Option<&'c ClientCertificate>,
    pub(super) protocol: &'static str,
}

/// Which cipher suites are offered.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Suites {
    /// Those of the specification.
    Specified,
    /// All that the library has.
    All,
}

impl<'c> Offer<'c> {
    /// As KMS does.
    pub(super) fn of_kms(target: &'c Target) -> Self {
        Self {
            versions: rustls::ALL_VERSIONS,
            suites: Suites::Specified,
            certificate: target.client.as_ref(),
            protocol: "http/1.1",
        }
    }

    /// The configuration; each connection makes a whole handshake.
    pub(super) fn config(&self, target: &Target) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for authority in &target.trust {
            roots.add(authority.clone())?;
        }
        let mut provider = default_provider();
        if self.suites == Suites::Specified {
            let specified = |suite: CipherSuite| SPECIFIED.contains(&suite);
            provider.cipher_suites.retain(|s| specified(s.suite()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(self.versions)?
            .with_root_certificates(roots);
        let mut config = match self.certificate {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                builder.with_client_auth_cert(shown.chain.clone(), shown.key.clone_key())?
            }
        };
        config.alpn_protocols = vec![self.protocol.as_bytes().to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// A certificate with KMS's subject in that Region, of an authority that nobody knows.
pub(super) fn forged(region: &str) -> Result<ClientCertificate, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
        .distinguished_name
        .push(DnType::CommonName, "Amazon Root CA 1");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let (params, key) = (subject_of_kms(region)?, KeyPair::generate()?);
    let leaf = params.signed_by(&key, &authority)?;
    Ok(ClientCertificate {
        chain: vec![leaf.der().clone(), authority.der().clone()],
        key: private(&key),
    })
}

/// A certificate with KMS's subject that is its own authority.
pub(super) fn self_signed(region: &str) -> Result<ClientCertificate, rcgen::Error> {
    let (params, key) = (subject_of_kms(region)?, KeyPair::generate()?);
    let leaf = params.self_signed(&key)?;
    Ok(ClientCertificate {
        chain: vec![leaf.der().clone()],
        key: private(&key),
    })
}

fn subject_of_kms(region: &str) -> Result<CertificateParams, rcgen::Error> {
    let name = format!("cks.kms.{region}.amazonaws.com");
    let mut params = CertificateParams::new([name.clone()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    Ok(params)
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

/// The specification names these.
const SPECIFIED: [CipherSuite; 4] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
];
