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
use xks_api::route::Operation;
use xks_api::sealed::{Sealed, cdiv};
use zeroize::Zeroizing;

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

    async fn call(
        &self,
        operation: &Operation,
        kms_request_id: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
        call(&self.pool, &self.target, operation, kms_request_id, body).await
    }
}

#[cfg(test)]
#[path = "xks_client_tests.rs"]
mod tests;
