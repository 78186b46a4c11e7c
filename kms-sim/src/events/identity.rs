//! `userIdentity`: who called, as far as the principal's ARN tells.

use serde_json::{Map, Value, json};

/// The identity of a principal with that ARN in that account.
pub(super) fn user_identity(arn: &str, account: &str, access_key_id: Option<&str>) -> Value {
    let name = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let mut identity = Map::new();
    let mut set = |member: &str, value: &str| {
        identity.insert(member.to_owned(), value.into());
    };
    match name.split_once('/') {
        Some(("user", name)) => {
            set("type", "IAMUser");
            set("principalId", access_key_id.unwrap_or(name));
            set("userName", name.rsplit('/').next().unwrap_or(name));
        }
        Some(("assumed-role", role_and_session)) => {
            set("type", "AssumedRole");
            set("principalId", access_key_id.unwrap_or(role_and_session));
            let (role, _) = role_and_session
                .split_once('/')
                .unwrap_or((role_and_session, ""));
            let partition = arn.split(':').nth(1).unwrap_or("aws");
            let issuer = json!({
                "type": "Role",
                "arn": format!("arn:{partition}:iam::{account}:role/{role}"),
                "accountId": account,
                "userName": role,
            });
            identity.insert(
                "sessionContext".to_owned(),
                json!({"sessionIssuer": issuer}),
            );
        }
        _ => {
            set("type", "Root");
            set("principalId", account);
        }
    }
    identity.insert("arn".to_owned(), arn.into());
    identity.insert("accountId".to_owned(), account.into());
    if let Some(id) = access_key_id {
        identity.insert("accessKeyId".to_owned(), id.into());
    }
    identity.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    //= kms guide "Decrypt" (CloudTrail); CloudTrail guide "CloudTrail userIdentity element"
    #[test]
    fn users_roles_and_root_are_told_apart() {
        let user = user_identity(
            "arn:aws:iam::111122223333:user/Alice",
            "111122223333",
            Some("EXAMPLE_KEY_ID"),
        );
        assert_eq!(
            user,
            json!({
                "type": "IAMUser", "principalId": "EXAMPLE_KEY_ID", "arn": "arn:aws:iam::111122223333:user/Alice",
                "accountId": "111122223333", "accessKeyId": "EXAMPLE_KEY_ID", "userName": "Alice",
            })
        );
        let role = "arn:aws-cn:sts::111122223333:assumed-role/Deploy/session-1";
        let role = user_identity(role, "111122223333", None);
        assert_eq!(role["type"], "AssumedRole");
        assert_eq!(
            role["sessionContext"]["sessionIssuer"]["arn"],
            "arn:aws-cn:iam::111122223333:role/Deploy"
        );
        let root = user_identity("arn:aws:iam::111122223333:root", "111122223333", None);
        assert_eq!(
            (&root["type"], &root["principalId"]),
            (&json!("Root"), &json!("111122223333"))
        );
    }
}
