//! The language, rule by rule; each table names the page of AWS's documentation that has the rule. Here is what the tests
//! share.

mod conditions;
mod malformed;
mod statements;

use super::*;

const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn context(pairs: &[(&str, &[&str])]) -> Context {
    let mut context = Context::default();
    for (key, values) in pairs {
        context.set_all(key, values.iter().map(|value| (*value).to_owned()));
    }
    context
}

fn ask(document: &str, kind: Kind, arn: &str, action: &str, context: &Context) -> Verdict {
    let document = Document::parse(document, kind).unwrap();
    let identity = Identity::of_arn(arn).unwrap();
    let request = Request {
        identity: &identity,
        action,
        resource: KEY,
        context,
    };
    match kind {
        Kind::Key => document.of_resource(&request),
        Kind::Identity => document.of_identity(&request),
    }
}

fn condition(condition: &str, context: &Context) -> bool {
    let document = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {condition}}}}}"#
    );
    let user = "arn:aws:iam::111122223333:user/Alice";
    match ask(&document, Kind::Identity, user, "kms:Encrypt", context) {
        Verdict::Allowed => true,
        Verdict::Silent => false,
        other => panic!("{other:?}"),
    }
}
