//! Custom key stores.

use aws_sdk_kms::Client as Kms;
use serde_json::{Value, json};

use super::output::store;
use super::{Exception, Input, call};

pub(super) async fn call(
    kms: &Kms,
    operation: &str,
    mut i: Input<'_>,
) -> Option<Result<Value, Exception>> {
    Some(match operation {
        "CreateCustomKeyStore" => call!(
            kms, i, create_custom_key_store [
                set_custom_key_store_name: text "CustomKeyStoreName",
                set_custom_key_store_type: choice "CustomKeyStoreType",
                set_xks_proxy_connectivity: choice "XksProxyConnectivity",
                set_xks_proxy_uri_endpoint: text "XksProxyUriEndpoint",
                set_xks_proxy_uri_path: text "XksProxyUriPath",
                set_xks_proxy_authentication_credential: credential "XksProxyAuthenticationCredential",
            ],
            |answer| json!({"CustomKeyStoreId": answer.custom_key_store_id()})
        ),
        "DescribeCustomKeyStores" => call!(
            kms, i, describe_custom_key_stores [
                set_custom_key_store_id: text "CustomKeyStoreId",
                set_custom_key_store_name: text "CustomKeyStoreName",
                set_limit: integer "Limit",
                set_marker: text "Marker",
            ],
            |answer| json!({
                "CustomKeyStores": answer.custom_key_stores().iter().map(store).collect::<Vec<_>>(),
                "Truncated": answer.truncated(),
                "NextMarker": answer.next_marker(),
            })
        ),
        "UpdateCustomKeyStore" => call!(
            kms, i, update_custom_key_store [
                set_custom_key_store_id: text "CustomKeyStoreId",
                set_new_custom_key_store_name: text "NewCustomKeyStoreName",
                set_xks_proxy_uri_endpoint: text "XksProxyUriEndpoint",
                set_xks_proxy_uri_path: text "XksProxyUriPath",
                set_xks_proxy_authentication_credential: credential "XksProxyAuthenticationCredential",
            ],
            |_| json!({})
        ),
        "ConnectCustomKeyStore" => {
            call!(kms, i, connect_custom_key_store [set_custom_key_store_id: text "CustomKeyStoreId"], |_| json!({}))
        }
        "DisconnectCustomKeyStore" => {
            call!(kms, i, disconnect_custom_key_store [set_custom_key_store_id: text "CustomKeyStoreId"], |_| json!({}))
        }
        "DeleteCustomKeyStore" => {
            call!(kms, i, delete_custom_key_store [set_custom_key_store_id: text "CustomKeyStoreId"], |_| json!({}))
        }
        _ => return None,
    })
}
