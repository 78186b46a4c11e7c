//! GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext.

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypto::{check_dry_run, check_recipient, dry_run, recipient};
use crate::api::shapes::{encryption_context, grant_tokens, key_id};
use crate::api::{Bytes, Input, KmsError, Members, SecretBytes};
use crate::encryption_context::EncryptionContext;
use crate::fixed_key::FixedKey;
use crate::key_material::internal;
use crate::key_spec::KeySpec;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::waiting::on_a_thread;

/// Input of GenerateDataKeyPair.
#[derive(Debug)]
pub(crate) struct GenerateDataKeyPair {
    key_id: String,
    context: EncryptionContext,
    spec: KeySpec,
    recipient: Option<()>,
    dry_run: bool,
}

impl Input for GenerateDataKeyPair {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            recipient: recipient(m),
            ..GenerateDataKeyPairWithoutPlaintext::read(m).0
        }
    }
}

/// Input of GenerateDataKeyPairWithoutPlaintext, which knows no recipient.
#[derive(Debug)]
pub(crate) struct GenerateDataKeyPairWithoutPlaintext(GenerateDataKeyPair);

impl Input for GenerateDataKeyPairWithoutPlaintext {
    fn read(m: &mut Members<'_>) -> Self {
        let spec = m.choice("KeyPairSpec", DATA_KEY_PAIR_SPECS).optional();
        let input = GenerateDataKeyPair {
            key_id: key_id(m, "KeyId"),
            context: encryption_context(m, "EncryptionContext"),
            // A request without one goes no further than its violations.
            spec: m.require("KeyPairSpec", spec).unwrap_or(KeySpec::Rsa2048),
            recipient: None,
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        Self(input)
    }
}

/// Output of GenerateDataKeyPair, and, without the plaintext, of GenerateDataKeyPairWithoutPlaintext.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GenerateDataKeyPairOutput {
    private_key_ciphertext_blob: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key_plaintext: Option<SecretBytes>,
    public_key: Bytes,
    key_id: String,
    key_pair_spec: KeySpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

/// GenerateDataKeyPair
pub(crate) async fn with_plaintext(
    simulator: &Simulator,
    caller: &Caller,
    input: GenerateDataKeyPair,
) -> Result<GenerateDataKeyPairOutput, KmsError> {
    generate(Operation::GenerateDataKeyPair, simulator, caller, input).await
}

/// GenerateDataKeyPairWithoutPlaintext
pub(crate) async fn without_plaintext(
    simulator: &Simulator,
    caller: &Caller,
    GenerateDataKeyPairWithoutPlaintext(input): GenerateDataKeyPairWithoutPlaintext,
) -> Result<GenerateDataKeyPairOutput, KmsError> {
    let operation = Operation::GenerateDataKeyPairWithoutPlaintext;
    let output = generate(operation, simulator, caller, input).await?;
    Ok(GenerateDataKeyPairOutput {
        private_key_plaintext: None,
        ..output
    })
}

/// The public key is SubjectPublicKeyInfo, the private one PKCS #8, both in DER.
async fn generate(
    operation: Operation,
    simulator: &Simulator,
    caller: &Caller,
    input: GenerateDataKeyPair,
) -> Result<GenerateDataKeyPairOutput, KmsError> {
    check_recipient(input.recipient)?;
    let region = simulator.region_of_key(caller, operation, &input.key_id);
    let key = region
        .lock()
        .key_to_encrypt(operation, caller, &input.key_id)?;
    let spec = input.spec;
    if spec == KeySpec::Sm2 {
        return Err(KmsError::unsupported(
            "KeyPairSpec SM2 is supported in China Regions only, which kms-sim does not simulate.",
        ));
    }
    check_dry_run(input.dry_run)?;
    let (public_key, private_key) = on_a_thread(move || {
        let pair = FixedKey::generate(spec)?;
        let public_key = pair.public_key().ok_or_else(internal)?.to_vec();
        Ok((public_key, Zeroizing::new(pair.secret_bytes().to_vec())))
    })
    .await?;
    let blob = key.encrypt(caller, &private_key, &input.context).await?;
    key.used(caller, region.now());
    Ok(GenerateDataKeyPairOutput {
        private_key_ciphertext_blob: Bytes(blob),
        private_key_plaintext: Some(SecretBytes(private_key)),
        public_key: Bytes(public_key),
        key_id: key.arn().to_owned(),
        key_pair_spec: spec,
        key_material_id: key.material_id(),
    })
}

/// `DataKeyPairSpec`
const DATA_KEY_PAIR_SPECS: &[(&str, KeySpec)] = &[
    ("RSA_2048", KeySpec::Rsa2048),
    ("RSA_3072", KeySpec::Rsa3072),
    ("RSA_4096", KeySpec::Rsa4096),
    ("ECC_NIST_P256", KeySpec::EccNistP256),
    ("ECC_NIST_P384", KeySpec::EccNistP384),
    ("ECC_NIST_P521", KeySpec::EccNistP521),
    ("ECC_SECG_P256K1", KeySpec::EccSecgP256k1),
    ("SM2", KeySpec::Sm2),
    ("ECC_NIST_EDWARDS25519", KeySpec::EccNistEdwards25519),
    ("ML_KEM_512", KeySpec::MlKem512),
    ("ML_KEM_768", KeySpec::MlKem768),
    ("ML_KEM_1024", KeySpec::MlKem1024),
];
