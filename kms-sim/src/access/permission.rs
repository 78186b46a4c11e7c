//! Which permission an operation needs, on what, and whether accounts can share that.
//!
//! Source: the operations' own documentation in the AWS KMS API Reference, "Cross-account use" and "Required permissions".

use crate::operation::Operation;

/// On what an operation needs its permission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Needs {
    /// A key of the caller's own account.
    OwnKey,
    /// A key of any account.
    Key,
    /// No resource that has a policy: identity-based policies allow it on `*`.
    Account,
}

impl Operation {
    /// On what it needs its permission.
    pub(crate) const fn needs(self) -> Needs {
        match self {
            Self::ConnectCustomKeyStore
            | Self::CreateCustomKeyStore
            | Self::CreateKey
            | Self::DeleteCustomKeyStore
            | Self::DescribeCustomKeyStores
            | Self::DisconnectCustomKeyStore
            | Self::GenerateRandom
            | Self::ListAliases
            | Self::ListKeys
            | Self::ListRetirableGrants
            | Self::UpdateCustomKeyStore => Needs::Account,
            Self::CreateGrant
            | Self::Decapsulate
            | Self::Decrypt
            | Self::DeriveSharedSecret
            | Self::DescribeKey
            | Self::Encapsulate
            | Self::Encrypt
            | Self::GenerateDataKey
            | Self::GenerateDataKeyPair
            | Self::GenerateDataKeyPairWithoutPlaintext
            | Self::GenerateDataKeyWithoutPlaintext
            | Self::GenerateMac
            | Self::GetKeyRotationStatus
            | Self::GetPublicKey
            | Self::ListGrants
            | Self::ReEncrypt
            | Self::RetireGrant
            | Self::RevokeGrant
            | Self::Sign
            | Self::Verify
            | Self::VerifyMac => Needs::Key,
            Self::CancelKeyDeletion
            | Self::CreateAlias
            | Self::DeleteAlias
            | Self::DeleteImportedKeyMaterial
            | Self::DisableKey
            | Self::DisableKeyRotation
            | Self::EnableKey
            | Self::EnableKeyRotation
            | Self::GetKeyLastUsage
            | Self::GetKeyPolicy
            | Self::GetParametersForImport
            | Self::ImportKeyMaterial
            | Self::ListKeyPolicies
            | Self::ListKeyRotations
            | Self::ListResourceTags
            | Self::PutKeyPolicy
            | Self::ReplicateKey
            | Self::RotateKeyOnDemand
            | Self::ScheduleKeyDeletion
            | Self::TagResource
            | Self::UntagResource
            | Self::UpdateAlias
            | Self::UpdateKeyDescription
            | Self::UpdatePrimaryRegion => Needs::OwnKey,
        }
    }
}

/// What is done with a key: an operation, which has one permission, or one of the two of ReEncrypt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Access {
    operation: Operation,
    is_destination: bool,
}

impl Access {
    /// To decrypt, or to re-encrypt from.
    pub(crate) fn source(operation: Operation) -> Self {
        operation.into()
    }

    /// To encrypt, or to re-encrypt to.
    pub(crate) const fn destination(operation: Operation) -> Self {
        Self {
            operation,
            is_destination: true,
        }
    }

    /// The operation.
    pub(crate) const fn operation(self) -> Operation {
        self.operation
    }

    /// Whether the key is the one that ReEncrypt encrypts with.
    pub(super) const fn is_destination(self) -> bool {
        self.is_destination
    }

    /// `kms:Encrypt`
    pub(super) const fn action(self) -> &'static str {
        match self.operation {
            Operation::ReEncrypt if self.is_destination => "kms:ReEncryptTo",
            Operation::ReEncrypt => "kms:ReEncryptFrom",
            operation => operation.action(),
        }
    }

    /// `Encrypt`, as grants name it.
    pub(super) fn grant_operation(self) -> &'static str {
        self.action().strip_prefix("kms:").unwrap_or_default()
    }
}

impl From<Operation> for Access {
    fn from(operation: Operation) -> Self {
        Self {
            operation,
            is_destination: false,
        }
    }
}
