//! The regular expressions of KMS's model for these operations, as functions.

/// A port is refused as KMS does; the log says what to do instead.
pub(crate) fn is_uri_endpoint(text: &str) -> bool {
    let host = text.strip_prefix("https://").unwrap_or_default();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    if let Some((host, port)) = host.split_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        tracing::warn!(
            "XksProxyUriEndpoint has a port, which AWS KMS refuses: it always dials port 443. Create \
             the store with https://{} and start kms-sim with --resolve {0}=IP:{}.",
            host.escape_default(),
            port
        );
    }
    !host.is_empty() && host.bytes().all(allowed)
}

pub(crate) fn is_uri_path(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-');
    let Some((prefix, version)) = text.rsplit_once("/kms/xks/v") else {
        return false;
    };
    let prefix_fits = match prefix.strip_prefix('/') {
        None => prefix.is_empty(),
        Some(rest) => !rest.is_empty() && rest.bytes().all(allowed),
    };
    prefix_fits && matches!(version.len(), 1 | 2) && version.bytes().all(|b| b.is_ascii_digit())
}

pub(crate) fn is_cluster_id(text: &str) -> bool {
    text.strip_prefix("cluster-").is_some_and(|id| {
        (11..=16).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphabetic() || matches!(b, b'2'..=b'7'))
    })
}

/// `com.amazonaws.vpce.us-gov-west-1.vpce-svc-0123abc`
pub(crate) fn is_vpc_endpoint_service_name(text: &str) -> bool {
    let rest = ["com.amazonaws.vpce.", "eu.amazonaws.vpce."]
        .into_iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    let Some((region, id)) = rest.and_then(|rest| rest.split_once(".vpce-svc-")) else {
        return false;
    };
    let mut parts = region.rsplit('-');
    let number = parts.next().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    let lower = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && matches!(words.len(), 2 | 3)
        && words.iter().all(lower)
        && !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_endpoints() {
        for good in ["https://a", "https://xks.test", "https://A-9.example.com"] {
            assert!(is_uri_endpoint(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "http://a",
            "https://a:443",
            "https://a/",
            "https://a_b",
            "https://ä",
            "HTTPS://a",
        ] {
            assert!(!is_uri_endpoint(bad), "{bad}");
        }
    }

    #[test]
    fn uri_paths() {
        for good in [
            "/kms/xks/v1",
            "/kms/xks/v99",
            "/aws/kms/xks/v1",
            "/a/b_C-9/kms/xks/v1",
            "/a//b/kms/xks/v1",
            "///kms/xks/v1",
            "/kms/xks/v1/kms/xks/v1",
            "/kms/xks/v/kms/xks/v1",
        ] {
            assert!(is_uri_path(good), "{good}");
        }
        for bad in [
            "",
            "/kms/xks/v",
            "/kms/xks/v100",
            "/kms/xks/vx",
            "kms/xks/v1",
            "//kms/xks/v1",
            "a/kms/xks/v1",
            "/kms/xks/v1/",
            "/a.b/kms/xks/v1",
            "/a b/kms/xks/v1",
        ] {
            assert!(!is_uri_path(bad), "{bad}");
        }
    }

    #[test]
    fn cluster_ids() {
        for good in ["cluster-ia3b4cdefgh", "cluster-2345672345ABCDEF"] {
            assert!(is_cluster_id(good), "{good}");
        }
        for bad in [
            "cluster-",
            "cluster-1a23b4cdefg",
            "cluster-abcdefghij",
            "Cluster-abcdefghijk",
        ] {
            assert!(!is_cluster_id(bad), "{bad}");
        }
    }

    #[test]
    fn vpc_endpoint_service_names() {
        for good in [
            "com.amazonaws.vpce.us-east-1.vpce-svc-0123abcd",
            "com.amazonaws.vpce.us-gov-west-1.vpce-svc-example",
            "eu.amazonaws.vpce.eusc-de-east-1.vpce-svc-1",
        ] {
            assert!(is_vpc_endpoint_service_name(good), "{good}");
        }
        for bad in [
            "com.amazonaws.vpce.us-1.vpce-svc-0123abcd",
            "com.amazonaws.vpce.us-east-1.vpce-svc-",
            "com.amazonaws.vpce.us-east-1.vpce-svc-A",
            "com.amazonaws.vpce.us-east-x.vpce-svc-1",
            "com.amazonaws.vpce.a-b-c-d-1.vpce-svc-1",
            "org.amazonaws.vpce.us-east-1.vpce-svc-1",
        ] {
            assert!(!is_vpc_endpoint_service_name(bad), "{bad}");
        }
    }
}
