//! Keeps web pages out: no page that a browser shows may call the control API, whatever name its author points here.
//!
//! A page can make its own host name resolve to 127.0.0.1 (DNS rebinding), but then its name is in `Host`; and what a
//! page sends to another origin says so in `Origin` or `Sec-Fetch-Site`.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, ORIGIN};
use http::uri::Authority;

use super::error::ControlError;

/// Whether a request comes from a program or from this very origin, not from a page of somewhere else.
///
/// # Errors
/// 403 that says what was found.
pub(crate) fn same_origin(headers: &HeaderMap) -> Result<(), ControlError> {
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return Err(ControlError::forbidden(
            "The request comes from a web page of another origin (Sec-Fetch-Site).",
        ));
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let of_host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = |scheme: &str| {
        let origin = origin.to_str().ok()?.strip_prefix(scheme)?;
        Some(origin.eq_ignore_ascii_case(of_host?))
    };
    match own("http://").or_else(|| own("https://")) {
        Some(true) => Ok(()),
        Some(false) | None => Err(ControlError::forbidden(
            "The request comes from a web page of another origin (Origin).",
        )),
    }
}

/// Whether `Host` is an IP address, `localhost`, or one of the names that were allowed at start.
///
/// # Errors
/// 403 that says what was found and what to do.
pub(crate) fn known_host(headers: &HeaderMap, allowed: &[String]) -> Result<(), ControlError> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(ControlError::forbidden("Expected exactly one Host header."));
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    let Some(authority) = authority else {
        return Err(ControlError::forbidden(
            "The Host header is no host with a port.",
        ));
    };
    let name = authority.host();
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    let known = address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|one| one.eq_ignore_ascii_case(name));
    if known && !authority.as_str().contains('@') {
        return Ok(());
    }
    Err(ControlError::forbidden(format!(
        "The Host '{}' is neither an IP address nor localhost. Call the control API by its address, or start \
         kms-sim with --control-host for a name that it shall answer to.",
        name.escape_default()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn names_that_a_page_could_point_here_are_refused() {
        let allowed = ["Kms-Sim".to_owned()];
        for (host, known) in [
            ("127.0.0.1:4600", true),
            ("127.0.0.1", true),
            ("[::1]:4600", true),
            ("localhost:4600", true),
            ("LOCALHOST", true),
            ("kms-sim:4600", true),
            ("rebound.example:4600", false),
            ("localhost.example:4600", false),
            ("127.0.0.1.example", false),
            ("x@127.0.0.1:4600", false),
            ("", false),
        ] {
            let found = known_host(&headers(&[("host", host)]), &allowed);
            assert_eq!(found.is_ok(), known, "{host}");
        }
        let twice = headers(&[("host", "127.0.0.1"), ("host", "127.0.0.1")]);
        assert!(known_host(&twice, &[]).is_err());
        assert!(known_host(&headers(&[]), &[]).is_err());
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let with = |name, value| headers(&[("host", "127.0.0.1:4600"), (name, value)]);
        for (name, value, ours) in [
            ("origin", "http://127.0.0.1:4600", true),
            ("origin", "https://127.0.0.1:4600", true),
            ("origin", "http://127.0.0.1:8080", false),
            ("origin", "http://evil.example", false),
            ("origin", "null", false),
            ("origin", "", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "cross-site", false),
            ("accept", "*/*", true),
        ] {
            let found = same_origin(&with(name, value));
            assert_eq!(found.is_ok(), ours, "{name}: {value}");
        }
    }
}
