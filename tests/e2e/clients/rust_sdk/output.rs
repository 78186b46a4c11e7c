//! The SDK's answers as JSON, with KMS's names; the members that the scenario looks at.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{CustomKeyStoresListEntry, KeyListEntry, KeyMetadata, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(super) fn blob(blob: Option<&Blob>) -> Option<String> {
    blob.map(|blob| STANDARD.encode(blob))
}

pub(super) fn store(store: &CustomKeyStoresListEntry) -> Value {
    json!({
        "CustomKeyStoreId": store.custom_key_store_id(),
        "CustomKeyStoreName": store.custom_key_store_name(),
        "ConnectionState": store.connection_state().map(|state| state.as_str()),
        "ConnectionErrorCode": store.connection_error_code().map(|code| code.as_str()),
        "XksProxyConfiguration": store.xks_proxy_configuration().map(|proxy| json!({
            "Connectivity": proxy.connectivity().map(|connectivity| connectivity.as_str()),
            "AccessKeyId": proxy.access_key_id(),
            "UriEndpoint": proxy.uri_endpoint(),
            "UriPath": proxy.uri_path(),
        })),
    })
}

pub(super) fn key(key: &KeyListEntry) -> Value {
    json!({"KeyArn": key.key_arn(), "KeyId": key.key_id()})
}

pub(super) fn key_metadata(key: &KeyMetadata) -> Value {
    json!({
        "Arn": key.arn(),
        "KeyId": key.key_id(),
        "Description": key.description(),
        "KeySpec": key.key_spec().map(|spec| spec.as_str()),
        "MultiRegion": key.multi_region(),
        "KeyState": key.key_state().map(|state| state.as_str()),
        "Enabled": key.enabled(),
        "Origin": key.origin().map(|origin| origin.as_str()),
        "CustomKeyStoreId": key.custom_key_store_id(),
        "XksKeyConfiguration": key.xks_key_configuration().map(|xks| json!({"Id": xks.id()})),
    })
}

pub(super) fn tag(tag: &Tag) -> Value {
    json!({"TagKey": tag.tag_key(), "TagValue": tag.tag_value()})
}

/// All pages together.
///
/// # Panics
/// Over a page that is larger than was asked for.
pub(super) fn pages_of<P>(
    name: &str,
    pages: &[P],
    size: i32,
    items: impl Fn(&P) -> Vec<Value>,
) -> Value {
    let mut all = Vec::new();
    for page in pages.iter().map(items) {
        assert!(
            i32::try_from(page.len()).is_ok_and(|len| len <= size),
            "{page:?}"
        );
        all.extend(page);
    }
    json!({name: all})
}
