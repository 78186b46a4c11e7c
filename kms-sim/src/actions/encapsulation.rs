//! Encapsulate and Decapsulate.

use std::sync::Arc;

use serde::Serialize;

use super::crypto::{check_dry_run, dry_run};
use crate::api::shapes::{grant_tokens, key_id};
use crate::api::{Bytes, Input, KmsError, Members, SecretBytes};
use crate::key_material::internal;
use crate::key_spec::EncapsulationAlgorithm;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::usable_key::invalid_ciphertext;
use crate::waiting::on_a_thread;

/// Input of Encapsulate, and what Decapsulate has in common with it.
#[derive(Debug)]
pub(crate) struct Encapsulate {
    key_id: String,
    algorithm: EncapsulationAlgorithm,
    dry_run: bool,
}

impl Input for Encapsulate {
    fn read(m: &mut Members<'_>) -> Self {
        let name = "EncapsulationAlgorithm";
        let algorithm = m.choice(name, EncapsulationAlgorithm::CHOICES).optional();
        let input = Self {
            key_id: key_id(m, "KeyId"),
            algorithm: m
                .require(name, algorithm)
                .unwrap_or(EncapsulationAlgorithm::MlKem),
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        input
    }
}

/// Output of Encapsulate.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EncapsulateOutput {
    key_id: Arc<str>,
    shared_secret: SecretBytes,
    shared_secret_ciphertext_blob: Bytes,
    encapsulation_algorithm: EncapsulationAlgorithm,
}

/// Encapsulate
pub(crate) async fn encapsulate(
    simulator: &Simulator,
    caller: &Caller,
    input: Encapsulate,
) -> Result<EncapsulateOutput, KmsError> {
    let region = simulator.region_of_key(caller, Operation::Encapsulate, &input.key_id);
    let key = region
        .lock()
        .fixed_key(Operation::Encapsulate, caller, &input.key_id)?;
    check_dry_run(input.dry_run)?;
    let material = key.material();
    let made = on_a_thread(move || material.encapsulate().ok_or_else(internal));
    let (secret, ciphertext) = made.await?;
    Ok(EncapsulateOutput {
        key_id: key.into_arn(),
        shared_secret: SecretBytes(secret),
        shared_secret_ciphertext_blob: Bytes(ciphertext),
        encapsulation_algorithm: input.algorithm,
    })
}

/// Input of Decapsulate.
#[derive(Debug)]
pub(crate) struct Decapsulate {
    made: Encapsulate,
    ciphertext: Vec<u8>,
}

impl Input for Decapsulate {
    fn read(m: &mut Members<'_>) -> Self {
        let ciphertext = m.blob("SharedSecretCiphertextBlob").length(1, 6144);
        Self {
            ciphertext: ciphertext.required().to_vec(),
            made: Encapsulate::read(m),
        }
    }
}

/// Output of Decapsulate.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DecapsulateOutput {
    key_id: Arc<str>,
    shared_secret: SecretBytes,
    encapsulation_algorithm: EncapsulationAlgorithm,
}

/// Decapsulate: a ciphertext of the right length always gives a secret, which is the shared one only if it is genuine.
pub(crate) async fn decapsulate(
    simulator: &Simulator,
    caller: &Caller,
    input: Decapsulate,
) -> Result<DecapsulateOutput, KmsError> {
    let region = simulator.region_of_key(caller, Operation::Decapsulate, &input.made.key_id);
    let key = region
        .lock()
        .fixed_key(Operation::Decapsulate, caller, &input.made.key_id)?;
    check_dry_run(input.made.dry_run)?;
    let (material, ciphertext) = (key.material(), input.ciphertext);
    let open = move || material.decapsulate(&ciphertext);
    let secret = on_a_thread(move || open().ok_or_else(invalid_ciphertext));
    let secret = secret.await?;
    Ok(DecapsulateOutput {
        key_id: key.into_arn(),
        shared_secret: SecretBytes(secret),
        encapsulation_algorithm: input.made.algorithm,
    })
}
