//! The cluster certificate: the self-signed customerCA that a cluster was initialized with. Clusters that share a
//! backup history share it, and so it tells whether two clusters are related.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// What `customerCA.crt` holds. Its private key is thrown away: nothing in a simulated cluster signs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ClusterCertificate {
    der: Vec<u8>,
    pem: String,
}

impl ClusterCertificate {
    /// A new one, unlike any other.
    pub(super) fn generate() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "kms-sim");
        name.push(
            DnType::CommonName,
            "customerCA of a simulated CloudHSM cluster",
        );
        let certificate = params.self_signed(&KeyPair::generate()?)?;
        Ok(Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
        })
    }

    /// The certificate of that text; `None` for what is none.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        Some(Self {
            der: der.to_vec(),
            pem: pem.to_owned(),
        })
    }

    /// The text that CreateCustomKeyStore takes.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Whether a TrustAnchorCertificate is this certificate, however its lines end; false for what is none.
    pub(crate) fn is(&self, trust_anchor: &str) -> bool {
        CertificateDer::from_pem_slice(trust_anchor.as_bytes())
            .is_ok_and(|given| *given == *self.der)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_of_the_certificate_count() {
        let certificate = ClusterCertificate::generate().unwrap();
        let pem = certificate.pem();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && pem.len() <= 5000);
        assert!(certificate.is(pem));
        assert!(certificate.is(&pem.replace("\r\n", "\n").replace('\n', "\r\n")));
        assert!(certificate.is(&format!("subject=customerCA\n\n{}\n\n", pem.trim())));
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let other = ClusterCertificate::generate().unwrap();
        let damaged = pem.replacen("MII", "MIJ", 1);
        for wrong in [
            "",
            "x",
            &base64,
            other.pem(),
            &pem[..pem.len() / 2],
            &damaged,
        ] {
            assert!(!certificate.is(wrong), "{wrong}");
        }
    }
}
