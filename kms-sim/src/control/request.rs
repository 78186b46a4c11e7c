//! One request of the control API after its body has arrived: what it asks of which path.

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ControlError;

/// What a resource answers.
pub(super) type Answer = Result<Value, ControlError>;

/// The body of an answer.
pub(super) enum Reply {
    Json(Value),
    Text {
        content_type: &'static str,
        body: String,
    },
}

/// A request to one resource.
pub(super) struct ControlRequest<'r> {
    pub(super) method: &'r Method,
    /// The segments after the resource's own.
    pub(super) path: &'r [&'r str],
    query: Vec<(String, String)>,
    body: &'r [u8],
}

impl<'r> ControlRequest<'r> {
    /// # Errors
    /// A query that cannot be read.
    pub(super) fn new(
        method: &'r Method,
        path: &'r [&'r str],
        query: Option<&str>,
        body: &'r [u8],
    ) -> Result<Self, ControlError> {
        Ok(Self {
            method,
            path,
            query: query.map_or_else(|| Ok(Vec::new()), parse_query)?,
            body,
        })
    }

    /// Reads the body, a JSON object; members that the input does not have are refused. No body is an empty object.
    pub(super) fn input<T: DeserializeOwned>(&self) -> Result<T, ControlError> {
        let body = match self.body {
            [] => b"{}",
            body => body,
        };
        let object: Result<Map<String, Value>, _> = serde_json::from_slice(body);
        object
            .and_then(|object| serde_json::from_value(Value::Object(object)))
            .map_err(|error| ControlError::invalid(format!("The body cannot be used: {error}.")))
    }

    /// For requests that say everything in their path.
    pub(super) fn no_input(&self) -> Result<(), ControlError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        self.input::<Nothing>().map(|Nothing {}| ())
    }

    /// How many elements are wanted: at least one, and all that there may be if nothing is said.
    pub(super) fn limit(&self, given: Option<&str>, most: usize) -> Result<usize, ControlError> {
        let Some(given) = given else {
            return Ok(most);
        };
        match given.parse() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(ControlError::invalid(format!(
                "Limit is '{}'; expected a number from 1 to {most}.",
                given.escape_default()
            ))),
        }
    }

    /// The parameters of the query, all of which must be among the names.
    pub(super) fn query(&self, names: &[&str]) -> Result<Vec<Option<&str>>, ControlError> {
        if let Some((name, _)) = self
            .query
            .iter()
            .find(|(name, _)| !names.contains(&&**name))
        {
            return Err(ControlError::invalid(format!(
                "Unknown query parameter '{}'; this path knows {}.",
                name.escape_default(),
                match names {
                    [] => "none".to_owned(),
                    names => names.join(", "),
                }
            )));
        }
        let value = |name: &&str| {
            let mut found = self.query.iter().filter(|(known, _)| known == name);
            found.next_back().map(|(_, value)| &**value)
        };
        Ok(names.iter().map(value).collect())
    }
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, ControlError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| ControlError::invalid("The query has a wrong percent-encoding."))
}

/// Undoes percent-encoding; `None` for what is none, or no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        assert_eq!(
            parse_query("Endpoint=https%3A%2F%2Fxks.test&x=a%20b&&y").unwrap(),
            [("Endpoint", "https://xks.test"), ("x", "a b"), ("y", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        for wrong in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert!(parse_query(wrong).is_err(), "{wrong}");
        }
    }
}
