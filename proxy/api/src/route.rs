//! (method, path) → URI path prefix and operation. Decides 404 and 405; knows no key store.

use crate::ids::{API_PATH, ExternalKeyId, UriPathPrefix};

/// An operation of the API and the key that its path names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operation {
    /// `POST …/health`
    GetHealthStatus,
    /// `POST …/keys/<externalKeyId>/metadata`
    GetKeyMetadata(ExternalKeyId),
    /// `POST …/keys/<externalKeyId>/encrypt`
    Encrypt(ExternalKeyId),
    /// `POST …/keys/<externalKeyId>/decrypt`
    Decrypt(ExternalKeyId),
}

impl Operation {
    /// The operation without its key.
    pub fn name(&self) -> OperationName {
        match self {
            Self::GetHealthStatus => OperationName::GetHealthStatus,
            Self::GetKeyMetadata(_) => OperationName::GetKeyMetadata,
            Self::Encrypt(_) => OperationName::Encrypt,
            Self::Decrypt(_) => OperationName::Decrypt,
        }
    }

    /// The key that it is of.
    pub fn external_key_id(&self) -> Option<&ExternalKeyId> {
        match self {
            Self::GetHealthStatus => None,
            Self::GetKeyMetadata(key) | Self::Encrypt(key) | Self::Decrypt(key) => Some(key),
        }
    }

    /// The path of the operation below a prefix: what a KMS appends to the `XksProxyUriPath`.
    pub fn path_below(&self, uri_path: &str) -> String {
        match self {
            Self::GetHealthStatus => format!("{uri_path}/health"),
            Self::GetKeyMetadata(key) => format!("{uri_path}/keys/{key}/metadata"),
            Self::Encrypt(key) => format!("{uri_path}/keys/{key}/encrypt"),
            Self::Decrypt(key) => format!("{uri_path}/keys/{key}/decrypt"),
        }
    }
}

/// Names an operation of the API.
//= xks §API operations R4
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OperationName {
    /// Deep health of the proxy and its key managers.
    GetHealthStatus,
    /// Type, usage and status of a key.
    GetKeyMetadata,
    /// Encryption.
    Encrypt,
    /// Decryption.
    Decrypt,
}

impl OperationName {
    /// Every operation.
    pub const ALL: [Self; 4] = [
        Self::GetHealthStatus,
        Self::GetKeyMetadata,
        Self::Encrypt,
        Self::Decrypt,
    ];

    /// The specification's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GetHealthStatus => "GetHealthStatus",
            Self::GetKeyMetadata => "GetKeyMetadata",
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route<'a> {
    /// What stands before `/kms/xks/v1`; not yet known to name a key store.
    pub prefix: &'a str,
    /// What is asked for.
    pub operation: Operation,
}

/// Finds the operation that a request names.
///
/// The path is taken as it came, without its query and without any decoding: everything that the API uses needs
/// no escape, so a path with `%` is no API path.
///
/// # Errors
/// [`NoRoute::NotFound`] for a path outside the API, else [`NoRoute::MethodNotAllowed`] unless the
/// method is `POST`.
//= xks §API operations R6, R8
pub fn route<'a>(method: &str, path: &'a str) -> Result<Route<'a>, NoRoute> {
    let (prefix, below) = split(path).ok_or(NoRoute::NotFound)?;
    if !UriPathPrefix::is_valid(prefix) {
        return Err(NoRoute::NotFound);
    }
    let operation = operation(below).ok_or(NoRoute::NotFound)?;
    if method != "POST" {
        return Err(NoRoute::MethodNotAllowed);
    }
    Ok(Route { prefix, operation })
}

/// Why a request has no route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoRoute {
    /// 404 InvalidUriPathException.
    NotFound,
    /// 405 with `Allow: POST` and an empty body.
    MethodNotAllowed,
}

/// Splits at the last API path, since a prefix may itself contain `/kms/xks/v1`, a key id never a slash.
fn split(path: &str) -> Option<(&str, &str)> {
    let last = path.len().checked_sub(API_PATH.len())?;
    let starts = |at: &usize| {
        let rest = path.as_bytes().get(*at..);
        rest.is_some_and(|rest| rest.starts_with(API_PATH.as_bytes()))
    };
    // What follows the API path is short: from the end it is found at once.
    let at = (0..=last).rev().find(starts)?;
    let (prefix, rest) = path.split_at_checked(at)?;
    Some((prefix, rest.strip_prefix(API_PATH)?))
}

fn operation(below: &str) -> Option<Operation> {
    if below == "/health" {
        return Some(Operation::GetHealthStatus);
    }
    let (key, verb) = below.strip_prefix("/keys/")?.split_once('/')?;
    let key = ExternalKeyId::try_from(key).ok()?;
    match verb {
        "metadata" => Some(Operation::GetKeyMetadata(key)),
        "encrypt" => Some(Operation::Encrypt(key)),
        "decrypt" => Some(Operation::Decrypt(key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_path() {
        let key = ExternalKeyId::try_from("k-1._").unwrap();
        for operation in [
            Operation::GetHealthStatus,
            Operation::GetKeyMetadata(key.clone()),
            Operation::Encrypt(key.clone()),
            Operation::Decrypt(key),
        ] {
            for prefix in ["", "/a", "/dev/tenant-a", "/kms/xks/v1"] {
                let path = operation.path_below(&format!("{prefix}{API_PATH}"));
                let found = route("POST", &path).unwrap();
                assert_eq!(
                    (found.prefix, &found.operation),
                    (prefix, &operation),
                    "{path}"
                );
                assert_eq!(route("GET", &path), Err(NoRoute::MethodNotAllowed));
                assert_eq!(route("post", &path), Err(NoRoute::MethodNotAllowed));
            }
        }
    }

    #[test]
    fn an_operation_has_the_specifications_name_and_all_but_the_health_check_a_key() {
        let key = ExternalKeyId::try_from("k").unwrap();
        for (operation, name, has_key) in [
            (Operation::GetHealthStatus, "GetHealthStatus", false),
            (
                Operation::GetKeyMetadata(key.clone()),
                "GetKeyMetadata",
                true,
            ),
            (Operation::Encrypt(key.clone()), "Encrypt", true),
            (Operation::Decrypt(key.clone()), "Decrypt", true),
        ] {
            assert_eq!(operation.name().as_str(), name);
            assert_eq!(operation.external_key_id(), has_key.then_some(&key));
        }
        let names = OperationName::ALL.map(OperationName::as_str);
        assert_eq!(
            names,
            ["GetHealthStatus", "GetKeyMetadata", "Encrypt", "Decrypt"]
        );
    }

    #[test]
    fn what_is_no_api_path_is_not_found_whatever_the_method() {
        for path in [
            "",
            "/",
            "/kms/xks/v1",
            "/kms/xks/v1/",
            "/kms/xks/v1/health/",
            "/kms/xks/v1//health",
            "/kms/xks/v2/health",
            "/kms/xks/v1/keys/k",
            "/kms/xks/v1/keys//encrypt",
            "/kms/xks/v1/keys/a/b/encrypt",
            "/kms/xks/v1/keys/a%2Fb/encrypt",
            "/kms/xks/v1/keys/k/Encrypt",
            "/a.b/kms/xks/v1/health",
            "/a//kms/xks/v1/health",
            "a/kms/xks/v1/health",
            "/a/../kms/xks/v1/health",
        ] {
            for method in ["GET", "POST"] {
                assert_eq!(
                    route(method, path),
                    Err(NoRoute::NotFound),
                    "{method} {path}"
                );
            }
        }
    }
}
