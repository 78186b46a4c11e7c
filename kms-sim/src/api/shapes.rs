//! Members that many operations share, with their constraints.

use std::collections::BTreeMap;

use super::KmsError;
use super::members::Members;
use crate::encryption_context::EncryptionContext;

/// `KeyIdType`
pub(crate) fn key_id(members: &mut Members<'_>, name: &str) -> String {
    members.text(name).length(1, 2048).required()
}

/// An optional `KeyIdType`.
pub(crate) fn optional_key_id(members: &mut Members<'_>, name: &str) -> Option<String> {
    members.text(name).length(1, 2048).optional()
}

/// `AliasNameType`
pub(crate) fn alias_name(members: &mut Members<'_>) -> String {
    members
        .text("AliasName")
        .length(1, 256)
        .pattern("^[a-zA-Z0-9:/_-]+$", is_alias_text)
        .required()
}

/// Whether the characters are those of an alias.
pub(crate) fn is_alias_text(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b":/_-".contains(&b);
    name.bytes().all(allowed)
}

/// `GrantTokenList`: checked, and of no consequence, since grants are effective at once.
pub(crate) fn grant_tokens(members: &mut Members<'_>) {
    members.text_list("GrantTokens", 0, 10, |token| {
        token.length(1, 8192).required()
    });
}

/// `EncryptionContextType`
pub(crate) fn encryption_context(members: &mut Members<'_>, name: &str) -> EncryptionContext {
    members.text_map(name).unwrap_or_default().into()
}

/// `PolicyType`
pub(crate) fn policy(members: &mut Members<'_>) -> Option<String> {
    members
        .text("Policy")
        .length(1, 131_072)
        .pattern("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", |text| {
            let allowed = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
            text.chars().all(allowed)
        })
        .optional()
}

/// `TagList`
pub(crate) fn tags(members: &mut Members<'_>) -> Option<Vec<(String, String)>> {
    members.list("Tags", 0, usize::MAX, |tag| {
        let key = tag.text("TagKey").length(1, 128).required();
        (key, tag.text("TagValue").length(0, 256).required())
    })
}

/// What a list of tags makes of the tags of a key.
///
/// # Errors
/// TagException for duplicate or reserved keys, and for more than 50 tags.
pub(crate) fn merge_tags(
    current: &BTreeMap<String, String>,
    tags: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, KmsError> {
    let count = tags.len();
    let new: BTreeMap<String, String> = tags.into_iter().collect();
    let error = |message: &'static str| Err(KmsError::new("TagException", message));
    if new.len() != count {
        return error("Duplicate tag keys");
    }
    if new.keys().any(|key| key.starts_with("aws:")) {
        return error("Tags beginning with aws: are reserved");
    }
    let mut merged = current.clone();
    merged.extend(new);
    if merged.len() > MAX_TAGS {
        return error("Too many tags");
    }
    Ok(merged)
}

const MAX_TAGS: usize = 50;
