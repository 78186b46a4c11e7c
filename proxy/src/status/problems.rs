//! What somebody has to look at, and what to do about it.

use std::time::Duration;

use xks_page::{about, counted};

use super::{CertificateKind, DAY, Problem, ROTATE_AFTER, Severity, Status};

/// The worst first. `ages` are those of all credentials.
pub(super) fn problems(status: &Status, ages: &[Duration]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |severity, text: String| problems.push(Problem { severity, text });
    if let Some(audit) = status.audit.as_ref().filter(|audit| audit.failing) {
        let refused = match audit.refused {
            0 => String::new(),
            refused => format!(" {refused} requests were refused for it so far."),
        };
        add(
            Severity::Failure,
            format!(
                "The audit log cannot be written.{refused} See the proxy's log, and whether its disk is full."
            ),
        );
    }
    for key_manager in &status.key_managers {
        let name = &key_manager.name;
        let is_open = key_manager.circuit.as_ref().is_some_and(|c| c.open);
        match &*key_manager.state {
            "UNAVAILABLE" => add(
                Severity::Failure,
                format!(
                    "The key manager {name} does not encrypt and decrypt: `xks-proxy check` says why."
                ),
            ),
            _ if is_open => add(
                Severity::Failure,
                format!(
                    "The key manager {name} mostly fails and is left alone for a while: the proxy's log says why."
                ),
            ),
            "DEGRADED" => add(
                Severity::Warning,
                format!("The key manager {name} is slow, or was away a moment ago."),
            ),
            _ => {}
        }
    }
    for certificate in &status.certificates {
        let (of, subject) = (&certificate.of, &certificate.subject);
        let (which, outcome) = match certificate.kind {
            CertificateKind::Certificate => (format!("certificate of {of} ({subject})"), ""),
            CertificateKind::RevocationList => (
                format!("revocation list of {subject}"),
                ", and everyone whom it concerns is refused",
            ),
        };
        match u64::try_from(certificate.seconds_left) {
            Err(_) => add(
                Severity::Failure,
                format!("The {which} has expired{outcome}: renew it, and reload."),
            ),
            Ok(left) if left < certificate.renew_within() => add(
                Severity::Warning,
                format!(
                    "The {which} expires in {}: renew it, and reload.",
                    about(Duration::from_secs(left))
                ),
            ),
            Ok(_) => {}
        }
    }
    let old = ages.iter().filter(|age| age.as_secs() > ROTATE_AFTER);
    match old.count() {
        0 => {}
        old => add(
            Severity::Warning,
            format!(
                "{} older than {} days: `xks-proxy kms rotate-credential` makes another one.",
                counted(old, "credential is", "credentials are"),
                ROTATE_AFTER / DAY
            ),
        ),
    }
    match status.blocks.total {
        0 => {}
        blocks => add(
            Severity::Warning,
            format!(
                "{} in force: KMS is refused what they cover until `xks-proxy unblock`.",
                counted(blocks, "block is", "blocks are")
            ),
        ),
    }
    if status.draining {
        let text = "The proxy takes its leave: it ends when its last requests are answered.";
        add(Severity::Warning, text.to_owned());
    }
    problems.sort_by_key(|problem| problem.severity);
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{AuditStatus, CertificateStatus, CircuitStatus, KeyManagerStatus, Listed};

    fn key_manager(state: &str, open: bool) -> KeyManagerStatus {
        KeyManagerStatus {
            name: "hsm".into(),
            kind: "pkcs11".into(),
            state: state.into(),
            vendor: String::new(),
            instances: Vec::new(),
            circuit: Some(CircuitStatus {
                open,
                running: 0,
                waiting: 0,
            }),
            keys: None,
        }
    }

    fn certificate(seconds_left: i64) -> CertificateStatus {
        CertificateStatus {
            of: "the API's listener".into(),
            kind: CertificateKind::Certificate,
            subject: "CN=xks.test".into(),
            not_after: String::new(),
            seconds_left,
        }
    }

    #[test]
    fn what_is_well_is_no_problem() {
        let day = i64::try_from(DAY).unwrap();
        let status = Status {
            key_managers: vec![key_manager("ACTIVE", false), key_manager("UNKNOWN", false)],
            certificates: vec![certificate(14 * day)],
            ..Status::default()
        };
        let young = Duration::from_secs(ROTATE_AFTER);
        assert_eq!(problems(&status, &[young]), []);
    }

    #[test]
    fn the_worst_comes_first_and_each_says_what_to_do() {
        let status = Status {
            draining: true,
            key_managers: vec![
                key_manager("DEGRADED", false),
                key_manager("UNAVAILABLE", true),
                key_manager("DEGRADED", true),
            ],
            certificates: vec![certificate(3 * 86_400), certificate(-1)],
            blocks: Listed {
                total: 2,
                ..Listed::default()
            },
            audit: Some(AuditStatus {
                sequence: 1,
                failing: true,
                dropped: 0,
                refused: 7,
            }),
            ..Status::default()
        };
        let old = Duration::from_secs(ROTATE_AFTER + 1);
        let found = problems(&status, &[old, Duration::ZERO]);
        let failures = found.iter().filter(|p| p.severity == Severity::Failure);
        assert_eq!((failures.count(), found.len()), (4, 9));
        assert!(found.is_sorted_by_key(|problem| problem.severity));
        for part in [
            "7 requests were refused",
            "`xks-proxy check`",
            "left alone",
            "expires in 3 days",
            "has expired",
            "1 credential is older than 180 days",
            "2 blocks are in force",
        ] {
            let told = found.iter().any(|problem| problem.text.contains(part));
            assert!(told, "no {part} in {found:?}");
        }
    }
}
