//! Principals, actions, resources, and what wins.

use super::*;

/// IAM User Guide, "AWS JSON policy elements: Principal"; KMS Developer Guide, "Creating a key policy", for the account.
#[test]
fn whom_a_principal_means() {
    let role = "arn:aws:sts::111122223333:assumed-role/Operator/bob";
    let alice = "arn:aws:iam::111122223333:user/team/Alice";
    let root = "arn:aws:iam::111122223333:root";
    for (principal, who, expected) in [
        (r#""*""#, alice, Verdict::Allowed),
        (r#"{"AWS": "*"}"#, alice, Verdict::Allowed),
        (r#"{"AWS": "111122223333"}"#, alice, Verdict::Delegated),
        (
            r#"{"AWS": "arn:aws:iam::111122223333:root"}"#,
            role,
            Verdict::Delegated,
        ),
        (
            r#"{"AWS": "arn:aws:iam::111122223333:root"}"#,
            root,
            Verdict::Allowed,
        ),
        (r#"{"AWS": "444455556666"}"#, alice, Verdict::Silent),
        (
            r#"{"AWS": ["444455556666", "arn:aws:iam::111122223333:user/team/Alice"]}"#,
            alice,
            Verdict::Allowed,
        ),
        (
            r#"{"AWS": "arn:aws:iam::111122223333:user/Alice"}"#,
            alice,
            Verdict::Silent,
        ),
        (
            r#"{"AWS": "arn:aws:iam::111122223333:user/team/alice"}"#,
            alice,
            Verdict::Silent,
        ),
        (
            r#"{"AWS": "arn:aws:iam::111122223333:role/Operator"}"#,
            role,
            Verdict::Allowed,
        ),
        (
            r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/Operator/bob"}"#,
            role,
            Verdict::Allowed,
        ),
        (
            r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/Operator/eve"}"#,
            role,
            Verdict::Silent,
        ),
        (
            r#"{"AWS": "AIDACKCEVSQ6C2EXAMPLE"}"#,
            alice,
            Verdict::Silent,
        ),
        (
            r#"{"Service": "ec2.amazonaws.com"}"#,
            alice,
            Verdict::Silent,
        ),
    ] {
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {principal},
                "Action": "kms:*", "Resource": "*"}}]}}"#
        );
        let verdict = ask(
            &document,
            Kind::Key,
            who,
            "kms:Encrypt",
            &Context::default(),
        );
        assert_eq!(verdict, expected, "{principal} {who}");
        let denying = document.replace("Allow", "Deny");
        let verdict = ask(&denying, Kind::Key, who, "kms:Encrypt", &Context::default());
        // A denial for an account is one for everyone in it.
        assert_eq!(
            verdict == Verdict::Denied,
            expected != Verdict::Silent,
            "{principal} {who}"
        );
    }
}

/// IAM User Guide, "AWS JSON policy elements: NotPrincipal".
#[test]
fn not_principal_means_everyone_else() {
    let document = r#"{"Statement": {"Effect": "Deny", "NotPrincipal": {"AWS": [
        "arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:role/Operator"]},
        "Action": "kms:*", "Resource": "*"}}"#;
    for (who, denied) in [
        ("arn:aws:iam::111122223333:user/Alice", false),
        ("arn:aws:sts::444455556666:assumed-role/Operator/bob", false),
        ("arn:aws:sts::444455556666:assumed-role/Other/bob", true),
        ("arn:aws:iam::444455556666:root", true),
    ] {
        let verdict = ask(document, Kind::Key, who, "kms:Encrypt", &Context::default());
        assert_eq!(verdict == Verdict::Denied, denied, "{who}");
    }
}

/// IAM User Guide, "AWS JSON policy elements: Action", "NotAction", "Resource", "NotResource".
#[test]
fn actions_have_no_case_and_resources_do() {
    let user = "arn:aws:iam::111122223333:user/Alice";
    for (selectors, action, applies) in [
        (r#""Action": "*", "Resource": "*""#, "kms:Encrypt", true),
        (
            r#""Action": "KMS:encrypt", "Resource": "*""#,
            "kms:Encrypt",
            true,
        ),
        (
            r#""Action": "kms:Re*", "Resource": "*""#,
            "kms:ReEncryptFrom",
            true,
        ),
        (
            r#""Action": "kms:?ncrypt", "Resource": "*""#,
            "kms:Encrypt",
            true,
        ),
        (
            r#""Action": "kms:*crypt", "Resource": "*""#,
            "kms:DescribeKey",
            false,
        ),
        (r#""Action": "s3:*", "Resource": "*""#, "kms:Encrypt", false),
        (
            r#""NotAction": ["kms:Decrypt", "kms:Encrypt"], "Resource": "*""#,
            "kms:Encrypt",
            false,
        ),
        (
            r#""NotAction": "kms:Decrypt", "Resource": "*""#,
            "kms:Encrypt",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:kms:*:111122223333:key/*""#,
            "kms:Encrypt",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:kms:*:111122223333:alias/*""#,
            "kms:Encrypt",
            false,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:kms:us-east-1:111122223333:KEY/*""#,
            "kms:Encrypt",
            false,
        ),
        (
            r#""Action": "*", "NotResource": "arn:aws:kms:*:*:alias/*""#,
            "kms:Encrypt",
            true,
        ),
        (
            r#""Action": "*", "NotResource": "arn:aws:kms:*:*:key/1234abcd-*""#,
            "kms:Encrypt",
            false,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:kms:*:${aws:PrincipalAccount}:key/*""#,
            "kms:Encrypt",
            true,
        ),
        (
            r#""Action": "*", "Resource": "arn:aws:kms:*:${aws:unheard}:key/*""#,
            "kms:Encrypt",
            false,
        ),
    ] {
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", {selectors}}}}}"#
        );
        let context = context(&[("aws:PrincipalAccount", &["111122223333"])]);
        let verdict = ask(&document, Kind::Identity, user, action, &context);
        assert_eq!(verdict == Verdict::Allowed, applies, "{selectors} {action}");
    }
}

/// KMS API Reference, PutKeyPolicy: "If either of the required Resource or Action elements are missing from a key policy
/// statement, the policy statement has no effect", and the request succeeds.
#[test]
fn a_statement_of_a_key_policy_without_action_or_resource_has_no_effect() {
    let user = "arn:aws:iam::111122223333:user/Alice";
    for selector in [r#""Action": "kms:*""#, r#""Resource": "*""#] {
        let document =
            format!(r#"{{"Statement": {{"Effect": "Allow", "Principal": "*", {selector}}}}}"#);
        let verdict = ask(
            &document,
            Kind::Key,
            user,
            "kms:Encrypt",
            &Context::default(),
        );
        assert_eq!(verdict, Verdict::Silent, "{selector}");
        let identity = format!(r#"{{"Statement": {{"Effect": "Allow", {selector}}}}}"#);
        Document::parse(&identity, Kind::Identity).unwrap_err();
    }
}

/// IAM User Guide, "Policy evaluation logic": an explicit deny overrides every allow.
#[test]
fn a_denial_wins_in_any_order() {
    let user = "arn:aws:iam::111122223333:user/Alice";
    let allow = r#"{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}"#;
    let deny = r#"{"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}"#;
    for statements in [[allow, deny], [deny, allow]] {
        let document = format!(r#"{{"Statement": [{}]}}"#, statements.join(", "));
        let ask = |action| ask(&document, Kind::Key, user, action, &Context::default());
        assert_eq!(ask("kms:Decrypt"), Verdict::Denied);
        assert_eq!(ask("kms:Encrypt"), Verdict::Allowed);
    }
}
