//! The order of checks, one straight line.
//!
//! route → key store → body → authenticate → operation. Nothing of a body is parsed before its signature is verified.

use std::time::{Duration, SystemTime};

use tokio::time::timeout_at;
use xks_api::route::{NoRoute, route};
use zeroize::Zeroizing;

use crate::authenticate::authenticate;
use crate::error::XksError;
use crate::health::ProxyIdentity;
use crate::key_store::KeyStores;
use crate::ops::{self, Encoded};
use crate::request_log::Record;

/// A request as it came, without its body.
#[derive(Clone, Copy)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// `:authority` of HTTP/2, which stands for `host`.
    pub(crate) authority: Option<&'a str>,
    pub(crate) headers: &'a http::HeaderMap,
}

/// A request as it came.
pub(crate) struct RawRequest<'a> {
    pub(crate) head: RequestHead<'a>,
    /// Wiped on drop: it may hold a plaintext.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// What every request of one moment works with.
pub(crate) struct Pipeline<'a> {
    pub(crate) key_stores: &'a KeyStores,
    pub(crate) identity: &'a ProxyIdentity,
    /// How long an operation may take, from the arrival of the request.
    pub(crate) time_limit: Duration,
    pub(crate) now: SystemTime,
}

/// Why a request has no successful answer.
pub(crate) enum Refusal {
    /// 405.
    MethodNotAllowed,
    /// One of the twelve errors.
    Error(XksError),
}

impl From<XksError> for Refusal {
    fn from(e: XksError) -> Self {
        Self::Error(e)
    }
}

impl Pipeline<'_> {
    /// Serves a request. The body is read only for a key store that is there.
    pub(crate) async fn serve(
        &self,
        head: RequestHead<'_>,
        body: impl Future<Output = Result<Zeroizing<Vec<u8>>, XksError>>,
        record: &mut Record,
    ) -> Result<Encoded, Refusal> {
        let route = match route(head.method, head.path) {
            Ok(route) => route,
            Err(no_route) => {
                record.no_route(head.method, head.path);
                return Err(match no_route {
                    NoRoute::MethodNotAllowed => Refusal::MethodNotAllowed,
                    NoRoute::NotFound => XksError::INVALID_URI_PATH.into(),
                });
            }
        };
        record.operation(&route.operation);
        let key_store = match self.key_stores.get(route.prefix) {
            Ok(key_store) => key_store,
            Err(e) => {
                record.no_route(head.method, head.path);
                return Err(e.into());
            }
        };
        record.key_store(&key_store.prefix, key_store.key_manager.name());
        let request = RawRequest {
            head,
            body: body.await?,
        };
        let request = authenticate(request, &key_store.credentials, self.now, record)?;
        let deadline = record.started() + self.time_limit;
        let context = ops::Context {
            key_store,
            identity: self.identity,
            record,
            deadline,
        };
        // The timer is armed only if the key manager does not answer at once.
        let operation = ops::run(&route.operation, &request, context);
        match timeout_at(deadline, operation).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(XksError::TOO_LATE.into()),
        }
    }
}
