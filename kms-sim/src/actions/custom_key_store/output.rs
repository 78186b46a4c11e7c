//! What the operations on custom key stores answer; a secret is in none of them.

use serde::Serialize;

use crate::api::{Page, Timestamp};
use crate::custom_key_store::{
    Backing, Connectivity, CustomKeyStore, CustomKeyStoreId, CustomKeyStoreType, XksProxy,
};
use crate::past::Past;

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
    pub(super) fn new(page: &Page<&CustomKeyStore>, past: &Past) -> Self {
        let entry = |store: &&CustomKeyStore| Entry::new(store, past);
        Self {
            custom_key_stores: page.items.iter().map(entry).collect(),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_hsm_cluster_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_anchor_certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xks_proxy_configuration: Option<Configuration>,
}

impl Entry {
    fn new(store: &CustomKeyStore, past: &Past) -> Self {
        let (connection_state, connection_error_code) = past.connection(store);
        let (cluster, proxy) = match store.backing() {
            Backing::CloudHsm(cluster) => (Some(cluster), None),
            Backing::Xks(proxy) => (None, Some(proxy)),
        };
        Self {
            custom_key_store_id: store.id().as_str().to_owned(),
            custom_key_store_name: store.name().to_owned(),
            custom_key_store_type: match store.kind() {
                CustomKeyStoreType::AwsCloudHsm => "AWS_CLOUDHSM",
                CustomKeyStoreType::ExternalKeyStore => "EXTERNAL_KEY_STORE",
            },
            connection_state: connection_state.as_str(),
            connection_error_code: connection_error_code.map(|code| code.as_str()),
            creation_date: Timestamp(store.created()),
            cloud_hsm_cluster_id: cluster.map(|cluster| cluster.id.to_string()),
            trust_anchor_certificate: cluster
                .map(|cluster| cluster.trust_anchor_certificate.clone()),
            xks_proxy_configuration: proxy.map(Configuration::new),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_endpoint_service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_endpoint_service_owner: Option<String>,
}

impl Configuration {
    fn new(proxy: &XksProxy) -> Self {
        let (connectivity, service) = match &proxy.connectivity {
            Connectivity::PublicEndpoint => ("PUBLIC_ENDPOINT", None),
            Connectivity::VpcEndpointService(service) => ("VPC_ENDPOINT_SERVICE", Some(service)),
        };
        Self {
            connectivity,
            access_key_id: proxy.access_key_id.as_str().to_owned(),
            uri_endpoint: proxy.uri_endpoint.clone(),
            uri_path: proxy.uri_path.clone(),
            vpc_endpoint_service_name: service.map(|service| service.name.clone()),
            vpc_endpoint_service_owner: service.map(|service| service.owner.clone()),
        }
    }
}
