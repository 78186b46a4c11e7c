//! GetPublicKey.

use std::sync::Arc;

use serde::Serialize;

use crate::api::shapes::{grant_tokens, key_id};
use crate::api::{Bytes, Input, KmsError, Members};
use crate::key_material::internal;
use crate::key_spec::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, KeyUsage,
    SigningAlgorithm,
};
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// Input of GetPublicKey.
#[derive(Debug)]
pub(crate) struct GetPublicKey {
    key_id: String,
}

impl Input for GetPublicKey {
    fn read(m: &mut Members<'_>) -> Self {
        let key_id = key_id(m, "KeyId");
        grant_tokens(m);
        Self { key_id }
    }
}

/// Output of GetPublicKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetPublicKeyOutput {
    key_id: Arc<str>,
    public_key: Bytes,
    customer_master_key_spec: KeySpec,
    key_spec: KeySpec,
    key_usage: KeyUsage,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    encryption_algorithms: &'static [EncryptionAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    signing_algorithms: &'static [SigningAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    key_agreement_algorithms: &'static [KeyAgreementAlgorithm],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    encapsulation_algorithms: &'static [EncapsulationAlgorithm],
}

/// GetPublicKey
pub(crate) async fn get(
    simulator: &Simulator,
    caller: &Caller,
    input: GetPublicKey,
) -> Result<GetPublicKeyOutput, KmsError> {
    let region = simulator.region_of_key(caller, Operation::GetPublicKey, &input.key_id);
    let key = region
        .lock()
        .fixed_key(Operation::GetPublicKey, caller, &input.key_id)?;
    let (kind, material) = (key.kind(), key.material());
    let public_key = material.public_key().ok_or_else(internal)?;
    Ok(GetPublicKeyOutput {
        key_id: key.into_arn(),
        public_key: Bytes(public_key.to_vec()),
        customer_master_key_spec: kind.spec,
        key_spec: kind.spec,
        key_usage: kind.usage,
        encryption_algorithms: kind.encryption_algorithms(),
        signing_algorithms: kind.signing_algorithms(),
        key_agreement_algorithms: kind.key_agreement_algorithms(),
        encapsulation_algorithms: kind.encapsulation_algorithms(),
    })
}
