//! What the operations on custom key stores answer; a secret is in none of them.

use serde::Serialize;

use crate::api::{Page, Timestamp};
use crate::custom_key_store::{CustomKeyStore, CustomKeyStoreId, CustomKeyStoreType};

/// CreateCustomKeyStore
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateOutput {
    custom_key_store_id: String,
}

impl CreateOutput {
    pub(super) fn new(id: &CustomKeyStoreId) -> Self {
        Self {
            custom_key_store_id: id.as_str().to_owned(),
        }
    }
}

/// DescribeCustomKeyStores
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeOutput {
    custom_key_stores: Vec<Entry>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

impl DescribeOutput {
    pub(super) fn new(page: &Page<&CustomKeyStore>) -> Self {
        Self {
            custom_key_stores: page.items.iter().map(|store| Entry::new(store)).collect(),
            truncated: page.truncated(),
            next_marker: page.next_marker.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    custom_key_store_id: String,
    custom_key_store_name: String,
    custom_key_store_type: &'static str,
    connection_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_error_code: Option<&'static str>,
    creation_date: Timestamp,
    xks_proxy_configuration: Configuration,
}

impl Entry {
    fn new(store: &CustomKeyStore) -> Self {
        let proxy = store.proxy();
        Self {
            custom_key_store_id: store.id().as_str().to_owned(),
            custom_key_store_name: store.name().to_owned(),
            custom_key_store_type: match store.kind() {
                CustomKeyStoreType::AwsCloudHsm => "AWS_CLOUDHSM",
                CustomKeyStoreType::ExternalKeyStore => "EXTERNAL_KEY_STORE",
            },
            connection_state: store.connection_state().as_str(),
            connection_error_code: store.connection_error_code().map(|code| code.as_str()),
            creation_date: Timestamp(store.created()),
            xks_proxy_configuration: Configuration {
                connectivity: "PUBLIC_ENDPOINT",
                access_key_id: proxy.access_key_id.as_str().to_owned(),
                uri_endpoint: proxy.uri_endpoint.clone(),
                uri_path: proxy.uri_path.clone(),
            },
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    connectivity: &'static str,
    access_key_id: String,
    uri_endpoint: String,
    uri_path: String,
}
