//! What keys are for.

use aws_sdk_kms::Client as Kms;
use serde_json::{Value, json};

use super::output::blob;
use super::{Exception, Input, call};

pub(super) async fn call(
    kms: &Kms,
    operation: &str,
    mut i: Input<'_>,
) -> Option<Result<Value, Exception>> {
    Some(match operation {
        "Encrypt" => call!(
            kms, i, encrypt [
                set_key_id: text "KeyId",
                set_plaintext: blob "Plaintext",
                set_encryption_context: text_map "EncryptionContext",
                set_encryption_algorithm: choice "EncryptionAlgorithm",
                set_dry_run: boolean "DryRun",
            ],
            |answer| json!({"KeyId": answer.key_id(), "CiphertextBlob": blob(answer.ciphertext_blob())})
        ),
        "Decrypt" => call!(
            kms, i, decrypt [
                set_key_id: text "KeyId",
                set_ciphertext_blob: blob "CiphertextBlob",
                set_encryption_context: text_map "EncryptionContext",
                set_encryption_algorithm: choice "EncryptionAlgorithm",
            ],
            |answer| json!({"KeyId": answer.key_id(), "Plaintext": blob(answer.plaintext())})
        ),
        "ReEncrypt" => call!(
            kms, i, re_encrypt [
                set_ciphertext_blob: blob "CiphertextBlob",
                set_source_encryption_context: text_map "SourceEncryptionContext",
                set_destination_key_id: text "DestinationKeyId",
                set_destination_encryption_context: text_map "DestinationEncryptionContext",
            ],
            |answer| json!({
                "SourceKeyId": answer.source_key_id(),
                "KeyId": answer.key_id(),
                "CiphertextBlob": blob(answer.ciphertext_blob()),
            })
        ),
        "GenerateDataKey" => call!(
            kms, i, generate_data_key [
                set_key_id: text "KeyId",
                set_key_spec: choice "KeySpec",
                set_number_of_bytes: integer "NumberOfBytes",
            ],
            |answer| json!({
                "KeyId": answer.key_id(),
                "Plaintext": blob(answer.plaintext()),
                "CiphertextBlob": blob(answer.ciphertext_blob()),
            })
        ),
        "GenerateDataKeyWithoutPlaintext" => call!(
            kms, i, generate_data_key_without_plaintext [
                set_key_id: text "KeyId",
                set_key_spec: choice "KeySpec",
                set_number_of_bytes: integer "NumberOfBytes",
            ],
            |answer| json!({"KeyId": answer.key_id(), "CiphertextBlob": blob(answer.ciphertext_blob())})
        ),
        "GenerateDataKeyPair" => call!(
            kms, i, generate_data_key_pair [set_key_id: text "KeyId", set_key_pair_spec: choice "KeyPairSpec"],
            |answer| json!({
                "KeyId": answer.key_id(),
                "PrivateKeyPlaintext": blob(answer.private_key_plaintext()),
                "PrivateKeyCiphertextBlob": blob(answer.private_key_ciphertext_blob()),
                "PublicKey": blob(answer.public_key()),
            })
        ),
        "GenerateRandom" => call!(
            kms, i, generate_random [
                set_number_of_bytes: integer "NumberOfBytes",
                set_custom_key_store_id: text "CustomKeyStoreId",
            ],
            |answer| json!({"Plaintext": blob(answer.plaintext())})
        ),
        "GetPublicKey" => call!(
            kms, i, get_public_key [set_key_id: text "KeyId"],
            |answer| json!({
                "KeyId": answer.key_id(),
                "KeySpec": answer.key_spec().map(|spec| spec.as_str()),
                "PublicKey": blob(answer.public_key()),
            })
        ),
        "Sign" => call!(
            kms, i, sign [
                set_key_id: text "KeyId",
                set_message: blob "Message",
                set_message_type: choice "MessageType",
                set_signing_algorithm: choice "SigningAlgorithm",
            ],
            |answer| json!({"KeyId": answer.key_id(), "Signature": blob(answer.signature())})
        ),
        "Verify" => call!(
            kms, i, verify [
                set_key_id: text "KeyId",
                set_message: blob "Message",
                set_message_type: choice "MessageType",
                set_signature: blob "Signature",
                set_signing_algorithm: choice "SigningAlgorithm",
            ],
            |answer| json!({"KeyId": answer.key_id(), "SignatureValid": answer.signature_valid()})
        ),
        "GenerateMac" => call!(
            kms, i, generate_mac [
                set_key_id: text "KeyId",
                set_message: blob "Message",
                set_mac_algorithm: choice "MacAlgorithm",
            ],
            |answer| json!({"KeyId": answer.key_id(), "Mac": blob(answer.mac())})
        ),
        "VerifyMac" => call!(
            kms, i, verify_mac [
                set_key_id: text "KeyId",
                set_message: blob "Message",
                set_mac: blob "Mac",
                set_mac_algorithm: choice "MacAlgorithm",
            ],
            |answer| json!({"KeyId": answer.key_id(), "MacValid": answer.mac_valid()})
        ),
        "DeriveSharedSecret" => call!(
            kms, i, derive_shared_secret [
                set_key_id: text "KeyId",
                set_key_agreement_algorithm: choice "KeyAgreementAlgorithm",
                set_public_key: blob "PublicKey",
            ],
            |answer| json!({"KeyId": answer.key_id(), "SharedSecret": blob(answer.shared_secret())})
        ),
        _ => return None,
    })
}
