//! Signed calls of KMS's API (awsJson 1.1), with retries where KMS asks for them.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_v4};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::credentials::{self, CredentialsError};
use super::exchange::{Answer, ExchangeError, Url};
use super::settings::Settings;

/// KMS in one Region, called with somebody's credentials.
pub struct KmsClient {
    settings: Settings,
    /// Found anew shortly before they expire.
    credentials: Mutex<Credentials>,
}

impl KmsClient {
    /// A client of the KMS that the settings lead to.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn new(settings: Settings) -> Result<Self, CredentialsError> {
        let credentials = Mutex::new(credentials::find(&settings).await?);
        Ok(Self {
            settings,
            credentials,
        })
    }

    /// Where it is, and as which Region it is called.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Calls an operation, again and again where KMS is throttling or ails.
    pub(super) async fn call<I: Serialize + Sync, O: DeserializeOwned>(
        &self,
        operation: &'static str,
        input: &I,
    ) -> Result<O, CallError> {
        // Never grows, so that no copy of a secret stays behind.
        let mut body = Zeroizing::new(Vec::with_capacity(BODY_CAPACITY));
        serde_json::to_writer(&mut *body, input).expect("strings and numbers encode");
        let body = Bytes::from_owner(body);
        let mut pause = FIRST_PAUSE;
        let mut left = MAX_ATTEMPTS;
        loop {
            left -= 1;
            let error = match self.attempt(operation, &body).await {
                Ok(answer) => match read(operation, &answer) {
                    Ok(output) => return Ok(output),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if left == 0 || !error.is_transient() {
                return Err(error);
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn attempt(&self, operation: &'static str, body: &Bytes) -> Result<Answer, CallError> {
        let url = &self.settings.kms;
        let unusable = |problem: String| CallError::Unsendable { operation, problem };
        let mut request = Request::post(format!("{}/", url.path))
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{operation}"))
            .header(
                "user-agent",
                concat!("xks-proxy/", env!("CARGO_PKG_VERSION")),
            )
            .body(Full::new(body.clone()))
            .map_err(|e| unusable(e.to_string()))?;
        let credentials = self.credentials().await?;
        let (region, now) = (&self.settings.region, SystemTime::now());
        sign(&mut request, body, url, &credentials, region, "kms", now).map_err(unusable)?;
        let answer = self.settings.http.exchange(url, request, LIMIT).await;
        answer.map_err(|error| CallError::NoAnswer {
            operation,
            endpoint: url.to_string(),
            error,
        })
    }

    async fn credentials(&self) -> Result<Credentials, CallError> {
        let mut credentials = self.credentials.lock().await;
        let soon = SystemTime::now() + MARGIN;
        if credentials.expiry().is_some_and(|expiry| expiry < soon) {
            *credentials = credentials::find(&self.settings).await?;
        }
        Ok(credentials.clone())
    }
}

/// Signs a request to the path of a service.
///
/// # Errors
/// A request that cannot be signed, in words.
pub(super) fn sign(
    request: &mut Request<Full<Bytes>>,
    body: &[u8],
    url: &Url,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: SystemTime,
) -> Result<(), String> {
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|e| e.to_string())?
        .into();
    let authority = url.authority();
    let target = format!("https://{authority}{}", request.uri().path());
    let mut headers = vec![("host", authority.as_str())];
    for name in ["x-amz-target", "content-type"] {
        let value = request.headers().get(name);
        headers.extend(
            value
                .and_then(|v| v.to_str().ok())
                .map(|value| (name, value)),
        );
    }
    let method = request.method().as_str();
    let signable = SignableRequest::new(
        method,
        &target,
        headers.into_iter(),
        SignableBody::Bytes(body),
    );
    let (instructions, _) = sign_v4(signable.map_err(|e| e.to_string())?, &params)
        .map_err(|e| e.to_string())?
        .into_parts();
    let mut signed = Vec::new();
    for (name, value) in instructions.headers() {
        let name = HeaderName::try_from(name).map_err(|e| e.to_string())?;
        // The value is left out: it may be a session token.
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("{name} would be no header: are the credentials right?"))?;
        value.set_sensitive(true);
        signed.push((name, value));
    }
    request.headers_mut().extend(signed);
    Ok(())
}

fn read<O: DeserializeOwned>(operation: &'static str, answer: &Answer) -> Result<O, CallError> {
    let not_understood = || CallError::NotUnderstood {
        operation,
        status: answer.status,
    };
    if answer.status.is_success() {
        // An operation without output may answer with nothing at all.
        let body = match &**answer.body {
            [] => b"{}",
            body => body,
        };
        return serde_json::from_slice(body).map_err(|_| not_understood());
    }
    let header = |name: &str| answer.headers.get(name)?.to_str().ok();
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let kind = header("x-amzn-errortype").or_else(|| body.get("__type")?.as_str());
    // `com.amazonaws.kms#NotFoundException:http://…` is NotFoundException.
    let kind = kind.and_then(|kind| kind.split(':').next()?.rsplit('#').next());
    let kind = match kind {
        Some(kind) if !kind.is_empty() => kind.to_owned(),
        _ => return Err(not_understood()),
    };
    let message = body.get("message").or_else(|| body.get("Message"));
    Err(CallError::Refused(ServiceError {
        operation,
        kind,
        message: message
            .and_then(|m| m.as_str())
            .unwrap_or_default()
            .to_owned(),
        status: answer.status,
        request_id: header("x-amzn-requestid").map(str::to_owned),
    }))
}

/// What KMS says when it refuses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceError {
    /// What was asked for.
    pub operation: &'static str,
    /// The exception's name.
    pub kind: String,
    /// In KMS's words.
    pub message: String,
    /// Of HTTP.
    pub status: StatusCode,
    /// For CloudTrail and for AWS's support.
    pub request_id: Option<String>,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused with {}", self.operation, self.kind)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// KMS refused it.
    #[error("{0}")]
    Refused(ServiceError),
    /// There was no answer.
    #[error("{operation} at {endpoint}: {error}")]
    NoAnswer {
        /// What was asked for.
        operation: &'static str,
        /// Of whom.
        endpoint: String,
        /// Why not.
        error: ExchangeError,
    },
    /// Something answered that is no KMS.
    #[error(
        "{operation} is answered with status {status} and nothing that KMS would say: is the endpoint KMS's?"
    )]
    NotUnderstood {
        /// What was asked for.
        operation: &'static str,
        /// Of HTTP.
        status: StatusCode,
    },
    /// The request cannot be made.
    #[error("{operation} cannot be sent: {problem}")]
    Unsendable {
        /// What was to be asked for.
        operation: &'static str,
        /// Why not.
        problem: String,
    },
    /// The credentials have expired, and there are no new ones.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
}

impl CallError {
    /// The exception, if KMS answered with one.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => Some(&error.kind),
            _ => None,
        }
    }

    /// Whether KMS may have done what was asked all the same.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Refused(error) => error.status.is_server_error(),
            Self::NoAnswer { error, .. } => {
                matches!(error, ExchangeError::Lost(_) | ExchangeError::TooLate(_))
            }
            Self::NotUnderstood { .. } => true,
            Self::Unsendable { .. } | Self::Credentials(_) => false,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Refused(error) => {
                THROTTLING.contains(&&*error.kind)
                    || error.status == StatusCode::TOO_MANY_REQUESTS
                    || error.status.is_server_error()
            }
            Self::NoAnswer { error, .. } => error.is_transient(),
            Self::NotUnderstood { status, .. } => status.is_server_error(),
            Self::Unsendable { .. } | Self::Credentials(_) => false,
        }
    }
}

/// Half of it, and a part of the other half, so that many callers do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0];
    // Without random bytes there is no jitter.
    let _ = SystemRandom::new().fill(&mut random);
    pause / 2 + pause.mul_f64(f64::from(random[0]) / 512.0)
}

/// As AWS's SDKs know them.
const THROTTLING: [&str; 5] = [
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottledException",
];
const MAX_ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// For one attempt. Creating a store waits for its proxy.
const LIMIT: Duration = Duration::from_secs(30);
/// Credentials that end sooner are not used any more.
const MARGIN: Duration = Duration::from_secs(60);
const BODY_CAPACITY: usize = 16 * 1024;
