//! `Condition`: operators, their negations, `…IfExists`, and the two quantifiers over keys with many values.

use std::net::IpAddr;

use super::context::Context;
use super::literal::{Network, bytes, date, number, truth};
use super::pattern::Pattern;

/// One operator, one condition key, and the values that it may have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    key: String,
    quantifier: Quantifier,
    /// A key that is not there fulfils the condition.
    if_exists: bool,
    test: Test,
}

/// Which of a key's values must do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Quantifier {
    /// The operator has none, as for keys with one value.
    None,
    /// `ForAllValues:`; a key without values does.
    All,
    /// `ForAnyValue:`; a key without values does not.
    Any,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// `Null`: whether the key must be missing.
    Missing(bool),
    Value {
        negated: bool,
        matcher: Matcher,
    },
}

/// What one value of the context is compared with: it must equal, or fit, at least one.
#[derive(Clone, Debug, PartialEq)]
enum Matcher {
    Equals(Vec<Pattern>),
    EqualsIgnoreCase(Vec<Pattern>),
    Like(Vec<Pattern>),
    Arn(Vec<Pattern>),
    Number(Order, Vec<f64>),
    Date(Order, Vec<f64>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<Network>),
}

/// How a value of the context stands to that of the policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum InvalidCondition {
    #[error("has an operator that IAM does not know")]
    Operator,
    #[error("has \"{0}\" where {1} is expected")]
    Value(String, &'static str),
    #[error("is no condition key, which has the form prefix:name")]
    Key,
}

impl Condition {
    /// `operator` with its prefix and suffix; `pattern` reads a text with wildcards and variables.
    pub(super) fn new(
        operator: &str,
        key: &str,
        values: &[String],
        pattern: impl Fn(&str) -> Pattern,
    ) -> Result<Self, InvalidCondition> {
        if !key
            .split_once(':')
            .is_some_and(|(prefix, name)| !prefix.is_empty() && !name.is_empty())
        {
            return Err(InvalidCondition::Key);
        }
        let (quantifier, rest) = match operator.split_once(':') {
            None => (Quantifier::None, operator),
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ForAllValues") => {
                (Quantifier::All, rest)
            }
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ForAnyValue") => {
                (Quantifier::Any, rest)
            }
            Some(_) => return Err(InvalidCondition::Operator),
        };
        let name = rest.to_ascii_lowercase();
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        let test = match (name, quantifier, if_exists) {
            ("null", Quantifier::None, false) => Test::missing(values)?,
            _ => Test::of(name, values, pattern)?,
        };
        Ok(Self {
            key: key.to_owned(),
            quantifier,
            if_exists,
            test,
        })
    }

    /// Whether the context fulfils the condition.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let values = context.get(&self.key);
        let (negated, matcher) = match &self.test {
            Test::Missing(missing) => return values.is_none() == *missing,
            Test::Value { negated, matcher } => (*negated, matcher),
        };
        let Some(values) = values else {
            return match self.quantifier {
                _ if self.if_exists => true,
                Quantifier::None => negated,
                Quantifier::All => true,
                Quantifier::Any => false,
            };
        };
        let matches = |value: &String| matcher.matches(value, context);
        let does = |value: &String| matches(value) != negated;
        match (self.quantifier, negated) {
            (Quantifier::All, _) | (Quantifier::None, true) => values.iter().all(does),
            (Quantifier::Any, _) | (Quantifier::None, false) => values.iter().any(does),
        }
    }
}

impl Test {
    fn missing(values: &[String]) -> Result<Self, InvalidCondition> {
        match values {
            [value] => truth(value)
                .map(Self::Missing)
                .ok_or_else(|| wrong(value, TRUTH)),
            _ => Err(InvalidCondition::Value(
                values.join(", "),
                "one truth value",
            )),
        }
    }

    fn of(
        name: &str,
        values: &[String],
        pattern: impl Fn(&str) -> Pattern,
    ) -> Result<Self, InvalidCondition> {
        use Order::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let patterns = || values.iter().map(|text| pattern(text)).collect();
        let numbers = |order| read(values, number, "a number").map(|n| Matcher::Number(order, n));
        let dates = |order| {
            let expected = "a date such as 2030-01-31T12:00:00Z";
            read(values, date, expected).map(|d| Matcher::Date(order, d))
        };
        let networks = || {
            let expected = "an address or a network such as 203.0.113.0/24";
            read(values, Network::parse, expected).map(Matcher::Ip)
        };
        let (negated, matcher) = match name {
            "stringequals" => (false, Matcher::Equals(patterns())),
            "stringnotequals" => (true, Matcher::Equals(patterns())),
            "stringequalsignorecase" => (false, Matcher::EqualsIgnoreCase(patterns())),
            "stringnotequalsignorecase" => (true, Matcher::EqualsIgnoreCase(patterns())),
            "stringlike" => (false, Matcher::Like(patterns())),
            "stringnotlike" => (true, Matcher::Like(patterns())),
            "arnequals" | "arnlike" => (false, Matcher::Arn(patterns())),
            "arnnotequals" | "arnnotlike" => (true, Matcher::Arn(patterns())),
            "numericequals" => (false, numbers(Equal)?),
            "numericnotequals" => (true, numbers(Equal)?),
            "numericlessthan" => (false, numbers(Less)?),
            "numericlessthanequals" => (false, numbers(LessOrEqual)?),
            "numericgreaterthan" => (false, numbers(Greater)?),
            "numericgreaterthanequals" => (false, numbers(GreaterOrEqual)?),
            "dateequals" => (false, dates(Equal)?),
            "datenotequals" => (true, dates(Equal)?),
            "datelessthan" => (false, dates(Less)?),
            "datelessthanequals" => (false, dates(LessOrEqual)?),
            "dategreaterthan" => (false, dates(Greater)?),
            "dategreaterthanequals" => (false, dates(GreaterOrEqual)?),
            "bool" => (false, Matcher::Bool(read(values, truth, TRUTH)?)),
            "binaryequals" => (false, Matcher::Binary(read(values, bytes, "base64")?)),
            "ipaddress" => (false, networks()?),
            "notipaddress" => (true, networks()?),
            _ => return Err(InvalidCondition::Operator),
        };
        Ok(Self::Value { negated, matcher })
    }
}

impl Matcher {
    fn matches(&self, value: &str, context: &Context) -> bool {
        let any = |patterns: &[Pattern], fits: &dyn Fn(&Pattern) -> bool| patterns.iter().any(fits);
        match self {
            Self::Equals(patterns) => any(patterns, &|pattern| {
                pattern.text(context).is_some_and(|text| text == value)
            }),
            Self::EqualsIgnoreCase(patterns) => any(patterns, &|pattern| {
                let text = pattern.text(context);
                text.is_some_and(|text| text.to_lowercase() == value.to_lowercase())
            }),
            Self::Like(patterns) => any(patterns, &|pattern| pattern.matches(value, context)),
            Self::Arn(patterns) => any(patterns, &|pattern| pattern.matches_arn(value, context)),
            Self::Number(order, wanted) => order.any(number(value), wanted),
            Self::Date(order, wanted) => order.any(date(value), wanted),
            Self::Bool(wanted) => truth(value).is_some_and(|value| wanted.contains(&value)),
            Self::Binary(wanted) => bytes(value).is_some_and(|value| wanted.contains(&value)),
            Self::Ip(networks) => value.parse().is_ok_and(|address: IpAddr| {
                networks.iter().any(|network| network.contains(address))
            }),
        }
    }
}

impl Order {
    fn any(self, found: Option<f64>, wanted: &[f64]) -> bool {
        let holds = |found: f64, wanted: f64| match self {
            Self::Equal => found == wanted,
            Self::Less => found < wanted,
            Self::LessOrEqual => found <= wanted,
            Self::Greater => found > wanted,
            Self::GreaterOrEqual => found >= wanted,
        };
        found.is_some_and(|found| wanted.iter().any(|wanted| holds(found, *wanted)))
    }
}

/// Reads each value.
fn read<T>(
    values: &[String],
    parse: impl Fn(&str) -> Option<T>,
    expected: &'static str,
) -> Result<Vec<T>, InvalidCondition> {
    let read = |value: &String| parse(value).ok_or_else(|| wrong(value, expected));
    values.iter().map(read).collect()
}

fn wrong(value: &str, expected: &'static str) -> InvalidCondition {
    InvalidCondition::Value(value.to_owned(), expected)
}

const TRUTH: &str = "true or false";
