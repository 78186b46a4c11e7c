//! `requestMetadata`: what KMS may write there, now and later, and what a proxy must not judge.

use serde_json::json;

use super::super::case::Check::{Served, Story};
use super::super::case::{Case, Finding, Outcome, Sending, must, should};
use super::super::kit::Kit;
use super::super::wire::Draft;
use super::{APPENDIX_B, DECRYPT, ENCRYPT, GET_HEALTH_STATUS, GET_KEY_METADATA, OPERATIONS};

const NEW_OPERATION: &str = "a kmsOperation that the specification does not list is not invalid, though it may be unauthorized";
const OPAQUE: &str = "kmsRequestId is opaque: whatever it looks like, it is not judged";
const LISTED: &str = "every kmsOperation that the specification lists is served";

pub(super) const CASES: &[Case] = &[
    must(
        "encrypt-for-generate-data-key",
        ENCRYPT,
        LISTED,
        Served(|kit| for_operation(kit.encrypt(), "GenerateDataKey")),
    ),
    must(
        "encrypt-for-generate-data-key-without-plaintext",
        ENCRYPT,
        LISTED,
        Served(|kit| for_operation(kit.encrypt(), "GenerateDataKeyWithoutPlaintext")),
    ),
    must(
        "encrypt-for-re-encrypt",
        ENCRYPT,
        LISTED,
        Served(|kit| for_operation(kit.encrypt(), "ReEncrypt")),
    ),
    must(
        "decrypt-for-re-encrypt",
        DECRYPT,
        LISTED,
        Served(|kit| for_operation(kit.decrypt(&kit.sealed()?), "ReEncrypt")),
    ),
    must(
        "metadata-for-create-key",
        GET_KEY_METADATA,
        "the GetKeyMetadata of a CreateKey has no kmsKeyArn",
        Served(|kit| for_operation(kit.metadata().without_metadata("kmsKeyArn"), "CreateKey")),
    ),
    must(
        "health-for-create-custom-key-store",
        GET_HEALTH_STATUS,
        LISTED,
        Served(|kit| for_operation(kit.health(), "CreateCustomKeyStore")),
    ),
    must(
        "health-for-connect-custom-key-store",
        GET_HEALTH_STATUS,
        LISTED,
        Served(|kit| for_operation(kit.health(), "ConnectCustomKeyStore")),
    ),
    must(
        "health-for-update-custom-key-store",
        GET_HEALTH_STATUS,
        LISTED,
        Served(|kit| for_operation(kit.health(), "UpdateCustomKeyStore")),
    ),
    must(
        "encrypt-for-an-operation-to-come",
        ENCRYPT,
        NEW_OPERATION,
        Story(|kit| not_invalid(kit, for_operation(kit.encrypt(), "BulkEncrypt"))),
    ),
    must(
        "decrypt-for-an-operation-to-come",
        DECRYPT,
        NEW_OPERATION,
        Story(|kit| {
            not_invalid(
                kit,
                for_operation(kit.decrypt(&kit.sealed()?), "BulkDecrypt"),
            )
        }),
    ),
    must(
        "metadata-for-an-operation-to-come",
        GET_KEY_METADATA,
        NEW_OPERATION,
        Story(|kit| not_invalid(kit, for_operation(kit.metadata(), "BulkDescribeKey"))),
    ),
    must(
        "health-for-an-operation-to-come",
        GET_HEALTH_STATUS,
        "a kmsOperation that the specification does not list is not rejected, and health is not subject to authorization",
        Served(|kit| for_operation(kit.health(), "RotateCustomKeyStore")),
    ),
    must(
        "request-id-of-one-letter",
        ENCRYPT,
        OPAQUE,
        Served(|kit| Ok(kit.encrypt().metadata("kmsRequestId", "x").sign())),
    ),
    must(
        "request-id-that-is-no-uuid",
        ENCRYPT,
        OPAQUE,
        Served(|kit| {
            let id = "not-a-uuid:2026/11/30 #1 {}";
            Ok(kit.encrypt().metadata("kmsRequestId", id).sign())
        }),
    ),
    must(
        "request-id-of-a-thousand-characters",
        ENCRYPT,
        OPAQUE,
        Served(|kit| {
            Ok(kit
                .encrypt()
                .metadata("kmsRequestId", "r".repeat(1000))
                .sign())
        }),
    ),
    must(
        "request-id-of-other-scripts-and-controls",
        ENCRYPT,
        "kmsRequestId is opaque, and what it holds neither breaks an answer nor a line of a log",
        Served(|kit| {
            let id = "ключ-鍵\r\n\t\"}\u{7f}\u{1f511}";
            Ok(kit.encrypt().metadata("kmsRequestId", id).sign())
        }),
    ),
    must(
        "health-request-id-that-is-no-uuid",
        GET_HEALTH_STATUS,
        OPAQUE,
        Served(|kit| Ok(kit.health().metadata("kmsRequestId", "periodic").sign())),
    ),
    must(
        "principal-of-2048-characters",
        OPERATIONS,
        "ARNs have up to 2,048 characters",
        Story(|kit| {
            let arn = long_arn("arn:aws:iam::123456789012:user/");
            not_invalid(
                kit,
                Ok(kit.encrypt().metadata("awsPrincipalArn", arn).sign()),
            )
        }),
    ),
    must(
        "key-arn-of-2048-characters",
        OPERATIONS,
        "ARNs have up to 2,048 characters",
        Story(|kit| {
            let arn = long_arn("arn:aws:kms:us-east-1:123456789012:key/");
            not_invalid(kit, Ok(kit.encrypt().metadata("kmsKeyArn", arn).sign()))
        }),
    ),
    must(
        "every-arn-of-2048-characters-and-every-option",
        OPERATIONS,
        "ARNs have up to 2,048 characters, in one request with every optional member",
        Story(|kit| {
            let draft = kit
                .encrypt()
                .metadata(
                    "awsPrincipalArn",
                    long_arn("arn:aws:iam::123456789012:user/"),
                )
                .metadata(
                    "kmsKeyArn",
                    long_arn("arn:aws:kms:us-east-1:123456789012:key/"),
                )
                .metadata("awsSourceVpc", "vpc-0123456789abcdef0")
                .metadata("awsSourceVpce", "vpce-0123456789abcdef0")
                .metadata("kmsViaService", "ebs");
            not_invalid(kit, Ok(draft.sign()))
        }),
    ),
    must(
        "principal-that-is-a-service",
        ENCRYPT,
        "the principal may be an AWS service, and no ARN",
        Story(|kit| {
            let draft = kit
                .encrypt()
                .metadata("awsPrincipalArn", "ec2.amazonaws.com");
            not_invalid(kit, Ok(draft.sign()))
        }),
    ),
    must(
        "principal-aws-internal",
        ENCRYPT,
        "the principal may be AWS itself, which is no ARN either",
        Story(|kit| {
            let draft = kit.encrypt().metadata("awsPrincipalArn", "AWS Internal");
            not_invalid(kit, Ok(draft.sign()))
        }),
    ),
    must(
        "call-through-a-vpc-endpoint",
        ENCRYPT,
        "awsSourceVpc and awsSourceVpce are optional, and taken",
        Story(|kit| {
            let draft = kit
                .encrypt()
                .metadata("awsSourceVpc", "vpc-0123456789abcdef0")
                .metadata("awsSourceVpce", "vpce-0123456789abcdef0");
            not_invalid(kit, Ok(draft.sign()))
        }),
    ),
    must(
        "call-through-a-service",
        ENCRYPT,
        "kmsViaService is optional, and taken",
        Story(|kit| {
            let draft = kit.encrypt().metadata("kmsViaService", "ebs");
            not_invalid(kit, Ok(draft.sign()))
        }),
    ),
    must(
        "unknown-member-of-the-request-metadata",
        APPENDIX_B,
        "KMS adds members to requestMetadata over time; those that a proxy does not know are ignored",
        Served(|kit| {
            Ok(kit
                .encrypt()
                .metadata("sourceIdentity", "DiegoRamirez")
                .metadata("principalTags", json!({"team": ["a", "b"], "level": 3}))
                .sign())
        }),
    ),
    must(
        "unknown-member-of-the-metadata-of-health",
        APPENDIX_B,
        "KMS adds members to requestMetadata over time, also for GetHealthStatus",
        Served(|kit| {
            Ok(kit
                .health()
                .metadata("awsPrincipalArn", "AWS Internal")
                .sign())
        }),
    ),
    must(
        "unknown-member-of-the-metadata-of-get-key-metadata",
        APPENDIX_B,
        "KMS adds members to requestMetadata over time, also for GetKeyMetadata",
        Served(|kit| {
            Ok(kit
                .metadata()
                .metadata("kmsRecipientAttestationPCR0", "00ff")
                .sign())
        }),
    ),
    should(
        "request-metadata-of-another-type",
        ENCRYPT,
        "a requestMetadata that is no object is the request's fault and not the proxy's",
        Story(|kit| at_fault(kit, Ok(kit.encrypt().set("requestMetadata", "text").sign()))),
    ),
    should(
        "request-metadata-missing",
        ENCRYPT,
        "a request without requestMetadata is the request's fault and not the proxy's",
        Story(|kit| at_fault(kit, Ok(kit.encrypt().without("requestMetadata").sign()))),
    ),
    should(
        "request-id-missing",
        ENCRYPT,
        "a request without kmsRequestId is the request's fault and not the proxy's",
        Story(|kit| {
            at_fault(
                kit,
                Ok(kit.encrypt().without_metadata("kmsRequestId").sign()),
            )
        }),
    ),
    should(
        "principal-a-number",
        ENCRYPT,
        "an awsPrincipalArn that is no string is the request's fault and not the proxy's",
        Story(|kit| at_fault(kit, Ok(kit.encrypt().metadata("awsPrincipalArn", 1).sign()))),
    ),
];

fn for_operation(draft: Draft, kms_operation: &str) -> Sending {
    Ok(draft.metadata("kmsOperation", kms_operation).sign())
}

fn long_arn(start: &str) -> String {
    format!("{start}{}", "a".repeat(2048 - start.len()))
}

/// Served, or denied by an authorization that does not know the caller.
fn not_invalid(kit: &Kit<'_>, sending: Sending) -> Outcome {
    let wire = sending?;
    let answer = kit.send(&wire)?;
    match answer.status {
        403 => answer.refused(&[super::super::case::Refusal::Named(
            xks_api::error::ErrorName::AccessDenied,
        )]),
        _ => answer.served(wire.operation),
    }
}

/// Served by a proxy that does not look, or refused by one that does; no failure of the proxy.
fn at_fault(kit: &Kit<'_>, sending: Sending) -> Outcome {
    let answer = kit.send(&sending?)?;
    match answer.status {
        200 | 400..=499 => Ok(()),
        _ => Err(Finding::failed(format!(
            "expected 200 or a refusal of 400 to 499; got {}",
            answer.summary()
        ))),
    }
}
