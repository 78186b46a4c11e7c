//! The condition keys of a request: those of IAM about who asks and from where, those of KMS about what is asked for and
//! about the key.
//!
//! Sources: AWS KMS Developer Guide, "AWS KMS condition keys" and "AWS global condition keys"; IAM User Guide, "AWS global
//! condition context keys". A default of the API is there even if the request does not say it.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::facts::{Facts, Pairs};
use super::permission::Access;
use crate::caller::Caller;
use crate::key::Key;
use crate::operation::Operation;
use crate::policy::{Context, IdentityKind};
use crate::simulator::RegionState;

/// Who asks, from where, and when.
pub(super) fn of_caller(caller: &Caller) -> Context {
    let mut context = Context::default();
    let (identity, origin) = (&caller.identity, &caller.origin);
    context.set("aws:PrincipalArn", identity.principal_arn());
    context.set("aws:PrincipalAccount", &*caller.account);
    context.set("aws:PrincipalType", identity.kind.name());
    context.set("aws:PrincipalIsAWSService", "false");
    context.set("aws:userid", &*caller.user_id);
    if let IdentityKind::User { name } = &identity.kind {
        context.set("aws:username", &**name);
    }
    for (key, value) in &origin.principal_tags {
        context.set(&format!("aws:PrincipalTag/{key}"), &**value);
    }
    context.set("aws:RequestedRegion", &*caller.region);
    context.set("aws:SecureTransport", origin.is_secure.to_string());
    // A request through a VPC endpoint, or of a service, has no public address.
    match (&origin.vpc_endpoint, &origin.via_service) {
        (None, None) => context.set_optional("aws:SourceIp", origin.address.as_deref()),
        (Some(_), _) => context.set_optional("aws:VpcSourceIp", origin.address.as_deref()),
        (None, Some(_)) => {}
    }
    context.set_optional("aws:SourceVpc", origin.vpc.as_deref());
    context.set_optional("aws:SourceVpce", origin.vpc_endpoint.as_deref());
    context.set(
        "aws:ViaAWSService",
        origin.via_service.is_some().to_string(),
    );
    if let Some(service) = &origin.via_service {
        context.set("aws:CalledVia", format!("{service}.amazonaws.com"));
        context.set("aws:CalledViaFirst", format!("{service}.amazonaws.com"));
        context.set("aws:CalledViaLast", format!("{service}.amazonaws.com"));
        let region = &caller.region;
        context.set(
            "kms:ViaService",
            format!("{service}.{region}.amazonaws.com"),
        );
    }
    context.set("kms:CallerAccount", &*caller.account);
    let since_1970 = caller.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    context.set("aws:EpochTime", since_1970.as_secs().to_string());
    context.set_optional("aws:CurrentTime", iso_8601(caller.time));
    context
}

/// What an operation without a key asks for.
pub(super) fn add_account_request(context: &mut Context, operation: Operation, facts: &Facts) {
    add_tags(context, facts);
    if operation == Operation::CreateKey {
        let spec = facts.key_spec.as_ref();
        let spec = spec.or(facts.customer_master_key_spec.as_ref());
        let spec = spec.map_or("SYMMETRIC_DEFAULT", String::as_str);
        add_specs(
            context,
            spec,
            facts.key_usage.as_deref().unwrap_or("ENCRYPT_DECRYPT"),
        );
        context.set(
            "kms:KeyOrigin",
            facts.origin.as_deref().unwrap_or("AWS_KMS"),
        );
        let multi_region = facts.multi_region.unwrap_or(false);
        context.set("kms:MultiRegion", multi_region.to_string());
        if multi_region {
            context.set("kms:MultiRegionKeyType", "PRIMARY");
        }
        add_bypass(context, facts);
    }
}

/// What an operation with a key asks for.
pub(super) fn add_request(
    context: &mut Context,
    access: Access,
    facts: &Facts,
    caller: &Caller,
    key: &Key,
) {
    use Operation as Op;
    add_tags(context, facts);
    if let Some(pairs) = encryption_context(access, facts) {
        add_encryption_context(context, pairs);
    }
    match access.operation() {
        Op::Encrypt | Op::Decrypt => {
            let algorithm = facts.encryption_algorithm.as_deref();
            add_encryption_algorithm(context, algorithm);
        }
        Op::GenerateDataKey
        | Op::GenerateDataKeyWithoutPlaintext
        | Op::GenerateDataKeyPair
        | Op::GenerateDataKeyPairWithoutPlaintext => {
            add_encryption_algorithm(context, None);
            context.set_optional("kms:DataKeyPairSpec", facts.key_pair_spec.as_deref());
        }
        Op::ReEncrypt => {
            let algorithm = match access.is_destination() {
                true => &facts.destination_encryption_algorithm,
                false => &facts.source_encryption_algorithm,
            };
            add_encryption_algorithm(context, algorithm.as_deref());
            let same = caller
                .source_key()
                .is_some_and(|source| match access.is_destination() {
                    true => source == *key.arn(),
                    false => facts
                        .destination_key_id
                        .as_deref()
                        .is_some_and(|id| is_named(key, id)),
                });
            context.set("kms:ReEncryptOnSameKey", same.to_string());
        }
        Op::Sign | Op::Verify => {
            context.set_optional("kms:SigningAlgorithm", facts.signing_algorithm.as_deref());
            context.set(
                "kms:MessageType",
                facts.message_type.as_deref().unwrap_or("RAW"),
            );
        }
        Op::GenerateMac | Op::VerifyMac => {
            context.set_optional("kms:MacAlgorithm", facts.mac_algorithm.as_deref());
        }
        Op::DeriveSharedSecret => {
            let algorithm = facts.key_agreement_algorithm.as_deref();
            context.set_optional("kms:KeyAgreementAlgorithm", algorithm);
        }
        Op::GetParametersForImport => {
            context.set_optional("kms:WrappingAlgorithm", facts.wrapping_algorithm.as_deref());
            context.set_optional("kms:WrappingKeySpec", facts.wrapping_key_spec.as_deref());
        }
        Op::ImportKeyMaterial => {
            let model = facts.expiration_model.as_deref();
            context.set(
                "kms:ExpirationModel",
                model.unwrap_or("KEY_MATERIAL_EXPIRES"),
            );
            context.set_optional("kms:ValidTo", facts.valid_to.map(|date| date.to_string()));
        }
        Op::CreateGrant => add_grant(context, facts),
        Op::PutKeyPolicy => add_bypass(context, facts),
        Op::ReplicateKey => {
            add_bypass(context, facts);
            context.set_optional("kms:ReplicaRegion", facts.replica_region.as_deref());
        }
        Op::UpdatePrimaryRegion => {
            context.set_optional("kms:PrimaryRegion", facts.primary_region.as_deref());
        }
        Op::ScheduleKeyDeletion => context.set(
            "kms:ScheduleKeyDeletionPendingWindowInDays",
            facts.pending_window_in_days.unwrap_or(30).to_string(),
        ),
        Op::EnableKeyRotation => context.set(
            "kms:RotationPeriodInDays",
            facts.rotation_period_in_days.unwrap_or(365).to_string(),
        ),
        _ => {}
    }
    if matches!(
        access.operation(),
        Op::CreateGrant | Op::ListGrants | Op::RevokeGrant
    ) {
        let for_service = caller.origin.via_service.is_some();
        context.set("kms:GrantIsForAWSResource", for_service.to_string());
    }
}

/// What the key is; `named` is how the request names it.
pub(super) fn add_key(context: &mut Context, state: &RegionState, key: &Key, named: &str) {
    let kind = key.kind();
    add_specs(context, kind.spec.name(), kind.usage.name());
    context.set("kms:KeyOrigin", key.origin().name());
    let set = key.multi_region.as_ref();
    context.set("kms:MultiRegion", set.is_some().to_string());
    context.set_optional(
        "kms:MultiRegionKeyType",
        set.map(|set| match set.is_primary() {
            true => "PRIMARY",
            false => "REPLICA",
        }),
    );
    context.set("aws:ResourceAccount", &*state.home().account);
    for (name, value) in &key.tags {
        context.set(&format!("aws:ResourceTag/{name}"), &**value);
    }
    if let Some(alias) = alias_in(named) {
        context.set("kms:RequestAlias", alias);
    }
    let aliases = state
        .keys
        .aliases
        .of_key_after(key.id(), std::ops::Bound::Unbounded);
    context.set_all(
        "kms:ResourceAliases",
        aliases.map(|(name, _)| name.to_owned()),
    );
}

/// The encryption context that an operation binds its ciphertext to; for CreateGrant that of the constraint.
pub(super) fn encryption_context(access: Access, facts: &Facts) -> Option<&Pairs> {
    match access.operation() {
        Operation::ReEncrypt if access.is_destination() => {
            facts.destination_encryption_context.as_ref()
        }
        Operation::ReEncrypt => facts.source_encryption_context.as_ref(),
        Operation::CreateGrant => {
            let constraints = facts.constraints.as_ref()?;
            let equals = constraints.encryption_context_equals.as_ref();
            equals.or(constraints.encryption_context_subset.as_ref())
        }
        _ => facts.encryption_context.as_ref(),
    }
}

/// `kms:EncryptionContext:…` and `kms:EncryptionContextKeys`
pub(super) fn add_encryption_context(context: &mut Context, pairs: &Pairs) {
    for (name, value) in pairs {
        context.set(&format!("kms:EncryptionContext:{name}"), &**value);
    }
    context.set_all("kms:EncryptionContextKeys", pairs.keys().cloned());
}

fn add_grant(context: &mut Context, facts: &Facts) {
    let constraints = facts.constraints.as_ref();
    let types = constraints.into_iter().flat_map(|constraints| {
        let all = [
            (
                "EncryptionContextEquals",
                constraints.encryption_context_equals.is_some(),
            ),
            (
                "EncryptionContextSubset",
                constraints.encryption_context_subset.is_some(),
            ),
            ("SourceArn", constraints.source_arn.is_some()),
        ];
        all.into_iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| name.to_owned())
    });
    context.set_all("kms:GrantConstraintType", types);
    let source = constraints.and_then(|constraints| constraints.source_arn.as_deref());
    context.set_optional("kms:GrantConstraintSourceArn", source);
    context.set_all(
        "kms:GrantOperations",
        facts.operations.iter().flatten().cloned(),
    );
    for (key, value) in [
        ("kms:GranteePrincipal", &facts.grantee_principal),
        (
            "kms:GranteeServicePrincipal",
            &facts.grantee_service_principal,
        ),
        ("kms:RetiringPrincipal", &facts.retiring_principal),
        (
            "kms:RetiringServicePrincipal",
            &facts.retiring_service_principal,
        ),
    ] {
        context.set_optional(key, value.as_deref());
    }
}

fn add_tags(context: &mut Context, facts: &Facts) {
    let tags = facts.tags.iter().flatten();
    let names = tags.clone().map(|tag| tag.tag_key.clone());
    let names = names.chain(facts.tag_keys.iter().flatten().cloned());
    context.set_all("aws:TagKeys", names);
    for tag in tags {
        context.set(&format!("aws:RequestTag/{}", tag.tag_key), &*tag.tag_value);
    }
}

fn add_specs(context: &mut Context, spec: &str, usage: &str) {
    context.set("kms:KeySpec", spec);
    context.set("kms:CustomerMasterKeySpec", spec);
    context.set("kms:KeyUsage", usage);
    context.set("kms:CustomerMasterKeyUsage", usage);
}

fn add_bypass(context: &mut Context, facts: &Facts) {
    let bypass = facts.bypass_policy_lockout_safety_check.unwrap_or(false);
    context.set("kms:BypassPolicyLockoutSafetyCheck", bypass.to_string());
}

fn add_encryption_algorithm(context: &mut Context, algorithm: Option<&str>) {
    context.set(
        "kms:EncryptionAlgorithm",
        algorithm.unwrap_or("SYMMETRIC_DEFAULT"),
    );
}

/// `alias/…`, out of an alias name or an alias ARN.
fn alias_in(named: &str) -> Option<&str> {
    let resource = match named.strip_prefix("arn:") {
        Some(rest) => rest.splitn(5, ':').nth(4)?,
        None => named,
    };
    resource.starts_with("alias/").then_some(resource)
}

fn is_named(key: &Key, text: &str) -> bool {
    text == &**key.id() || text == &**key.arn()
}

fn iso_8601(time: SystemTime) -> Option<String> {
    OffsetDateTime::from(time).format(&Rfc3339).ok()
}
