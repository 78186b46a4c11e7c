//! Cases for `xks-proxy policy test`: who wants to do what, and what should come of it.

use std::path::Path;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::de::DeValue;
use xks_api::ids::{ExternalKeyId, UriPathPrefix};
use xks_api::metadata::RequestMetadata;
use xks_api::route::OperationName;

use super::document::{Document, Section, text};
use super::read::{Fields, word};
use super::{ConfigError, PolicyConfig, read_text};
use crate::authorize::Effect;

/// One case.
#[derive(Debug)]
pub struct PolicyCase {
    /// What it is about, in its author's words.
    pub name: String,
    /// Which external key store.
    pub prefix: UriPathPrefix,
    /// Which key of it.
    pub key: ExternalKeyId,
    /// What is asked of the proxy.
    pub operation: OperationName,
    /// What KMS says of its caller.
    pub metadata: RequestMetadata<'static>,
    /// When; now, if it does not say.
    pub time: Option<SystemTime>,
    /// What should come of it.
    pub expect: Effect,
    /// The rule or statement that should be responsible, if that matters.
    pub by: Option<String>,
}

/// Reads a file of cases for these policies.
///
/// # Errors
/// All problems at once.
pub fn read_policy_cases(
    file: &Path,
    policies: &[PolicyConfig],
) -> Result<Vec<PolicyCase>, ConfigError> {
    let content = read_text(file)?;
    let document = Document::new(file, &content);
    let root = document.root();
    let cases = {
        let fields = Section::root(&document, &root);
        let sections = fields.sections("cases");
        if sections.is_empty() {
            fields.problem(
                fields.place("cases"),
                "there is none",
                "one table [[cases]] for each case",
            );
        }
        fields.refuse_others();
        let cases = sections.iter().filter_map(|fields| {
            let case = case(fields, policies);
            fields.refuse_others();
            case
        });
        cases.collect::<Vec<_>>()
    };
    drop(root);
    let problems = document.into_problems();
    match problems.is_empty() {
        true => Ok(cases),
        false => Err(ConfigError(problems)),
    }
}

/// `None` only with a problem.
fn case(fields: &Fields<'_, '_>, policies: &[PolicyConfig]) -> Option<PolicyCase> {
    let name = fields.required("name", text, "what the case is about");
    let prefix = prefix(fields, policies);
    let id = |value: &DeValue<'_>| ExternalKeyId::try_from(value.as_str()?).ok();
    let key = fields.required("key", id, "an external key id");
    let operations = [
        OperationName::Encrypt,
        OperationName::Decrypt,
        OperationName::GetKeyMetadata,
    ]
    .map(|name| (name.as_str(), name));
    let expected = "\"Encrypt\", \"Decrypt\" or \"GetKeyMetadata\"";
    let operation = fields.required("operation", word(&operations), expected);
    let principal = fields.required("principal", text, "an awsPrincipalArn");
    let kms_operation = fields.optional("kms_operation", text, "an operation of KMS");
    let optional = |name, expected| fields.optional(name, text, expected);
    let kms_key = optional("kms_key", "the ARN of a KMS key");
    let via_service = optional("via_service", "a kmsViaService");
    let vpc = optional("vpc", "an awsSourceVpc");
    let vpc_endpoint = optional("vpc_endpoint", "an awsSourceVpce");
    let moment = |value: &DeValue<'_>| {
        let time = OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()?;
        Some(SystemTime::from(time))
    };
    let time = fields.optional("time", moment, "a time such as \"2026-11-24T08:00:00Z\"");
    let effects = [Effect::Allow, Effect::Deny].map(|effect| (effect.word(), effect));
    let expect = fields.required("expect", word(&effects), "\"allow\" or \"deny\"");
    let by = optional(
        "by",
        "the id of a rule, or what a policy in Rego gives as its reason",
    );
    let operation = operation?;
    Some(PolicyCase {
        name: name?,
        prefix: prefix?,
        key: key?,
        operation,
        metadata: RequestMetadata {
            aws_principal_arn: principal?.into(),
            aws_source_vpc: vpc.map(Into::into),
            aws_source_vpce: vpc_endpoint.map(Into::into),
            kms_key_arn: kms_key.map(Into::into),
            kms_operation: match (kms_operation, operation) {
                (Some(text), _) => text.into(),
                (None, OperationName::GetKeyMetadata) => "DescribeKey".into(),
                (None, operation) => operation.as_str().into(),
            },
            kms_request_id: "policy-test".into(),
            kms_via_service: via_service.map(Into::into),
        },
        time,
        expect: expect?,
        by,
    })
}

/// The named store; the only one, if it is not named.
fn prefix(fields: &Fields<'_, '_>, policies: &[PolicyConfig]) -> Option<UriPathPrefix> {
    let known: Vec<_> = policies
        .iter()
        .map(|p| format!("{:?}", p.prefix.as_str()))
        .collect();
    let expected = format!(
        "the prefix of a key store of the configuration: {}",
        known.join(", ")
    );
    let find = |text: &str| policies.iter().find(|p| p.prefix.as_str() == text);
    let named = |value: &DeValue<'_>| Some(find(value.as_str()?)?.prefix.clone());
    match policies {
        [only] if !fields.has("uri_path_prefix") => {
            // So that it is known as a field.
            fields.optional("uri_path_prefix", named, &expected);
            Some(only.prefix.clone())
        }
        _ => fields.required("uri_path_prefix", named, &expected),
    }
}
