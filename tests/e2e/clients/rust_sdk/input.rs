//! The scenario's JSON as the values that the SDK's builders take.

use std::collections::HashMap;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{Tag, XksProxyAuthenticationCredentialType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The members that no builder took yet.
pub(super) struct Input<'i> {
    operation: &'i str,
    members: Map<String, Value>,
}

impl<'i> Input<'i> {
    pub(super) fn new(operation: &'i str, members: &Map<String, Value>) -> Self {
        Self {
            operation,
            members: members.clone(),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.members.remove(name).map(|value| text(name, &value))
    }

    /// A value of one of the SDK's enums.
    pub(super) fn choice<T: for<'t> From<&'t str>>(&mut self, name: &str) -> Option<T> {
        self.text(name).map(|text| T::from(&text))
    }

    pub(super) fn integer(&mut self, name: &str) -> Option<i32> {
        let value = self.members.remove(name)?;
        let number = value.as_i64().and_then(|number| number.try_into().ok());
        Some(number.unwrap_or_else(|| panic!("{name} is no integer: {value}")))
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.members.remove(name)?;
        Some(
            value
                .as_bool()
                .unwrap_or_else(|| panic!("{name} is no truth value: {value}")),
        )
    }

    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let list = self.members.remove(name)?;
        let items = list.as_array().expect("a list").iter();
        Some(items.map(|item| text(name, item)).collect())
    }

    /// Values of one of the SDK's enums.
    pub(super) fn choices<T: for<'t> From<&'t str>>(&mut self, name: &str) -> Option<Vec<T>> {
        let texts = self.texts(name)?;
        Some(texts.iter().map(|text| T::from(text.as_str())).collect())
    }

    pub(super) fn blob(&mut self, name: &str) -> Option<Blob> {
        let text = self.text(name)?;
        Some(Blob::new(STANDARD.decode(text).expect("a blob in base64")))
    }

    pub(super) fn text_map(&mut self, name: &str) -> Option<HashMap<String, String>> {
        let map = self.members.remove(name)?;
        let members = map.as_object().expect("a map").iter();
        Some(
            members
                .map(|(key, value)| (key.clone(), text(key, value)))
                .collect(),
        )
    }

    pub(super) fn credential(
        &mut self,
        name: &str,
    ) -> Option<XksProxyAuthenticationCredentialType> {
        let value = self.members.remove(name)?;
        let member = |name: &str| text(name, value.get(name).unwrap_or(&Value::Null));
        let credential = XksProxyAuthenticationCredentialType::builder()
            .access_key_id(member("AccessKeyId"))
            .raw_secret_access_key(member("RawSecretAccessKey"));
        Some(credential.build().expect("both halves"))
    }

    pub(super) fn tags(&mut self, name: &str) -> Option<Vec<Tag>> {
        let tags = self.members.remove(name)?;
        let tag = |value: &Value| {
            let member = |name: &str| text(name, value.get(name).unwrap_or(&Value::Null));
            let tag = Tag::builder()
                .tag_key(member("TagKey"))
                .tag_value(member("TagValue"));
            tag.build().expect("both members")
        };
        Some(tags.as_array().expect("a list").iter().map(tag).collect())
    }

    /// Nothing that the scenario says is left out.
    ///
    /// # Panics
    /// Over a member that no builder took.
    pub(super) fn all_taken(&self) {
        let left: Vec<_> = self.members.keys().collect();
        assert!(
            left.is_empty(),
            "{}: pass {left:?} on to the SDK in clients/rust_sdk",
            self.operation
        );
    }
}

fn text(name: &str, value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| panic!("{name} is no text: {value}"))
}
