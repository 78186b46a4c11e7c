//! The published SigV4 test vectors (`awslabs/aws-c-auth`, `tests/aws-signing-test-suite/v4`), retyped: those with the
//! signature in a header. What their requests need beyond the XKS proxy API is refused, with the reason given here.

use time::macros::datetime;

use super::authorization::{self, Authorization};
use super::{Claim, Reason, SignedRequest};

struct Vector {
    name: &'static str,
    request: (&'static str, &'static str, Option<&'static str>),
    /// Besides `host` and `x-amz-date`.
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    signed_headers: &'static str,
    signature: &'static str,
}

const HOST_AND_DATE: &str = "host;x-amz-date";
const WITH_MY_HEADER: &str = "host;my-header1;x-amz-date";
const WITH_BODY: &str = "content-length;content-type;host;x-amz-content-sha256;x-amz-date";
const BODY_HASH: &str = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

const ACCEPTED: [Vector; 12] = [
    Vector {
        name: "get-vanilla",
        request: ("GET", "/", None),
        headers: &[],
        body: "",
        signed_headers: HOST_AND_DATE,
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-vanilla-with-session-token",
        request: ("GET", "/", None),
        headers: &[(
            "x-amz-security-token",
            "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
        )],
        body: "",
        signed_headers: "host;x-amz-date;x-amz-security-token",
        signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    },
    Vector {
        name: "get-unreserved",
        request: (
            "GET",
            "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            None,
        ),
        headers: &[],
        body: "",
        signed_headers: HOST_AND_DATE,
        signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    },
    Vector {
        name: "get-header-value-trim",
        request: ("GET", "/", None),
        headers: &[("my-header1", " value1"), ("my-header2", r#" "a   b   c""#)],
        body: "",
        signed_headers: "host;my-header1;my-header2;x-amz-date",
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    },
    Vector {
        name: "post-vanilla",
        request: ("POST", "/", None),
        headers: &[],
        body: "",
        signed_headers: HOST_AND_DATE,
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-header-key-case",
        request: ("POST", "/", None),
        headers: &[],
        body: "",
        signed_headers: HOST_AND_DATE,
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-header-key-sort",
        request: ("POST", "/", None),
        headers: &[("my-header1", "value1")],
        body: "",
        signed_headers: WITH_MY_HEADER,
        signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    },
    Vector {
        name: "post-header-value-case",
        request: ("POST", "/", None),
        headers: &[("my-header1", "VALUE1")],
        body: "",
        signed_headers: WITH_MY_HEADER,
        signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    },
    Vector {
        name: "post-sts-header-before",
        request: ("POST", "/", None),
        headers: &[("x-amz-security-token", TOKEN)],
        body: "",
        signed_headers: "host;x-amz-date;x-amz-security-token",
        signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    },
    Vector {
        name: "post-sts-header-after",
        request: ("POST", "/", None),
        headers: &[("x-amz-security-token", TOKEN)],
        body: "",
        signed_headers: HOST_AND_DATE,
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-x-www-form-urlencoded",
        request: ("POST", "/", None),
        headers: &[
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-length", "13"),
            ("x-amz-content-sha256", BODY_HASH),
        ],
        body: "Param1=value1",
        signed_headers: WITH_BODY,
        signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    },
    Vector {
        name: "post-x-www-form-urlencoded-parameters",
        request: ("POST", "/", None),
        headers: &[
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("content-length", "13"),
            ("x-amz-content-sha256", BODY_HASH),
        ],
        body: "Param1=value1",
        signed_headers: WITH_BODY,
        signature: "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    },
];

const REFUSED: [(Reason, Vector); 10] = [
    (
        Reason::DuplicateHeader,
        Vector {
            name: "get-header-key-duplicate",
            request: ("GET", "/", None),
            headers: &[
                ("my-header1", "value2"),
                ("my-header1", "value2"),
                ("my-header1", "value1"),
            ],
            body: "",
            signed_headers: WITH_MY_HEADER,
            signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        },
    ),
    (
        Reason::DuplicateHeader,
        Vector {
            name: "get-header-value-order",
            request: ("GET", "/", None),
            headers: &[
                ("my-header1", "value4"),
                ("my-header1", "value1"),
                ("my-header1", "value3"),
                ("my-header1", "value2"),
            ],
            body: "",
            signed_headers: WITH_MY_HEADER,
            signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        },
    ),
    (
        Reason::MalformedHeader,
        Vector {
            name: "get-header-value-multiline",
            request: ("GET", "/", None),
            headers: &[("my-header1", "value1\n  value2\n     value3")],
            body: "",
            signed_headers: WITH_MY_HEADER,
            signature: "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
        },
    ),
    (
        Reason::UnusualPath,
        Vector {
            name: "get-space-normalized",
            request: ("GET", "/example space/", None),
            headers: &[],
            body: "",
            signed_headers: HOST_AND_DATE,
            signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        },
    ),
    (
        Reason::UnusualPath,
        Vector {
            name: "get-utf8",
            request: ("GET", "/\u{1234}", None),
            headers: &[],
            body: "",
            signed_headers: HOST_AND_DATE,
            signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        },
    ),
    (
        Reason::UnusualPath,
        Vector {
            name: "get-slashes-normalized",
            request: ("GET", "//example//", None),
            headers: &[],
            body: "",
            signed_headers: HOST_AND_DATE,
            signature: "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        },
    ),
    (
        Reason::UnusualPath,
        Vector {
            name: "get-slash-dot-slash-unnormalized",
            request: ("GET", "/./", None),
            headers: &[],
            body: "",
            signed_headers: HOST_AND_DATE,
            signature: "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145",
        },
    ),
    (
        Reason::UnusualPath,
        Vector {
            name: "get-relative-normalized",
            request: ("GET", "/example/..", None),
            headers: &[],
            body: "",
            signed_headers: HOST_AND_DATE,
            signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        },
    ),
    (
        Reason::QueryString,
        Vector {
            name: "get-vanilla-empty-query-key",
            request: ("GET", "/", Some("Param1=value1")),
            headers: &[],
            body: "",
            signed_headers: HOST_AND_DATE,
            signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        },
    ),
    (
        Reason::QueryString,
        Vector {
            name: "post-vanilla-query",
            request: ("POST", "/", Some("Param1=value1")),
            headers: &[],
            body: "",
            signed_headers: HOST_AND_DATE,
            signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        },
    ),
];

impl Vector {
    fn verify(&self, secret: &str) -> Result<bool, Reason> {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={}, Signature={}",
            self.signed_headers, self.signature
        );
        let mut headers = vec![
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            ("authorization", &value),
        ];
        headers.extend(self.headers);
        let (method, path, query) = self.request;
        let request = SignedRequest {
            method,
            path,
            query,
            authority: None,
            headers: headers.iter().map(|(n, v)| (*n, v.as_bytes())),
            body: self.body.as_bytes(),
        };
        let now = datetime!(2015-08-30 12:36:00 UTC);
        let authorization = Authorization::parse(authorization::of(&request)?)?;
        let claim = Claim::read(&request, &authorization, "service", now)?;
        Ok(claim.is_signed_with(&authorization.credential.signing_key(secret)))
    }
}

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[test]
fn the_published_vectors_verify() {
    for vector in ACCEPTED {
        assert_eq!(vector.verify(SECRET), Ok(true), "{}", vector.name);
        assert_eq!(vector.verify(BODY_HASH), Ok(false), "{}", vector.name);
    }
}

#[test]
fn the_published_vectors_beyond_the_api_are_refused() {
    for (reason, vector) in REFUSED {
        assert_eq!(vector.verify(SECRET), Err(reason), "{}", vector.name);
    }
}
