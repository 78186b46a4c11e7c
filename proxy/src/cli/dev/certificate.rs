//! The CA and the server certificate of `xks-proxy dev`.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, Error,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// PEM texts.
pub(super) struct Made {
    pub(super) ca: String,
    pub(super) chain: String,
    pub(super) key: Zeroizing<String>,
}

/// Makes a CA that forgets its own key, and a certificate of it for `localhost`, `xks.test` and 127.0.0.1.
pub(super) fn make() -> Result<Made, Error> {
    let begin = OffsetDateTime::now_utc() - Duration::hours(1);
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = begin;
        params.not_after = begin + LIFETIME;
        params
    };
    let mut ca = params("xks-proxy dev CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut server = params("localhost");
    for name in ["localhost", "xks.test"] {
        server
            .subject_alt_names
            .push(SanType::DnsName(Ia5String::try_from(name)?));
    }
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    server.subject_alt_names.push(SanType::IpAddress(loopback));
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let chain = server.signed_by(&key, &ca)?.pem();
    Ok(Made {
        ca: ca.pem(),
        chain,
        key: Zeroizing::new(key.serialize_pem()),
    })
}

const LIFETIME: Duration = Duration::days(3_650);
