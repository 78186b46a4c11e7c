//! Mutual TLS: who is shown the door during the handshake, in each version of TLS.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::super::case::Check::Story;
use super::super::case::{Case, Finding, Outcome, must};
use super::super::connection::{Connection, Trouble};
use super::super::kit::Kit;
use super::super::tls_client::{Offer, forged, self_signed};
use super::AUTHENTICATION;
use super::tls::served_with;
use crate::xks_tls::ClientCertificate;

const NO_CERTIFICATE: &str = "a proxy with mTLS serves nobody who shows no certificate";
const OTHER_AUTHORITY: &str = "a proxy with mTLS ends the handshake with a certificate of another authority, whatever its subject";
const OTHER_SUBJECT: &str = "a proxy with mTLS ends the handshake with a certificate of the right authority and another subject";

type Version = &'static SupportedProtocolVersion;

pub(super) const CASES: &[Case] = &[
    must(
        "mtls-certificate-of-kms",
        AUTHENTICATION,
        "a certificate with KMS's subject, of the right authority, is taken",
        Story(|kit| {
            certificate(kit)?;
            served_with(kit, &Offer::of_kms(kit.target))
        }),
    ),
    must(
        "mtls-no-certificate-in-tls-1-3",
        AUTHENTICATION,
        NO_CERTIFICATE,
        Story(|kit| without_certificate(kit, &TLS13)),
    ),
    must(
        "mtls-no-certificate-in-tls-1-2",
        AUTHENTICATION,
        NO_CERTIFICATE,
        Story(|kit| without_certificate(kit, &TLS12)),
    ),
    must(
        "mtls-other-authority-in-tls-1-3",
        AUTHENTICATION,
        OTHER_AUTHORITY,
        Story(|kit| made_here(kit, forged, &TLS13)),
    ),
    must(
        "mtls-other-authority-in-tls-1-2",
        AUTHENTICATION,
        OTHER_AUTHORITY,
        Story(|kit| made_here(kit, forged, &TLS12)),
    ),
    must(
        "mtls-self-signed-in-tls-1-3",
        AUTHENTICATION,
        "a proxy with mTLS ends the handshake with a certificate that vouches for itself",
        Story(|kit| made_here(kit, self_signed, &TLS13)),
    ),
    must(
        "mtls-self-signed-in-tls-1-2",
        AUTHENTICATION,
        "a proxy with mTLS ends the handshake with a certificate that vouches for itself",
        Story(|kit| made_here(kit, self_signed, &TLS12)),
    ),
    must(
        "mtls-other-subject-in-tls-1-3",
        AUTHENTICATION,
        OTHER_SUBJECT,
        Story(|kit| refused_with(kit, Some(other_subject(kit)?), &TLS13)),
    ),
    must(
        "mtls-other-subject-in-tls-1-2",
        AUTHENTICATION,
        OTHER_SUBJECT,
        Story(|kit| refused_with(kit, Some(other_subject(kit)?), &TLS12)),
    ),
];

fn certificate<'k>(kit: &'k Kit<'_>) -> Result<&'k ClientCertificate, Finding> {
    let shown = kit.target.client.as_ref();
    shown.ok_or_else(|| {
        Finding::needs(
            "--client-cert and --client-key",
            "no client certificate is known",
        )
    })
}

fn other_subject<'k>(kit: &'k Kit<'_>) -> Result<&'k ClientCertificate, Finding> {
    certificate(kit)?;
    kit.target.more.other_subject.as_ref().ok_or_else(|| {
        Finding::needs(
            "--other-subject-cert and --other-subject-key",
            "no certificate of the right authority with another subject is known",
        )
    })
}

fn without_certificate(kit: &Kit<'_>, version: Version) -> Outcome {
    certificate(kit)?;
    refused_with(kit, None, version)
}

fn made_here(
    kit: &Kit<'_>,
    make: fn(&str) -> Result<ClientCertificate, rcgen::Error>,
    version: Version,
) -> Outcome {
    certificate(kit)?;
    let made = make(&kit.target.region).map_err(|error| Finding::failed(error.to_string()))?;
    refused_with(kit, Some(&made), version)
}

/// The genuine certificate is taken in this version, and the other one, or none, is not.
fn refused_with(kit: &Kit<'_>, shown: Option<&ClientCertificate>, version: Version) -> Outcome {
    let genuine = Offer {
        versions: &[version],
        ..Offer::of_kms(kit.target)
    };
    if served_with(kit, &genuine).is_err() {
        return Err(Finding::Skipped(
            "the proxy does not speak this version of TLS with the certificate of --client-cert"
                .to_owned(),
        ));
    }
    let config = Offer {
        certificate: shown,
        ..genuine
    }
    .config(kit.target)
    .map_err(|error| Finding::failed(error.to_string()))?;
    let wire = kit.encrypt().sign();
    // In TLS 1.3 the client learns of the refusal with its first read.
    let result = Connection::open(kit.target, &config)
        .and_then(|mut connection| connection.exchange(&wire.bytes(), &wire.method));
    kit.note(&wire, &result);
    match (result, shown) {
        (Err(Trouble::Handshake(_) | Trouble::Ended(_)), _) => Ok(()),
        // Servers that ask for a certificate without insisting tell it in HTTP.
        (Ok(answer), None) if (400..500).contains(&answer.status) => Ok(()),
        (Ok(answer), _) => Err(Finding::failed(format!(
            "expected an end of the handshake; got {}",
            answer.summary()
        ))),
        (Err(trouble), _) => Err(Finding::failed(format!(
            "expected an end of the handshake; {trouble}"
        ))),
    }
}
