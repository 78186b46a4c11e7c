//! The file with its mistakes, and signatures made by `aws-sigv4`, not by our own code.

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::file::read;
use super::{Accounts, Claim, SignedHead};
use crate::api::KmsError;
use crate::policy::{IdentityKind, PrincipalRef};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn accounts() -> Accounts {
    let text = format!(
        r#"
        [[principals]]
        access-key-id = "AKIAIOSFODNN7EXAMPLE"
        secret-access-key = "{SECRET}"
        principal = "arn:aws:iam::111122223333:user/team/Alice"

        [[principals]]
        access-key-id = "ASIAIOSFODNN7EXAMPLE"
        secret-access-key = "{SECRET}"
        session-token = "token"
        principal = "arn:aws:iam::111122223333:role/team/Operator"
        session-name = "bob"
        "#
    );
    read(&text, Path::new(".")).unwrap()
}

/// A request as a client sends it; each test spoils something.
struct Sent {
    uri: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

struct Signing<'a> {
    access_key_id: &'a str,
    secret: &'a str,
    token: Option<&'a str>,
    service: &'a str,
    age: i64,
    location: SignatureLocation,
}

impl Default for Signing<'_> {
    fn default() -> Self {
        Self {
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            secret: SECRET,
            token: None,
            service: "kms",
            age: 0,
            location: SignatureLocation::Headers,
        }
    }
}

impl Signing<'_> {
    /// A POST with headers as clients have them: spaces in values, and one header twice.
    fn sent(&self, uri: &str) -> Sent {
        let body = br#"{"KeyId":"alias/x"}"#.to_vec();
        let mut sent = Sent {
            uri: uri.to_owned(),
            headers: HeaderMap::new(),
            body,
        };
        for (name, value) in [
            ("host", "127.0.0.1:4599"),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "TrentService.DescribeKey"),
            ("x-spaces", "  a   b  "),
        ] {
            sent.headers.append(name, HeaderValue::from_static(value));
        }
        let token = self.token.map(str::to_owned);
        let identity =
            Credentials::new(self.access_key_id, self.secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = self.location;
        if self.location == SignatureLocation::QueryParams {
            settings.expires_in = Some(Duration::from_secs(60));
        }
        let now = SystemTime::now();
        let age = Duration::from_secs(self.age.unsigned_abs());
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(self.service)
            .time(if self.age < 0 { now + age } else { now - age })
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = sent.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let request = SignableRequest::new(
            "POST",
            format!("http://127.0.0.1:4599{uri}"),
            headers,
            SignableBody::Bytes(&sent.body),
        );
        let (instructions, _) = sign(request.unwrap(), &params).unwrap().into_parts();
        for (name, value) in instructions.headers() {
            sent.headers.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        for (name, value) in instructions.params() {
            let mark = if sent.uri.contains('?') { '&' } else { '?' };
            let value: String = value
                .bytes()
                .map(|b| match b {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        char::from(b).to_string()
                    }
                    other => format!("%{other:02X}"),
                })
                .collect();
            sent.uri.push_str(&format!("{mark}{name}={value}"));
        }
        sent
    }
}

impl Sent {
    fn verify(&self) -> Result<(), KmsError> {
        let accounts = accounts();
        let (path, query) = match self.uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*self.uri, None),
        };
        let head = SignedHead {
            method: "POST",
            path,
            query,
            authority: None,
            headers: &self.headers,
        };
        let claim = Claim::read(&head)?;
        let scope = claim.scope()?;
        let principal = accounts.find(scope.access_key_id, claim.session_token())?;
        let now = time::OffsetDateTime::now_utc();
        claim.verify(&head, &self.body, principal, "kms", now)
    }

    #[track_caller]
    fn refused(&self, name: &str, message: &str) {
        let error = self.verify().unwrap_err();
        assert_eq!(error.name(), name, "{error:?}");
        let text = error.message().unwrap();
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn signatures_of_another_implementation_verify() {
    let bob = Signing {
        access_key_id: "ASIAIOSFODNN7EXAMPLE",
        token: Some("token"),
        ..Signing::default()
    };
    for uri in ["/", "/?b=2&a=1&a=0&c=%2F+x&d"] {
        Signing::default().sent(uri).verify().unwrap();
        bob.sent(uri).verify().unwrap();
        for signing in [
            Signing::default(),
            Signing {
                token: Some("token"),
                access_key_id: bob.access_key_id,
                ..Signing::default()
            },
        ] {
            let presigned = Signing {
                location: SignatureLocation::QueryParams,
                ..signing
            };
            presigned.sent("/").verify().unwrap();
        }
    }
}

#[test]
fn what_was_changed_on_the_way_is_refused_with_what_should_have_been_signed() {
    let invalid = "InvalidSignatureException";
    let message = "The request signature we calculated does not match the signature you provided.";
    let mut sent = Signing::default().sent("/");
    sent.body.push(b' ');
    sent.refused(invalid, message);
    sent.refused(
        invalid,
        "The Canonical String for this request should have been\n'POST\n/\n\n",
    );
    sent.refused(invalid, "x-spaces:a b\n");
    let mut sent = Signing::default().sent("/");
    sent.headers.insert(
        "x-amz-target",
        HeaderValue::from_static("TrentService.DisableKey"),
    );
    sent.refused(invalid, "x-amz-target:TrentService.DisableKey\n");
    let mut sent = Signing::default().sent("/?a=1");
    sent.uri = "/?a=2".to_owned();
    sent.refused(invalid, message);
    let secret = SECRET.replace('w', "W");
    let other = Signing {
        secret: &secret,
        ..Signing::default()
    };
    other.sent("/").refused(invalid, message);
    let mut sent = Signing::default().sent("/");
    let authorization = sent.headers["authorization"].to_str().unwrap().to_owned();
    let cut = &authorization[..authorization.len() - 1];
    sent.headers
        .insert("authorization", HeaderValue::from_str(cut).unwrap());
    sent.refused(invalid, message);
}

#[test]
fn each_other_mistake_has_its_error() {
    let invalid = "InvalidSignatureException";
    let old = Signing {
        age: 301 + 5,
        ..Signing::default()
    };
    old.sent("/").refused(invalid, "Signature expired: ");
    let early = Signing {
        age: -(301 + 5),
        ..Signing::default()
    };
    early
        .sent("/")
        .refused(invalid, "Signature not yet current: ");
    Signing {
        age: 240,
        ..Signing::default()
    }
    .sent("/")
    .verify()
    .unwrap();
    let stale = Signing {
        age: 70,
        location: SignatureLocation::QueryParams,
        ..Signing::default()
    };
    stale.sent("/").refused(invalid, "Signature expired: ");
    let s3 = Signing {
        service: "s3",
        ..Signing::default()
    };
    s3.sent("/").refused(
        invalid,
        "Credential should be scoped to correct service: 'kms'.",
    );
    let unrecognized = "UnrecognizedClientException";
    let invalid_token = "The security token included in the request is invalid.";
    for (access_key_id, token) in [
        ("AKIANOBODYNOBODYEXAM", None),
        ("ASIAIOSFODNN7EXAMPLE", None),
        ("ASIAIOSFODNN7EXAMPLE", Some("tokem")),
        ("AKIAIOSFODNN7EXAMPLE", Some("token")),
    ] {
        let signing = Signing {
            access_key_id,
            token,
            ..Signing::default()
        };
        signing.sent("/").refused(unrecognized, invalid_token);
    }
    let mut unsigned = Signing::default().sent("/");
    unsigned.headers.remove("authorization");
    unsigned.refused(
        "MissingAuthenticationTokenException",
        "Missing Authentication Token".trim_start_matches("Missing "),
    );
    let incomplete = "IncompleteSignatureException";
    let with = |authorization: &str| {
        let mut sent = Signing::default().sent("/");
        let value = HeaderValue::from_str(authorization).unwrap();
        sent.headers.insert("authorization", value);
        sent
    };
    let scope = "AKIAIOSFODNN7EXAMPLE/20261124/us-east-1/kms/aws4_request";
    for (authorization, message) in [
        (
            "AWS4-HMAC-SHA256 SignedHeaders=host".to_owned(),
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. ",
        ),
        (
            format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=ab"),
            "requires 'SignedHeaders' parameter. ",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=ab".to_owned(),
            "exactly 5 slash-delimited elements",
        ),
        (
            format!("AWS4-ECDSA-P256-SHA256 Credential={scope}"),
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'",
        ),
        (
            "Bearer x".to_owned(),
            "Unsupported AWS 'algorithm': 'Bearer'",
        ),
    ] {
        with(&authorization).refused(incomplete, message);
    }
    let mut undated = Signing::default().sent("/");
    undated.headers.remove("x-amz-date");
    undated.refused(
        incomplete,
        "requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    );
    let yesterday = format!(
        "AWS4-HMAC-SHA256 Credential={}, SignedHeaders=host, Signature=ab",
        scope.replace("2026", "2016")
    );
    with(&yesterday).refused(invalid, "Date in Credential scope does not match YYYYMMDD");
}

#[test]
fn every_mistake_of_a_file_is_told() {
    let text = r#"
        greeting = "hello"
        [[principals]]
        access-key-id = "short"
        secret-access-key = "with a space"
        principal = "Alice"
        [[principals]]
        access-key-id = "AKIAIOSFODNN7EXAMPLE"
        principal = "arn:aws:iam::111122223333:role/Operator"
        policies = ['{"Statement": [{"Effect": "Maybe"}]}', 7]
        policy-files = ["missing.json"]
        source-vpc = "vpce-1"
        [[principals]]
        access-key-id = "AKIAIOSFODNN7EXAMPLE"
        secret-access-key = "secretsecret"
        principal = "arn:aws:iam::111122223333:user/Alice"
        session-name = "alice"
        [[principals]]
        access-key-id = "AKIAROOTEXAMPLE00001"
        secret-access-key = "secretsecret"
        principal = "arn:aws:iam::111122223333:root"
        policies = ['{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}']
    "#;
    let problems = read(text, Path::new("/nowhere")).unwrap_err();
    let expected = [
        "principals[0].access-key-id: found \"short\"",
        "principals[0].secret-access-key: found another text (not shown",
        "principals[0].principal: found \"Alice\"; expected the ARN of a user",
        "principals[1].secret-access-key: found nothing",
        "principals[1].session-name: found nothing",
        "principals[1].policies[0]: found Statement[0].Effect must be",
        "principals[1].policies[1]: found another type",
        "principals[1].policy-files[0]: found /nowhere/missing.json: ",
        "principals[1].source-vpc: found \"vpce-1\"",
        "principals[2].access-key-id: found \"AKIAIOSFODNN7EXAMPLE\", which principals[1].access-key-id has",
        "principals[2].session-name: found a name; expected none",
        "principals[3].policies: found policies; expected none, since a root user has no",
        "greeting: found an unknown field",
    ];
    for text in expected {
        assert!(
            problems
                .iter()
                .any(|found| found.to_string().starts_with(text)),
            "{text}\n{problems:#?}"
        );
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    let nobody = read("", Path::new(".")).unwrap_err();
    let nobody = nobody.first().unwrap().to_string();
    assert!(nobody.contains("at least one [[principals]]"), "{nobody}");
}

#[test]
fn the_example_is_an_example() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/accounts.example.toml");
    let accounts = Accounts::load(&file).unwrap();
    let payroll = accounts
        .find("ASIAPAYROLLEXAMPLE01", Some("an-opaque-session-token"))
        .unwrap();
    assert_eq!(
        payroll.identity.arn,
        "arn:aws:sts::111122223333:assumed-role/Payroll/worker-1"
    );
    let IdentityKind::AssumedRole { role_arn, .. } = &payroll.identity.kind else {
        panic!("{:?}", payroll.identity);
    };
    assert_eq!(role_arn, "arn:aws:iam::111122223333:role/service/Payroll");
    assert_eq!(
        (
            payroll.policies.len(),
            &*payroll.origin.vpc.clone().unwrap()
        ),
        (1, "vpc-0a1b2c3d")
    );
    for (named, exists) in [
        ("arn:aws:iam::111122223333:user/Admin", true),
        ("arn:aws:iam::111122223333:user/Nobody", false),
        ("arn:aws:iam::111122223333:role/service/Payroll", true),
        ("arn:aws:iam::111122223333:role/Payroll", false),
        ("arn:aws:iam::999999999999:user/Unheard", true),
        ("111122223333", true),
        ("*", true),
    ] {
        let named = PrincipalRef::of_aws(named).unwrap();
        assert_eq!(accounts.may_exist(&named), exists, "{named}");
    }
}
