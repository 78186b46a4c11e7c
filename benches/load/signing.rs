//! Signatures, through the official `aws-sigv4`, and requests with them.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::Full;

use crate::arguments::HttpVersion;
use crate::target::Target;
use crate::workload::Template;

/// An access key, and the scope that it signs for. It has no `Debug`: it holds a secret.
pub(crate) struct Signer {
    identity: Identity,
    region: String,
    service: &'static str,
}

impl Signer {
    pub(crate) fn new(
        access_key_id: &str,
        secret: &str,
        region: &str,
        service: &'static str,
    ) -> Self {
        let identity = Credentials::new(access_key_id, secret, None, None, "xks-load").into();
        Self {
            identity,
            region: region.to_owned(),
            service,
        }
    }

    /// The request of a template, signed now, with that body.
    ///
    /// # Errors
    /// A path or a header that no request can have.
    pub(crate) fn request(
        &self,
        template: &Template,
        body: Bytes,
        target: &Target,
    ) -> Result<Request<Full<Bytes>>, String> {
        let params = SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let url = format!("https://{}{}", target.host, template.path);
        let mut headers = vec![("host", target.host.as_str())];
        if let Some(operation) = &template.target {
            headers.push(("x-amz-target", operation));
        }
        let signable = SignableRequest::new(
            "POST",
            &url,
            headers.iter().copied(),
            SignableBody::Bytes(&body),
        )
        .map_err(|error| error.to_string())?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| error.to_string())?
            .into_parts();

        let mut builder = Request::builder().method("POST");
        builder = match target.http {
            HttpVersion::Http1 => builder.uri(&template.path).header(HOST, &target.host),
            HttpVersion::Http2 => builder.uri(&url),
        };
        builder = match &template.target {
            Some(operation) => builder
                .header("x-amz-target", operation)
                .header(CONTENT_TYPE, "application/x-amz-json-1.1"),
            None => builder.header(CONTENT_TYPE, "application/json"),
        };
        for (name, value) in instructions.headers() {
            builder = builder.header(name, value);
        }
        builder
            .body(Full::new(body))
            .map_err(|error| error.to_string())
    }
}
