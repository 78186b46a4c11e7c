//! Keys: their life, their aliases and tags, their material.

use aws_sdk_kms::Client as Kms;
use serde_json::{Value, json};

use super::output::{blob, key, key_metadata, tag};
use super::{Exception, Input, call};

pub(super) async fn call(
    kms: &Kms,
    operation: &str,
    mut i: Input<'_>,
) -> Option<Result<Value, Exception>> {
    Some(match operation {
        "CreateKey" => call!(
            kms, i, create_key [
                set_description: text "Description",
                set_origin: choice "Origin",
                set_key_spec: choice "KeySpec",
                set_key_usage: choice "KeyUsage",
                set_multi_region: boolean "MultiRegion",
                set_custom_key_store_id: text "CustomKeyStoreId",
                set_xks_key_id: text "XksKeyId",
            ],
            |answer| json!({"KeyMetadata": answer.key_metadata().map(key_metadata)})
        ),
        "DescribeKey" => call!(
            kms, i, describe_key [set_key_id: text "KeyId"],
            |answer| json!({"KeyMetadata": answer.key_metadata().map(key_metadata)})
        ),
        "ListKeys" => call!(
            kms, i, list_keys [set_limit: integer "Limit", set_marker: text "Marker"],
            |answer| json!({"Keys": answer.keys().iter().map(key).collect::<Vec<_>>(), "Truncated": answer.truncated()})
        ),
        "EnableKey" => call!(kms, i, enable_key [set_key_id: text "KeyId"], |_| json!({})),
        "DisableKey" => call!(kms, i, disable_key [set_key_id: text "KeyId"], |_| json!({})),
        "UpdateKeyDescription" => call!(
            kms, i, update_key_description [set_key_id: text "KeyId", set_description: text "Description"],
            |_| json!({})
        ),
        "ScheduleKeyDeletion" => call!(
            kms, i, schedule_key_deletion [set_key_id: text "KeyId", set_pending_window_in_days: integer "PendingWindowInDays"],
            |answer| json!({
                "KeyId": answer.key_id(),
                "KeyState": answer.key_state().map(|state| state.as_str()),
                "PendingWindowInDays": answer.pending_window_in_days(),
            })
        ),
        "CancelKeyDeletion" => {
            call!(kms, i, cancel_key_deletion [set_key_id: text "KeyId"], |answer| json!({"KeyId": answer.key_id()}))
        }
        "CreateAlias" => call!(
            kms, i, create_alias [set_alias_name: text "AliasName", set_target_key_id: text "TargetKeyId"],
            |_| json!({})
        ),
        "UpdateAlias" => call!(
            kms, i, update_alias [set_alias_name: text "AliasName", set_target_key_id: text "TargetKeyId"],
            |_| json!({})
        ),
        "DeleteAlias" => {
            call!(kms, i, delete_alias [set_alias_name: text "AliasName"], |_| json!({}))
        }
        "TagResource" => {
            call!(kms, i, tag_resource [set_key_id: text "KeyId", set_tags: tags "Tags"], |_| json!({}))
        }
        "UntagResource" => {
            call!(kms, i, untag_resource [set_key_id: text "KeyId", set_tag_keys: texts "TagKeys"], |_| json!({}))
        }
        "ListResourceTags" => call!(
            kms, i, list_resource_tags [set_key_id: text "KeyId"],
            |answer| json!({"Tags": answer.tags().iter().map(tag).collect::<Vec<_>>()})
        ),
        "EnableKeyRotation" => call!(
            kms, i, enable_key_rotation [
                set_key_id: text "KeyId",
                set_rotation_period_in_days: integer "RotationPeriodInDays",
            ],
            |_| json!({})
        ),
        "DisableKeyRotation" => {
            call!(kms, i, disable_key_rotation [set_key_id: text "KeyId"], |_| json!({}))
        }
        "GetKeyRotationStatus" => call!(
            kms, i, get_key_rotation_status [set_key_id: text "KeyId"],
            |answer| json!({
                "KeyRotationEnabled": answer.key_rotation_enabled(),
                "RotationPeriodInDays": answer.rotation_period_in_days(),
            })
        ),
        "RotateKeyOnDemand" => {
            call!(kms, i, rotate_key_on_demand [set_key_id: text "KeyId"], |answer| json!({"KeyId": answer.key_id()}))
        }
        "GetParametersForImport" => call!(
            kms, i, get_parameters_for_import [
                set_key_id: text "KeyId",
                set_wrapping_algorithm: choice "WrappingAlgorithm",
                set_wrapping_key_spec: choice "WrappingKeySpec",
            ],
            |answer| json!({
                "KeyId": answer.key_id(),
                "ImportToken": blob(answer.import_token()),
                "PublicKey": blob(answer.public_key()),
            })
        ),
        "DeleteImportedKeyMaterial" => {
            call!(kms, i, delete_imported_key_material [set_key_id: text "KeyId"], |_| json!({}))
        }
        "ReplicateKey" => call!(
            kms, i, replicate_key [set_key_id: text "KeyId", set_replica_region: text "ReplicaRegion"],
            |answer| json!({"ReplicaKeyMetadata": answer.replica_key_metadata().map(key_metadata)})
        ),
        _ => return None,
    })
}
