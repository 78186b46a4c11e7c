//! The key-state table: which operation does what to a key in which state.
//!
//! Source: AWS KMS Developer Guide, "Key states of AWS KMS keys", cell for cell, with its footnotes' numbers as the
//! names of the cells. KeyState itself is derived (`Key::state`), never stored.

use crate::api::KmsError;
use crate::key::{Key, Origin};
use crate::operation::Operation;
use crate::proxy_failure::ProxyFailure;

/// `KeyState`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion,
    Unavailable,
}

impl KeyState {
    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
            Self::Unavailable => "Unavailable",
        }
    }
}

/// Whether `operation` may go on with a key in this state.
///
/// What the key can never do, whatever its state, comes before what its state forbids.
///
/// # Errors
/// The exception of the table's footnote.
pub(crate) fn permit(operation: Operation, key: &Key, state: KeyState) -> Result<(), KmsError> {
    let [enabled, disabled, pending_deletion, unavailable] = row(operation);
    let cell = match state {
        KeyState::Enabled => enabled,
        KeyState::Disabled => disabled,
        KeyState::PendingDeletion => pending_deletion,
        KeyState::Unavailable => unavailable,
    };
    let arn = key.arn();
    let invalid_state = |text: &str| {
        Err(KmsError::new(
            "KMSInvalidStateException",
            format!("{arn} is {text}."),
        ))
    };
    match cell {
        Cell::Ok => Ok(()),
        Cell::X1 => Err(disabled_exception(arn)),
        Cell::X3 => invalid_state("pending deletion"),
        Cell::X4 => invalid_state("not pending deletion"),
        Cell::X7 => Err(wrong_origin(key)),
        Cell::Q7 => rotates(key).then_some(()).ok_or_else(|| wrong_origin(key)),
        Cell::X1or7 if rotates(key) => Err(disabled_exception(arn)),
        Cell::X3or7 if rotates(key) => invalid_state("pending deletion"),
        Cell::X1or7 | Cell::X3or7 => Err(wrong_origin(key)),
        Cell::X11 => match key.origin() {
            Origin::ExternalKeyStore { .. } => Err(ProxyFailure::NotConnected.crypto_error()),
            Origin::AwsKms(_) | Origin::AwsKmsFixed(_) | Origin::AwsCloudHsm { .. } => {
                invalid_state("unavailable")
            }
        },
    }
}

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
enum Cell {
    /// Succeeds. Footnotes 12 (takes effect when the key becomes available) and 10 (a source that is pending
    /// deletion) are here: neither fails.
    Ok,
    /// DisabledException: disabled.
    X1,
    /// KMSInvalidStateException: pending deletion. Footnote 2 names DisabledException as another possibility.
    X3,
    /// KMSInvalidStateException: not pending deletion.
    X4,
    /// UnsupportedOperationException: a key with imported material or in a custom key store.
    X7,
    /// Footnote 7 for such keys, else success.
    Q7,
    /// Footnote 7 for such keys, else footnote 1.
    X1or7,
    /// Footnote 7 for such keys, else footnote 3.
    X3or7,
    /// KMSInvalidStateException: unavailable.
    X11,
}

/// Enabled, Disabled, PendingDeletion, Unavailable.
const fn row(operation: Operation) -> [Cell; 4] {
    use Cell::{Ok, Q7, X1, X1or7, X3, X3or7, X4, X7, X11};
    use Operation as Op;
    match operation {
        Op::CancelKeyDeletion => [X4, X4, Ok, X4],
        Op::CreateAlias => [Ok, Ok, X3, Ok],
        Op::CreateGrant => [Ok, X1, X3, Ok],
        Op::Decrypt => [Ok, X1, X3, X11],
        Op::DeleteAlias => [Ok, Ok, Ok, Ok],
        Op::DeleteImportedKeyMaterial => [X7, X7, X7, X7],
        Op::DescribeKey => [Ok, Ok, Ok, Ok],
        Op::DisableKey => [Ok, Ok, X3, Ok],
        Op::DisableKeyRotation => [Q7, X1or7, X3or7, X7],
        Op::EnableKey => [Ok, Ok, X3, Ok],
        Op::EnableKeyRotation => [Q7, X1or7, X3or7, X7],
        Op::Encrypt => [Ok, X1, X3, X11],
        Op::GenerateDataKey => [Ok, X1, X3, X11],
        Op::GenerateDataKeyPair => [Ok, X1, X3, X11],
        Op::GenerateDataKeyPairWithoutPlaintext => [Ok, X1, X3, X11],
        Op::GenerateDataKeyWithoutPlaintext => [Ok, X1, X3, X11],
        Op::GenerateMac => [Ok, X1, X3, Ok],
        Op::GetKeyPolicy => [Ok, Ok, Ok, Ok],
        Op::GetKeyRotationStatus => [Q7, Q7, Q7, X7],
        Op::GetParametersForImport => [X7, X7, X7, X7],
        Op::GetPublicKey => [Ok, X1, X3, Ok],
        Op::ImportKeyMaterial => [X7, X7, X7, X7],
        Op::ListAliases => [Ok, Ok, Ok, Ok],
        Op::ListGrants => [Ok, Ok, Ok, Ok],
        Op::ListKeyPolicies => [Ok, Ok, Ok, Ok],
        Op::ListResourceTags => [Ok, Ok, Ok, Ok],
        Op::PutKeyPolicy => [Ok, Ok, Ok, Ok],
        Op::ReEncrypt => [Ok, X1, X3, X11],
        Op::ReplicateKey => [Ok, X1, X3, Ok],
        Op::RetireGrant => [Ok, Ok, Ok, Ok],
        Op::RevokeGrant => [Ok, Ok, Ok, Ok],
        Op::ScheduleKeyDeletion => [Ok, Ok, X3, Ok],
        Op::Sign => [Ok, X1, X3, Ok],
        Op::TagResource => [Ok, Ok, X3, Ok],
        Op::UntagResource => [Ok, Ok, X3, Ok],
        // The key that the alias is to name; the one that it named does not matter.
        Op::UpdateAlias => [Ok, Ok, X3, Ok],
        Op::UpdateKeyDescription => [Ok, Ok, X3, Ok],
        Op::UpdatePrimaryRegion => [Ok, X1, X3, Ok],
        Op::Verify => [Ok, X1, X3, Ok],
        Op::VerifyMac => [Ok, X1, X3, Ok],
        // Newer than the published table; by analogy.
        Op::RotateKeyOnDemand => [Q7, X1or7, X3or7, X7],
        Op::ListKeyRotations => [Q7, Q7, Q7, X7],
        Op::DeriveSharedSecret | Op::Encapsulate | Op::Decapsulate => [Ok, X1, X3, Ok],
        Op::GetKeyLastUsage => [Ok, Ok, Ok, Ok],
        // Not about one key that exists.
        Op::ConnectCustomKeyStore
        | Op::CreateCustomKeyStore
        | Op::CreateKey
        | Op::DeleteCustomKeyStore
        | Op::DescribeCustomKeyStores
        | Op::DisconnectCustomKeyStore
        | Op::GenerateRandom
        | Op::ListKeys
        | Op::ListRetirableGrants
        | Op::UpdateCustomKeyStore => [Ok, Ok, Ok, Ok],
    }
}

/// Whether KMS can rotate the key's material: that of a symmetric encryption key, neither imported nor in a custom key store.
const fn rotates(key: &Key) -> bool {
    matches!(key.origin(), Origin::AwsKms(_))
}

/// Footnotes 6, 7 and 9.
pub(crate) fn wrong_origin(key: &Key) -> KmsError {
    if !key.kind().is_symmetric() {
        return KmsError::unsupported(format!(
            "{} key spec is {} which is not valid for this operation.",
            key.arn(),
            key.kind().spec.name()
        ));
    }
    KmsError::unsupported(format!(
        "{} origin is {} which is not valid for this operation.",
        key.arn(),
        key.origin().name()
    ))
}

fn disabled_exception(arn: &str) -> KmsError {
    KmsError::new("DisabledException", format!("{arn} is disabled."))
}
