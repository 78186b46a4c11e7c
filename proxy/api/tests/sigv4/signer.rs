//! Requests signed by `aws-sigv4`, an implementation that shares nothing with the verifier.

use std::borrow::Cow;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use time::OffsetDateTime;
use time::macros::datetime;
use xks_api::ids::{AccessKeyId, SecretAccessKey};
use xks_api::sigv4::{AuthenticationFailed, Reason, Regions, SignedRequest, Verifier};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-24 12:36:00 UTC);
pub(crate) const ID: &str = "BETWEENAAAAANDBBBBBB";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY+AB=";
const PATH: &str = "/dev/tenant-a/kms/xks/v1/keys/demo/encrypt";
pub(crate) const HOST: &str = "xks.test:8443";

/// A request as it arrives: what a test changes after signing, or builds to be signed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A well-formed request without a signature.
    pub(crate) fn encrypt() -> Self {
        Self {
            method: "POST".into(),
            path: PATH.into(),
            query: None,
            authority: None,
            headers: vec![("host".into(), HOST.into())],
            body: br#"{"plaintext":"SGVsbG8="}"#.to_vec(),
        }
    }

    /// The same as HTTP/2 brings it: no `Host` header.
    pub(crate) fn encrypt_http2() -> Self {
        Self {
            authority: Some(HOST.into()),
            headers: Vec::new(),
            ..Self::encrypt()
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The only value of a header.
    pub(crate) fn value(&mut self, name: &str) -> &mut Vec<u8> {
        let mut values = self.headers.iter_mut().filter(|(n, _)| n == name);
        let (_, value) = values.next().expect("the header is there");
        assert!(values.next().is_none(), "{name} occurs once");
        value
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self
    }

    /// Replaces a part of the `Authorization` header, which must be there.
    pub(crate) fn authorization(mut self, from: &str, to: &str) -> Self {
        let value = self.value("authorization");
        let text = std::str::from_utf8(value).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        *value = text.replacen(from, to, 1).into();
        self
    }

    pub(crate) fn verify_at(
        &self,
        verifier: &Verifier,
        now: OffsetDateTime,
    ) -> Result<AccessKeyId, AuthenticationFailed> {
        let headers = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice()));
        let request = SignedRequest {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            authority: self.authority.as_deref(),
            headers,
            body: &self.body,
        };
        verifier.verify(&request, now).cloned()
    }

    /// Verifies with the signer's credential, in any Region, at the signer's time.
    pub(crate) fn verify(&self) -> Result<AccessKeyId, Reason> {
        let result = self.verify_at(&verifier(&[(ID, SECRET)]), NOW);
        result.map_err(|failure| failure.reason())
    }
}

/// Requires that the request fails for this reason and no other.
pub(crate) fn refused(request: &Request, reason: Reason) {
    let headers = request.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name, String::from_utf8_lossy(value)))
        .collect();
    assert_eq!(request.verify(), Err(reason), "{request:?} {headers:#?}");
}

/// Who signs, for what and when.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) time: OffsetDateTime,
    /// Headers that stay out of the signature, over those that `aws-sigv4` leaves out by itself.
    pub(crate) unsigned: Vec<&'static str>,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            id: ID.into(),
            secret: SECRET.into(),
            region: "us-east-1".into(),
            service: "kms-xks-proxy".into(),
            time: NOW,
            unsigned: Vec::new(),
        }
    }
}

impl Signer {
    pub(crate) fn sign(&self, request: Request) -> Request {
        let body = request.body.clone();
        self.sign_body(request, SignableBody::Bytes(&body))
    }

    pub(crate) fn sign_body(&self, mut request: Request, body: SignableBody<'_>) -> Request {
        let identity: Identity =
            Credentials::new(&self.id, &self.secret, None, None, "test").into();
        let mut settings = SigningSettings::default();
        let unsigned = self.unsigned.iter().map(|name| Cow::Borrowed(*name));
        settings
            .excluded_headers
            .get_or_insert_default()
            .extend(unsigned);
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::from(self.time))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let query = request.query.as_ref().map(|q| format!("?{q}"));
        let host = request.authority.as_deref().unwrap_or(HOST);
        let uri = format!(
            "https://{host}{}{}",
            request.path,
            query.unwrap_or_default()
        );
        let headers = request.headers.iter();
        let headers = headers.map(|(n, v)| (n.as_str(), std::str::from_utf8(v).unwrap()));
        let signable = SignableRequest::new(&request.method, uri, headers, body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        for (name, value) in instructions.headers() {
            request = request.without(name).with(name, value);
        }
        request
    }
}

pub(crate) fn sign_default(request: Request) -> Request {
    Signer::default().sign(request)
}

pub(crate) fn verifier(credentials: &[(&str, &str)]) -> Verifier {
    verifier_for(credentials, Regions::Any)
}

pub(crate) fn verifier_for(credentials: &[(&str, &str)], regions: Regions) -> Verifier {
    let typed = credentials.iter().map(|(id, secret)| {
        (
            AccessKeyId::try_from(*id).unwrap(),
            SecretAccessKey::try_from(*secret).unwrap(),
        )
    });
    Verifier::new(typed, regions).unwrap()
}
