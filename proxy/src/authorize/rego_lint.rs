//! What in a Rego policy is hardly meant so, as far as its text shows it: fields of the input that no request has, and
//! a default that lets everything pass.

use super::Rego;
use super::lint::Lint;
use super::rego_text::{Token, tokens};

/// Looks at each module.
pub(super) fn lint(rego: &Rego) -> Vec<Lint> {
    let mut found = Vec::new();
    for (file, text) in rego.modules() {
        let tokens = tokens(text);
        for (line, path) in paths_of_input(&tokens) {
            if let Some(unknown) = unknown_field(&path) {
                let text = format!(
                    "line {line}: no request has {unknown}, so that it is always undefined"
                );
                found.push(Lint::new(&**file, text));
            }
        }
        let rule = rego.entry().rsplit('.').next().unwrap_or_default();
        for line in defaults_to_true(&tokens, rule) {
            let text = format!(
                "line {line}: the default of {rule} is true, so that whatever the policy does not mention is allowed"
            );
            found.push(Lint::new(&**file, text));
        }
    }
    found
}

/// The names after each `input`, as far as they are constant.
fn paths_of_input<'t>(tokens: &[Token<'t>]) -> Vec<(usize, Vec<&'t str>)> {
    let mut paths = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let after_dot = at
            .checked_sub(1)
            .and_then(|at| tokens.get(at))
            .is_some_and(|t| t.text == ".");
        if token.text != "input" || after_dot {
            continue;
        }
        let mut path = Vec::new();
        let mut rest = tokens.get(at + 1..).unwrap_or_default();
        loop {
            match rest {
                [dot, name, after @ ..] if dot.text == "." => {
                    path.push(name.text);
                    rest = after;
                }
                [open, name, close, after @ ..]
                    if open.text == "[" && close.text == "]" && name.text.starts_with('"') =>
                {
                    path.push(name.text.trim_matches('"'));
                    rest = after;
                }
                _ => break,
            }
        }
        paths.push((token.line, path));
    }
    paths
}

/// The path up to the first name that no input has.
fn unknown_field(path: &[&str]) -> Option<String> {
    let known = match path {
        [] => 0,
        [first, rest @ ..] => match (INPUT.iter().find(|(name, _)| name == first), rest) {
            (None, _) => 0,
            (Some(_), []) => 1,
            (Some((_, below)), [second, ..]) if below.contains(second) => 2,
            (Some(_), _) => 1,
        },
    };
    let unknown = path.get(..=known).filter(|_| known < path.len())?;
    Some(format!("input.{}", unknown.join(".")))
}

/// `default allow := true`
fn defaults_to_true(tokens: &[Token<'_>], rule: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for at in 0..tokens.len() {
        let rest = tokens.get(at..).unwrap_or_default();
        if let [default, name, after @ ..] = rest
            && default.text == "default"
            && name.text == rule
            && let Some(value) = after.iter().find(|t| t.text != ":" && t.text != "=")
            && value.text == "true"
        {
            lines.push(default.line);
        }
    }
    lines
}

/// The fields of the input, and those below them.
const INPUT: [(&str, &[&str]); 5] = [
    ("uriPathPrefix", &[]),
    ("externalKeyId", &[]),
    ("operation", &[]),
    (
        "requestMetadata",
        &[
            "awsPrincipalArn",
            "awsSourceVpc",
            "awsSourceVpce",
            "kmsKeyArn",
            "kmsOperation",
            "kmsRequestId",
            "kmsViaService",
        ],
    ),
    (
        "time",
        &["unixSeconds", "rfc3339", "weekday", "hour", "minute"],
    ),
];

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use xks_api::metadata::RequestMetadata;
    use xks_api::route::OperationName;

    use super::super::{Access, rego};
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let modules = vec![("x.rego".to_owned(), text.to_owned())];
        let rego = Rego::prepare(modules, None, "data.xks.allow", Duration::from_secs(1)).unwrap();
        lint(&rego).into_iter().map(|l| l.text).collect()
    }

    #[test]
    fn unknown_fields_of_the_input_are_found_with_their_lines() {
        let texts = found(
            "package xks\n# input.comment\nallow if {\n  input.requestMetadata.awsPrincipalARN == \"input.x\"\n\
             \x20 input[\"requestMetadata\"][\"kmsOperation\"] == `input.raw`\n  not input.user\n\
             \x20 input.operation.name\n  data.input.x\n}\n",
        );
        let fields: Vec<_> = texts.iter().map(|t| t.split(',').next().unwrap()).collect();
        assert_eq!(
            fields,
            [
                "line 4: no request has input.requestMetadata.awsPrincipalARN",
                "line 6: no request has input.user",
                "line 7: no request has input.operation.name",
            ]
        );
    }

    #[test]
    fn a_default_that_lets_everything_pass_is_found() {
        assert_eq!(
            found("package xks\ndefault allow := false\nallow if input.operation == \"Encrypt\"")
                .len(),
            0
        );
        let texts = found(
            "package xks\ndefault deny := true\n\ndefault  allow = true\nallow := false if input.time.hour < 8",
        );
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(
            texts[0].starts_with("line 4: the default of allow is true"),
            "{texts:?}"
        );
    }

    /// The list above is what an evaluation gets.
    #[test]
    fn the_known_fields_are_those_of_the_input() {
        let metadata: RequestMetadata<'_> = serde_json::from_str(
            r#"{"awsPrincipalArn": "a", "awsSourceVpc": "b", "awsSourceVpce": "c", "kmsKeyArn": "d",
                "kmsOperation": "e", "kmsRequestId": "f", "kmsViaService": "g"}"#,
        )
        .unwrap();
        let input = rego::input(&Access {
            uri_path_prefix: "/a",
            external_key_id: "k",
            operation: OperationName::Encrypt,
            metadata: &metadata,
            now: SystemTime::UNIX_EPOCH,
        });
        let input: serde_json::Value = serde_json::from_str(&input).unwrap();
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names
        };
        let names = |value: &serde_json::Value| {
            let object = value.as_object();
            sorted(
                object
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone())
                    .collect(),
            )
        };
        let known = |list: Vec<&str>| sorted(list.into_iter().map(str::to_owned).collect());
        assert_eq!(
            names(&input),
            known(INPUT.iter().map(|(name, _)| *name).collect())
        );
        for (name, below) in INPUT {
            assert_eq!(names(&input[name]), known(below.to_vec()), "{name}");
        }
    }
}
