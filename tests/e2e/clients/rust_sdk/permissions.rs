//! Key policies and grants.

use aws_sdk_kms::Client as Kms;
use serde_json::{Value, json};

use super::{Exception, Input, call};

pub(super) async fn call(
    kms: &Kms,
    operation: &str,
    mut i: Input<'_>,
) -> Option<Result<Value, Exception>> {
    Some(match operation {
        "GetKeyPolicy" => call!(
            kms, i, get_key_policy [set_key_id: text "KeyId", set_policy_name: text "PolicyName"],
            |answer| json!({"Policy": answer.policy(), "PolicyName": answer.policy_name()})
        ),
        "PutKeyPolicy" => call!(
            kms, i, put_key_policy [
                set_key_id: text "KeyId",
                set_policy_name: text "PolicyName",
                set_policy: text "Policy",
            ],
            |_| json!({})
        ),
        "CreateGrant" => call!(
            kms, i, create_grant [
                set_key_id: text "KeyId",
                set_grantee_principal: text "GranteePrincipal",
                set_retiring_principal: text "RetiringPrincipal",
                set_operations: choices "Operations",
                set_name: text "Name",
            ],
            |answer| json!({"GrantId": answer.grant_id(), "GrantToken": answer.grant_token()})
        ),
        "RevokeGrant" => call!(
            kms, i, revoke_grant [set_key_id: text "KeyId", set_grant_id: text "GrantId"],
            |_| json!({})
        ),
        "RetireGrant" => call!(
            kms, i, retire_grant [
                set_key_id: text "KeyId",
                set_grant_id: text "GrantId",
                set_grant_token: text "GrantToken",
            ],
            |_| json!({})
        ),
        _ => return None,
    })
}
