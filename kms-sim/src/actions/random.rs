//! GenerateRandom.

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypto::{check_recipient, recipient};
use crate::api::{Input, KmsError, Members, SecretBytes};
use crate::custom_key_store::CustomKeyStoreType;
use crate::key_material::fill_random;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// Input of GenerateRandom.
#[derive(Debug)]
pub(crate) struct GenerateRandom {
    number_of_bytes: Option<u16>,
    custom_key_store_id: Option<String>,
    recipient: Option<()>,
}

impl Input for GenerateRandom {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            number_of_bytes: m.integer("NumberOfBytes").range(1, 1024),
            custom_key_store_id: m.text("CustomKeyStoreId").length(1, 64).optional(),
            recipient: recipient(m),
        }
    }
}

/// Output of GenerateRandom.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GenerateRandomOutput {
    plaintext: SecretBytes,
}

/// GenerateRandom: external key stores have no random bytes, CloudHSM key stores while they are CONNECTED.
pub(crate) async fn generate(
    simulator: &Simulator,
    caller: &Caller,
    input: GenerateRandom,
) -> Result<GenerateRandomOutput, KmsError> {
    let len = input
        .number_of_bytes
        .ok_or_else(|| KmsError::validation("NumberOfBytes is required."))?;
    check_recipient(input.recipient)?;
    let mut bytes = Zeroizing::new(vec![0; len.into()]);
    match &input.custom_key_store_id {
        None => {
            admit(simulator, caller, None)?;
            fill_random(&mut bytes)?;
        }
        Some(id) => {
            caller.is_about(id);
            fill_random_of_cluster(simulator, caller, id, &mut bytes)?;
        }
    }
    Ok(GenerateRandomOutput {
        plaintext: SecretBytes(bytes),
    })
}

fn admit(
    simulator: &Simulator,
    caller: &Caller,
    store: Option<(&str, CustomKeyStoreType)>,
) -> Result<(), KmsError> {
    let account = (&*caller.account, &*caller.region);
    let operation = Operation::GenerateRandom;
    simulator.quotas().admit(operation, account, store)
}

fn fill_random_of_cluster(
    simulator: &Simulator,
    caller: &Caller,
    id: &str,
    bytes: &mut [u8],
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let store = state.stores.expect(id)?;
    caller.subjects().random_of(store.id());
    admit(simulator, caller, Some((id, store.kind())))?;
    match (store.kind(), store.hsm_link()) {
        (CustomKeyStoreType::ExternalKeyStore, _) => Err(KmsError::unsupported(format!(
            "Custom key store {id} is an external key store, which cannot generate random bytes. Omit \
             CustomKeyStoreId, or name a CloudHSM key store."
        ))),
        (CustomKeyStoreType::AwsCloudHsm, Some(link)) => link.fill_random(bytes),
        (CustomKeyStoreType::AwsCloudHsm, None) => Err(KmsError::new(
            "CustomKeyStoreInvalidStateException",
            format!(
                "Custom key store {id} is {}. Connect it and try again.",
                store.connection_state()
            ),
        )),
    }
}
