//! Documents that are none.

use super::*;

#[test]
fn what_is_no_policy_is_refused_with_its_place() {
    let statement = r#""Effect": "Allow", "Action": "kms:*", "Resource": "*""#;
    let of = |statement: &str| format!(r#"{{"Statement": [{{{statement}}}]}}"#);
    for (text, expected) in [
        ("[".to_owned(), "not valid JSON"),
        ("[]".to_owned(), "The policy is not a JSON object."),
        ("{}".to_owned(), "The policy has no Statement."),
        (r#"{"Statement": []}"#.to_owned(), "at least one statement"),
        (
            r#"{"Statement": [1]}"#.to_owned(),
            "Statement[0] must be a JSON object",
        ),
        (
            r#"{"Version": "2012-10-18", "Statement": []}"#.to_owned(),
            "Version must be",
        ),
        (
            r#"{"Statment": [], "Statement": [{}]}"#.to_owned(),
            "unknown element Statment",
        ),
        (of(statement), "Statement[0] must have Principal"),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "NotPrincipal": "*""#
            )),
            "only one can be given",
        ),
        (
            of(&format!(r#"{statement}, "Principal": {{"AWS": []}}"#)),
            "at least one principal",
        ),
        (
            of(&format!(r#"{statement}, "Principal": {{"AWS": "Alice"}}"#)),
            "Statement[0].Principal.AWS has \"Alice\"",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": {{"AWS": "arn:aws:iam::111122223333:user/*"}}"#
            )),
            "no ARN of a user",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": {{"AWS": "arn:aws:iam::111122223333:group/x"}}"#
            )),
            "no ARN of a user",
        ),
        (
            of(&format!(r#"{statement}, "Principal": {{"Aws": "*"}}"#)),
            "no kind of principal",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": {{"Service": "ec2"}}"#
            )),
            "no service",
        ),
        (
            of(r#""Effect": "allow", "Principal": "*""#),
            "Statement[0].Effect must be",
        ),
        (
            of(r#""Effect": "Allow", "Principal": "*", "Action": "Encrypt", "Resource": "*""#),
            "Statement[0].Action has \"Encrypt\"",
        ),
        (
            of(r#""Effect": "Allow", "Principal": "*", "Action": [], "Resource": "*""#),
            "must not be empty",
        ),
        (
            of(r#""Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "key/x""#),
            "Statement[0].Resource",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "Condition": {{"StringIs": {{"a:b": "c"}}}}"#
            )),
            "IAM does not know",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "Condition": {{"Bool": {{"a:b": "yes"}}}}"#
            )),
            "true or false",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "Condition": {{"IpAddress": {{"a:b": "1.2.3"}}}}"#
            )),
            "203.0.113.0/24",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "Condition": {{"IpAddress": {{"a:b": "1.2.3.4/33"}}}}"#
            )),
            "203.0.113.0/24",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "Condition": {{"StringEquals": {{"name": "c"}}}}"#
            )),
            "no condition key",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "Condition": {{"StringEquals": {{"a:b": {{}}}}}}"#
            )),
            "a list of them",
        ),
        (
            of(&format!(
                r#"{statement}, "Principal": "*", "Condition": {{"NullIfExists": {{"a:b": "true"}}}}"#
            )),
            "IAM does not know",
        ),
    ] {
        let why = Document::parse(&text, Kind::Key).unwrap_err().to_string();
        assert!(why.contains(expected), "{text}: {why}");
    }
    let with_principal = of(&format!(r#"{statement}, "Principal": "*""#));
    let why = Document::parse(&with_principal, Kind::Identity).unwrap_err();
    assert!(why.to_string().contains("identity-based policy"), "{why}");
}
