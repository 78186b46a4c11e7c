//! Who may do what, operation by operation; each table names the page of AWS's documentation that has the rule. Here is
//! what the tests share.

mod conditions;
mod grants;
mod policies;
mod sharing;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::caller::{Authority, Caller};
use crate::policy::{Document, Kind};
use crate::test_client::TestClient;

const OWNER: &str = "111122223333";
const OTHER: &str = "444455556666";

/// A caller who may do what a document says and no more.
fn principal(arn: &str, document: Value) -> Caller {
    let account = arn.split(':').nth(4).unwrap().to_owned();
    let region = "us-east-1".to_owned();
    let mut caller = Caller::new(account, region, arn.to_owned(), "request".to_owned());
    let document = Document::parse(&document.to_string(), Kind::Identity).unwrap();
    caller.authority = Authority::Policies(Arc::new([document]));
    caller
}

fn allowing(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})
}

fn nothing() -> Value {
    json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})
}

fn user(name: &str, document: Value) -> Caller {
    principal(&format!("arn:aws:iam::{OWNER}:user/{name}"), document)
}

fn key_with(client: &TestClient, policy: Value) -> String {
    let input = json!({"Policy": policy.to_string(), "BypassPolicyLockoutSafetyCheck": true});
    let key = client.ok("CreateKey", input)["KeyMetadata"]["Arn"].clone();
    key.as_str().unwrap().to_owned()
}

fn statement(effect: &str, principal: &str, action: &str) -> Value {
    json!({"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": "*"})
}

fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn account() -> Value {
    statement("Allow", &format!("arn:aws:iam::{OWNER}:root"), "kms:*")
}

fn encrypt(client: &TestClient, caller: &Caller, key: &str) -> Result<Value, (String, String)> {
    client.call_as(
        caller,
        "Encrypt",
        json!({"KeyId": key, "Plaintext": "aGVsbG8="}),
    )
}

#[track_caller]
fn denied(result: Result<Value, (String, String)>, why: &str) {
    let (name, message) = result.unwrap_err();
    assert_eq!(name, "AccessDeniedException", "{message}");
    assert!(message.contains(why), "{message}");
}
