//! Sign and Verify.

use std::sync::Arc;

use serde::Serialize;
use zeroize::Zeroizing;

use super::crypto::{check_dry_run, dry_run};
use crate::api::shapes::{grant_tokens, key_id};
use crate::api::{Bytes, Input, KmsError, Members};
use crate::fixed_key::Message;
use crate::key_material::internal;
use crate::key_spec::SigningAlgorithm;
use crate::key_usage::check_algorithm;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::usable_fixed_key::UsableFixedKey;
use crate::waiting::on_a_thread;

/// What Sign and Verify have in common.
struct Signed {
    key_id: String,
    message: Zeroizing<Vec<u8>>,
    message_type: MessageType,
    algorithm: SigningAlgorithm,
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum MessageType {
    Raw,
    Digest,
    ExternalMu,
}

impl Signed {
    fn read(m: &mut Members<'_>) -> Self {
        let algorithm = m.choice("SigningAlgorithm", SigningAlgorithm::CHOICES);
        let algorithm = algorithm.optional();
        let input = Self {
            key_id: key_id(m, "KeyId"),
            message: m.blob("Message").length(1, 4096).required(),
            message_type: m
                .choice("MessageType", MESSAGE_TYPES)
                .optional()
                .unwrap_or(MessageType::Raw),
            // A request without one goes no further than its violations.
            algorithm: m
                .require("SigningAlgorithm", algorithm)
                .unwrap_or(SigningAlgorithm::RsassaPssSha256),
            dry_run: dry_run(m),
        };
        grant_tokens(m);
        input
    }

    /// The key, if it can be used with the algorithm, and this can sign the message.
    fn key(
        &self,
        simulator: &Simulator,
        caller: &Caller,
        operation: Operation,
    ) -> Result<UsableFixedKey, KmsError> {
        let region = simulator.region_of_key(caller, operation, &self.key_id);
        let key = region.lock().fixed_key(operation, caller, &self.key_id)?;
        let (kind, algorithm) = (key.kind(), self.algorithm);
        check_algorithm(kind, kind.signing_algorithms(), algorithm, algorithm.name())?;
        self.message()?;
        check_dry_run(self.dry_run)?;
        Ok(key)
    }

    /// The message, if it is of a kind and length that the algorithm takes.
    fn message(&self) -> Result<Message<'_>, KmsError> {
        use SigningAlgorithm as A;
        let name = self.algorithm.name();
        let invalid = |message: String| Err(KmsError::validation(message));
        let takes = match self.algorithm {
            A::Ed25519Sha512 => &[MessageType::Raw][..],
            A::Ed25519PhSha512 => &[MessageType::Digest],
            A::MlDsaShake256 => &[MessageType::Raw, MessageType::ExternalMu],
            _ => &[MessageType::Raw, MessageType::Digest],
        };
        if !takes.contains(&self.message_type) {
            return invalid(format!(
                "MessageType {} is not valid for algorithm {name}.",
                self.message_type.name()
            ));
        }
        match self.message_type {
            MessageType::Raw => Ok(Message::Raw(&self.message)),
            MessageType::Digest if self.message.len() == self.algorithm.digest_len() => {
                Ok(Message::Digest(&self.message))
            }
            MessageType::Digest => {
                invalid(format!("Digest is invalid length for algorithm {name}."))
            }
            MessageType::ExternalMu => match self.message.as_slice().try_into() {
                Ok(mu) => Ok(Message::ExternalMu(mu)),
                Err(_) => invalid(format!(
                    "EXTERNAL_MU is invalid length for algorithm {name}."
                )),
            },
        }
    }
}

impl MessageType {
    const fn name(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Digest => "DIGEST",
            Self::ExternalMu => "EXTERNAL_MU",
        }
    }
}

/// Input of Sign.
pub(crate) struct Sign(Signed);

impl Input for Sign {
    fn read(m: &mut Members<'_>) -> Self {
        Self(Signed::read(m))
    }
}

/// Output of Sign.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SignOutput {
    key_id: Arc<str>,
    signature: Bytes,
    signing_algorithm: SigningAlgorithm,
}

/// Sign
pub(crate) async fn sign(
    simulator: &Simulator,
    caller: &Caller,
    Sign(input): Sign,
) -> Result<SignOutput, KmsError> {
    let key = input.key(simulator, caller, Operation::Sign)?;
    let (material, algorithm) = (key.material(), input.algorithm);
    let signature = on_a_thread(move || {
        let signature = material.sign(algorithm, input.message()?);
        signature.ok_or_else(internal)
    });
    let signature = signature.await?;
    key.used(caller, simulator.clock().now());
    Ok(SignOutput {
        key_id: key.into_arn(),
        signature: Bytes(signature),
        signing_algorithm: algorithm,
    })
}

/// Input of Verify.
pub(crate) struct Verify {
    signed: Signed,
    signature: Vec<u8>,
}

impl Input for Verify {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            signed: Signed::read(m),
            signature: m.blob("Signature").length(1, 6144).required().to_vec(),
        }
    }
}

/// Output of Verify.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VerifyOutput {
    key_id: Arc<str>,
    signature_valid: bool,
    signing_algorithm: SigningAlgorithm,
}

/// Verify: KMSInvalidSignatureException, without a message, is what failure looks like.
pub(crate) async fn verify(
    simulator: &Simulator,
    caller: &Caller,
    input: Verify,
) -> Result<VerifyOutput, KmsError> {
    let key = input.signed.key(simulator, caller, Operation::Verify)?;
    let (material, algorithm) = (key.material(), input.signed.algorithm);
    let genuine = on_a_thread(move || {
        let message = input.signed.message()?;
        Ok(material.verify(algorithm, message, &input.signature))
    });
    if !genuine.await? {
        return Err(KmsError::without_message("KMSInvalidSignatureException"));
    }
    key.used(caller, simulator.clock().now());
    Ok(VerifyOutput {
        key_id: key.into_arn(),
        signature_valid: true,
        signing_algorithm: algorithm,
    })
}

const MESSAGE_TYPES: &[(&str, MessageType)] = &[
    ("RAW", MessageType::Raw),
    ("DIGEST", MessageType::Digest),
    ("EXTERNAL_MU", MessageType::ExternalMu),
];
