//! TagResource, UntagResource, ListResourceTags.

use std::ops::Bound;
use std::sync::Arc;

use serde::Serialize;

use crate::api::shapes::{key_id, merge_tags, tags};
use crate::api::{Input, KmsError, Members, PageRequest};
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// Input of TagResource.
#[derive(Debug)]
pub(crate) struct TagResource {
    key_id: String,
    tags: Vec<(String, String)>,
}

impl Input for TagResource {
    fn read(m: &mut Members<'_>) -> Self {
        let key_id = key_id(m, "KeyId");
        let tags = tags(m);
        Self {
            key_id,
            tags: m.require("Tags", tags).unwrap_or_default(),
        }
    }
}

/// TagResource
pub(crate) async fn tag(
    simulator: &Simulator,
    caller: &Caller,
    input: TagResource,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::TagResource, caller, &input.key_id)?;
    let tags = merge_tags(&key.tags, input.tags)?;
    let (id, before) = (Arc::clone(key.id()), std::mem::replace(&mut key.tags, tags));
    state.past.tags_changed(&id, before);
    Ok(())
}

/// Input of UntagResource.
#[derive(Debug)]
pub(crate) struct UntagResource {
    key_id: String,
    tag_keys: Vec<String>,
}

impl Input for UntagResource {
    fn read(m: &mut Members<'_>) -> Self {
        let key_id = key_id(m, "KeyId");
        let tag_keys = m.text_list("TagKeys", 0, usize::MAX, |key| {
            key.length(1, 128).required()
        });
        Self {
            key_id,
            tag_keys: m.require("TagKeys", tag_keys).unwrap_or_default(),
        }
    }
}

/// UntagResource; a key that is not there is no error.
pub(crate) async fn untag(
    simulator: &Simulator,
    caller: &Caller,
    input: UntagResource,
) -> Result<(), KmsError> {
    let region = simulator.region(caller);
    let mut state = region.lock();
    let key = state.key_mut(Operation::UntagResource, caller, &input.key_id)?;
    let (id, before) = (Arc::clone(key.id()), key.tags.clone());
    key.tags.retain(|name, _| !input.tag_keys.contains(name));
    state.past.tags_changed(&id, before);
    Ok(())
}

/// Input of ListResourceTags.
#[derive(Debug)]
pub(crate) struct ListResourceTags {
    key_id: String,
    page: PageRequest,
}

impl Input for ListResourceTags {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            key_id: key_id(m, "KeyId"),
            page: PageRequest::read(m, 50, 50),
        }
    }
}

/// Output of ListResourceTags.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListResourceTagsOutput {
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    tag_key: String,
    tag_value: String,
}

/// ListResourceTags
pub(crate) async fn list(
    simulator: &Simulator,
    caller: &Caller,
    input: ListResourceTags,
) -> Result<ListResourceTagsOutput, KmsError> {
    let region = simulator.region(caller);
    let state = region.lock();
    let key = state.key(Operation::ListResourceTags, caller, &input.key_id)?;
    let tags = state.past.tags(key);
    let page = input.page.page(
        |after| tags.range::<str, _>((after, Bound::Unbounded)),
        |(name, _)| name,
    )?;
    Ok(ListResourceTagsOutput {
        truncated: page.truncated(),
        tags: page
            .items
            .into_iter()
            .map(|(name, value)| Tag {
                tag_key: name.clone(),
                tag_value: value.clone(),
            })
            .collect(),
        next_marker: page.next_marker,
    })
}
