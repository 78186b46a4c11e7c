//! GenerateDataKey and GenerateDataKeyWithoutPlaintext.

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypto::{check_dry_run, check_recipient, dry_run, recipient};
use crate::api::shapes::{encryption_context, grant_tokens, key_id};
use crate::api::{Bytes, Input, KmsError, Members, SecretBytes};
use crate::encryption_context::EncryptionContext;
use crate::key_material::fill_random;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// Input of both operations.
#[derive(Debug)]
pub(crate) struct GenerateDataKey {
    key_id: String,
    context: EncryptionContext,
    key_spec: Option<u16>,
    number_of_bytes: Option<u16>,
    recipient: Option<()>,
    dry_run: bool,
}

impl Input for GenerateDataKey {
    fn read(m: &mut Members<'_>) -> Self {
        let input = Self {
            key_id: key_id(m, "KeyId"),
            context: encryption_context(m, "EncryptionContext"),
            key_spec: m
                .choice("KeySpec", &[("AES_256", 32), ("AES_128", 16)])
                .optional(),
            number_of_bytes: m.integer("NumberOfBytes").range(1, 1024),
            recipient: recipient(m),
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        input
    }
}

/// Output of GenerateDataKey, and, without the plaintext, of GenerateDataKeyWithoutPlaintext.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GenerateDataKeyOutput {
    ciphertext_blob: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<SecretBytes>,
    key_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

/// GenerateDataKey
pub(crate) async fn with_plaintext(
    simulator: &Simulator,
    caller: &Caller,
    input: GenerateDataKey,
) -> Result<GenerateDataKeyOutput, KmsError> {
    let (data_key, output) = generate(Operation::GenerateDataKey, simulator, caller, input).await?;
    Ok(GenerateDataKeyOutput {
        plaintext: Some(SecretBytes(data_key)),
        ..output
    })
}

/// GenerateDataKeyWithoutPlaintext
pub(crate) async fn without_plaintext(
    simulator: &Simulator,
    caller: &Caller,
    input: GenerateDataKey,
) -> Result<GenerateDataKeyOutput, KmsError> {
    let operation = Operation::GenerateDataKeyWithoutPlaintext;
    let (_, output) = generate(operation, simulator, caller, input).await?;
    Ok(output)
}

async fn generate(
    operation: Operation,
    simulator: &Simulator,
    caller: &Caller,
    input: GenerateDataKey,
) -> Result<(Zeroizing<Vec<u8>>, GenerateDataKeyOutput), KmsError> {
    let len = match (input.key_spec, input.number_of_bytes) {
        (Some(len), None) | (None, Some(len)) => len,
        (Some(_), Some(_)) | (None, None) => {
            return Err(KmsError::validation(
                "Please specify either number of bytes or key spec.",
            ));
        }
    };
    check_recipient(input.recipient)?;
    let region = simulator.region_of_key(caller, operation, &input.key_id);
    let key = region
        .lock()
        .key_to_encrypt(operation, caller, &input.key_id)?;
    check_dry_run(input.dry_run)?;
    let mut data_key = Zeroizing::new(vec![0; len.into()]);
    fill_random(&mut data_key)?;
    let blob = key.encrypt(caller, &data_key, &input.context).await?;
    key.used(caller, region.now());
    let output = GenerateDataKeyOutput {
        ciphertext_blob: Bytes(blob),
        plaintext: None,
        key_id: key.arn().to_owned(),
        key_material_id: key.material_id(),
    };
    Ok((data_key, output))
}
