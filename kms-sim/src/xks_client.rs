//! Talks to one proxy: signs, sends, keeps the 250 ms deadline, decodes strictly, checks the CDIV again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;
use xks_api::error::{ErrorBody, ErrorName};
use xks_api::fields::Plaintext;
use xks_api::ids::{AccessKeyId, ExternalKeyId, SecretAccessKey};
use xks_api::message::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, GetHealthStatusRequest,
    GetHealthStatusResponse, GetKeyMetadataRequest, GetKeyMetadataResponse, HealthStatus,
    MalformedResponse,
};
use xks_api::metadata::HealthRequestMetadata;
use xks_api::route::Operation;
use xks_api::sealed::{Sealed, cdiv};
use zeroize::Zeroizing;

use crate::proxy_failure::ProxyFailure;
use crate::vpc_endpoint_service::VpcEndpointServices;
use crate::xks_pool::{Connection, Dialer, Pool, Progress, Started};

/// Where a proxy is and how KMS authenticates there.
pub(crate) struct Target {
    host: Box<str>,
    uri_path: Box<str>,
    region: Box<str>,
    access_key_id: AccessKeyId,
    identity: Identity,
    /// How requests get there, if not through the public endpoint.
    route: Option<Route>,
}

/// A VPC endpoint service on the way to a proxy.
struct Route {
    services: VpcEndpointServices,
    name: Box<str>,
}

impl Target {
    /// `host` is that of the `XksProxyUriEndpoint`, `region` the one in which KMS runs.
    pub(crate) fn new(
        host: &str,
        uri_path: &str,
        region: &str,
        access_key_id: AccessKeyId,
        secret: &SecretAccessKey,
    ) -> Self {
        let credentials = Credentials::new(
            access_key_id.as_str(),
            secret.expose(),
            None,
            None,
            "kms-sim",
        );
        Self {
            host: host.into(),
            uri_path: uri_path.into(),
            region: region.into(),
            access_key_id,
            identity: credentials.into(),
            route: None,
        }
    }

    /// The same, through a VPC endpoint service.
    pub(crate) fn through(mut self, services: &VpcEndpointServices, name: &str) -> Self {
        self.route = Some(Route {
            services: services.clone(),
            name: name.into(),
        });
        self
    }

    /// Whether packets find their way.
    fn is_reachable(&self) -> bool {
        let route = self.route.as_ref();
        route.is_none_or(|route| route.services.carries(&route.name))
    }

    /// Adds `Authorization` and `X-Amz-Date` for `host;x-amz-date` and the body.
    //= xks §Authentication R32
    fn sign(
        &self,
        path: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Result<http::HeaderMap, BadRequest> {
        let mut settings = SigningSettings::default();
        // The path is signed as it is sent, also one with two slashes in a row.
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.excluded_headers = None;
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(settings)
            .build()
            .map_err(|_| BadRequest)?
            .into();
        let headers = std::iter::once(("host", &*self.host));
        let request = SignableRequest::new("POST", path, headers, SignableBody::Bytes(body))
            .map_err(|_| BadRequest)?;
        let (instructions, _) = sign(request, &params).map_err(|_| BadRequest)?.into_parts();
        let mut signed = http::HeaderMap::new();
        for (name, value) in instructions.headers() {
            let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadRequest)?;
            let value = HeaderValue::from_str(value).map_err(|_| BadRequest)?;
            signed.insert(name, value);
        }
        Ok(signed)
    }
}

/// A request that cannot be signed; what is validated at the API's edge can.
struct BadRequest;

/// The client of one proxy. A store owns one while it is CONNECTED, and while it tries to.
pub(crate) struct XksClient {
    pool: Arc<Pool>,
    target: Arc<Target>,
}

impl XksClient {
    /// A client without any connection.
    pub(crate) fn new(dialer: Arc<Dialer>, target: Target) -> Self {
        Self {
            pool: Arc::new(Pool::new(dialer)),
            target: Arc::new(target),
        }
    }

    /// A link for one operation.
    pub(crate) fn link(&self) -> XksLink {
        XksLink {
            pool: Arc::clone(&self.pool),
            target: Arc::clone(&self.target),
        }
    }

    /// The next call goes to `target`, over new connections.
    pub(crate) fn retarget(&mut self, target: Target) {
        self.target = Arc::new(target);
        self.pool.retire_idle();
    }

    /// The connections, to be closed and waited for.
    pub(crate) const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

/// Nothing of a client outlives it: whoever wants a proper close, closes the pool first.
impl Drop for XksClient {
    fn drop(&mut self) {
        self.pool.abort();
    }
}

/// The right to send requests to the proxy of a store that was CONNECTED when it was taken.
///
/// Held for the length of one KMS operation; Disconnect waits at most 500 ms for its requests and then ends them.
#[derive(Clone)]
pub(crate) struct XksLink {
    pool: Arc<Pool>,
    target: Arc<Target>,
}

impl XksLink {
    /// GetHealthStatus for a KMS operation, or `KmsHealthCheck`.
    pub(crate) async fn health(
        &self,
        kms_operation: &str,
        kms_request_id: &str,
    ) -> Result<(), ProxyFailure> {
        let request = GetHealthStatusRequest {
            request_metadata: HealthRequestMetadata {
                kms_operation: kms_operation.into(),
                kms_request_id: kms_request_id.into(),
            },
        };
        let body = Zeroizing::new(request.encode());
        let answer = self
            .call(&Operation::GetHealthStatus, kms_request_id, body)
            .await?;
        let response = self.read(GetHealthStatusResponse::parse(&answer), kms_request_id)?;
        let serves = |status| matches!(status, HealthStatus::Active | HealthStatus::Degraded);
        match response
            .ekm_fleet_details
            .iter()
            .any(|ekm| serves(ekm.health_status))
        {
            true => Ok(()),
            false => Err(ProxyFailure::Unhealthy),
        }
    }

    /// GetKeyMetadata.
    pub(crate) async fn key_metadata(
        &self,
        key: &ExternalKeyId,
        request: &GetKeyMetadataRequest<'_>,
    ) -> Result<GetKeyMetadataResponse, ProxyFailure> {
        let id = &request.request_metadata.kms_request_id;
        let body = Zeroizing::new(request.encode());
        let answer = self
            .call(&Operation::GetKeyMetadata(key.clone()), id, body)
            .await?;
        self.read(GetKeyMetadataResponse::parse(&answer), id)
    }

    /// Encrypt; the length of the answer is checked, and the CDIV if it was asked for.
    pub(crate) async fn encrypt(
        &self,
        key: &ExternalKeyId,
        request: &EncryptRequest<'_>,
    ) -> Result<Sealed, ProxyFailure> {
        let id = &request.metadata.kms_request_id;
        let operation = Operation::Encrypt(key.clone());
        let answer = self.call(&operation, id, request.encode()).await?;
        let response = self.read(EncryptResponse::parse(&answer), id)?;
        let sealed = response.sealed;
        let checked = if sealed.ciphertext.len() != request.plaintext.expose().len() {
            Err(MalformedResponse(
                "the ciphertext is not as long as the plaintext",
            ))
        } else {
            match (request.cdiv, response.cdiv) {
                (None, _) => Ok(sealed),
                (Some(_), None) => Err(MalformedResponse(
                    "the ciphertextDataIntegrityValue that was asked for is missing",
                )),
                (Some(_), Some(theirs)) if theirs != cdiv(&request.aad, &sealed) => Err(
                    MalformedResponse("the ciphertextDataIntegrityValue is not that of the answer"),
                ),
                (Some(_), Some(_)) => Ok(sealed),
            }
        };
        self.read(checked, id)
    }

    /// Decrypt; the length of the answer is checked.
    pub(crate) async fn decrypt(
        &self,
        key: &ExternalKeyId,
        request: &DecryptRequest<'_>,
    ) -> Result<Plaintext, ProxyFailure> {
        let id = &request.metadata.kms_request_id;
        let operation = Operation::Decrypt(key.clone());
        let body = Zeroizing::new(request.encode());
        let answer = self.call(&operation, id, body).await?;
        let plaintext = self.read(DecryptResponse::parse(&answer), id)?.plaintext;
        let checked = match plaintext.expose().len() == request.sealed.ciphertext.len() {
            true => Ok(plaintext),
            false => Err(MalformedResponse(
                "the plaintext is not as long as the ciphertext",
            )),
        };
        self.read(checked, id)
    }

    /// Resolves when the store disconnects.
    pub(crate) async fn closing(&self) {
        self.pool.closing().await;
    }

    /// Whether both are of the same time of being CONNECTED.
    pub(crate) fn is_as_old_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool)
    }

    fn read<T>(
        &self,
        parsed: Result<T, MalformedResponse>,
        kms_request_id: &str,
    ) -> Result<T, ProxyFailure> {
        parsed.map_err(|MalformedResponse(defect)| {
            let host = &*self.target.host;
            tracing::warn!(
                host,
                kms_request_id,
                defect,
                "malformed answer of the proxy"
            );
            ProxyFailure::Malformed(defect)
        })
    }

    /// One call: an attempt, and a second one if the first ran out of time.
    async fn call(
        &self,
        operation: &Operation,
        kms_request_id: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
        let started = self.pool.start()?;
        let call = Call {
            target: &self.target,
            started: &started,
            path: operation.path_below(&self.target.uri_path),
            body: Bytes::from_owner(body),
            kms_request_id,
        };
        let attempts = async {
            match call.attempt().await {
                Err(AttemptError::OutOfTime(_)) => call.attempt().await,
                result => result,
            }
        };
        let result = tokio::select! {
            biased;
            () = started.aborted() => return Err(ProxyFailure::NotConnected),
            result = attempts => result,
        };
        result.map_err(|error| match error {
            AttemptError::OutOfTime(failure) | AttemptError::Failed(failure) => failure,
        })
    }
}

/// Everything that the attempts of one call share.
struct Call<'c> {
    target: &'c Target,
    started: &'c Started<'c>,
    path: String,
    body: Bytes,
    kms_request_id: &'c str,
}

/// How an attempt failed.
enum AttemptError {
    /// KMS tries once more, but for no other reason.
    OutOfTime(ProxyFailure),
    Failed(ProxyFailure),
}

impl Call<'_> {
    async fn attempt(&self) -> Result<Zeroizing<Vec<u8>>, AttemptError> {
        self.started.permitted().map_err(AttemptError::Failed)?;
        if !self.target.is_reachable() {
            return Err(AttemptError::Failed(ProxyFailure::Unreachable));
        }
        let progress = Progress::default();
        match timeout(TIME_LIMIT, self.exchange(&progress)).await {
            Ok(result) => result.map_err(AttemptError::Failed),
            Err(_) => {
                let host = &*self.target.host;
                let kms_request_id = self.kms_request_id;
                tracing::warn!(host, kms_request_id, "no answer of the proxy within 250 ms");
                Err(AttemptError::OutOfTime(progress.timeout_failure()))
            }
        }
    }

    /// Sends over a connection of before if one is good, else over a new one.
    async fn exchange(&self, progress: &Progress) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
        while let Some(mut connection) = self.started.idle_connection().await {
            progress.reused();
            let before = connection.bytes_written();
            match self.send(&mut connection).await {
                Ok(answer) => return self.finish(connection, answer).await,
                // The proxy had closed the connection: nothing was sent, so this is no retry.
                Err(SendError::Error(_)) if connection.bytes_written() == before => {}
                Err(error) => return Err(self.failure(error)),
            }
        }
        let mut connection = self.started.dial(&self.target.host, progress).await?;
        match self.send(&mut connection).await {
            Ok(answer) => self.finish(connection, answer).await,
            Err(error) => Err(self.failure(error)),
        }
    }

    async fn send(&self, connection: &mut Connection) -> Result<Response<Incoming>, SendError> {
        let request = self.signed().map_err(|BadRequest| SendError::Unsignable)?;
        self.started.permitted().map_err(SendError::NotPermitted)?;
        let sent = connection.sender.try_send_request(request).await;
        sent.map_err(|error| SendError::Error(error.into_error()))
    }

    fn signed(&self) -> Result<Request<Full<Bytes>>, BadRequest> {
        let mut request = Request::post(&self.path)
            .header(HOST, &*self.target.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(self.body.clone()))
            .map_err(|_| BadRequest)?;
        let signature = self
            .target
            .sign(&self.path, &self.body, SystemTime::now())?;
        request.headers_mut().extend(signature);
        Ok(request)
    }

    /// Reads the answer to its end, gives the connection back, and tells success from error.
    async fn finish(
        &self,
        connection: Connection,
        answer: Response<Incoming>,
    ) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
        let status = answer.status();
        let mut body = Limited::new(answer.into_body(), MAX_ANSWER);
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => self.failure(SendError::Error(*error)),
                Err(_) => self.malformed("the answer is longer than any that is allowed", status),
            })?;
            if let Ok(data) = frame.into_data() {
                bytes.extend_from_slice(&data);
                // Frames that nobody else holds can be wiped.
                if let Ok(mut data) = data.try_into_mut() {
                    wipe(&mut data);
                }
            }
        }
        self.started.give_back(connection);
        match status {
            StatusCode::OK => Ok(bytes),
            _ => Err(self.error_answer(status, &bytes)),
        }
    }

    /// The `errorName` decides, not the status; the message goes to the log alone.
    fn error_answer(&self, status: StatusCode, body: &[u8]) -> ProxyFailure {
        let Ok(error) = serde_json::from_slice::<ErrorBody<'_>>(body) else {
            return self.malformed("an HTTP error without an errorName", status);
        };
        let Some(name) = ErrorName::from_wire(&error.error_name) else {
            return self.malformed("an errorName that the specification does not know", status);
        };
        let message = error.error_message.as_deref().unwrap_or_default();
        tracing::warn!(
            host = &*self.target.host,
            path = self.path,
            kms_request_id = self.kms_request_id,
            access_key_id = self.target.access_key_id.as_str(),
            status = status.as_u16(),
            error_name = name.as_str(),
            error_message = message
                .escape_default()
                .take(MAX_LOGGED)
                .collect::<String>(),
            "the proxy answered with an error"
        );
        ProxyFailure::Answered(name)
    }

    fn malformed(&self, defect: &'static str, status: StatusCode) -> ProxyFailure {
        tracing::warn!(
            host = &*self.target.host,
            path = self.path,
            kms_request_id = self.kms_request_id,
            status = status.as_u16(),
            defect,
            "malformed answer of the proxy"
        );
        ProxyFailure::Malformed(defect)
    }

    fn failure(&self, error: SendError) -> ProxyFailure {
        let error = match error {
            SendError::NotPermitted(failure) => return failure,
            SendError::Unsignable => {
                return ProxyFailure::Malformed("the request cannot be signed");
            }
            SendError::Error(error) => error,
        };
        tracing::warn!(
            host = &*self.target.host,
            path = self.path,
            kms_request_id = self.kms_request_id,
            error = causes(&error),
            "the exchange with the proxy failed"
        );
        if error.is_parse() {
            return ProxyFailure::Malformed("not HTTP");
        }
        match is_tls(&error) {
            // TLS 1.3 refuses a client certificate only after the client's handshake.
            true => ProxyFailure::Tls,
            false => ProxyFailure::Unreachable,
        }
    }
}

/// Why a request got no answer.
enum SendError {
    NotPermitted(ProxyFailure),
    Unsignable,
    Error(hyper::Error),
}

/// The error and what led to it, for the log.
fn causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether a TLS alert or another fault of the TLS session is the cause.
fn is_tls(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let inner = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = cause.source();
    }
    false
}

fn wipe(data: &mut BytesMut) {
    zeroize::Zeroize::zeroize(&mut **data);
}

/// The service name in the credential scope.
const SERVICE: &str = "kms-xks-proxy";

/// KMS's patience: connection, TLS and answer of one attempt.
const TIME_LIMIT: Duration = Duration::from_millis(250);

/// Far above the longest answer that can be right.
const MAX_ANSWER: usize = 128 * 1024;

/// Of a proxy's `errorMessage` no more is logged; the specification allows 511 characters.
const MAX_LOGGED: usize = 1024;

#[cfg(test)]
#[path = "xks_client_tests.rs"]
mod tests;
