//! Certificates and revocation lists that the proxy shows and takes, and when they expire.

use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use super::{CertificateKind, CertificateStatus};
use crate::config::Config;
use crate::key_manager::embedded::{StorePlace, timestamp};
use crate::tls::{ClientAuthentication, TlsMaterial};

/// Those of the listeners, of KMS's client certificates, and of databases.
pub(super) fn certificates(config: &Config, now: SystemTime) -> Vec<CertificateStatus> {
    let own = match config.admin_listen {
        None => "the API's listener",
        Some(_) => "the API's listener and the admin listener",
    };
    let databases = config.key_managers.iter().filter_map(|(name, config)| {
        let place = config.embedded()?;
        Some(of_database(name, place, now))
    });
    let clients = config.tls.client.iter();
    let clients = clients.flat_map(|client| of_clients(client, now));
    let mut all = of_listener(own, &config.tls, now);
    all.extend(clients);
    all.extend(databases.flatten());
    all
}

fn of_listener(own: &str, tls: &TlsMaterial, now: SystemTime) -> Vec<CertificateStatus> {
    let chain = tls.chain.iter().enumerate();
    let of = |at| if at == 0 { own } else { "its issuer" };
    chain
        .filter_map(|(at, der)| certificate(of(at).to_owned(), der, now))
        .collect()
}

fn of_clients(client: &ClientAuthentication, now: SystemTime) -> Vec<CertificateStatus> {
    let of = "the CA of KMS's client certificate";
    let roots = client.roots.iter();
    let roots = roots.filter_map(|der| certificate(of.to_owned(), der, now));
    let lists = client.crls.iter().filter_map(|der| {
        let (_, list) = CertificateRevocationList::from_der(der).ok()?;
        let end = list.next_update()?.timestamp();
        CertificateStatus::new(
            CertificateKind::RevocationList,
            list.issuer().to_string(),
            end,
            now,
        )
        .map(|status| CertificateStatus {
            of: "revoked client certificates".to_owned(),
            ..status
        })
    });
    roots.chain(lists).collect()
}

/// What the proxy shows to PostgreSQL. The file is read as it is now; where it cannot be, `xks-proxy check` says why.
fn of_database(name: &str, place: &StorePlace, now: SystemTime) -> Vec<CertificateStatus> {
    let database = place.database.as_ref();
    let file = database.and_then(|config| config.client_certificate.as_ref());
    let Some(Ok(all)) = file.map(|(chain, _)| CertificateDer::pem_file_iter(chain)) else {
        return Vec::new();
    };
    let of = |at| match at {
        0 => format!("the key manager {name} as a client of its database"),
        _ => "its issuer".to_owned(),
    };
    all.filter_map(Result::ok)
        .enumerate()
        .filter_map(|(at, der)| certificate(of(at), &der, now))
        .collect()
}

fn certificate(of: String, der: &CertificateDer<'_>, now: SystemTime) -> Option<CertificateStatus> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let end = certificate.validity().not_after.timestamp();
    let subject = certificate.subject().to_string();
    let status = CertificateStatus::new(CertificateKind::Certificate, subject, end, now)?;
    Some(CertificateStatus { of, ..status })
}

impl CertificateStatus {
    fn new(kind: CertificateKind, subject: String, end: i64, now: SystemTime) -> Option<Self> {
        Some(Self {
            of: String::new(),
            kind,
            subject,
            not_after: timestamp(OffsetDateTime::from_unix_timestamp(end).ok()?),
            seconds_left: end.saturating_sub(OffsetDateTime::from(now).unix_timestamp()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use rustls_pki_types::CertificateRevocationListDer;

    use super::*;
    use crate::key_manager::embedded::{DatabaseUrl, PostgresConfig, RootKeySource};
    use crate::status::problems::problems;
    use crate::status::{Severity, Status};

    /// What is told of them when all have expired.
    fn told_much_later(certificates: Vec<CertificateStatus>) -> Vec<String> {
        let status = Status {
            certificates,
            ..Status::default()
        };
        let problems = problems(&status, &[]).into_iter();
        problems
            .filter(|problem| problem.severity == Severity::Failure)
            .map(|problem| problem.text)
            .collect()
    }

    #[test]
    fn an_expired_revocation_list_is_a_failure_as_it_is_for_check() {
        let pem = include_bytes!("../../../certs/client-ca.crl.pem").as_slice();
        let lists = CertificateRevocationListDer::pem_slice_iter(pem);
        let client = ClientAuthentication {
            roots: Vec::new(),
            crls: lists.collect::<Result<_, _>>().unwrap(),
            subject_common_names: Vec::new(),
        };
        let now = SystemTime::now();
        assert_eq!(told_much_later(of_clients(&client, now)), [""; 0]);
        let later = now + Duration::from_secs(60 * 365 * 86_400);
        let told = told_much_later(of_clients(&client, later));
        assert_eq!(told.len(), 1, "{told:?}");
        let parts = ["revocation list of", "has expired", "is refused"];
        assert!(parts.iter().all(|part| told[0].contains(part)), "{told:?}");
    }

    #[test]
    fn the_certificate_that_a_database_is_shown_is_told_of() {
        let certs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../certs"));
        let url: DatabaseUrl = "postgres://xks@localhost/xks".parse().unwrap();
        let place = StorePlace {
            database: Some(PostgresConfig {
                client_certificate: Some((certs.join("server-ecdsa.crt.pem"), "key.pem".into())),
                ..PostgresConfig::new(url)
            }),
            ..StorePlace::folder(Path::new("data"), RootKeySource::File("root.key".into()))
        };
        let now = SystemTime::now();
        assert_eq!(told_much_later(of_database("shared", &place, now)), [""; 0]);
        let later = now + Duration::from_secs(60 * 365 * 86_400);
        let told = told_much_later(of_database("shared", &place, later));
        assert!(told[0].contains("the key manager shared"), "{told:?}");
        assert!(told[0].contains("has expired"), "{told:?}");
    }
}
