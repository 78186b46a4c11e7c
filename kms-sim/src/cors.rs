//! Which web pages may call the API from a browser: those of the origins that were allowed at start, and no others.
//!
//! KMS allows every origin, for it asks for a signature that no page has by chance. kms-sim asks for none that is hard to
//! have, so any page that a developer looks at could use it if it were as open. What SDKs send is never a request that
//! browsers send without asking first (it has `X-Amz-Target`).

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, ORIGIN, VARY,
};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;

/// A web page's origin: `http://localhost:5173`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebOrigin(HeaderValue);

impl FromStr for WebOrigin {
    type Err = InvalidWebOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = Uri::from_str(text).map_err(|_| InvalidWebOrigin)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidWebOrigin);
        };
        // As browsers write it: lower case, and nothing after the port.
        let origin = format!("{scheme}://{authority}");
        let is_origin = origin == text && !text.contains('@') && !text.contains(char::is_uppercase);
        let value = HeaderValue::from_str(text).map_err(|_| InvalidWebOrigin)?;
        is_origin.then_some(Self(value)).ok_or(InvalidWebOrigin)
    }
}

/// A text that is no origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidWebOrigin;

impl fmt::Display for InvalidWebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected a web page's origin as browsers write it, such as http://localhost:5173",
        )
    }
}

impl std::error::Error for InvalidWebOrigin {}

/// What a request's page may do.
#[derive(Debug)]
pub(crate) struct Cors {
    /// The page's origin, if it is one of the allowed.
    allowed: Option<HeaderValue>,
}

impl Cors {
    /// Looks at where a request comes from.
    pub(crate) fn of(headers: &HeaderMap, origins: &[WebOrigin]) -> Self {
        let origin = headers.get(ORIGIN);
        Self {
            allowed: origin
                .filter(|origin| origins.iter().any(|allowed| allowed.0 == *origin))
                .cloned(),
        }
    }

    /// The answer to a browser that asks whether a page may send a request; none if it may not, or nobody asks.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let headers = request.headers();
        if request.method() != Method::OPTIONS
            || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        self.allowed.as_ref()?;
        let mut response = Response::default();
        let answer = response.headers_mut();
        answer.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST"),
        );
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        // A page of the public Internet may ask for this machine.
        if headers.contains_key(REQUEST_PRIVATE_NETWORK) {
            answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        Some(response)
    }

    /// Lets the page read an answer.
    pub(crate) fn expose(&self, headers: &mut HeaderMap) {
        if let Some(origin) = &self.allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("x-amzn-RequestId, Date"),
            );
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for origin in [
            "http://localhost:5173",
            "https://app.example.com",
            "http://[::1]:8080",
        ] {
            assert!(origin.parse::<WebOrigin>().is_ok(), "{origin}");
        }
        for other in [
            "",
            "*",
            "null",
            "localhost:5173",
            "http://localhost:5173/",
            "http://localhost/app",
            "http://user@localhost",
            "http://LocalHost",
        ] {
            assert_eq!(other.parse::<WebOrigin>(), Err(InvalidWebOrigin), "{other}");
        }
    }
}
