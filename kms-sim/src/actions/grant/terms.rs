//! What a grant allows to whom, as requests name it: read, and checked against KMS's rules.

use crate::accounts::Accounts;
use crate::api::{KmsError, Members, Text};
use crate::grant::{GrantConstraints, GrantPrincipal, GrantTerms};
use crate::key_spec::{KeyKind, KeyUsage};
use crate::policy::PrincipalRef;

/// The terms in a CreateGrant request.
#[derive(Debug)]
pub(super) struct RequestedTerms {
    name: Option<String>,
    grantee: RequestedPrincipal,
    retiring: RequestedPrincipal,
    operations: Vec<String>,
    constraints: Option<GrantConstraints>,
}

impl RequestedTerms {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        let grantee = RequestedPrincipal::read(m, &GRANTEE);
        let retiring = RequestedPrincipal::read(m, &RETIRING);
        let operations = m.text_list("Operations", 0, usize::MAX, |operation| {
            operation.one_of(GRANT_OPERATIONS).required()
        });
        let operations = m.require("Operations", operations).unwrap_or_default();
        let constraints = m.structure("Constraints", |m| GrantConstraints {
            encryption_context_subset: m.text_map("EncryptionContextSubset"),
            encryption_context_equals: m.text_map("EncryptionContextEquals"),
            source_arn: m
                .text("SourceArn")
                .length(20, 512)
                .pattern(
                    "^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$",
                    is_source_arn,
                )
                .optional(),
        });
        let name = m
            .text("Name")
            .length(1, 256)
            .pattern("^[a-zA-Z0-9:/_-]+$", |name| {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b":/_-".contains(&b);
                name.bytes().all(allowed)
            })
            .optional();
        Self {
            name,
            grantee,
            retiring,
            operations,
            constraints,
        }
    }

    /// What a grant of such a key can permit, for whom, and how much a constraint can say.
    pub(super) fn check(self, kind: KeyKind) -> Result<GrantTerms, KmsError> {
        let terms = GrantTerms {
            name: self.name,
            grantee: self.grantee.exactly_one()?,
            retiring: self.retiring.at_most_one()?,
            operations: self.operations,
            constraints: self.constraints,
        };
        let unsupported = |operation: &&String| !permits(kind, operation);
        if let Some(operation) = terms.operations.iter().find(unsupported) {
            return Err(KmsError::validation(format!(
                "Grant operation {operation} is not supported on a KMS key with KeySpec {} and KeyUsage {}.",
                kind.spec.name(),
                kind.usage.name()
            )));
        }
        let constraints = terms.constraints.as_ref();
        let maps = constraints.into_iter().flat_map(|c| {
            [&c.encryption_context_subset, &c.encryption_context_equals]
                .into_iter()
                .flatten()
        });
        for map in maps {
            if map.len() > 8 || map.values().any(|value| value.chars().count() > 384) {
                return Err(KmsError::validation(
                    "A grant constraint has at most 8 encryption context pairs, each value at most 384 characters.",
                ));
            }
        }
        let pairs = constraints.is_some_and(GrantConstraints::has_encryption_context);
        if pairs && !kind.is_symmetric() {
            return Err(KmsError::validation(format!(
                "A grant of a key with KeySpec {} cannot have an encryption context constraint: its operations have no \
                 encryption context.",
                kind.spec.name()
            )));
        }
        let source_arn = constraints.and_then(|c| c.source_arn.as_ref());
        if matches!(terms.grantee, GrantPrincipal::Service(_))
            && (source_arn.is_none() || terms.retiring.is_none())
        {
            return Err(KmsError::validation(
                "A grant for a GranteeServicePrincipal needs a SourceArn constraint, and a RetiringPrincipal or a \
                 RetiringServicePrincipal.",
            ));
        }
        Ok(terms)
    }
}

impl GrantTerms {
    /// Checks that the principals are principals, and exist, as far as that is known.
    ///
    /// # Errors
    /// InvalidArnException
    pub(super) fn check_principals(&self, accounts: Option<&Accounts>) -> Result<(), KmsError> {
        let principals = std::iter::once(&self.grantee).chain(&self.retiring);
        for principal in principals.filter_map(GrantPrincipal::principal) {
            let named = PrincipalRef::of_aws(&principal);
            if !named.is_some_and(|named| accounts.is_none_or(|known| known.may_exist(&named))) {
                return Err(KmsError::new(
                    "InvalidArnException",
                    format!("ARN does not refer to a valid principal: {principal}"),
                ));
            }
        }
        Ok(())
    }
}

/// A principal of AWS or of one of its services, as far as a request names them.
#[derive(Debug)]
pub(super) struct RequestedPrincipal {
    members: &'static PrincipalMembers,
    principal: Option<String>,
    service: Option<String>,
}

/// The members that name a principal.
#[derive(Debug)]
pub(super) struct PrincipalMembers {
    principal: &'static str,
    service: &'static str,
}

impl RequestedPrincipal {
    pub(super) fn read(m: &mut Members<'_>, members: &'static PrincipalMembers) -> Self {
        Self {
            members,
            principal: principal(m, members.principal).optional(),
            service: service_principal(m, members.service).optional(),
        }
    }

    /// The principal, if one is named.
    ///
    /// # Errors
    /// ValidationException for both.
    pub(super) fn at_most_one(self) -> Result<Option<GrantPrincipal>, KmsError> {
        match (self.principal, self.service) {
            (None, None) => Ok(None),
            (Some(principal), None) => Ok(Some(GrantPrincipal::Aws(principal))),
            (None, Some(service)) => Ok(Some(GrantPrincipal::Service(service))),
            (Some(_), Some(_)) => Err(KmsError::validation(format!(
                "Specify {} or {}, but not both.",
                self.members.principal, self.members.service
            ))),
        }
    }

    /// The principal.
    ///
    /// # Errors
    /// ValidationException for both or none.
    pub(super) fn exactly_one(self) -> Result<GrantPrincipal, KmsError> {
        let members = self.members;
        self.at_most_one()?.ok_or_else(|| {
            KmsError::validation(format!(
                "Specify either {} or {}.",
                members.principal, members.service
            ))
        })
    }
}

/// `PrincipalIdType`
fn principal<'m>(members: &'m mut Members<'_>, name: &str) -> Text<'m> {
    members
        .text(name)
        .length(1, 256)
        .pattern("^[\\w+=,.@:/-]+$", |text| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
            text.bytes().all(allowed)
        })
}

/// `ServicePrincipalType`
fn service_principal<'m>(members: &'m mut Members<'_>, name: &str) -> Text<'m> {
    members.text(name).length(1, 128).pattern(
        "^([A-Za-z0-9\\-]+)\\.([A-Za-z0-9\\-]+)(\\.[A-Za-z0-9\\-]+)+$",
        |text| {
            let label = |label: &str| {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                !label.is_empty() && label.bytes().all(allowed)
            };
            text.split('.').count() >= 3 && text.split('.').all(label)
        },
    )
}

/// Whether a key of that kind has the operation.
fn permits(kind: KeyKind, operation: &str) -> bool {
    match operation {
        "CreateGrant" | "RetireGrant" | "DescribeKey" => true,
        "Encrypt" | "Decrypt" | "ReEncryptFrom" | "ReEncryptTo" => {
            kind.usage == KeyUsage::EncryptDecrypt
        }
        "GetPublicKey" => kind.spec.is_pair(),
        "Sign" | "Verify" => kind.usage == KeyUsage::SignVerify,
        "GenerateMac" | "VerifyMac" => kind.usage == KeyUsage::GenerateVerifyMac,
        "DeriveSharedSecret" => kind.usage == KeyUsage::KeyAgreement,
        "Encapsulate" | "Decapsulate" => kind.usage == KeyUsage::EncapsulateDecapsulate,
        // Data keys and data key pairs.
        _ => kind.is_symmetric(),
    }
}

fn is_source_arn(text: &str) -> bool {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let mut parts = text.splitn(6, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (arn, partition, service) = (part(), part(), part());
    let (region, account, resource) = (part(), part(), part());
    arn == "arn"
        && partition
            .strip_prefix("aws")
            .is_some_and(|rest| rest.bytes().all(lower))
        && !service.is_empty()
        && service.bytes().all(lower)
        && region.bytes().all(lower)
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && !resource.is_empty()
        && !resource.contains(LINE_ENDS)
}

/// Who gets the permissions.
pub(super) const GRANTEE: PrincipalMembers = PrincipalMembers {
    principal: "GranteePrincipal",
    service: "GranteeServicePrincipal",
};

/// Who can retire the grant.
pub(super) const RETIRING: PrincipalMembers = PrincipalMembers {
    principal: "RetiringPrincipal",
    service: "RetiringServicePrincipal",
};

/// What `.` does not match.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

const GRANT_OPERATIONS: &[&str] = &[
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
    "Encapsulate",
    "Decapsulate",
];

#[cfg(test)]
mod tests {
    use super::is_source_arn;

    #[test]
    fn source_arns() {
        for good in [
            "arn:aws:ec2:us-east-1:123456789012:volume/*",
            "arn:aws-us-gov:s3::123456789012:x:y",
        ] {
            assert!(is_source_arn(good), "{good}");
        }
        for bad in [
            "arn:aws:ec2:us-east-1:123456789012:",
            "arn:aws:ec2:us-east-1:12345678901:volume",
            "arn:aws::us-east-1:123456789012:volume",
            "arn:other:ec2:us-east-1:123456789012:volume",
            "arn:aws:EC2:us-east-1:123456789012:volume",
            "arn:aws:ec2:us-east-1:123456789012:a\nb",
        ] {
            assert!(!is_source_arn(bad), "{bad}");
        }
    }
}
