//! Paths of the test certificates in `certs/`.

use std::path::PathBuf;
use std::time::SystemTime;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};

/// A certificate like `server-ecdsa.crt.pem`, of the same CA for the same key, but valid until then; PEM.
///
/// # Panics
/// If the files of `certs/` are no keys.
pub fn server_valid_until(end: SystemTime) -> String {
    let key = |name: &str| {
        let pem = std::fs::read_to_string(path(name)).expect("a key of certs/");
        KeyPair::from_pem(&pem).expect("a key of certs/")
    };
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let ca = Issuer::new(named("XKS test root CA"), key("root-ca.test-key.pem"));
    let names = ["localhost", "xks.test", "127.0.0.1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).expect("names of a host");
    params.distinguished_name = named("localhost").distinguished_name;
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = end.into();
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ServerAuth);
    let certificate = params.signed_by(&key("server-ecdsa.test-key.pem"), &ca);
    certificate.expect("a signature").pem()
}

/// A file of `certs/`, by its name there.
pub fn path(name: &str) -> PathBuf {
    let path = crate::workspace().join("certs").join(name);
    assert!(
        path.is_file(),
        "certs/{name} is missing; certs/regenerate.sh makes it"
    );
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use x509_parser::pem::Pem;

    use super::*;

    #[test]
    fn every_certificate_is_valid_for_another_90_days_or_wrong_on_purpose() {
        let now = SystemTime::now();
        let soon = now + Duration::from_secs(90 * 24 * 60 * 60);
        let mut read = 0;
        for name in files().iter().filter(|name| name.ends_with(".crt.pem")) {
            let pem = Pem::iter_from_buffer(&std::fs::read(path(name)).unwrap())
                .next()
                .unwrap()
                .unwrap();
            let certificate = pem.parse_x509().unwrap();
            let validity = certificate.validity();
            let [from, to] = [validity.not_before, validity.not_after]
                .map(|time| UNIX_EPOCH + Duration::from_secs(time.timestamp().try_into().unwrap()));
            match name.as_str() {
                "client-expired.crt.pem" => assert!(to < now, "{name} is valid until {to:?}"),
                "client-not-yet-valid.crt.pem" => {
                    assert!(soon < from, "{name} becomes valid at {from:?}");
                }
                _ => {
                    assert!(from < now, "{name} is valid from {from:?} only");
                    assert!(
                        soon < to,
                        "certs/{name} expires at {}, in less than 90 days: move the dates in \
                         certs/regenerate.sh, run it, commit what it makes",
                        validity.not_after
                    );
                }
            }
            read += 1;
        }
        assert_eq!(read, 13, "certificates in certs/");
    }

    #[test]
    fn the_readme_lists_every_file_and_no_other() {
        let readme = std::fs::read_to_string(path("README.md")).unwrap();
        let listed: BTreeSet<String> = readme
            .lines()
            .filter(|line| line.starts_with("| `"))
            .flat_map(|line| line.split('`').skip(1).step_by(2))
            .filter(|word| word.ends_with(".pem"))
            .map(str::to_owned)
            .collect();
        let there: BTreeSet<String> = files()
            .into_iter()
            .filter(|name| name.ends_with(".pem"))
            .collect();
        assert_eq!(listed, there, "listed in certs/README.md, and there");
        assert!(readme.contains("TEST ONLY"));
    }

    #[test]
    fn every_private_key_says_that_it_is_for_tests_only() {
        for name in files() {
            let text = std::fs::read_to_string(path(&name)).unwrap();
            if text.contains("PRIVATE KEY-----\n") {
                assert!(
                    name.ends_with(".test-key.pem"),
                    "{name} is not named as a test key"
                );
                assert!(
                    text.starts_with("TEST ONLY"),
                    "{name} does not begin with TEST ONLY"
                );
            }
        }
    }

    fn files() -> Vec<String> {
        let folder = crate::workspace().join("certs");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
