//! DeriveSharedSecret.

use std::sync::Arc;

use serde::Serialize;

use super::crypto::{check_dry_run, check_recipient, dry_run, recipient};
use crate::api::shapes::{grant_tokens, key_id};
use crate::api::{Input, KmsError, Members, SecretBytes};
use crate::key_spec::KeyAgreementAlgorithm;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::waiting::on_a_thread;

/// Input of DeriveSharedSecret.
pub(crate) struct DeriveSharedSecret {
    key_id: String,
    algorithm: KeyAgreementAlgorithm,
    public_key: Vec<u8>,
    recipient: Option<()>,
    dry_run: bool,
}

impl Input for DeriveSharedSecret {
    fn read(m: &mut Members<'_>) -> Self {
        let name = "KeyAgreementAlgorithm";
        let algorithm = m.choice(name, KeyAgreementAlgorithm::CHOICES).optional();
        let input = Self {
            key_id: key_id(m, "KeyId"),
            algorithm: m
                .require(name, algorithm)
                .unwrap_or(KeyAgreementAlgorithm::Ecdh),
            public_key: m.blob("PublicKey").length(1, 8192).required().to_vec(),
            recipient: recipient(m),
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        input
    }
}

/// Output of DeriveSharedSecret.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeriveSharedSecretOutput {
    key_id: Arc<str>,
    shared_secret: SecretBytes,
    key_agreement_algorithm: KeyAgreementAlgorithm,
    key_origin: &'static str,
}

/// DeriveSharedSecret: the raw x coordinate of the shared point.
pub(crate) async fn derive(
    simulator: &Simulator,
    caller: &Caller,
    input: DeriveSharedSecret,
) -> Result<DeriveSharedSecretOutput, KmsError> {
    check_recipient(input.recipient)?;
    let region = simulator.region_of_key(caller, Operation::DeriveSharedSecret, &input.key_id);
    let key = region
        .lock()
        .fixed_key(Operation::DeriveSharedSecret, caller, &input.key_id)?;
    check_dry_run(input.dry_run)?;
    let (material, spec) = (key.material(), key.kind().spec.name());
    let secret = on_a_thread(move || {
        material.agree(&input.public_key).ok_or_else(|| {
            KmsError::validation(format!(
                "PublicKey is not a public key of key spec {spec}, as a DER-encoded X.509 SubjectPublicKeyInfo."
            ))
        })
    });
    let secret = secret.await?;
    key.used(caller, region.now());
    Ok(DeriveSharedSecretOutput {
        key_origin: key.origin(),
        key_id: key.into_arn(),
        shared_secret: SecretBytes(secret),
        key_agreement_algorithm: input.algorithm,
    })
}
