//! The client of one proxy, operation by operation: requests encoded, answers decoded strictly, the CDIV checked again.

use std::sync::Arc;

use xks_api::fields::Plaintext;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, GetHealthStatusRequest,
    GetHealthStatusResponse, GetKeyMetadataRequest, GetKeyMetadataResponse, HealthStatus,
    MalformedResponse,
};
use xks_api::metadata::HealthRequestMetadata;
use xks_api::route::{Operation, OperationName};
use xks_api::sealed::{Sealed, cdiv};
use zeroize::Zeroizing;

use crate::observation::{Following, StoreObservation};
use crate::proxy_failure::ProxyFailure;
use crate::xks_exchange::call;
use crate::xks_pool::{Dialer, Pool};
use crate::xks_target::Target;

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
        let name = OperationName::GetHealthStatus;
        let mut following = self.follow(kms_operation, name, kms_request_id);
        let exchange = async {
            let body = Zeroizing::new(request.encode());
            let operation = Operation::GetHealthStatus;
            let answer = self.call(&operation, kms_request_id, body, &mut following);
            let answer = answer.await?;
            let response = self.read(GetHealthStatusResponse::parse(&answer), kms_request_id)?;
            if let Some(observation) = self.observation() {
                observation.answered_health(&response.ekm_fleet_details);
            }
            let serves = |status| matches!(status, HealthStatus::Active | HealthStatus::Degraded);
            match response
                .ekm_fleet_details
                .iter()
                .any(|ekm| serves(ekm.health_status))
            {
                true => Ok(()),
                false => Err(ProxyFailure::Unhealthy),
            }
        };
        let result = exchange.await;
        following.end(result);
        result
    }

    /// GetKeyMetadata.
    pub(crate) async fn key_metadata(
        &self,
        key: &ExternalKeyId,
        request: &GetKeyMetadataRequest<'_>,
    ) -> Result<GetKeyMetadataResponse, ProxyFailure> {
        let id = &request.request_metadata.kms_request_id;
        let kms_operation = &request.request_metadata.kms_operation;
        let mut following = self.follow(kms_operation, OperationName::GetKeyMetadata, id);
        let exchange = async {
            let body = Zeroizing::new(request.encode());
            let operation = Operation::GetKeyMetadata(key.clone());
            let answer = self.call(&operation, id, body, &mut following).await?;
            self.read(GetKeyMetadataResponse::parse(&answer), id)
        };
        let result = exchange.await;
        following.end(outcome(&result));
        result
    }

    /// Encrypt; the length of the answer is checked, and the CDIV if it was asked for.
    pub(crate) async fn encrypt(
        &self,
        key: &ExternalKeyId,
        request: &EncryptRequest<'_>,
    ) -> Result<Sealed, ProxyFailure> {
        let id = &request.metadata.kms_request_id;
        let mut following =
            self.follow(&request.metadata.kms_operation, OperationName::Encrypt, id);
        let exchange = async {
            let operation = Operation::Encrypt(key.clone());
            let answer = self.call(&operation, id, request.encode(), &mut following);
            let response = self.read(EncryptResponse::parse(&answer.await?), id)?;
            self.read(check_encrypted(request, response), id)
        };
        let result = exchange.await;
        following.end(outcome(&result));
        result
    }

    /// Decrypt; the length of the answer is checked.
    pub(crate) async fn decrypt(
        &self,
        key: &ExternalKeyId,
        request: &DecryptRequest<'_>,
    ) -> Result<Plaintext, ProxyFailure> {
        let id = &request.metadata.kms_request_id;
        let mut following =
            self.follow(&request.metadata.kms_operation, OperationName::Decrypt, id);
        let exchange = async {
            let operation = Operation::Decrypt(key.clone());
            let body = Zeroizing::new(request.encode());
            let answer = self.call(&operation, id, body, &mut following).await?;
            let plaintext = self.read(DecryptResponse::parse(&answer), id)?.plaintext;
            let checked = match plaintext.expose().len() == request.sealed.ciphertext.len() {
                true => Ok(plaintext),
                false => Err(MalformedResponse(
                    "the plaintext is not as long as the ciphertext",
                )),
            };
            self.read(checked, id)
        };
        let result = exchange.await;
        following.end(outcome(&result));
        result
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

    async fn call(
        &self,
        operation: &Operation,
        kms_request_id: &str,
        body: Zeroizing<Vec<u8>>,
        following: &mut Following<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
        let (pool, target) = (&self.pool, &self.target);
        call(pool, target, operation, kms_request_id, body, following).await
    }

    /// Follows a request from now on, for the metrics of the store.
    fn follow<'o>(
        &'o self,
        kms_operation: &str,
        xks_operation: OperationName,
        kms_request_id: &'o str,
    ) -> Following<'o> {
        let observation = self.observation();
        Following::start(observation, kms_operation, xks_operation, kms_request_id)
    }

    fn observation(&self) -> Option<&StoreObservation> {
        self.target.observation.as_ref()
    }
}

/// The length of an answer to Encrypt, and its CDIV.
fn check_encrypted(
    request: &EncryptRequest<'_>,
    response: EncryptResponse,
) -> Result<Sealed, MalformedResponse> {
    let sealed = response.sealed;
    if sealed.ciphertext.len() != request.plaintext.expose().len() {
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
    }
}

fn outcome<T>(result: &Result<T, ProxyFailure>) -> Result<(), ProxyFailure> {
    result.as_ref().map(drop).map_err(|failure| *failure)
}

#[cfg(test)]
#[path = "xks_client_tests.rs"]
mod tests;
