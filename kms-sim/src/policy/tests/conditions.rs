//! Operators, quantifiers and variables.

use super::*;

/// IAM User Guide, "IAM JSON policy elements: Condition operators".
#[test]
fn operators() {
    let context = context(&[
        ("aws:username", &["Alice"]),
        ("aws:CurrentTime", &["2026-11-24T10:00:00Z"]),
        ("aws:EpochTime", &["1795514400"]),
        ("kms:RotationPeriodInDays", &["365"]),
        ("aws:SecureTransport", &["true"]),
        ("aws:SourceIp", &["203.0.113.17"]),
        (
            "aws:PrincipalArn",
            &["arn:aws:iam::111122223333:role/team/Operator"],
        ),
        ("test:Bytes", &["QmluYXJ5"]),
        ("test:V6", &["2001:db8:1234::5"]),
        ("test:Star", &["a*b"]),
    ]);
    for (text, expected) in [
        (r#"{"StringEquals": {"aws:username": "Alice"}}"#, true),
        (
            r#"{"StringEquals": {"AWS:UserName": ["Bob", "Alice"]}}"#,
            true,
        ),
        (r#"{"StringEquals": {"aws:username": "alice"}}"#, false),
        (r#"{"StringEquals": {"aws:username": "A*"}}"#, false),
        (
            r#"{"StringEqualsIgnoreCase": {"aws:username": "aLICE"}}"#,
            true,
        ),
        (
            r#"{"StringNotEquals": {"aws:username": ["Bob", "Carol"]}}"#,
            true,
        ),
        (
            r#"{"StringNotEquals": {"aws:username": ["Bob", "Alice"]}}"#,
            false,
        ),
        (
            r#"{"StringNotEqualsIgnoreCase": {"aws:username": "ALICE"}}"#,
            false,
        ),
        (r#"{"StringLike": {"aws:username": "A*e"}}"#, true),
        (r#"{"StringLike": {"aws:username": "A?e"}}"#, false),
        (r#"{"StringLike": {"aws:username": "al*"}}"#, false),
        (r#"{"StringNotLike": {"aws:username": "A*"}}"#, false),
        (
            r#"{"NumericEquals": {"kms:RotationPeriodInDays": 365}}"#,
            true,
        ),
        (
            r#"{"NumericEquals": {"kms:RotationPeriodInDays": "365.0"}}"#,
            true,
        ),
        (
            r#"{"NumericNotEquals": {"kms:RotationPeriodInDays": ["180", "365"]}}"#,
            false,
        ),
        (
            r#"{"NumericLessThan": {"kms:RotationPeriodInDays": "365"}}"#,
            false,
        ),
        (
            r#"{"NumericLessThanEquals": {"kms:RotationPeriodInDays": "365"}}"#,
            true,
        ),
        (
            r#"{"NumericGreaterThan": {"kms:RotationPeriodInDays": "90"}}"#,
            true,
        ),
        (
            r#"{"NumericGreaterThanEquals": {"kms:RotationPeriodInDays": "366"}}"#,
            false,
        ),
        (
            r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-11-24T09:59:59Z"}}"#,
            true,
        ),
        (
            r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-11-24T11:59:59+02:00"}}"#,
            true,
        ),
        (
            r#"{"DateLessThan": {"aws:CurrentTime": "2026-11-24"}}"#,
            false,
        ),
        (
            r#"{"DateEquals": {"aws:EpochTime": "2026-11-24T10:00:00Z"}}"#,
            true,
        ),
        (
            r#"{"DateNotEquals": {"aws:EpochTime": "1795514400"}}"#,
            false,
        ),
        (
            r#"{"DateLessThanEquals": {"aws:EpochTime": 1795514400}}"#,
            true,
        ),
        (
            r#"{"DateGreaterThanEquals": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}}"#,
            false,
        ),
        (r#"{"Bool": {"aws:SecureTransport": "true"}}"#, true),
        (r#"{"Bool": {"aws:SecureTransport": false}}"#, false),
        (r#"{"BinaryEquals": {"test:Bytes": "QmluYXJ5"}}"#, true),
        (r#"{"BinaryEquals": {"test:Bytes": "QmluYXJ6"}}"#, false),
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#, true),
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.16"}}"#, false),
        (r#"{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}"#, true),
        (r#"{"IpAddress": {"test:V6": "2001:db8:1234::/48"}}"#, true),
        (r#"{"IpAddress": {"test:V6": "203.0.113.0/24"}}"#, false),
        (
            r#"{"NotIpAddress": {"aws:SourceIp": ["198.51.100.0/24", "203.0.113.0/24"]}}"#,
            false,
        ),
        (
            r#"{"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}"#,
            true,
        ),
        (
            r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/team/*"}}"#,
            true,
        ),
        (
            r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*/Operator"}}"#,
            true,
        ),
        // A star does not reach over a colon.
        (
            r#"{"ArnLike": {"aws:PrincipalArn": "arn:aws:*:role/team/Operator"}}"#,
            false,
        ),
        (
            r#"{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/team/*"}}"#,
            false,
        ),
        (
            r#"{"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}"#,
            true,
        ),
        (r#"{"Null": {"aws:username": "false"}}"#, true),
        (r#"{"Null": {"aws:username": true}}"#, false),
        (r#"{"Null": {"aws:TokenIssueTime": "true"}}"#, true),
        // `${*}` is a star, not any characters.
        (r#"{"StringLike": {"test:Star": "a${*}b"}}"#, true),
        (r#"{"StringLike": {"aws:username": "A${*}e"}}"#, false),
        // All operators and all keys must hold.
        (
            r#"{"StringEquals": {"aws:username": "Alice"}, "Bool": {"aws:SecureTransport": "false"}}"#,
            false,
        ),
        (
            r#"{"StringLike": {"aws:username": "Alice", "test:Star": "b*"}}"#,
            false,
        ),
    ] {
        assert_eq!(condition(text, &context), expected, "{text}");
    }
}

/// IAM User Guide, "…IfExists condition operators" and "Negated matching condition operators": a missing key fulfils the
/// negated ones.
#[test]
fn a_missing_key() {
    for (text, expected) in [
        (r#"{"StringEquals": {"kms:ViaService": "x"}}"#, false),
        (r#"{"StringEqualsIfExists": {"kms:ViaService": "x"}}"#, true),
        (r#"{"StringNotEquals": {"kms:ViaService": "x"}}"#, true),
        (r#"{"StringNotLike": {"kms:ViaService": "x*"}}"#, true),
        (
            r#"{"NumericLessThan": {"kms:RotationPeriodInDays": "1"}}"#,
            false,
        ),
        (
            r#"{"NumericNotEquals": {"kms:RotationPeriodInDays": "1"}}"#,
            true,
        ),
        (r#"{"Bool": {"kms:GrantIsForAWSResource": "false"}}"#, false),
        (
            r#"{"BoolIfExists": {"kms:GrantIsForAWSResource": "true"}}"#,
            true,
        ),
        (
            r#"{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}"#,
            true,
        ),
        (
            r#"{"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::x"}}"#,
            true,
        ),
        (
            r#"{"ForAllValues:StringEquals": {"aws:TagKeys": "x"}}"#,
            true,
        ),
        (
            r#"{"ForAnyValue:StringEquals": {"aws:TagKeys": "x"}}"#,
            false,
        ),
        (
            r#"{"ForAnyValue:StringNotEquals": {"aws:TagKeys": "x"}}"#,
            false,
        ),
    ] {
        assert_eq!(condition(text, &Context::default()), expected, "{text}");
    }
}

/// IAM User Guide, "Set operators for multivalued context keys"; KMS Developer Guide, `kms:EncryptionContextKeys`.
#[test]
fn sets_of_values() {
    let context = context(&[("kms:EncryptionContextKeys", &["AppName", "FilePath"])]);
    for (text, expected) in [
        (
            r#"{"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "AppName"}}"#,
            true,
        ),
        (
            r#"{"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "appname"}}"#,
            false,
        ),
        (
            r#"{"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["AppName"]}}"#,
            false,
        ),
        (
            r#"{"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["AppName", "FilePath", "X"]}}"#,
            true,
        ),
        (
            r#"{"ForAllValues:StringLike": {"kms:EncryptionContextKeys": ["*p*", "*P*"]}}"#,
            true,
        ),
        (
            r#"{"ForAnyValue:StringNotEquals": {"kms:EncryptionContextKeys": "AppName"}}"#,
            true,
        ),
        (
            r#"{"ForAllValues:StringNotEquals": {"kms:EncryptionContextKeys": "AppName"}}"#,
            false,
        ),
    ] {
        assert_eq!(condition(text, &context), expected, "{text}");
    }
}

/// IAM User Guide, "IAM policy elements: Variables and tags".
#[test]
fn variables() {
    let context = context(&[
        ("aws:username", &["Ali*e"]),
        ("kms:EncryptionContext:Owner", &["Ali*e"]),
        ("aws:ResourceTag/team", &["team-red"]),
        ("aws:PrincipalTag/colour", &["red"]),
    ]);
    for (text, expected) in [
        (
            r#"{"StringEquals": {"kms:EncryptionContext:Owner": "${aws:username}"}}"#,
            true,
        ),
        // The names of condition keys have no case, and neither has that of a pair.
        (
            r#"{"StringEquals": {"kms:EncryptionContext:OWNER": "${AWS:USERNAME}"}}"#,
            true,
        ),
        (
            r#"{"StringLike": {"aws:ResourceTag/team": "team-${aws:PrincipalTag/colour}"}}"#,
            true,
        ),
        (
            r#"{"StringLike": {"aws:ResourceTag/team": "${aws:PrincipalTag/shape, 'team-*'}"}}"#,
            false,
        ),
        (
            r#"{"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/shape, 'team-red'}"}}"#,
            true,
        ),
        (
            r#"{"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/shape}"}}"#,
            false,
        ),
    ] {
        assert_eq!(condition(text, &context), expected, "{text}");
    }
    // Version 2008-10-17 has no variables.
    let old = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"StringEquals": {"kms:EncryptionContext:Owner": "${aws:username}"}}}}"#;
    let user = "arn:aws:iam::111122223333:user/Alice";
    let verdict = ask(old, Kind::Identity, user, "kms:Encrypt", &context);
    assert_eq!(verdict, Verdict::Silent);
}

/// A pattern with many stars and a text that almost fits end quickly.
#[test]
fn many_stars_take_no_time() {
    let pattern = format!("{}b", "*a".repeat(200));
    let text = "a".repeat(5_000);
    let condition_text = format!(r#"{{"StringLike": {{"test:x": "{pattern}"}}}}"#);
    let context = context(&[("test:x", &[&text])]);
    assert!(!condition(&condition_text, &context));
}
