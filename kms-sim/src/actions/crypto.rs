//! Encrypt, Decrypt, ReEncrypt.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::access::Access;
use crate::api::shapes::{encryption_context, grant_tokens, key_id, optional_key_id};
use crate::api::{Bytes, Input, KmsError, Members, SecretBytes};
use crate::ciphertext_blob::CiphertextBlob;
use crate::encryption_context::EncryptionContext;
use crate::key_spec::EncryptionAlgorithm;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::usable_key::{UsableKey, invalid_ciphertext};

/// Input of Encrypt.
pub(crate) struct Encrypt {
    key_id: String,
    plaintext: Zeroizing<Vec<u8>>,
    context: EncryptionContext,
    algorithm: EncryptionAlgorithm,
    dry_run: bool,
}

impl Input for Encrypt {
    fn read(m: &mut Members<'_>) -> Self {
        let input = Self {
            key_id: key_id(m, "KeyId"),
            plaintext: m.blob("Plaintext").length(1, 4096).required(),
            context: encryption_context(m, "EncryptionContext"),
            algorithm: algorithm(m, "EncryptionAlgorithm"),
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        input
    }
}

/// Output of Encrypt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EncryptOutput {
    ciphertext_blob: Bytes,
    key_id: String,
    encryption_algorithm: EncryptionAlgorithm,
}

/// Encrypt
pub(crate) async fn encrypt(
    simulator: &Simulator,
    caller: &Caller,
    input: Encrypt,
) -> Result<EncryptOutput, KmsError> {
    let region = simulator.region_of_key(caller, Operation::Encrypt, &input.key_id);
    let key = region
        .lock()
        .key_to_encrypt(Operation::Encrypt, caller, &input.key_id)?
        .with_algorithm(input.algorithm)?;
    check_dry_run(input.dry_run)?;
    let blob = key
        .encrypt(caller, &input.plaintext, &input.context)
        .await?;
    key.used(caller, region.now());
    Ok(EncryptOutput {
        ciphertext_blob: Bytes(blob),
        key_id: key.arn().to_owned(),
        encryption_algorithm: input.algorithm,
    })
}

/// Input of Decrypt.
pub(crate) struct Decrypt {
    ciphertext_blob: Option<Zeroizing<Vec<u8>>>,
    context: EncryptionContext,
    key_id: Option<String>,
    algorithm: EncryptionAlgorithm,
    recipient: Option<()>,
    dry_run: bool,
}

impl Input for Decrypt {
    fn read(m: &mut Members<'_>) -> Self {
        let dry_run = dry_run(m);
        let input = Self {
            ciphertext_blob: ciphertext_blob(m, dry_run),
            context: encryption_context(m, "EncryptionContext"),
            key_id: optional_key_id(m, "KeyId"),
            algorithm: algorithm(m, "EncryptionAlgorithm"),
            recipient: recipient(m),
            dry_run,
        };
        grant_tokens(m);
        input
    }
}

/// Output of Decrypt.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DecryptOutput {
    key_id: String,
    plaintext: SecretBytes,
    encryption_algorithm: EncryptionAlgorithm,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

/// Decrypt
pub(crate) async fn decrypt(
    simulator: &Simulator,
    caller: &Caller,
    input: Decrypt,
) -> Result<DecryptOutput, KmsError> {
    check_recipient(input.recipient)?;
    let key_id = input.key_id.as_deref();
    let region = |key_id| simulator.region_of_key(caller, Operation::Decrypt, key_id);
    let Some(blob) = &input.ciphertext_blob else {
        // A dry run that ignores the ciphertext.
        let key_id = key_id.ok_or_else(key_id_required)?;
        region(key_id)
            .lock()
            .key(Operation::Decrypt, caller, key_id)?;
        return Err(dry_run_exception());
    };
    let operation = Operation::Decrypt;
    let source = Source::find(simulator, operation, caller, key_id, input.algorithm, blob)?;
    check_dry_run(input.dry_run)?;
    let (key, plaintext) = source.open(caller, &input.context).await?;
    key.used(caller, simulator.clock().now());
    Ok(DecryptOutput {
        key_id: key.arn().to_owned(),
        plaintext: SecretBytes(plaintext),
        encryption_algorithm: input.algorithm,
        key_material_id: key.material_id(),
    })
}

/// Input of ReEncrypt.
pub(crate) struct ReEncrypt {
    ciphertext_blob: Option<Zeroizing<Vec<u8>>>,
    source_context: EncryptionContext,
    source_key_id: Option<String>,
    destination_key_id: String,
    destination_context: EncryptionContext,
    source_algorithm: EncryptionAlgorithm,
    destination_algorithm: EncryptionAlgorithm,
    dry_run: bool,
}

impl Input for ReEncrypt {
    fn read(m: &mut Members<'_>) -> Self {
        let dry_run = dry_run(m);
        let input = Self {
            ciphertext_blob: ciphertext_blob(m, dry_run),
            source_context: encryption_context(m, "SourceEncryptionContext"),
            source_key_id: optional_key_id(m, "SourceKeyId"),
            destination_key_id: key_id(m, "DestinationKeyId"),
            destination_context: encryption_context(m, "DestinationEncryptionContext"),
            source_algorithm: algorithm(m, "SourceEncryptionAlgorithm"),
            destination_algorithm: algorithm(m, "DestinationEncryptionAlgorithm"),
            dry_run,
        };
        grant_tokens(m);
        input
    }
}

/// Output of ReEncrypt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReEncryptOutput {
    ciphertext_blob: Bytes,
    source_key_id: String,
    key_id: String,
    source_encryption_algorithm: EncryptionAlgorithm,
    destination_encryption_algorithm: EncryptionAlgorithm,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key_material_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_key_material_id: Option<String>,
}

/// ReEncrypt: the source is looked at first, and both before anything is decrypted.
pub(crate) async fn re_encrypt(
    simulator: &Simulator,
    caller: &Caller,
    input: ReEncrypt,
) -> Result<ReEncryptOutput, KmsError> {
    let operation = Operation::ReEncrypt;
    let region = |key_id| simulator.region_of_key(caller, operation, key_id);
    let source_key_id = input.source_key_id.as_deref();
    let destination_key_id = &*input.destination_key_id;
    let Some(blob) = &input.ciphertext_blob else {
        let source_key_id = source_key_id.ok_or_else(key_id_required)?;
        region(source_key_id)
            .lock()
            .key(Access::source(operation), caller, source_key_id)?;
        region(destination_key_id).lock().key(
            Access::destination(operation),
            caller,
            destination_key_id,
        )?;
        return Err(dry_run_exception());
    };
    let (algorithm, region) = (input.source_algorithm, region(destination_key_id));
    let source = Source::find(simulator, operation, caller, source_key_id, algorithm, blob)?;
    let destination = {
        let state = region.lock();
        state
            .key_to_encrypt(operation, caller, destination_key_id)?
            .with_algorithm(input.destination_algorithm)?
    };
    check_dry_run(input.dry_run)?;
    let (source, plaintext) = source.open(caller, &input.source_context).await?;
    let blob = destination
        .encrypt(caller, &plaintext, &input.destination_context)
        .await?;
    source.used(caller, region.now());
    destination.used(caller, region.now());
    Ok(ReEncryptOutput {
        ciphertext_blob: Bytes(blob),
        source_key_id: source.arn().to_owned(),
        key_id: destination.arn().to_owned(),
        source_encryption_algorithm: input.source_algorithm,
        destination_encryption_algorithm: input.destination_algorithm,
        source_key_material_id: source.material_id(),
        destination_key_material_id: destination.material_id(),
    })
}

/// A ciphertext, and the key that decrypts it.
struct Source<'b> {
    key: UsableKey,
    sealed: Sealed<'b>,
}

/// Ciphertexts of symmetric keys name their key, those of key pairs do not.
enum Sealed<'b> {
    Blob(CiphertextBlob<'b>),
    ByPair(&'b [u8]),
}

impl<'b> Source<'b> {
    fn find(
        simulator: &Simulator,
        operation: Operation,
        caller: &Caller,
        key_id: Option<&str>,
        algorithm: EncryptionAlgorithm,
        ciphertext: &'b [u8],
    ) -> Result<Self, KmsError> {
        let region = |key_id| simulator.region_of_key(caller, operation, key_id);
        let of_pair = |key_id| {
            let region = region(key_id);
            let key = region
                .lock()
                .key_pair_to_decrypt(operation, caller, key_id)?;
            Ok(Self {
                key: key.with_algorithm(algorithm)?,
                sealed: Sealed::ByPair(ciphertext),
            })
        };
        if algorithm != EncryptionAlgorithm::SymmetricDefault {
            return of_pair(key_id.ok_or_else(pair_required)?);
        }
        let Some(blob) = CiphertextBlob::parse(ciphertext) else {
            // A key pair has not this algorithm; a symmetric key has no such ciphertext.
            key_id.map_or(Ok(()), |key_id| of_pair(key_id).map(drop))?;
            return Err(invalid_ciphertext());
        };
        let region = region(blob.key_arn);
        let key = region
            .lock()
            .key_to_decrypt(operation, caller, key_id, &blob)?;
        Ok(Self {
            key: key.with_algorithm(algorithm)?,
            sealed: Sealed::Blob(blob),
        })
    }

    async fn open(
        self,
        caller: &Caller,
        context: &EncryptionContext,
    ) -> Result<(UsableKey, Zeroizing<Vec<u8>>), KmsError> {
        let plaintext = match self.sealed {
            Sealed::Blob(blob) => self.key.decrypt(caller, blob, context).await?,
            Sealed::ByPair(ciphertext) => self.key.decrypt_by_pair(ciphertext, context).await?,
        };
        Ok((self.key, plaintext))
    }
}

/// `DryRun`
pub(super) fn dry_run(members: &mut Members<'_>) -> bool {
    members.boolean("DryRun").unwrap_or(false)
}

/// Ends a request that was only a trial.
///
/// # Errors
/// DryRunOperationException, which is what success looks like.
pub(super) fn check_dry_run(dry_run: bool) -> Result<(), KmsError> {
    if dry_run {
        return Err(dry_run_exception());
    }
    Ok(())
}

fn dry_run_exception() -> KmsError {
    KmsError::new(
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
    )
}

/// `Recipient`: whether it is there.
pub(super) fn recipient(members: &mut Members<'_>) -> Option<()> {
    members.structure("Recipient", |recipient| {
        let algorithm = recipient.text("KeyEncryptionAlgorithm");
        algorithm.one_of(&["RSAES_OAEP_SHA_256"]).optional();
        let document = recipient.blob("AttestationDocument");
        document.length(1, 262_144).optional();
    })
}

/// Nitro enclaves are not simulated.
///
/// # Errors
/// UnsupportedOperationException if there is a recipient.
pub(super) fn check_recipient(recipient: Option<()>) -> Result<(), KmsError> {
    match recipient {
        None => Ok(()),
        Some(()) => Err(KmsError::unsupported(
            "kms-sim does not support Recipient: it cannot verify the attestation document of an enclave.",
        )),
    }
}

/// `CiphertextBlob`, which a dry run can do without (`DryRunModifiers`).
fn ciphertext_blob(members: &mut Members<'_>, dry_run: bool) -> Option<Zeroizing<Vec<u8>>> {
    let modifiers = members.text_list("DryRunModifiers", 0, usize::MAX, |modifier| {
        modifier.one_of(&["IGNORE_CIPHERTEXT"]).required()
    });
    let blob = members.blob("CiphertextBlob").length(1, 6144);
    if dry_run && modifiers.is_some_and(|list| !list.is_empty()) {
        return blob.optional();
    }
    Some(blob.required())
}

fn algorithm(members: &mut Members<'_>, name: &str) -> EncryptionAlgorithm {
    members
        .choice(name, EncryptionAlgorithm::CHOICES)
        .optional()
        .unwrap_or(EncryptionAlgorithm::SymmetricDefault)
}

fn key_id_required() -> KmsError {
    KmsError::validation("A key ID is required when the ciphertext is ignored.")
}

fn pair_required() -> KmsError {
    KmsError::validation(
        "A key ID is required to decrypt a ciphertext of an asymmetric KMS key, which does not name its key.",
    )
}
