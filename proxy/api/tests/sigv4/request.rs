//! Defects of method, path, query, headers and body, in requests whose signatures are otherwise good.

use aws_sigv4::http_request::SignableBody;
use http::{HeaderMap, HeaderName, HeaderValue};
use xks_api::sigv4::{Reason, SignedRequest};

use crate::signer::{HOST, ID, NOW, Request, SECRET, Signer, refused, sign_default, verifier};

#[test]
fn a_signed_request_is_accepted_over_http_1_and_2() {
    for request in [Request::encrypt(), Request::encrypt_http2()] {
        let signed = sign_default(request);
        assert_eq!(signed.verify().unwrap().as_str(), ID, "{signed:?}");
    }
}

#[test]
fn the_header_map_of_a_server_is_read_as_it_is() {
    let signed = sign_default(Request::encrypt());
    let mut headers = HeaderMap::new();
    for (name, value) in &signed.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    let verifier = verifier(&[(ID, SECRET)]);
    let verify = |headers: &HeaderMap| {
        let request = SignedRequest {
            method: "POST",
            path: &signed.path,
            query: None,
            authority: None,
            headers,
            body: &signed.body,
        };
        let verified = verifier.verify(&request, NOW);
        verified.map(|_| ()).map_err(|failure| failure.reason())
    };
    assert_eq!(verify(&headers), Ok(()));
    headers.append("x-amz-date", HeaderValue::from_static("20261124T123600Z"));
    assert_eq!(verify(&headers), Err(Reason::DuplicateHeader));
}

/// The signature was computed with Python's `hmac` and `hashlib`: `aws-sigv4` cannot sign this name.
#[test]
fn authority_may_be_signed_by_its_http_2_name() {
    let signed = sign_default(Request::encrypt_http2());
    let mut request = signed.authorization("=host;", "=:authority;");
    let value = request.value("authorization");
    let at = value.len() - 64;
    value.splice(
        at..,
        *b"802027e2451627f7d7141fda21f51c423b4e75b54ec54c1d5988378f2a28bd99",
    );
    assert_eq!(request.verify().unwrap().as_str(), ID);
    request.authority = None;
    refused(&request.with("host", HOST), Reason::MissingHeader);
}

#[test]
fn host_and_authority_that_differ_are_rejected() {
    let mut request = sign_default(Request::encrypt());
    request.authority = Some(HOST.into());
    assert!(request.verify().is_ok());
    request.authority = Some("xks.test".into());
    refused(&request, Reason::HostMismatch);

    let request = sign_default(Request::encrypt_http2()).with("host", "other.test");
    refused(&request, Reason::HostMismatch);
}

#[test]
fn missing_signed_header_is_rejected() {
    let signed = sign_default(Request::encrypt().with("x-custom", "1"));
    for name in ["host", "x-amz-date", "x-custom"] {
        refused(&signed.clone().without(name), Reason::MissingHeader);
    }
}

/// `aws-sigv4` signs the values of one name joined by commas, as SigV4 has it.
#[test]
fn duplicate_signed_header_is_rejected() {
    let twice = Request::encrypt()
        .with("x-custom", "1")
        .with("x-custom", "1");
    refused(&sign_default(twice), Reason::DuplicateHeader);

    let mut signed = sign_default(Request::encrypt().with("x-custom", "1"));
    for name in ["host", "x-amz-date", "x-custom"] {
        let value = signed.value(name).clone();
        refused(&signed.clone().with(name, value), Reason::DuplicateHeader);
        refused(&signed.clone().with(name, ""), Reason::DuplicateHeader);
    }
}

#[test]
fn duplicate_unsigned_header_is_accepted() {
    let signed = sign_default(Request::encrypt());
    assert!(
        signed
            .with("accept", "a")
            .with("accept", "b")
            .verify()
            .is_ok()
    );
}

#[test]
fn control_characters_in_a_signed_header_are_rejected() {
    let mut request = sign_default(Request::encrypt().with("x-custom", "1"));
    for value in ["1\nx-other:2", "1\r", "\0", "\u{7f}"] {
        *request.value("x-custom") = value.into();
        refused(&request, Reason::MalformedHeader);
    }
}

#[test]
fn spaces_of_a_signed_header_are_canonicalised() {
    let mut request = sign_default(Request::encrypt().with("x-custom", "  a   b\t c  "));
    assert!(request.verify().is_ok());
    *request.value("x-custom") = b"a b\t c".to_vec();
    assert!(request.verify().is_ok());
    *request.value("x-custom") = b"a b c".to_vec();
    refused(&request, Reason::SignatureMismatch);
    *request.value("x-custom") = b"ab\t c".to_vec();
    refused(&request, Reason::SignatureMismatch);

    let mut request = sign_default(Request::encrypt().with("x-custom", "   "));
    assert!(request.verify().is_ok(), "nothing but spaces");
    *request.value("x-custom") = Vec::new();
    assert!(request.verify().is_ok());
}

#[test]
fn query_string_is_rejected() {
    let mut request = Request::encrypt();
    for query in ["a=b", "x-amz-date=1", ""] {
        request.query = Some(query.into());
        refused(&sign_default(request.clone()), Reason::QueryString);
    }
}

#[test]
fn path_that_a_signer_would_change_is_rejected() {
    for path in [
        "", "/a%20b", "/a//b", "//a", "/a/./b", "/a/../b", "/a/..", "/.", "/a/b//", "/a+b", "/a:b",
        "/a;b", "/%6bms",
    ] {
        let mut request = Request::encrypt();
        request.path = path.into();
        refused(&sign_default(request), Reason::UnusualPath);
    }
    for path in ["/", "/a", "/a/", "/a.b/...c/~d-_", "/a./b", "/ab.../c"] {
        let mut request = Request::encrypt();
        request.path = path.into();
        assert!(sign_default(request).verify().is_ok(), "{path}");
    }
}

#[test]
fn method_that_is_no_word_is_rejected() {
    for method in ["", "post", "POST\n/other", "PO ST"] {
        let mut request = sign_default(Request::encrypt());
        request.method = method.into();
        refused(&request, Reason::UnusualMethod);
    }
}

#[test]
fn payload_hash_header_does_not_stand_in_for_the_body() {
    let unsigned = SignableBody::UnsignedPayload;
    let request = Request::encrypt().with("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    let request = Signer::default().sign_body(request, unsigned);
    refused(&request, Reason::SignatureMismatch);

    // The body is exchanged, and the hash in the header still fits the one that was signed.
    let hash = "0d66c31d3c6e30a2c8b2c0a4a7aa4c8c1f5ab6ad0a5a4aa5ea3e1d3c5ae1a2b3";
    let request = Request::encrypt().with("x-amz-content-sha256", hash);
    let precomputed = SignableBody::Precomputed(hash.into());
    let request = Signer::default().sign_body(request, precomputed);
    refused(&request, Reason::SignatureMismatch);

    // A wrong hash in the header changes nothing where the body is the signed one.
    let request = Request::encrypt().with("x-amz-content-sha256", hash);
    assert!(sign_default(request).verify().is_ok());
}
