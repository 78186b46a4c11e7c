//! The language, rule by rule; each table names the page of AWS's documentation that has the rule.

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

/// A pattern with many stars and a text that almost fits end quickly.
#[test]
fn many_stars_take_no_time() {
    let pattern = format!("{}b", "*a".repeat(200));
    let text = "a".repeat(5_000);
    let condition_text = format!(r#"{{"StringLike": {{"test:x": "{pattern}"}}}}"#);
    let context = context(&[("test:x", &[&text])]);
    assert!(!condition(&condition_text, &context));
}
