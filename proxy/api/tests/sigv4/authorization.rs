//! Defects of the `Authorization` header; the signature in it is otherwise good.

use xks_api::sigv4::Reason;

use crate::signer::{ID, Request, Signer, refused, sign_default};

#[test]
fn missing_authorization_header_is_rejected() {
    let request = sign_default(Request::encrypt()).without("authorization");
    refused(&request, Reason::MissingAuthorization);
}

#[test]
fn duplicate_authorization_header_is_rejected() {
    let mut signed = sign_default(Request::encrypt());
    let value = signed.value("authorization").clone();
    for second in [&*value, b"", b"Basic Zm9vOmJhcg=="] {
        let request = signed.clone().with("authorization", second);
        refused(&request, Reason::DuplicateAuthorization);
    }
    let mut first = signed.clone().without("authorization");
    first = first
        .with("authorization", "x")
        .with("authorization", value);
    refused(&first, Reason::DuplicateAuthorization);
}

#[test]
fn malformed_authorization_header_is_rejected() {
    use Reason::{
        MalformedAuthorization, MalformedCredential, MalformedSignature, MalformedSignedHeaders,
    };
    let signed = sign_default(Request::encrypt());
    for (from, to, reason) in [
        (
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA512",
            MalformedAuthorization,
        ),
        (
            "AWS4-HMAC-SHA256",
            "AWS4-ECDSA-P256-SHA256",
            MalformedAuthorization,
        ),
        (
            "AWS4-HMAC-SHA256",
            "aws4-hmac-sha256",
            MalformedAuthorization,
        ),
        ("AWS4-HMAC-SHA256 ", "", MalformedAuthorization),
        (
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256",
            MalformedAuthorization,
        ),
        (
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256  ",
            MalformedAuthorization,
        ),
        (
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256, ",
            MalformedAuthorization,
        ),
        (
            "AWS4-HMAC-SHA256 ",
            " AWS4-HMAC-SHA256 ",
            MalformedAuthorization,
        ),
        ("Credential=", "credential=", MalformedAuthorization),
        ("Credential=", "Credential =", MalformedAuthorization),
        ("SignedHeaders=", "Signedheaders=", MalformedAuthorization),
        ("Signature=", "Credential=", MalformedAuthorization),
        (
            ", SignedHeaders=host;x-amz-date",
            "",
            MalformedAuthorization,
        ),
        (
            ", Signature=",
            ", Signature=, Signature=",
            MalformedSignature,
        ),
        (", Signature=", ", , Signature=", MalformedAuthorization),
        (", Signature=", ",  Signature=", MalformedAuthorization),
        (", Signature=", ",\tSignature=", MalformedAuthorization),
        (", Signature=", "Signature=", MalformedAuthorization),
        (", SignedHeaders=", "SignedHeaders=", MalformedAuthorization),
        (", Signature=", " Signature=", MalformedAuthorization),
        (", Signature=", " , Signature=", MalformedAuthorization),
        ("Credential=", "Credential=\u{e9}", MalformedCredential),
        ("Credential=", "Credential= ", MalformedCredential),
        (ID, "", MalformedCredential),
        (ID, "../..", MalformedCredential),
        (ID, &"A".repeat(129), MalformedCredential),
        ("/20261124/", "/2026112/", MalformedCredential),
        ("/20261124/", "/2026-11-24/", MalformedCredential),
        ("/20261124/", "/", MalformedCredential),
        ("/us-east-1/", "//", MalformedCredential),
        ("/us-east-1/", "/US-EAST-1/", MalformedCredential),
        ("/us-east-1/", "/us-east-1/us-east-1/", MalformedCredential),
        ("/aws4_request", "/aws4_request/", MalformedAuthorization),
        ("/aws4_request", "/aws5_request", MalformedCredential),
        ("/aws4_request", "", MalformedCredential),
        ("=host;x-amz-date", "=", MalformedSignedHeaders),
        (
            "=host;x-amz-date",
            "=host;x-amz-date;",
            MalformedSignedHeaders,
        ),
        (
            "=host;x-amz-date",
            "=;host;x-amz-date",
            MalformedSignedHeaders,
        ),
        (
            "=host;x-amz-date",
            "=x-amz-date;host",
            MalformedSignedHeaders,
        ),
        (
            "=host;x-amz-date",
            "=Host;x-amz-date",
            MalformedSignedHeaders,
        ),
        (
            "=host;x-amz-date",
            "=host; x-amz-date",
            MalformedSignedHeaders,
        ),
        (
            "=host;x-amz-date",
            "=host;host;x-amz-date",
            MalformedSignedHeaders,
        ),
        (
            "=host;x-amz-date",
            "=host;x-amz-date;x-amz-date",
            MalformedSignedHeaders,
        ),
        (
            "=host;x-amz-date",
            "=:method;host;x-amz-date",
            MalformedSignedHeaders,
        ),
        ("Signature=", "Signature=0", MalformedSignature),
        ("Signature=", "Signature=00", MalformedSignature),
        ("Signature=", "Signature=0x", MalformedSignature),
    ] {
        refused(&signed.clone().authorization(from, to), reason);
    }
    for suffix in ["00", " ", ",", ", Extra=1", ", Signature="] {
        let mut request = signed.clone();
        request.value("authorization").extend(suffix.bytes());
        assert!(request.verify().is_err(), "{suffix}");
    }
}

#[test]
fn malformed_signature_is_rejected() {
    let mut upper = sign_default(Request::encrypt());
    let value = upper.value("authorization");
    let at = value.len() - 64;
    assert!(value[at..].iter().any(u8::is_ascii_lowercase));
    value[at..].make_ascii_uppercase();
    refused(&upper, Reason::MalformedSignature);

    let mut short = sign_default(Request::encrypt());
    let value = short.value("authorization");
    value.truncate(value.len() - 1);
    refused(&short, Reason::MalformedSignature);
    let value = short.value("authorization");
    value.truncate(value.len() - 63);
    refused(&short, Reason::MalformedSignature);
}

#[test]
fn the_space_after_a_comma_is_optional() {
    let signed = sign_default(Request::encrypt());
    let request = signed
        .authorization(", Signed", ",Signed")
        .authorization(", Sig", ",Sig");
    assert!(request.verify().is_ok());
}

#[test]
fn unsigned_host_is_rejected() {
    let signer = Signer {
        unsigned: vec!["host"],
        ..Signer::default()
    };
    refused(&signer.sign(Request::encrypt()), Reason::HostNotSigned);
}

#[test]
fn unsigned_date_is_rejected() {
    let signer = Signer {
        unsigned: vec!["x-amz-date"],
        ..Signer::default()
    };
    refused(&signer.sign(Request::encrypt()), Reason::DateNotSigned);
}
