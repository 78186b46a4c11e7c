//! The SDK's paginators.

use aws_sdk_kms::Client as Kms;
use serde_json::{Value, json};

use super::output::{key, pages_of, store, tag};
use super::{Exception, Input, outcome};

/// `pages!(kms, input, size, operation [setters], items, "Items", shown)`
macro_rules! pages {
    (
        $kms:ident, $input:ident, $size:ident, $operation:ident [$($set:ident: $kind:ident $member:literal),*],
        $items:ident, $name:literal, $show:expr
    ) => {{
        let call = $kms.$operation()$(.$set($input.$kind($member)))*;
        $input.all_taken();
        let pages = call.into_paginator().page_size($size).send().try_collect().await;
        outcome(pages, |pages: Vec<_>| {
            pages_of($name, &pages, $size, |page| page.$items().iter().map($show).collect())
        })
    }};
}

/// All pages together.
pub(super) async fn pages(
    kms: &Kms,
    operation: &str,
    mut i: Input<'_>,
    size: u16,
) -> Result<Value, Exception> {
    let size = i32::from(size);
    match operation {
        "DescribeCustomKeyStores" => {
            pages!(kms, i, size, describe_custom_key_stores [], custom_key_stores, "CustomKeyStores", store)
        }
        "ListKeys" => pages!(kms, i, size, list_keys [], keys, "Keys", key),
        "ListAliases" => pages!(
            kms, i, size, list_aliases [set_key_id: text "KeyId"], aliases, "Aliases",
            |alias| json!({"AliasName": alias.alias_name(), "TargetKeyId": alias.target_key_id()})
        ),
        "ListResourceTags" => {
            pages!(kms, i, size, list_resource_tags [set_key_id: text "KeyId"], tags, "Tags", tag)
        }
        "ListKeyPolicies" => pages!(
            kms, i, size, list_key_policies [set_key_id: text "KeyId"], policy_names, "PolicyNames",
            |name| json!(name)
        ),
        "ListKeyRotations" => pages!(
            kms, i, size, list_key_rotations [set_key_id: text "KeyId"], rotations, "Rotations",
            |rotation| json!({"RotationType": rotation.rotation_type().map(|kind| kind.as_str())})
        ),
        "ListGrants" => pages!(
            kms, i, size, list_grants [set_key_id: text "KeyId"], grants, "Grants",
            |grant| json!({"GrantId": grant.grant_id(), "Name": grant.name()})
        ),
        "ListRetirableGrants" => pages!(
            kms, i, size, list_retirable_grants [set_retiring_principal: text "RetiringPrincipal"], grants, "Grants",
            |grant| json!({"GrantId": grant.grant_id(), "Name": grant.name()})
        ),
        unknown => panic!(
            "the scenario pages through {unknown}: write its paginator in {}",
            file!()
        ),
    }
}
