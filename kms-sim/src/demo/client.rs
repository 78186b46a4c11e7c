//! A small client of the KMS API over the wire: signed awsJson 1.1, one connection for each call.

use std::net::SocketAddr;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Calls one endpoint.
pub(super) struct KmsClient {
    address: SocketAddr,
    identity: Identity,
}

impl KmsClient {
    pub(super) fn new(address: SocketAddr) -> Self {
        let identity = Credentials::new("test", "test", None, None, "kms-sim demo").into();
        Self { address, identity }
    }

    /// What an operation answers, or the exception that it throws.
    pub(super) async fn call(
        &self,
        operation: &str,
        input: &Value,
    ) -> Result<Result<Value, Exception>, CallFailed> {
        let failed = |error: &dyn std::error::Error| CallFailed {
            operation: operation.to_owned(),
            cause: error.to_string(),
        };
        let request = self
            .request(operation, input.to_string())
            .map_err(|error| failed(&*error))?;
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| failed(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        // Owns the sender, whose end is the connection's.
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        let (exchanged, closed) = tokio::join!(exchange, connection);
        let (status, body) = exchanged.map_err(|error| failed(&error))?;
        closed.map_err(|error| failed(&error))?;
        let answer: Value = match &*body {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|error| failed(&error))?,
        };
        if status.is_success() {
            return Ok(Ok(answer));
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(Err(Exception {
            name: text("__type").to_owned(),
            message: text("message").to_owned(),
        }))
    }

    fn request(
        &self,
        operation: &str,
        body: String,
    ) -> Result<Request<Full<Bytes>>, Box<dyn std::error::Error>> {
        let host = self.address.to_string();
        let target = format!("TrentService.{operation}");
        let content_type = "application/x-amz-json-1.1";
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(REGION)
            .name("kms")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = [
            ("host", &*host),
            ("content-type", content_type),
            ("x-amz-target", &*target),
        ];
        let signable = SignableRequest::new(
            "POST",
            "/",
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let mut builder = Request::post("/");
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            builder = builder.header(name, value);
        }
        Ok(builder.body(Full::from(body))?)
    }
}

/// An exception of KMS.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) name: String,
    pub(super) message: String,
}

/// A call that got no answer of KMS at all.
#[derive(Debug, thiserror::Error)]
#[error("{operation} got no answer: {cause}")]
pub(super) struct CallFailed {
    operation: String,
    cause: String,
}

/// The Region of every call.
pub(super) const REGION: &str = "us-east-1";
