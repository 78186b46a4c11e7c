//! aws-sdk-kms: compiled against KMS's model, so each operation has its own builder, answer and enum of exceptions.

mod exception;
mod input;
mod output;

use aws_sdk_kms::Client as Kms;
use aws_sdk_kms::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::types::CustomKeyStoresListEntry;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::{Client, Exception};
use crate::stage::REGION;
use exception::exception;
use input::Input;
use output::{blob, key_metadata, pages_of, store, tag};

/// The SDK with a runtime of its own.
pub(crate) struct RustSdk {
    kms: Kms,
    runtime: Runtime,
}

impl RustSdk {
    pub(crate) fn new(endpoint_url: String) -> Self {
        Self {
            kms: kms(endpoint_url),
            runtime: Runtime::new().expect("a runtime"),
        }
    }
}

/// A client that asks nothing of its environment and tries nothing twice.
pub(crate) fn kms(endpoint_url: String) -> Kms {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint_url)
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "this test"))
        .retry_config(aws_sdk_kms::config::retry::RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Kms::from_conf(config)
}

impl Client for RustSdk {
    fn call(&mut self, operation: &str, input: &Map<String, Value>) -> Result<Value, Exception> {
        let call = call(&self.kms, operation, Input::new(operation, input));
        self.runtime.block_on(call)
    }

    fn pages(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        size: u16,
    ) -> Result<Value, Exception> {
        let pages = pages(&self.kms, operation, Input::new(operation, input), size);
        self.runtime.block_on(pages)
    }
}

/// One call: JSON into the operation's builder, its answer into JSON.
async fn call(kms: &Kms, operation: &str, mut input: Input<'_>) -> Result<Value, Exception> {
    let i = &mut input;
    match operation {
        "CreateCustomKeyStore" => {
            let call = kms
                .create_custom_key_store()
                .set_custom_key_store_name(i.text("CustomKeyStoreName"))
                .set_custom_key_store_type(i.choice("CustomKeyStoreType"))
                .set_xks_proxy_connectivity(i.choice("XksProxyConnectivity"))
                .set_xks_proxy_uri_endpoint(i.text("XksProxyUriEndpoint"))
                .set_xks_proxy_uri_path(i.text("XksProxyUriPath"))
                .set_xks_proxy_authentication_credential(i.credential());
            input.all_taken();
            outcome(
                call.send().await,
                |answer| json!({"CustomKeyStoreId": answer.custom_key_store_id()}),
            )
        }
        "DescribeCustomKeyStores" => {
            let call = kms
                .describe_custom_key_stores()
                .set_custom_key_store_id(i.text("CustomKeyStoreId"))
                .set_custom_key_store_name(i.text("CustomKeyStoreName"))
                .set_limit(i.integer("Limit"))
                .set_marker(i.text("Marker"));
            input.all_taken();
            outcome(call.send().await, |answer| {
                json!({
                    "CustomKeyStores": stores(answer.custom_key_stores()),
                    "Truncated": answer.truncated(),
                    "NextMarker": answer.next_marker(),
                })
            })
        }
        "ConnectCustomKeyStore" => {
            let call = kms.connect_custom_key_store();
            let call = call.set_custom_key_store_id(i.text("CustomKeyStoreId"));
            input.all_taken();
            outcome(call.send().await, |_| json!({}))
        }
        "DisconnectCustomKeyStore" => {
            let call = kms.disconnect_custom_key_store();
            let call = call.set_custom_key_store_id(i.text("CustomKeyStoreId"));
            input.all_taken();
            outcome(call.send().await, |_| json!({}))
        }
        "DeleteCustomKeyStore" => {
            let call = kms.delete_custom_key_store();
            let call = call.set_custom_key_store_id(i.text("CustomKeyStoreId"));
            input.all_taken();
            outcome(call.send().await, |_| json!({}))
        }
        "CreateKey" => {
            let call = kms
                .create_key()
                .set_description(i.text("Description"))
                .set_origin(i.choice("Origin"))
                .set_custom_key_store_id(i.text("CustomKeyStoreId"))
                .set_xks_key_id(i.text("XksKeyId"));
            input.all_taken();
            outcome(
                call.send().await,
                |answer| json!({"KeyMetadata": answer.key_metadata().map(key_metadata)}),
            )
        }
        "DescribeKey" => {
            let call = kms.describe_key().set_key_id(i.text("KeyId"));
            input.all_taken();
            outcome(
                call.send().await,
                |answer| json!({"KeyMetadata": answer.key_metadata().map(key_metadata)}),
            )
        }
        "ListKeys" => {
            let call = kms
                .list_keys()
                .set_limit(i.integer("Limit"))
                .set_marker(i.text("Marker"));
            input.all_taken();
            outcome(call.send().await, |answer| {
                let keys = answer.keys().iter().map(output::key);
                json!({"Keys": keys.collect::<Vec<_>>(), "Truncated": answer.truncated()})
            })
        }
        "EnableKey" => {
            let call = kms.enable_key().set_key_id(i.text("KeyId"));
            input.all_taken();
            outcome(call.send().await, |_| json!({}))
        }
        "DisableKey" => {
            let call = kms.disable_key().set_key_id(i.text("KeyId"));
            input.all_taken();
            outcome(call.send().await, |_| json!({}))
        }
        "CreateAlias" => {
            let call = kms
                .create_alias()
                .set_alias_name(i.text("AliasName"))
                .set_target_key_id(i.text("TargetKeyId"));
            input.all_taken();
            outcome(call.send().await, |_| json!({}))
        }
        "TagResource" => {
            let call = kms
                .tag_resource()
                .set_key_id(i.text("KeyId"))
                .set_tags(i.tags());
            input.all_taken();
            outcome(call.send().await, |_| json!({}))
        }
        "ListResourceTags" => {
            let call = kms.list_resource_tags().set_key_id(i.text("KeyId"));
            input.all_taken();
            outcome(
                call.send().await,
                |answer| json!({"Tags": answer.tags().iter().map(tag).collect::<Vec<_>>()}),
            )
        }
        "Encrypt" => {
            let call = kms
                .encrypt()
                .set_key_id(i.text("KeyId"))
                .set_plaintext(i.blob("Plaintext"))
                .set_encryption_context(i.text_map("EncryptionContext"));
            input.all_taken();
            outcome(
                call.send().await,
                |answer| json!({"KeyId": answer.key_id(), "CiphertextBlob": blob(answer.ciphertext_blob())}),
            )
        }
        "Decrypt" => {
            let call = kms
                .decrypt()
                .set_ciphertext_blob(i.blob("CiphertextBlob"))
                .set_encryption_context(i.text_map("EncryptionContext"));
            input.all_taken();
            outcome(
                call.send().await,
                |answer| json!({"KeyId": answer.key_id(), "Plaintext": blob(answer.plaintext())}),
            )
        }
        "ReEncrypt" => {
            let call = kms
                .re_encrypt()
                .set_ciphertext_blob(i.blob("CiphertextBlob"))
                .set_source_encryption_context(i.text_map("SourceEncryptionContext"))
                .set_destination_key_id(i.text("DestinationKeyId"))
                .set_destination_encryption_context(i.text_map("DestinationEncryptionContext"));
            input.all_taken();
            outcome(call.send().await, |answer| {
                json!({
                    "SourceKeyId": answer.source_key_id(),
                    "KeyId": answer.key_id(),
                    "CiphertextBlob": blob(answer.ciphertext_blob()),
                })
            })
        }
        "GenerateDataKey" => {
            let call = kms
                .generate_data_key()
                .set_key_id(i.text("KeyId"))
                .set_key_spec(i.choice("KeySpec"))
                .set_number_of_bytes(i.integer("NumberOfBytes"));
            input.all_taken();
            outcome(call.send().await, |answer| {
                json!({
                    "KeyId": answer.key_id(),
                    "Plaintext": blob(answer.plaintext()),
                    "CiphertextBlob": blob(answer.ciphertext_blob()),
                })
            })
        }
        "GenerateDataKeyWithoutPlaintext" => {
            let call = kms
                .generate_data_key_without_plaintext()
                .set_key_id(i.text("KeyId"))
                .set_key_spec(i.choice("KeySpec"))
                .set_number_of_bytes(i.integer("NumberOfBytes"));
            input.all_taken();
            outcome(
                call.send().await,
                |answer| json!({"KeyId": answer.key_id(), "CiphertextBlob": blob(answer.ciphertext_blob())}),
            )
        }
        unknown => panic!(
            "the scenario calls {unknown}: write its builder in {}",
            file!()
        ),
    }
}

async fn pages(
    kms: &Kms,
    operation: &str,
    input: Input<'_>,
    size: u16,
) -> Result<Value, Exception> {
    input.all_taken();
    let size = i32::from(size);
    match operation {
        "DescribeCustomKeyStores" => {
            let pages = kms.describe_custom_key_stores().into_paginator();
            let pages = pages.page_size(size).send().try_collect().await;
            outcome(pages, |pages: Vec<_>| {
                pages_of("CustomKeyStores", &pages, size, |page| {
                    page.custom_key_stores().iter().map(store).collect()
                })
            })
        }
        "ListKeys" => {
            let pages = kms.list_keys().into_paginator();
            let pages = pages.page_size(size).send().try_collect().await;
            outcome(pages, |pages: Vec<_>| {
                pages_of("Keys", &pages, size, |page| {
                    page.keys().iter().map(output::key).collect()
                })
            })
        }
        unknown => panic!(
            "the scenario pages through {unknown}: write its paginator in {}",
            file!()
        ),
    }
}

fn stores(stores: &[CustomKeyStoresListEntry]) -> Vec<Value> {
    stores.iter().map(store).collect()
}

/// The answer as JSON, or the exception by the variant that it has in the SDK's enum.
fn outcome<O, E>(
    result: Result<O, SdkError<E>>,
    show: impl FnOnce(O) -> Value,
) -> Result<Value, Exception>
where
    aws_sdk_kms::Error: From<SdkError<E>>,
{
    result.map(show).map_err(exception)
}
