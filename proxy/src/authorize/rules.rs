//! Rules: who may, and who must not. An explicit deny wins, and what no rule allows is denied.

use std::fmt;

use super::{Access, Denial};
use crate::glob::Glob;

/// The rules of one external key store.
#[derive(Debug)]
pub struct RuleSet(Box<[Rule]>);

/// What a rule does with the accesses that it matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// They are allowed, unless another rule denies them.
    Allow,
    /// They are denied.
    Deny,
}

impl Effect {
    /// As it is configured.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What of an access a rule can be about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attribute {
    /// `awsPrincipalArn`
    Principal,
    /// The external key id.
    Key,
    /// `kmsKeyArn`
    KmsKey,
    /// The operation of the proxy.
    Operation,
    /// `kmsOperation`
    KmsOperation,
    /// `kmsViaService`
    ViaService,
    /// `awsSourceVpc`
    Vpc,
    /// `awsSourceVpce`
    VpcEndpoint,
}

impl Attribute {
    /// Every attribute.
    pub const ALL: [Self; 8] = [
        Self::Principal,
        Self::Key,
        Self::KmsKey,
        Self::Operation,
        Self::KmsOperation,
        Self::ViaService,
        Self::Vpc,
        Self::VpcEndpoint,
    ];

    /// The field of a rule that lists patterns of it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Principal => "principals",
            Self::Key => "keys",
            Self::KmsKey => "kms_keys",
            Self::Operation => "operations",
            Self::KmsOperation => "kms_operations",
            Self::ViaService => "via_services",
            Self::Vpc => "vpcs",
            Self::VpcEndpoint => "vpc_endpoints",
        }
    }

    /// Its value, empty where there is none.
    fn of<'a>(self, access: &Access<'a>) -> &'a str {
        let metadata = access.metadata;
        let text = match self {
            Self::Principal => return &metadata.aws_principal_arn,
            Self::Key => return access.external_key_id,
            Self::Operation => return access.operation.as_str(),
            Self::KmsOperation => return &metadata.kms_operation,
            Self::KmsKey => &metadata.kms_key_arn,
            Self::ViaService => &metadata.kms_via_service,
            Self::Vpc => &metadata.aws_source_vpc,
            Self::VpcEndpoint => &metadata.aws_source_vpce,
        };
        text.as_deref().unwrap_or_default()
    }
}

/// One rule. It matches an access that satisfies every condition.
#[derive(Debug)]
pub struct Rule {
    id: Box<str>,
    effect: Effect,
    conditions: Box<[Condition]>,
}

/// One of the patterns has to match.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) attribute: Attribute,
    pub(super) globs: Box<[Glob]>,
}

impl Condition {
    /// An absent value is matched by an empty pattern alone, and by none that holds a `*`.
    fn matches(&self, access: &Access<'_>) -> bool {
        let value = self.attribute.of(access);
        self.globs
            .iter()
            .any(|glob| (value.is_empty() == glob.as_str().is_empty()) && glob.matches(value))
    }

    fn text(&self) -> String {
        let globs: Vec<_> = self.globs.iter().map(|g| g.as_str()).collect();
        format!("{} = {globs:?}", self.attribute.field())
    }
}

impl Rule {
    /// A rule from its id, and a list of patterns for each attribute that it is about.
    pub fn new(
        id: &str,
        effect: Effect,
        conditions: impl IntoIterator<Item = (Attribute, Vec<String>)>,
    ) -> Self {
        let conditions = conditions.into_iter().map(|(attribute, patterns)| {
            let globs = patterns.iter().map(|pattern| Glob::from(&**pattern));
            Condition {
                attribute,
                globs: globs.collect(),
            }
        });
        Self {
            id: id.into(),
            effect,
            conditions: conditions.collect(),
        }
    }

    /// What it is called in the log.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it does.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The patterns for an attribute; `None` if the rule is not about it.
    pub(super) fn condition(&self, attribute: Attribute) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.attribute == attribute)
    }

    fn matches(&self, access: &Access<'_>) -> bool {
        self.conditions.iter().all(|c| c.matches(access))
    }

    /// Whether it matches, and if not, for want of what.
    fn explain(&self, access: &Access<'_>) -> String {
        let (id, effect) = (&self.id, self.effect.word());
        match self.conditions.iter().find(|c| !c.matches(access)) {
            None => format!("rule {id:?} ({effect}) matches"),
            Some(condition) => {
                let found = match condition.attribute.of(access) {
                    "" => "there is none".to_owned(),
                    value => format!("it is {value:?}"),
                };
                let wanted = condition.text();
                format!("rule {id:?} ({effect}) does not match: {wanted}, and {found}")
            }
        }
    }
}

impl RuleSet {
    /// Rules in their order, which plays no part in what they decide.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self(rules.into_iter().collect())
    }

    /// Every rule.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    pub(super) fn decide(&self, access: &Access<'_>) -> Result<(), Denial> {
        let mut allowed = false;
        for rule in &self.0 {
            // A rule that allows is of no interest as soon as one is known.
            if (allowed && rule.effect == Effect::Allow) || !rule.matches(access) {
                continue;
            }
            match rule.effect {
                Effect::Allow => allowed = true,
                Effect::Deny => return Err(denied(rule)),
            }
        }
        if allowed { Ok(()) } else { Err(no_rule()) }
    }

    /// What each rule has to say about an access.
    pub fn explain(&self, access: &Access<'_>) -> Vec<String> {
        self.0.iter().map(|rule| rule.explain(access)).collect()
    }

    /// The rule that decides: the first that denies, else the first that allows.
    pub fn deciding(&self, access: &Access<'_>) -> Option<&Rule> {
        let first = |effect| {
            let mut rules = self.0.iter();
            rules.find(move |r| r.effect == effect && r.matches(access))
        };
        first(Effect::Deny).or_else(|| first(Effect::Allow))
    }
}

impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denies = self.0.iter().filter(|r| r.effect == Effect::Deny).count();
        let allows = self.0.len() - denies;
        let allow = if allows == 1 {
            "rule allows"
        } else {
            "rules allow"
        };
        let deny = if denies == 1 { "denies" } else { "deny" };
        write!(f, "{allows} {allow} and {denies} {deny}")
    }
}

#[cold]
fn denied(rule: &Rule) -> Denial {
    Denial {
        by: rule.id.to_string(),
        why: format!("rule {:?} denies it", rule.id),
    }
}

#[cold]
fn no_rule() -> Denial {
    Denial {
        by: DEFAULT_DENY.to_owned(),
        why: "no rule allows it".to_owned(),
    }
}

/// What is responsible where no rule matches; no rule can have this id.
pub(super) const DEFAULT_DENY: &str = "(no rule)";

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use xks_api::metadata::RequestMetadata;
    use xks_api::route::OperationName;

    use super::*;

    fn metadata(json: serde_json::Value) -> String {
        let mut all = serde_json::json!({
            "awsPrincipalArn": "arn:aws:iam::111122223333:role/payroll-app",
            "kmsOperation": "GenerateDataKey",
            "kmsRequestId": "r",
            "kmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1",
        });
        for (name, value) in json.as_object().unwrap() {
            all[name] = value.clone();
        }
        all.to_string()
    }

    /// Who is responsible for a denial.
    fn decided(rules: &RuleSet, key: &str, more: serde_json::Value) -> Result<(), String> {
        let text = metadata(more);
        let metadata: RequestMetadata<'_> = serde_json::from_str(&text).unwrap();
        let access = Access {
            uri_path_prefix: "/a",
            external_key_id: key,
            operation: OperationName::Encrypt,
            metadata: &metadata,
            now: SystemTime::UNIX_EPOCH,
        };
        let decision = rules.decide(&access).map_err(|denial| denial.by);
        // The slower way to the same end that explanations take.
        match (rules.deciding(&access), &decision) {
            (Some(rule), Ok(())) => assert_eq!(rule.effect(), Effect::Allow),
            (Some(rule), Err(by)) => assert_eq!(rule.id(), by),
            (None, decision) => assert_eq!(decision, &Err(DEFAULT_DENY.to_owned())),
        }
        decision
    }

    fn rule(id: &str, effect: Effect, conditions: &[(Attribute, &[&str])]) -> Rule {
        let conditions = conditions.iter().map(|(attribute, patterns)| {
            let patterns = patterns.iter().map(|p| (*p).to_owned()).collect();
            (*attribute, patterns)
        });
        Rule::new(id, effect, conditions)
    }

    #[test]
    fn an_explicit_deny_wins_and_what_is_not_allowed_is_denied() {
        use Attribute::{Key, Principal, ViaService, Vpc};
        use Effect::{Allow, Deny};
        let none = || serde_json::json!({});
        let rules = RuleSet::new([
            rule(
                "app",
                Allow,
                &[(Principal, &["arn:*:role/payroll-*"]), (Key, &["pay*"])],
            ),
            rule("not-ebs", Deny, &[(ViaService, &["ec2.*", "ebs"])]),
            rule("inside", Allow, &[(Vpc, &["*"])]),
            rule(
                "outside-s3",
                Allow,
                &[(Vpc, &[""]), (ViaService, &["s3.*"])],
            ),
        ]);
        let other = "arn:aws:iam::111122223333:role/other";
        for (key, more, expected) in [
            ("payroll", none(), Ok(())),
            ("other", none(), Err(DEFAULT_DENY)),
            (
                "payroll",
                serde_json::json!({"awsPrincipalArn": other}),
                Err(DEFAULT_DENY),
            ),
            (
                "payroll",
                serde_json::json!({"kmsViaService": "ebs"}),
                Err("not-ebs"),
            ),
            (
                "payroll",
                serde_json::json!({"kmsViaService": "ec2.us-east-1.amazonaws.com"}),
                Err("not-ebs"),
            ),
            // A star stands for any VPC, not for none.
            (
                "other",
                serde_json::json!({"awsSourceVpc": "vpc-1"}),
                Ok(()),
            ),
            (
                "other",
                serde_json::json!({"awsSourceVpc": "vpc-1", "kmsViaService": "ebs"}),
                Err("not-ebs"),
            ),
            // And the empty pattern stands for none.
            (
                "other",
                serde_json::json!({"kmsViaService": "s3.us-east-1.amazonaws.com"}),
                Ok(()),
            ),
        ] {
            let found = decided(&rules, key, more.clone());
            assert_eq!(found, expected.map_err(str::to_owned), "{key} {more}");
        }
    }

    #[test]
    fn rules_that_deny_alone_deny_everything() {
        let rules = RuleSet::new([rule("x", Effect::Deny, &[(Attribute::Key, &["a"])])]);
        let none = serde_json::json!({});
        assert_eq!(decided(&rules, "a", none.clone()), Err("x".into()));
        assert_eq!(decided(&rules, "b", none), Err(DEFAULT_DENY.into()));
        assert!(RuleSet::new([]).iter().next().is_none());
    }
}
