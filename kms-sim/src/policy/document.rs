//! A policy document, read from its JSON; what IAM and KMS refuse is refused here, with the place of each defect.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::pattern::Pattern;
use super::principal::{PrincipalRef, Principals};

/// What a document is attached to, which decides what its statements have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A key policy: each statement names principals. One without `Action` or `Resource` is taken, and has no effect.
    Key,
    /// An identity-based policy: no statement names principals, all have `Action` and `Resource`.
    Identity,
}

/// A policy document.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Document {
    pub(super) statements: Vec<Statement>,
}

/// `Statement`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    pub(super) principals: Option<Principals>,
    pub(super) actions: Option<Selector>,
    pub(super) resources: Option<Selector>,
    pub(super) conditions: Vec<Condition>,
}

/// `Effect`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Selector {
    These(Vec<Pattern>),
    AllBut(Vec<Pattern>),
}

impl Selector {
    pub(super) fn includes(&self, fits: impl Fn(&Pattern) -> bool) -> bool {
        match self {
            Self::These(patterns) => patterns.iter().any(fits),
            Self::AllBut(patterns) => !patterns.iter().any(fits),
        }
    }
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// The first defect, in the order of the text's elements.
    pub(crate) fn parse(text: &str, kind: Kind) -> Result<Self, MalformedPolicy> {
        let value = serde_json::from_str(text)
            .map_err(|error| MalformedPolicy(format!("The policy is not valid JSON: {error}.")))?;
        let Value::Object(mut members) = value else {
            return Err(defect("The policy", "is not a JSON object"));
        };
        let variables = match members.remove("Version") {
            None => false,
            Some(Value::String(version)) if version == "2008-10-17" => false,
            Some(Value::String(version)) if version == "2012-10-17" => true,
            Some(_) => {
                return Err(defect(
                    "Version",
                    "must be \"2012-10-17\" or \"2008-10-17\"",
                ));
            }
        };
        match members.remove("Id") {
            None | Some(Value::String(_)) => {}
            Some(_) => return Err(defect("Id", "must be a string")),
        }
        let statements = match members.remove("Statement") {
            None => return Err(MalformedPolicy("The policy has no Statement.".to_owned())),
            Some(Value::Array(statements)) => statements,
            Some(statement) => vec![statement],
        };
        unknown("The policy", &members)?;
        if statements.is_empty() {
            return Err(defect("Statement", "must have at least one statement"));
        }
        let statements = statements.into_iter().enumerate().map(|(at, value)| {
            let place = format!("Statement[{at}]");
            match value {
                Value::Object(members) => Statement::parse(&place, members, kind, variables),
                _ => Err(defect(&place, "must be a JSON object")),
            }
        });
        Ok(Self {
            statements: statements.collect::<Result<_, _>>()?,
        })
    }

    /// Every principal that a statement names.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &PrincipalRef> {
        let statements = self.statements.iter();
        let principals = statements.filter_map(|statement| statement.principals.as_ref());
        principals.flat_map(Principals::named)
    }
}

impl Statement {
    fn parse(
        place: &str,
        mut members: Map<String, Value>,
        kind: Kind,
        variables: bool,
    ) -> Result<Self, MalformedPolicy> {
        match members.remove("Sid") {
            None | Some(Value::String(_)) => {}
            Some(_) => return Err(defect(&of(place, "Sid"), "must be a string")),
        }
        let effect = match members.remove("Effect") {
            Some(Value::String(effect)) if effect == "Allow" => Effect::Allow,
            Some(Value::String(effect)) if effect == "Deny" => Effect::Deny,
            _ => {
                return Err(defect(
                    &of(place, "Effect"),
                    "must be \"Allow\" or \"Deny\"",
                ));
            }
        };
        let principals = principals(place, &mut members, kind)?;
        let actions = selector(place, &mut members, "Action", |text| {
            is_action(text).then(|| Pattern::plain(text))
        })?;
        let resources = selector(place, &mut members, "Resource", |text| {
            let is_resource = text == "*" || text.starts_with("arn:") || text.starts_with('*');
            is_resource.then(|| pattern(text, variables))
        })?;
        if kind == Kind::Identity {
            for (name, found) in [("Action", &actions), ("Resource", &resources)] {
                if found.is_none() {
                    return Err(defect(place, &format!("must have {name} or Not{name}")));
                }
            }
        }
        let conditions = match members.remove("Condition") {
            None => Vec::new(),
            Some(Value::Object(operators)) => conditions(place, operators, variables)?,
            Some(_) => return Err(defect(&of(place, "Condition"), "must be a JSON object")),
        };
        unknown(place, &members)?;
        Ok(Self {
            effect,
            principals,
            actions,
            resources,
            conditions,
        })
    }
}

/// Why a text is no policy; for `MalformedPolicyDocumentException`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MalformedPolicy(String);

fn principals(
    place: &str,
    members: &mut Map<String, Value>,
    kind: Kind,
) -> Result<Option<Principals>, MalformedPolicy> {
    type Make = fn(Vec<PrincipalRef>) -> Principals;
    let (name, value, make): (_, _, Make) =
        match (members.remove("Principal"), members.remove("NotPrincipal")) {
            (None, None) if kind == Kind::Identity => return Ok(None),
            (None, None) => return Err(defect(place, "must have Principal")),
            _ if kind == Kind::Identity => {
                return Err(defect(
                    place,
                    "has a principal, which an identity-based policy cannot have",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(defect(
                    place,
                    "has Principal and NotPrincipal; only one can be given",
                ));
            }
            (Some(value), None) => ("Principal", value, Principals::These),
            (None, Some(value)) => ("NotPrincipal", value, Principals::AllBut),
        };
    let place = of(place, name);
    let named = match value {
        Value::String(star) if star == "*" => vec![PrincipalRef::Everyone],
        Value::Object(members) => {
            let mut named = Vec::new();
            for (sort, value) in members {
                let place = of(&place, &sort);
                for text in texts(&place, value)? {
                    named.push(principal(&place, &sort, text)?);
                }
            }
            named
        }
        _ => {
            return Err(defect(
                &place,
                "must be \"*\" or an object such as {\"AWS\": \"arn:aws:iam::111122223333:root\"}",
            ));
        }
    };
    if named.is_empty() {
        return Err(defect(&place, "must name at least one principal"));
    }
    Ok(Some(make(named)))
}

fn principal(place: &str, sort: &str, text: String) -> Result<PrincipalRef, MalformedPolicy> {
    match sort {
        "AWS" => PrincipalRef::of_aws(&text).ok_or_else(|| {
            defect(
                place,
                &format!(
                    "has \"{text}\", which is no account, no ARN of a user, role or session, and not \"*\""
                ),
            )
        }),
        "Service" if text.ends_with(".amazonaws.com") || text.ends_with(".amazonaws.com.cn") => {
            Ok(PrincipalRef::Service(text))
        }
        "Service" => Err(defect(
            place,
            &format!("has \"{text}\", which is no service such as ec2.amazonaws.com"),
        )),
        "Federated" | "CanonicalUser" => Ok(PrincipalRef::Other(text)),
        _ => Err(defect(
            place,
            "is no kind of principal; AWS, Service, Federated and CanonicalUser are",
        )),
    }
}

fn selector(
    place: &str,
    members: &mut Map<String, Value>,
    name: &str,
    read: impl Fn(&str) -> Option<Pattern>,
) -> Result<Option<Selector>, MalformedPolicy> {
    type Make = fn(Vec<Pattern>) -> Selector;
    let not = format!("Not{name}");
    let (place, value, make): (_, _, Make) = match (members.remove(name), members.remove(&not)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(defect(
                place,
                &format!("has {name} and {not}; only one can be given"),
            ));
        }
        (Some(value), None) => (of(place, name), value, Selector::These),
        (None, Some(value)) => (of(place, &not), value, Selector::AllBut),
    };
    let mut patterns = Vec::new();
    for text in texts(&place, value)? {
        let expected = match name {
            "Action" => "an action such as kms:Encrypt or kms:*",
            _ => "\"*\" or an ARN",
        };
        let pattern = read(&text).ok_or_else(|| {
            defect(
                &place,
                &format!("has \"{text}\" where {expected} is expected"),
            )
        })?;
        patterns.push(pattern);
    }
    match patterns.is_empty() {
        true => Err(defect(&place, "must not be empty")),
        false => Ok(Some(make(patterns))),
    }
}

fn conditions(
    place: &str,
    operators: Map<String, Value>,
    variables: bool,
) -> Result<Vec<Condition>, MalformedPolicy> {
    let place = of(place, "Condition");
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let place = of(&place, &operator);
        let Value::Object(keys) = keys else {
            return Err(defect(&place, "must be a JSON object of condition keys"));
        };
        for (key, value) in keys {
            let place = of(&place, &key);
            let values = scalars(&place, value)?;
            let condition =
                Condition::new(&operator, &key, &values, |text| pattern(text, variables));
            conditions.push(condition.map_err(|why| defect(&place, &why.to_string()))?);
        }
    }
    Ok(conditions)
}

fn pattern(text: &str, variables: bool) -> Pattern {
    match variables {
        true => Pattern::with_variables(text),
        false => Pattern::plain(text),
    }
}

/// `*`, or `service:action` with wildcards.
fn is_action(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"*?-".contains(&b);
    let part = |part: &str| !part.is_empty() && part.bytes().all(allowed);
    match text.split_once(':') {
        None => text == "*",
        Some((service, action)) => part(service) && part(action),
    }
}

/// A string, or a list of strings.
fn texts(place: &str, value: Value) -> Result<Vec<String>, MalformedPolicy> {
    let expected = || defect(place, "must be a string or a list of strings");
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(values) => values
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err(expected()),
            })
            .collect(),
        _ => Err(expected()),
    }
}

/// A string, a number or a truth value, or a list of them.
fn scalars(place: &str, value: Value) -> Result<Vec<String>, MalformedPolicy> {
    let scalar = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(defect(
            place,
            "must be a string, a number or a boolean, or a list of them",
        )),
    };
    let values = match value {
        Value::Array(values) => values.into_iter().map(scalar).collect::<Result<_, _>>()?,
        other => vec![scalar(other)?],
    };
    match values.is_empty() {
        true => Err(defect(place, "must have at least one value")),
        false => Ok(values),
    }
}

fn unknown(place: &str, members: &Map<String, Value>) -> Result<(), MalformedPolicy> {
    match members.keys().next() {
        None => Ok(()),
        Some(name) => Err(defect(place, &format!("has an unknown element {name}"))),
    }
}

fn of(place: &str, name: &str) -> String {
    format!("{place}.{name}")
}

fn defect(place: &str, what: &str) -> MalformedPolicy {
    MalformedPolicy(format!("{place} {what}."))
}
