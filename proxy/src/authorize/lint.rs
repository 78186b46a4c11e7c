//! What in a policy can never have the effect that its author had in mind. It decides nothing, and is not needed to serve.

use serde::Serialize;
use xks_api::route::OperationName;

use super::rules::Condition;
use super::{Attribute, Effect, Policy, Rule, RuleSet, rego_lint};
use crate::glob::Glob;
use crate::key_store::KeySelection;

/// Something that is hardly meant so.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Lint {
    /// The rule or the file that it is about.
    pub subject: String,
    /// What is the matter, and what to do.
    pub text: String,
}

impl Lint {
    pub(super) fn new(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            text: text.into(),
        }
    }
}

/// Looks at the policy of a store that has these keys.
pub fn lint(policy: &Policy, keys: &KeySelection) -> Vec<Lint> {
    let mut found = Vec::new();
    if let Some(rules) = policy.rules() {
        found.extend(no_rule_allows(rules));
        for rule in rules.iter() {
            let subject = format!("rule {:?}", rule.id());
            let texts = of_rule(rule, rules, keys);
            found.extend(texts.into_iter().map(|text| Lint::new(&*subject, text)));
        }
    }
    if let Some(rego) = policy.rego() {
        found.extend(rego_lint::lint(rego));
    }
    found
}

fn no_rule_allows(rules: &RuleSet) -> Option<Lint> {
    if rules.iter().any(|rule| rule.effect() == Effect::Allow) {
        return None;
    }
    let text = "none of them allows anything, so that everything is denied: what no rule allows is denied, and a rule \
                with effect = \"allow\" and nothing else allows what the others do not deny";
    Some(Lint::new("rules", text))
}

fn of_rule(rule: &Rule, rules: &RuleSet, keys: &KeySelection) -> Vec<String> {
    let mut texts = Vec::new();
    for attribute in Attribute::ALL {
        let Some(condition) = rule.condition(attribute) else {
            continue;
        };
        let (possible, what) = possible(attribute, rule, keys);
        for glob in &condition.globs {
            if !possible.iter().any(|p| meet(glob, p)) {
                let (field, pattern) = (attribute.field(), glob.as_str());
                texts.push(format!("{field}: {pattern:?} can never match: {what}"));
            }
        }
    }
    // Told once, and of the rule that came first.
    let earlier = |other: &Rule| {
        let mut ids = rules.iter().map(Rule::id);
        ids.find(|id| *id == rule.id() || *id == other.id()) == Some(other.id())
    };
    let wider = rules.iter().find(|other| {
        other.id() != rule.id()
            && (other.effect() == Effect::Deny || rule.effect() == Effect::Allow)
            && covers(other, rule)
            && (other.effect() != rule.effect() || earlier(other) || !covers(rule, other))
    });
    if let Some(other) = wider {
        let (id, effect) = (other.id(), other.effect().word());
        texts.push(match (other.effect(), rule.effect()) {
            (Effect::Deny, Effect::Allow) => format!(
                "it never allows anything: rule {id:?} denies everything that it matches, and a deny wins"
            ),
            _ => format!(
                "it never decides: rule {id:?} is of the same effect ({effect}) and matches everything that it matches"
            ),
        });
    }
    texts
}

/// Whether `wide` matches every access that `narrow` does, as far as patterns show it.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    Attribute::ALL.into_iter().all(|attribute| {
        match (wide.condition(attribute), narrow.condition(attribute)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => covers_patterns(wide, narrow),
        }
    })
}

fn covers_patterns(wide: &Condition, narrow: &Condition) -> bool {
    // The empty pattern stands for no value, which only another one covers.
    let empty = |glob: &Glob| glob.as_str().is_empty();
    narrow.globs.iter().all(|n| {
        let mut wide = wide.globs.iter();
        wide.any(|w| empty(w) == empty(n) && w.covers(n))
    })
}

/// Patterns of every value that an attribute can have in an access that a rule is about, and what they are.
fn possible(attribute: Attribute, rule: &Rule, keys: &KeySelection) -> (Vec<Glob>, String) {
    let globs = |patterns: &[&str]| patterns.iter().map(|p| Glob::from(*p)).collect();
    match attribute {
        Attribute::Key => (
            keys.globs().collect(),
            "the external key store has no such key (its field keys)".to_owned(),
        ),
        Attribute::Principal => (
            globs(&["arn:*:*:*:*:*", "*.amazonaws.com*", "AWS Internal"]),
            "a principal is an ARN, such as arn:aws:iam::111122223333:role/app, a service, such as \
             ec2.amazonaws.com, or \"AWS Internal\""
                .to_owned(),
        ),
        Attribute::KmsKey => (
            globs(&["arn:*:kms:*:*:*", ""]),
            "the ARN of a KMS key is arn:aws:kms:REGION:ACCOUNT:key/ID".to_owned(),
        ),
        Attribute::Operation => {
            let names = OPERATIONS.map(|(name, _)| name.as_str());
            (globs(&names), format!("the operations are {}", names.join(", ")))
        }
        Attribute::KmsOperation => {
            let asked = |name: OperationName| match rule.condition(Attribute::Operation) {
                None => true,
                Some(condition) => condition.globs.iter().any(|g| g.matches(name.as_str())),
            };
            let names: Vec<_> = OPERATIONS
                .into_iter()
                .filter(|(name, _)| asked(*name))
                .flat_map(|(_, names)| names)
                .copied()
                .collect();
            let what = format!("those that lead to the rule's operations are {}", names.join(", "));
            (globs(&names), what)
        }
        Attribute::ViaService => (globs(&["*"]), String::new()),
        Attribute::Vpc => (
            globs(&["vpc-*", ""]),
            "the id of a VPC begins with \"vpc-\"".to_owned(),
        ),
        Attribute::VpcEndpoint => (
            globs(&["vpce-*", ""]),
            "the id of a VPC endpoint begins with \"vpce-\"".to_owned(),
        ),
    }
}

/// As [`Glob::meets`], but no value is the empty pattern's alone.
fn meet(glob: &Glob, possible: &Glob) -> bool {
    match glob.as_str().is_empty() {
        true => possible.as_str().is_empty() || possible.as_str() == "*",
        false => glob.meets(possible),
    }
}

/// What can be asked of a key, and the operations of KMS that the specification names for it.
const OPERATIONS: [(OperationName, &[&str]); 3] = [
    (
        OperationName::Encrypt,
        &[
            "Encrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "ReEncrypt",
        ],
    ),
    (OperationName::Decrypt, &["Decrypt", "ReEncrypt"]),
    (OperationName::GetKeyMetadata, &["CreateKey", "DescribeKey"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rules: Vec<Rule>, keys: &[&str]) -> Vec<(String, String)> {
        let mut selection = KeySelection::default();
        keys.iter().for_each(|key| selection.add(key).unwrap());
        let policy = Policy::new(Some(RuleSet::new(rules)), None).unwrap();
        let found = lint(&policy, &selection);
        found.into_iter().map(|l| (l.subject, l.text)).collect()
    }

    fn allow(id: &str, conditions: &[(Attribute, &[&str])]) -> Rule {
        rule(id, Effect::Allow, conditions)
    }

    fn rule(id: &str, effect: Effect, conditions: &[(Attribute, &[&str])]) -> Rule {
        let conditions = conditions.iter().map(|(attribute, patterns)| {
            (
                *attribute,
                patterns.iter().map(|p| (*p).to_owned()).collect(),
            )
        });
        Rule::new(id, effect, conditions)
    }

    #[test]
    fn a_rule_that_can_never_match_is_found() {
        use Attribute::*;
        for (condition, expected) in [
            ((Key, &["payroll-*"][..]), ""),
            ((Key, &["pay*", "invoices"]), "keys: \"invoices\""),
            (
                (
                    Principal,
                    &["arn:aws:iam::111122223333:role/app", "*", "ec2.*"],
                ),
                "",
            ),
            ((Principal, &["role/app"]), "principals: \"role/app\""),
            ((KmsOperation, &["GenerateDataKey*", "ReEncrypt"]), ""),
            ((KmsOperation, &["Sign"]), "kms_operations: \"Sign\""),
            ((Vpc, &["vpc-1", "", "*"]), ""),
            ((Vpc, &["vpce-1"]), "vpcs: \"vpce-1\""),
            ((VpcEndpoint, &["vpc-1"]), "vpc_endpoints: \"vpc-1\""),
            ((ViaService, &["ebs", ""]), ""),
            ((KmsKey, &["arn:aws:kms:us-east-1:*"]), ""),
            ((KmsKey, &["alias/x"]), "kms_keys: \"alias/x\""),
        ] {
            let found = found(vec![allow("x", &[condition])], &["payroll-*"]);
            match expected {
                "" => assert_eq!(found, []),
                expected => {
                    let [(_, text)] = &*found else {
                        panic!("{found:?}")
                    };
                    assert!(text.starts_with(expected), "{text}");
                }
            }
        }
        // Each field is possible; the two together are not.
        let both = [
            (Operation, &["Decrypt"][..]),
            (KmsOperation, &["GenerateDataKey"]),
        ];
        assert_eq!(found(vec![allow("x", &both)], &["*"]).len(), 1);
    }

    #[test]
    fn a_rule_that_never_decides_is_found() {
        use Attribute::*;
        let role = "arn:aws:iam::111122223333:role/app";
        let narrow = || allow("narrow", &[(Principal, &[role]), (Key, &["a"])]);
        let wide = || allow("wide", &[(Principal, &["arn:aws:iam::111122223333:*"])]);
        let deny = |conditions| rule("deny", Effect::Deny, conditions);
        for (rules, expected) in [
            (vec![narrow()], &[][..]),
            (vec![narrow(), wide()], &["rule \"narrow\""]),
            (
                vec![
                    narrow(),
                    allow("twin", &[(Principal, &[role]), (Key, &["a"])]),
                ],
                &["rule \"twin\""],
            ),
            (vec![narrow(), deny(&[(Key, &["*"])])], &["rule \"narrow\""]),
            (
                vec![narrow(), deny(&[(Key, &["a"]), (ViaService, &["ebs"])])],
                &[],
            ),
            // The deny still matters where the wide rule allows.
            (vec![wide(), deny(&[(Key, &["a"])])], &[]),
            (vec![deny(&[(Key, &["a"])])], &["rules"]),
            (
                vec![
                    wide(),
                    deny(&[(Vpc, &["*"])]),
                    allow("outside", &[(Vpc, &[""])]),
                ],
                &[],
            ),
        ] {
            let described = format!("{rules:?}");
            let subjects: Vec<_> = found(rules, &["*"]).into_iter().map(|(s, _)| s).collect();
            assert_eq!(subjects, expected, "{described}");
        }
    }
}
