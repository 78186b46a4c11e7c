//! CreateAlias, UpdateAlias, DeleteAlias, ListAliases.

use std::ops::Bound;
use std::sync::Arc;

use serde::Serialize;

use crate::api::shapes::{alias_name, is_alias_text, key_id, optional_key_id};
use crate::api::{Input, KmsError, Members, PageRequest, Timestamp};
use crate::arn::alias_arn;
use crate::key::Key;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// Input of CreateAlias and UpdateAlias.
#[derive(Debug)]
pub(crate) struct AliasAndTarget {
    alias_name: String,
    target_key_id: String,
}

impl Input for AliasAndTarget {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            alias_name: alias_name(m),
            target_key_id: key_id(m, "TargetKeyId"),
        }
    }
}

/// CreateAlias
pub(crate) async fn create(
    simulator: &Simulator,
    caller: &Caller,
    input: AliasAndTarget,
) -> Result<(), KmsError> {
    let name = &input.alias_name;
    check_name(name)?;
    let region = simulator.region(caller);
    let mut state = region.lock();
    state.authorize_alias(Operation::CreateAlias, caller, name)?;
    let key = state.key(Operation::CreateAlias, caller, &input.target_key_id)?;
    let id = Arc::clone(key.id());
    if state.keys.aliases.count_of(&id) >= MAX_ALIASES {
        return Err(too_many_aliases());
    }
    let now = region.now();
    state.keys.aliases.create(name, &id, now).ok_or_else(|| {
        KmsError::new(
            "AlreadyExistsException",
            format!(
                "An alias with the name {} already exists",
                alias_arn(caller, name)
            ),
        )
    })?;
    state.past.alias_changed(name, None);
    Ok(())
}

/// UpdateAlias
pub(crate) async fn update(
    simulator: &Simulator,
    caller: &Caller,
    input: AliasAndTarget,
) -> Result<(), KmsError> {
    let name = &input.alias_name;
    check_name(name)?;
    let region = simulator.region(caller);
    let mut state = region.lock();
    state.authorize_alias(Operation::UpdateAlias, caller, name)?;
    let current = state.keys.aliases.target(name).map(Arc::<str>::from);
    let current = current.ok_or_else(|| alias_not_found(caller, name))?;
    let key = state.key(Operation::UpdateAlias, caller, &input.target_key_id)?;
    let kind = key.kind();
    if let Some(before) = state.keys.get(&current).map(Key::kind)
        && (before.usage, before.is_symmetric()) != (kind.usage, kind.is_symmetric())
    {
        return Err(KmsError::validation(format!(
            "An alias can be updated to a key of the same type and key usage alone: {} is for a key with KeySpec {} and \
             KeyUsage {}, {} has KeySpec {} and KeyUsage {}. Delete the alias and create it again.",
            alias_arn(caller, name),
            before.spec.name(),
            before.usage.name(),
            key.arn(),
            kind.spec.name(),
            kind.usage.name(),
        )));
    }
    let id = Arc::clone(key.id());
    if id != current && state.keys.aliases.count_of(&id) >= MAX_ALIASES {
        return Err(too_many_aliases());
    }
    let now = region.now();
    let before = state.keys.aliases.update(name, &id, now);
    let before = before.ok_or_else(|| alias_not_found(caller, name))?;
    state.past.alias_changed(name, Some(before));
    Ok(())
}

/// Input of DeleteAlias.
#[derive(Debug)]
pub(crate) struct DeleteAlias {
    alias_name: String,
}

impl Input for DeleteAlias {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            alias_name: alias_name(m),
        }
    }
}

/// DeleteAlias
pub(crate) async fn delete(
    simulator: &Simulator,
    caller: &Caller,
    input: DeleteAlias,
) -> Result<(), KmsError> {
    let name = &input.alias_name;
    check_name(name)?;
    let region = simulator.region(caller);
    let mut state = region.lock();
    state.authorize_alias(Operation::DeleteAlias, caller, name)?;
    let before = state.keys.aliases.delete(name);
    let before = before.ok_or_else(|| alias_not_found(caller, name))?;
    state.past.alias_changed(name, Some(before));
    Ok(())
}

/// Input of ListAliases.
#[derive(Debug)]
pub(crate) struct ListAliases {
    key_id: Option<String>,
    page: PageRequest,
}

impl Input for ListAliases {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: optional_key_id(m, "KeyId"),
            page: PageRequest::read(m, 50, 100),
        }
    }
}

/// Output of ListAliases.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListAliasesOutput {
    aliases: Vec<AliasListEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AliasListEntry {
    alias_name: String,
    alias_arn: String,
    target_key_id: Arc<str>,
    creation_date: Timestamp,
    last_updated_date: Timestamp,
}

/// ListAliases
pub(crate) async fn list(
    simulator: &Simulator,
    caller: &Caller,
    input: ListAliases,
) -> Result<ListAliasesOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let only = match &input.key_id {
        None => None,
        Some(text) => {
            let key = state.key(Operation::ListAliases, caller, text)?;
            Some(Arc::clone(key.id()))
        }
    };
    let aliases = |after: Bound<&str>| {
        let aliases = &state.keys.aliases;
        state.past.aliases_after(aliases, only.as_deref(), after)
    };
    let page = input.page.page(aliases, |(name, _)| name)?;
    Ok(ListAliasesOutput {
        truncated: page.truncated(),
        aliases: page
            .items
            .into_iter()
            .map(|(name, alias)| AliasListEntry {
                alias_name: name.to_owned(),
                alias_arn: alias_arn(caller, name),
                target_key_id: Arc::clone(&alias.target),
                creation_date: Timestamp(alias.created),
                last_updated_date: Timestamp(alias.updated),
            })
            .collect(),
        next_marker: page.next_marker,
    })
}

/// Whether CreateAlias would take the name.
pub(crate) fn is_alias_name(name: &str) -> bool {
    (1..=256).contains(&name.len()) && is_alias_text(name) && check_name(name).is_ok()
}

fn check_name(name: &str) -> Result<(), KmsError> {
    match name.strip_prefix("alias/") {
        None => Err(KmsError::validation(
            "Alias must start with the prefix \"alias/\". Please see \
             https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        )),
        Some("") => Err(KmsError::new(
            "InvalidAliasNameException",
            "The alias name has nothing after alias/.",
        )),
        Some(rest) if rest.starts_with("aws/") => Err(KmsError::new(
            "InvalidAliasNameException",
            "Aliases that begin with alias/aws/ are reserved for AWS managed keys.",
        )),
        Some(_) => Ok(()),
    }
}

fn alias_not_found(caller: &Caller, name: &str) -> KmsError {
    KmsError::not_found(format!("Alias {} is not found.", alias_arn(caller, name)))
}

fn too_many_aliases() -> KmsError {
    KmsError::new(
        "LimitExceededException",
        format!("The key has {MAX_ALIASES} aliases, the most that a key can have."),
    )
}

const MAX_ALIASES: usize = 50;
