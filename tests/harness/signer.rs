//! Requests signed the way KMS signs them, by the official `aws-sigv4` and not by our own code.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;

/// An access key with its secret, and the scope it signs for.
#[derive(Clone, Debug)]
pub struct Signer {
    /// `AccessKeyId`
    pub access_key_id: String,
    /// `RawSecretAccessKey`; test material.
    pub secret_access_key: String,
    /// `us-east-1` by default.
    pub region: String,
    /// `kms-xks-proxy` by default.
    pub service: String,
}

impl Signer {
    /// Signs for `kms-xks-proxy` in us-east-1.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            region: "us-east-1".into(),
            service: "kms-xks-proxy".into(),
        }
    }

    /// A signed POST at the present time: `host` and `x-amz-date` are signed, as KMS does.
    pub fn post(&self, host: &str, path: &str, body: impl Into<Vec<u8>>) -> SignedRequest {
        let mut request = SignedRequest::unsigned("POST", host, path, body);
        self.sign(&mut request, SystemTime::now());
        request
    }

    /// Signs `host` and every header that `request` has, content-type apart, as of `time`.
    pub fn sign(&self, request: &mut SignedRequest, time: SystemTime) {
        let identity: Identity = Credentials::new(
            &self.access_key_id,
            &self.secret_access_key,
            None,
            None,
            "test",
        )
        .into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .expect("all signing parameters are set")
            .into();
        let signed = request
            .headers
            .iter()
            .filter(|(name, _)| name != "content-type");
        let headers = signed.map(|(name, value)| (name.as_str(), value.as_str()));
        let uri = format!("https://{}{}", request.host(), request.path);
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(&request.method, &uri, headers, body)
            .expect("a request that can be signed");
        let (instructions, _) = sign(signable, &params).expect("a signature").into_parts();
        for (name, value) in instructions.headers() {
            request.set(name, value);
        }
    }
}

/// A request as it goes on the wire; every part can be changed after signing.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// The method.
    pub method: String,
    /// The request target.
    pub path: String,
    /// Names in lower case, in the order sent; `content-length` is added when sent, unless it is here.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl SignedRequest {
    /// A request with `host` and `content-type: application/json`, not signed.
    pub fn unsigned(method: &str, host: &str, path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: vec![
                ("host".into(), host.into()),
                ("content-type".into(), "application/json".into()),
            ],
            body: body.into(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Sets a header, in the place of the first of that name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.headers.iter_mut().find(|(n, _)| n == name) {
            Some(header) => header.1 = value,
            None => self.headers.push((name.into(), value)),
        }
    }

    /// Takes a header away.
    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(n, _)| n != name);
    }

    /// The bytes of an HTTP/1.1 request.
    pub fn http1(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if self.header("content-length").is_none() && self.header("transfer-encoding").is_none() {
            bytes.extend(format!("content-length: {}\r\n", self.body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }

    /// The same request for HTTP/2: `host` becomes `:authority`.
    pub fn http2(&self) -> http::Request<Bytes> {
        let mut builder = http::Request::builder()
            .method(self.method.as_str())
            .uri(format!("https://{}{}", self.host(), self.path));
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "host") {
            builder = builder.header(name, value);
        }
        builder
            .body(Bytes::from(self.body.clone()))
            .expect("a request for HTTP/2")
    }

    fn host(&self) -> &str {
        self.header("host")
            .expect("aws-sigv4 signs no request without a host")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// Recomputed with botocore 1.43 (`SigV4Auth.signature` over the same parts).
    #[test]
    fn the_signature_is_the_one_that_botocore_makes() {
        let signer = Signer::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        let mut request = SignedRequest::unsigned("POST", "xks.test", "/a/kms/xks/v1/health", "{}");
        signer.sign(
            &mut request,
            UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        );
        assert_eq!(request.header("x-amz-date"), Some("20231114T221320Z"));
        assert_eq!(
            request.header("authorization"),
            Some(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20231114/us-east-1/kms-xks-proxy/aws4_request, SignedHeaders=host;x-amz-date, Signature=b83712c996cd0268789c61ffb2c89796f5a474b6c657cdb06b4bb36970ceb74b"
            )
        );
    }
}
