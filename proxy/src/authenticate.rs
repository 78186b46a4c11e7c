//! The only maker of [`Authenticated`]: a request that reaches an operation has a verified signature.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use xks_api::sigv4::{SignedRequest, Verifier};

use crate::error::XksError;
use crate::pipeline::RawRequest;
use crate::request_log::Record;

/// The credentials of one key store, exchanged as a whole while requests are served.
//= xks §Credentials rotation R35
#[derive(Clone)]
pub struct Credentials(Arc<ArcSwap<Verifier>>);

impl Credentials {
    /// Credentials to begin with.
    pub fn new(verifier: Verifier) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(verifier)))
    }

    /// Takes up others. The next request is verified with them.
    pub fn replace(&self, verifier: Verifier) {
        self.0.store(Arc::new(verifier));
    }
}

/// A request whose SigV4 signature this process verified. Made only in this file.
pub(crate) struct Authenticated<T>(T);

impl Authenticated<RawRequest<'_>> {
    pub(crate) fn body(&self) -> &[u8] {
        &self.0.body
    }
}

/// # Errors
/// One constant AuthenticationFailedException; its reason is for the log.
//= xks §Authentication R32, R44
pub(crate) fn authenticate<'a>(
    request: RawRequest<'a>,
    credentials: &Credentials,
    now: SystemTime,
    record: &mut Record,
) -> Result<Authenticated<RawRequest<'a>>, XksError> {
    let headers = request.head.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let signed = SignedRequest {
        method: request.head.method,
        path: request.head.path,
        query: request.head.query,
        authority: request.head.authority,
        headers: headers.iter().copied(),
        body: &request.body,
    };
    match credentials.0.load().verify(&signed, now.into()) {
        Ok(id) => record.access_key_id(id),
        Err(e) => {
            if let Some(id) = e.claimed_access_key_id() {
                record.claimed_access_key_id(id);
            }
            return Err(XksError::AUTHENTICATION_FAILED.because(e.reason().to_string()));
        }
    }
    Ok(Authenticated(request))
}
