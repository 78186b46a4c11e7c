//! What a policy in Rego makes of requests; whatever is not `true` is a denial.

use std::time::{Duration, SystemTime};

use xks_api::metadata::RequestMetadata;
use xks_api::route::OperationName;

use super::{Access, Outcome, Rego, RegoError};

const METADATA: &str = r#"{"awsPrincipalArn": "arn:aws:iam::111122223333:role/app", "kmsOperation": "Decrypt",
    "kmsRequestId": "r", "awsSourceVpc": "vpc-1"}"#;

fn prepare(text: &str, data: Option<&str>) -> Result<Rego, RegoError> {
    let modules = vec![("x.rego".to_owned(), text.to_owned())];
    Rego::prepare(modules, data, "data.xks.allow", Duration::from_millis(500))
}

fn evaluate(rego: &Rego, key: &str) -> (Outcome, Vec<String>) {
    let metadata: RequestMetadata<'_> = serde_json::from_str(METADATA).unwrap();
    rego.evaluate(&Access {
        uri_path_prefix: "/a",
        external_key_id: key,
        operation: OperationName::Decrypt,
        metadata: &metadata,
        // A Thursday.
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(13 * 3_600),
    })
}

#[test]
fn true_allows_and_everything_else_does_not() {
    for (body, expected) in [
        ("allow := true", Outcome::Allowed),
        (
            "allow if input.requestMetadata.awsSourceVpc == \"vpc-1\"",
            Outcome::Allowed,
        ),
        (
            "allow if glob.match(\"arn:aws:iam::*:role/*\", [\":\", \"/\"], input.requestMetadata.awsPrincipalArn)",
            Outcome::Allowed,
        ),
        (
            "allow if regex.match(`^k[0-9]$`, input.externalKeyId)",
            Outcome::Allowed,
        ),
        (
            "allow if { input.time.weekday == \"Thursday\"; input.time.hour == 13 }",
            Outcome::Allowed,
        ),
        (
            "default allow := false\nallow if input.operation == \"Encrypt\"",
            Outcome::Refused,
        ),
        (
            "allow if input.operation == \"Encrypt\"",
            Outcome::Undefined,
        ),
        (
            "allow if input.requestMetadata.kmsViaService == \"ebs\"",
            Outcome::Undefined,
        ),
        ("allow := \"yes\"", Outcome::NoBoolean("\"yes\"".into())),
        (
            "allow contains \"yes\"",
            Outcome::NoBoolean("[\"yes\"]".into()),
        ),
        ("allow := 1", Outcome::NoBoolean("1".into())),
    ] {
        let rego = prepare(&format!("package xks\n{body}"), None).unwrap();
        // The second time with an engine that was used before.
        for _ in 0..2 {
            assert_eq!(evaluate(&rego, "k1").0, expected, "{body}");
        }
    }
}

#[test]
fn a_failing_function_is_no_undefined_value_that_not_turns_around() {
    for body in [
        "allow if not to_number(input.externalKeyId)",
        "allow if not regex.match(input.externalKeyId, \"x\")",
    ] {
        let rego = prepare(&format!("package xks\n{body}"), None).unwrap();
        let (outcome, _) = evaluate(&rego, "(");
        assert!(matches!(outcome, Outcome::Failed(_)), "{body}: {outcome:?}");
    }
    let twice = "allow := true if input.operation == \"Decrypt\"\nallow := false if input.operation == \"Decrypt\"";
    let rego = prepare(&format!("package xks\n{twice}"), None).unwrap();
    assert!(matches!(evaluate(&rego, "k").0, Outcome::Failed(_)));
}

#[test]
fn time_is_limited_and_the_next_request_is_none_the_worse() {
    let text = "package xks\n\
                slow if { some a in numbers.range(1, 1000); some b in numbers.range(1, 1000); some c in numbers.range(1, 1000); a * b * c == -1 }\n\
                allow if input.externalKeyId == \"fast\"\nallow if { input.externalKeyId == \"slow\"; not slow }";
    let modules = vec![("x.rego".to_owned(), text.to_owned())];
    let limit = Duration::from_millis(20);
    let rego = Rego::prepare(modules, None, "data.xks.allow", limit).unwrap();
    for _ in 0..2 {
        let start = std::time::Instant::now();
        assert_eq!(evaluate(&rego, "slow").0, Outcome::TimedOut);
        // A billion steps take minutes.
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    let rego = prepare(text, None).unwrap();
    assert_eq!(evaluate(&rego, "fast").0, Outcome::Allowed);
}

#[test]
fn reasons_and_data() {
    let text = "package xks\nallow if count(reasons) == 0\n\
                reasons contains sprintf(\"%s is not for %s\", [input.externalKeyId, data.team]) if not input.externalKeyId in data.keys\n\
                reasons contains \"not from here\" if input.requestMetadata.awsSourceVpc != data.vpc\n";
    let data = r#"{"team": "payroll", "keys": ["a"], "vpc": "vpc-1"}"#;
    let rego = prepare(text, Some(data)).unwrap();
    assert_eq!(evaluate(&rego, "a"), (Outcome::Allowed, Vec::new()));
    let (outcome, reasons) = evaluate(&rego, "b");
    assert_eq!(outcome, Outcome::Undefined);
    assert_eq!(reasons, ["b is not for payroll"]);
    let metadata: RequestMetadata<'_> = serde_json::from_str(METADATA).unwrap();
    let denial = rego.decide(&Access {
        uri_path_prefix: "/a",
        external_key_id: "b",
        operation: OperationName::Decrypt,
        metadata: &metadata,
        now: SystemTime::UNIX_EPOCH,
    });
    let denial = denial.unwrap_err();
    assert_eq!(denial.by, "b is not for payroll");
    assert_eq!(denial.why, "data.xks.allow is undefined");
}

#[test]
fn what_cannot_work_is_told_when_it_is_prepared() {
    for (text, data, line, expected) in [
        ("package xks\nallow if {", None, Some(2), ""),
        ("package xks\n\nallow if input.", None, Some(3), ""),
        (
            "package xks\nallow := f(1)",
            None,
            Some(2),
            "there is no function f",
        ),
        (
            "package other\nallow := true",
            None,
            None,
            "the policy has no rule data.xks.allow",
        ),
        ("package xks\nallow := true", Some("[1]"), None, "the data"),
        ("package xks\nallow := true", Some("{"), None, "the data"),
        (
            "package xks\na := allow\nallow := a",
            None,
            Some(3),
            "recursion",
        ),
    ] {
        let prepared = prepare(text, data);
        let Err(error) = prepared else {
            panic!("{text}: {:?}", evaluate(&prepared.unwrap(), "k"));
        };
        assert_eq!(error.line, line, "{text}: {error:?}");
        assert!(error.text.contains(expected), "{text}: {error:?}");
        assert!(!error.text.contains('\n'), "{error:?}");
    }
}

#[test]
fn many_requests_at_once_are_decided_each_for_itself() {
    let rego = prepare(
        "package xks\nallow if endswith(input.externalKeyId, \"0\")",
        None,
    )
    .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let rego = &rego;
            scope.spawn(move || {
                for round in 0..200 {
                    let expected = match round % 10 {
                        0 => Outcome::Allowed,
                        _ => Outcome::Undefined,
                    };
                    assert_eq!(evaluate(rego, &format!("{thread}-{round}")).0, expected);
                }
            });
        }
    });
}
