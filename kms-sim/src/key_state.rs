//! The key-state table: which operation does what to a key in which state.
//!
//! Source: AWS KMS Developer Guide, "Key states of AWS KMS keys", cell for cell, with its footnotes' numbers as the
//! names of the cells. KeyState itself is derived (`Key::state`), never stored.

use crate::api::KmsError;
use crate::key::{Key, Origin};
use crate::key_spec::KeySpec;
use crate::operation::Operation;
use crate::proxy_failure::ProxyFailure;

/// `KeyState`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyState {
    /// A new replica, for a moment.
    Creating,
    Enabled,
    Disabled,
    PendingDeletion,
    /// Its imported key material is not all there.
    PendingImport,
    /// A primary that waits for its replicas to be deleted.
    PendingReplicaDeletion,
    Unavailable,
    /// The old and the new primary, for a moment.
    Updating,
}

impl KeyState {
    /// Every state.
    pub(crate) const ALL: [Self; 8] = [
        Self::Creating,
        Self::Enabled,
        Self::Disabled,
        Self::PendingDeletion,
        Self::PendingImport,
        Self::PendingReplicaDeletion,
        Self::Unavailable,
        Self::Updating,
    ];

    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
            Self::PendingImport => "PendingImport",
            Self::PendingReplicaDeletion => "PendingReplicaDeletion",
            Self::Unavailable => "Unavailable",
            Self::Updating => "Updating",
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
    let [
        enabled,
        disabled,
        pending_deletion,
        pending_import,
        unavailable,
        creating,
        updating,
    ] = row(operation);
    let (cell, deletion) = match state {
        KeyState::Enabled => (enabled, ""),
        KeyState::Disabled => (disabled, ""),
        KeyState::PendingDeletion => (pending_deletion, "pending deletion"),
        KeyState::PendingReplicaDeletion => (pending_deletion, "pending replica deletion"),
        KeyState::PendingImport => (pending_import, ""),
        KeyState::Unavailable => (unavailable, ""),
        KeyState::Creating => (creating, ""),
        KeyState::Updating => (updating, ""),
    };
    let arn = key.arn();
    let invalid_state = |text: &str| {
        Err(KmsError::new(
            "KMSInvalidStateException",
            format!("{arn} is {text}."),
        ))
    };
    let only_if = |possible: bool| possible.then_some(()).ok_or_else(|| wrong_origin(key));
    match cell {
        Cell::Ok => Ok(()),
        Cell::X1 => Err(disabled_exception(arn)),
        Cell::X3 => invalid_state(deletion),
        Cell::X4 => invalid_state("not pending deletion"),
        Cell::X5 => invalid_state("pending import"),
        Cell::X6 | Cell::X7 => Err(wrong_origin(key)),
        Cell::Q7 => only_if(rotates(key)),
        Cell::X1or7 => only_if(rotates(key)).and_then(|()| Err(disabled_exception(arn))),
        Cell::X3or7 => only_if(rotates(key)).and_then(|()| invalid_state(deletion)),
        Cell::Q7OnDemand => only_if(rotates_on_demand(key)),
        Cell::X1or7OnDemand => {
            only_if(rotates_on_demand(key)).and_then(|()| Err(disabled_exception(arn)))
        }
        Cell::X3or7OnDemand => {
            only_if(rotates_on_demand(key)).and_then(|()| invalid_state(deletion))
        }
        Cell::Q9 => only_if(is_imported(key)),
        Cell::X8or9 => only_if(is_imported(key)).and_then(|()| invalid_state(deletion)),
        Cell::X11 => match key.origin() {
            Origin::ExternalKeyStore { .. } => Err(ProxyFailure::NotConnected.crypto_error()),
            Origin::AwsKms(_)
            | Origin::AwsKmsFixed(_)
            | Origin::External(_)
            | Origin::AwsCloudHsm { .. } => invalid_state("unavailable"),
        },
        Cell::X14 => invalid_state("creating"),
        Cell::X15 => invalid_state("updating"),
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
    /// KMSInvalidStateException: pending deletion, or pending replica deletion. Footnote 2 names DisabledException as
    /// another possibility.
    X3,
    /// KMSInvalidStateException: not pending deletion.
    X4,
    /// KMSInvalidStateException: pending import.
    X5,
    /// UnsupportedOperationException: a key with imported material.
    X6,
    /// UnsupportedOperationException: a key with imported material or in a custom key store.
    X7,
    /// Footnote 7 for such keys, else success.
    Q7,
    /// Footnote 7 for such keys, else footnote 1.
    X1or7,
    /// Footnote 7 for such keys, else footnote 3.
    X3or7,
    /// As Q7; but imported material can be rotated on demand.
    Q7OnDemand,
    /// As X1or7; but imported material can be rotated on demand.
    X1or7OnDemand,
    /// As X3or7; but imported material can be rotated on demand.
    X3or7OnDemand,
    /// UnsupportedOperationException for a key without imported material, else success.
    Q9,
    /// Footnote 9 for such keys, else footnote 3.
    X8or9,
    /// KMSInvalidStateException: unavailable.
    X11,
    /// KMSInvalidStateException: creating.
    X14,
    /// KMSInvalidStateException: updating.
    X15,
}

/// Enabled, Disabled, PendingDeletion and PendingReplicaDeletion, PendingImport, Unavailable, Creating, Updating.
const fn row(operation: Operation) -> [Cell; 7] {
    use Cell::{Ok, Q7, Q9, X1, X3, X4, X5, X6, X7, X8or9, X11, X14, X15};
    use Cell::{Q7OnDemand, X1or7, X1or7OnDemand, X3or7, X3or7OnDemand};
    use Operation as Op;
    match operation {
        Op::CancelKeyDeletion => [X4, X4, Ok, X4, X4, X4, X4],
        Op::CreateGrant => [Ok, X1, X3, X5, Ok, X14, Ok],
        Op::Decrypt
        | Op::Encrypt
        | Op::GenerateDataKey
        | Op::GenerateDataKeyPair
        | Op::GenerateDataKeyPairWithoutPlaintext
        | Op::GenerateDataKeyWithoutPlaintext
        | Op::ReEncrypt => [Ok, X1, X3, X5, X11, X14, Ok],
        Op::DeleteImportedKeyMaterial => [Q9, Q9, Q9, Ok, X7, X14, X15],
        Op::DisableKey | Op::EnableKey => [Ok, Ok, X3, X5, Ok, X14, X15],
        Op::DisableKeyRotation | Op::EnableKeyRotation => [Q7, X1or7, X3or7, X6, X7, X14, Q7],
        Op::GenerateMac
        | Op::GetPublicKey
        | Op::Sign
        | Op::Verify
        | Op::VerifyMac
        // Newer than the published table; by analogy.
        | Op::DeriveSharedSecret
        | Op::Encapsulate
        | Op::Decapsulate => [Ok, X1, X3, X5, Ok, X14, Ok],
        Op::GetKeyRotationStatus => [Q7, Q7, Q7, X6, X7, Q7, Q7],
        Op::GetParametersForImport => [Q9, Q9, X8or9, Ok, X7, X14, X15],
        Op::ImportKeyMaterial => [Q9, Q9, X8or9, Ok, X7, X14, Ok],
        Op::ReplicateKey => [Ok, X1, X3, X5, Ok, X14, X15],
        Op::ScheduleKeyDeletion => [Ok, Ok, X3, Ok, Ok, Ok, X15],
        Op::CreateAlias
        | Op::TagResource
        | Op::UntagResource
        // The key that the alias is to name; the one that it named does not matter.
        | Op::UpdateAlias
        | Op::UpdateKeyDescription => [Ok, Ok, X3, Ok, Ok, Ok, Ok],
        Op::UpdatePrimaryRegion => [Ok, X1, X3, X5, Ok, X14, Ok],
        // Newer than the published table; by analogy.
        Op::RotateKeyOnDemand => [Q7OnDemand, X1or7OnDemand, X3or7OnDemand, X5, X7, X14, Q7OnDemand],
        Op::ListKeyRotations => [
            Q7OnDemand, Q7OnDemand, Q7OnDemand, Q7OnDemand, X7, Q7OnDemand, Q7OnDemand,
        ],
        Op::DeleteAlias
        | Op::DescribeKey
        | Op::GetKeyLastUsage
        | Op::GetKeyPolicy
        | Op::ListAliases
        | Op::ListGrants
        | Op::ListKeyPolicies
        | Op::ListResourceTags
        | Op::PutKeyPolicy
        | Op::RetireGrant
        | Op::RevokeGrant
        // Not about one key that exists.
        | Op::ConnectCustomKeyStore
        | Op::CreateCustomKeyStore
        | Op::CreateKey
        | Op::DeleteCustomKeyStore
        | Op::DescribeCustomKeyStores
        | Op::DisconnectCustomKeyStore
        | Op::GenerateRandom
        | Op::ListKeys
        | Op::ListRetirableGrants
        | Op::UpdateCustomKeyStore => [Ok, Ok, Ok, Ok, Ok, Ok, Ok],
    }
}

/// Whether KMS can rotate the key's material: that of a symmetric encryption key, neither imported nor in a custom key store.
const fn rotates(key: &Key) -> bool {
    matches!(key.origin(), Origin::AwsKms(_))
}

/// Whether the key's material has versions, of which the next can be made or imported.
const fn rotates_on_demand(key: &Key) -> bool {
    match key.origin() {
        Origin::AwsKms(_) => true,
        Origin::External(_) => matches!(key.kind().spec, KeySpec::SymmetricDefault),
        Origin::AwsKmsFixed(_) | Origin::ExternalKeyStore { .. } | Origin::AwsCloudHsm { .. } => {
            false
        }
    }
}

const fn is_imported(key: &Key) -> bool {
    matches!(key.origin(), Origin::External(_))
}

/// Footnotes 6, 7 and 9.
pub(crate) fn wrong_origin(key: &Key) -> KmsError {
    let by_kms = matches!(key.origin(), Origin::AwsKmsFixed(_) | Origin::External(_));
    if by_kms && !key.kind().is_symmetric() {
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
