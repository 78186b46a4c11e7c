//! Which operations a key is for, by its KeySpec, KeyUsage and origin.

use crate::api::KmsError;
use crate::key::Key;
use crate::key_spec::{KeyKind, KeyUsage};
use crate::key_state::wrong_origin;
use crate::operation::Operation;

/// Whether keys of this kind can ever take part in the operation.
///
/// # Errors
/// InvalidKeyUsageException or UnsupportedOperationException, in KMS's words.
pub(crate) fn check_usage(operation: Operation, key: &Key) -> Result<(), KmsError> {
    use Operation as Op;
    let (arn, kind) = (key.arn(), key.kind());
    let wrong_spec = || {
        format!(
            "{arn} key spec is {} which is not valid for {}.",
            kind.spec.name(),
            operation.name()
        )
    };
    let wanted = match operation {
        Op::Encrypt | Op::Decrypt | Op::ReEncrypt => KeyUsage::EncryptDecrypt,
        Op::GenerateDataKey | Op::GenerateDataKeyWithoutPlaintext => KeyUsage::EncryptDecrypt,
        Op::GenerateDataKeyPair | Op::GenerateDataKeyPairWithoutPlaintext => {
            if key.origin().store().is_some() {
                return Err(wrong_origin(key));
            }
            KeyUsage::EncryptDecrypt
        }
        Op::Sign | Op::Verify => KeyUsage::SignVerify,
        Op::GenerateMac | Op::VerifyMac => KeyUsage::GenerateVerifyMac,
        Op::DeriveSharedSecret => KeyUsage::KeyAgreement,
        Op::Encapsulate | Op::Decapsulate => KeyUsage::EncapsulateDecapsulate,
        Op::GetPublicKey if !kind.spec.is_pair() => {
            return Err(KmsError::unsupported(wrong_spec()));
        }
        _ => return Ok(()),
    };
    if kind.usage != wanted {
        return Err(KmsError::new(
            "InvalidKeyUsageException",
            format!(
                "{arn} key usage is {} which is not valid for {}.",
                kind.usage.name(),
                operation.name()
            ),
        ));
    }
    let makes_data_keys = matches!(
        operation,
        Op::GenerateDataKey
            | Op::GenerateDataKeyWithoutPlaintext
            | Op::GenerateDataKeyPair
            | Op::GenerateDataKeyPairWithoutPlaintext
    );
    if makes_data_keys && !kind.is_symmetric() {
        return Err(KmsError::new("InvalidKeyUsageException", wrong_spec()));
    }
    Ok(())
}

/// Whether the key has the algorithm that a request names.
///
/// # Errors
/// InvalidKeyUsageException, in KMS's words.
pub(crate) fn check_algorithm<A: Copy + PartialEq>(
    kind: KeyKind,
    algorithms: &[A],
    algorithm: A,
    name: &str,
) -> Result<(), KmsError> {
    if algorithms.contains(&algorithm) {
        return Ok(());
    }
    Err(KmsError::new(
        "InvalidKeyUsageException",
        format!(
            "Algorithm {name} is incompatible with key spec {}.",
            kind.spec.name()
        ),
    ))
}
