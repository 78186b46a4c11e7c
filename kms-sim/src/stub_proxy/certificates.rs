//! The stub's authority and its certificates: a sound one and wrong ones.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, CipherSuite, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::answer::Handshake;

/// Who signs the stub's certificates.
pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A new one.
///
/// # Errors
/// No random bytes.
pub(super) fn authority(name: &str) -> io::Result<Authority> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().map_err(io::Error::other)?;
    CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)
}

/// One configuration for each [`Handshake`] that is TLS, so that no handshake waits for a key to be made.
///
/// # Errors
/// A host that no certificate can name.
pub(super) fn configs(
    authority: &Authority,
    host: &str,
) -> io::Result<Vec<(Handshake, Arc<ServerConfig>)>> {
    let foreign = self::authority("Another CA")?;
    let sound = |handshake| config(authority, handshake, issue(authority, host, 2019, 2050)?);
    Ok(vec![
        sound(Handshake::Sound)?,
        sound(Handshake::ClientCertificate)?,
        sound(Handshake::ClientCertificateOfAnyone)?,
        sound(Handshake::OnlyTls12)?,
        sound(Handshake::OnlyTls13)?,
        sound(Handshake::OtherSuites)?,
        sound(Handshake::InsistsOnAlpn)?,
        sound(Handshake::Impatient)?,
        sound(Handshake::Fragile)?,
        sound(Handshake::OneAtATime)?,
        config(
            authority,
            Handshake::OtherName,
            issue(authority, "other.test", 2019, 2050)?,
        )?,
        config(
            authority,
            Handshake::OtherAuthority,
            issue(&foreign, host, 2019, 2050)?,
        )?,
        config(
            authority,
            Handshake::Expired,
            issue(authority, host, 2019, 2020)?,
        )?,
        config(
            authority,
            Handshake::NotYetValid,
            issue(authority, host, 2049, 2050)?,
        )?,
    ])
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn config(
    authority: &Authority,
    handshake: Handshake,
    (certificate, key): Identity,
) -> io::Result<(Handshake, Arc<ServerConfig>)> {
    let mut provider = default_provider();
    if handshake == Handshake::OtherSuites {
        provider.cipher_suites.retain(|suite| {
            matches!(
                suite.suite(),
                CipherSuite::TLS13_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            )
        });
    }
    let provider = Arc::new(provider);
    let versions: &[&SupportedProtocolVersion] = match handshake {
        Handshake::OnlyTls12 => &[&TLS12],
        Handshake::OnlyTls13 => &[&TLS13],
        _ => ALL_VERSIONS,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?;
    let asks = matches!(
        handshake,
        Handshake::ClientCertificate | Handshake::ClientCertificateOfAnyone
    );
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots
            .add(authority.der().clone())
            .map_err(io::Error::other)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    if handshake == Handshake::InsistsOnAlpn {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    Ok((handshake, Arc::new(config)))
}

/// A certificate for a name, valid from the first day of one year to that of another.
///
/// # Errors
/// A name that no certificate can have.
pub(super) fn issue(
    authority: &Authority,
    name: &str,
    first_year: i32,
    last_year: i32,
) -> io::Result<Identity> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(first_year, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
    let certificate = params
        .signed_by(&key, authority)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((certificate.der().clone(), key))
}
