//! The operations of KMS that the commands use, and their shapes as far as they are looked at.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::client::{CallError, KmsClient};

/// A custom key store, as DescribeCustomKeyStores tells of it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct CustomKeyStore {
    /// `cks-…`
    pub custom_key_store_id: String,
    /// Its friendly name.
    pub custom_key_store_name: String,
    /// Whether it can be used.
    pub connection_state: ConnectionState,
    /// Why it is FAILED.
    #[serde(default)]
    pub connection_error_code: Option<String>,
    /// Seconds since 1970.
    #[serde(default)]
    pub creation_date: Option<f64>,
    /// Of external key stores alone.
    #[serde(default)]
    pub xks_proxy_configuration: Option<ProxyConfiguration>,
}

/// How KMS reaches a proxy.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct ProxyConfiguration {
    /// Over the Internet or through a VPC.
    pub connectivity: Connectivity,
    /// Of the credential that KMS signs with.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// `https://` and a host.
    #[serde(default)]
    pub uri_endpoint: Option<String>,
    /// The prefix and `/kms/xks/v1`.
    #[serde(default)]
    pub uri_path: Option<String>,
    /// Where it goes through a VPC.
    #[serde(default)]
    pub vpc_endpoint_service_name: Option<String>,
    /// The account that has the endpoint service.
    #[serde(default)]
    pub vpc_endpoint_service_owner: Option<String>,
}

/// Over the Internet or through a VPC.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Connectivity {
    /// The proxy's name leads to a public address.
    PublicEndpoint,
    /// The proxy is behind an endpoint service of Amazon VPC.
    VpcEndpointService,
}

impl fmt::Display for Connectivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicEndpoint => "PUBLIC_ENDPOINT",
            Self::VpcEndpointService => "VPC_ENDPOINT_SERVICE",
        })
    }
}

/// Whether a custom key store can be used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "KMS's own words")]
pub enum ConnectionState {
    Connected,
    Connecting,
    Failed,
    Disconnected,
    Disconnecting,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connected => "CONNECTED",
            Self::Connecting => "CONNECTING",
            Self::Failed => "FAILED",
            Self::Disconnected => "DISCONNECTED",
            Self::Disconnecting => "DISCONNECTING",
        })
    }
}

/// A KMS key, as DescribeKey and CreateKey tell of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMetadata {
    /// The whole name.
    pub arn: String,
    /// The last part of it.
    pub key_id: String,
    /// What it can be used for now.
    pub key_state: KeyState,
    /// Of keys in custom key stores.
    #[serde(default)]
    pub custom_key_store_id: Option<String>,
    /// Of keys in external key stores.
    #[serde(default)]
    pub xks_key_configuration: Option<ExternalKey>,
}

/// The key at the proxy that is behind a KMS key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct ExternalKey {
    /// Its name at the proxy.
    pub id: String,
}

/// What a KMS key can be used for now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "KMS's own words")]
pub enum KeyState {
    Creating,
    Enabled,
    Disabled,
    PendingDeletion,
    PendingImport,
    PendingReplicaDeletion,
    Unavailable,
    Updating,
}

/// A credential on its way to KMS.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecretCredential<'a> {
    /// Names it.
    pub access_key_id: &'a str,
    /// The shared secret.
    pub raw_secret_access_key: &'a str,
}

/// An external key store that is to be.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewStore<'a> {
    /// Its friendly name.
    pub custom_key_store_name: &'a str,
    /// Over the Internet or through a VPC.
    pub xks_proxy_connectivity: Connectivity,
    /// `https://` and a host.
    pub xks_proxy_uri_endpoint: &'a str,
    /// The prefix and `/kms/xks/v1`.
    pub xks_proxy_uri_path: &'a str,
    /// Where it goes through a VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xks_proxy_vpc_endpoint_service_name: Option<&'a str>,
    /// The account that has the endpoint service, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xks_proxy_vpc_endpoint_service_owner: Option<&'a str>,
    /// What KMS signs with.
    pub xks_proxy_authentication_credential: SecretCredential<'a>,
}

/// A new credential for an external key store.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoreChange<'a> {
    /// `cks-…`
    pub custom_key_store_id: &'a str,
    /// What KMS signs with from now on.
    pub xks_proxy_authentication_credential: SecretCredential<'a>,
}

impl KmsClient {
    /// Every external key store of the account in the Region.
    ///
    /// # Errors
    /// [`CallError`], as of all operations.
    pub async fn external_key_stores(&self) -> Result<Vec<CustomKeyStore>, CallError> {
        let mut stores = self.describe(json!({})).await?;
        stores.retain(|store| store.xks_proxy_configuration.is_some());
        Ok(stores)
    }

    /// The custom key store of an id.
    ///
    /// # Errors
    /// CustomKeyStoreNotFoundException among others.
    pub async fn custom_key_store(&self, id: &str) -> Result<Option<CustomKeyStore>, CallError> {
        let mut stores = self.describe(json!({ "CustomKeyStoreId": id })).await?;
        Ok(stores.pop())
    }

    async fn describe(&self, filter: Value) -> Result<Vec<CustomKeyStore>, CallError> {
        let read = |page: Page| page.custom_key_stores;
        self.pages("DescribeCustomKeyStores", filter, read).await
    }

    /// All elements of all pages.
    async fn pages<T>(
        &self,
        operation: &'static str,
        mut input: Value,
        read: impl Fn(Page) -> Vec<T>,
    ) -> Result<Vec<T>, CallError> {
        let mut all = Vec::new();
        loop {
            let mut page: Page = self.call(operation, &input).await?;
            let next = page.next_marker.take().filter(|_| page.truncated);
            all.extend(read(page));
            match (next, input.as_object_mut()) {
                (Some(marker), Some(input)) => {
                    input.insert("Marker".to_owned(), Value::String(marker));
                }
                _ => return Ok(all),
            }
        }
    }

    /// CreateCustomKeyStore; its id.
    ///
    /// # Errors
    /// All that [`refusal`](super::refusal) explains.
    pub async fn create_external_key_store(
        &self,
        store: &NewStore<'_>,
    ) -> Result<String, CallError> {
        let input = Typed {
            custom_key_store_type: "EXTERNAL_KEY_STORE",
            store,
        };
        let made: Made = self.call("CreateCustomKeyStore", &input).await?;
        Ok(made.custom_key_store_id)
    }

    /// UpdateCustomKeyStore, for the credential alone.
    ///
    /// # Errors
    /// All that [`refusal`](super::refusal) explains.
    pub async fn update_credential(&self, change: &StoreChange<'_>) -> Result<(), CallError> {
        self.call("UpdateCustomKeyStore", change)
            .await
            .map(|Empty {}| ())
    }

    /// ConnectCustomKeyStore; it is CONNECTING from then on.
    ///
    /// # Errors
    /// CustomKeyStoreInvalidStateException among others.
    pub async fn connect_custom_key_store(&self, id: &str) -> Result<(), CallError> {
        let input = json!({ "CustomKeyStoreId": id });
        self.call("ConnectCustomKeyStore", &input)
            .await
            .map(|Empty {}| ())
    }

    /// DisconnectCustomKeyStore; it is DISCONNECTING from then on.
    ///
    /// # Errors
    /// CustomKeyStoreInvalidStateException among others.
    pub async fn disconnect_custom_key_store(&self, id: &str) -> Result<(), CallError> {
        let input = json!({ "CustomKeyStoreId": id });
        self.call("DisconnectCustomKeyStore", &input)
            .await
            .map(|Empty {}| ())
    }

    /// CreateKey in an external key store.
    ///
    /// # Errors
    /// XksKeyAlreadyInUseException and others that [`refusal`](super::refusal) explains.
    pub async fn create_key(
        &self,
        store: &str,
        external_key: &str,
        description: Option<&str>,
    ) -> Result<KeyMetadata, CallError> {
        let mut input = json!({
            "Origin": "EXTERNAL_KEY_STORE",
            "CustomKeyStoreId": store,
            "XksKeyId": external_key,
        });
        if let (Some(description), Some(input)) = (description, input.as_object_mut()) {
            input.insert("Description".to_owned(), description.into());
        }
        let described: Described = self.call("CreateKey", &input).await?;
        Ok(described.key_metadata)
    }

    /// DescribeKey
    ///
    /// # Errors
    /// AccessDeniedException and NotFoundException among others.
    pub async fn describe_key(&self, id: &str) -> Result<KeyMetadata, CallError> {
        let input = json!({ "KeyId": id });
        let described: Described = self.call("DescribeKey", &input).await?;
        Ok(described.key_metadata)
    }

    /// The ids of all keys of the account in the Region.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn key_ids(&self) -> Result<Vec<String>, CallError> {
        let read = |page: Page| page.keys.into_iter().map(|key| key.key_id).collect();
        self.pages("ListKeys", json!({ "Limit": 1000 }), read).await
    }

    /// CreateAlias
    ///
    /// # Errors
    /// AlreadyExistsException among others.
    pub async fn create_alias(&self, alias: &str, key: &str) -> Result<(), CallError> {
        let input = json!({ "AliasName": alias, "TargetKeyId": key });
        self.call("CreateAlias", &input).await.map(|Empty {}| ())
    }

    /// Has KMS encrypt a byte with a key, and so ask the proxy.
    ///
    /// # Errors
    /// KMSInvalidStateException among others.
    pub async fn try_key(&self, id: &str) -> Result<(), CallError> {
        let input = json!({ "KeyId": id, "Plaintext": "AA==" });
        self.call("Encrypt", &input).await.map(|Empty {}| ())
    }
}

impl CustomKeyStore {
    /// When it was created.
    pub fn created(&self) -> Option<OffsetDateTime> {
        let nanos = self.creation_date? * 1e9;
        // Within a range in which both numbers are exact to the millisecond.
        let text = format!("{nanos:.0}");
        OffsetDateTime::from_unix_timestamp_nanos(text.parse().ok()?).ok()
    }
}

#[derive(Serialize)]
struct Typed<'a> {
    #[serde(rename = "CustomKeyStoreType")]
    custom_key_store_type: &'static str,
    #[serde(flatten)]
    store: &'a NewStore<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    custom_key_store_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: KeyMetadata,
}

/// A page of either list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    custom_key_stores: Vec<CustomKeyStore>,
    #[serde(default)]
    keys: Vec<KeyEntry>,
    #[serde(default)]
    next_marker: Option<String>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyEntry {
    key_id: String,
}

#[derive(Deserialize)]
struct Empty {}
