//! The four operations: from a parsed request to an encoded response. They know no HTTP.

mod decrypt;
mod encrypt;
mod health;
mod key_metadata;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;
use xks_api::error::ErrorName;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{GetKeyMetadataRequest, InvalidRequest, KeyStatus, KeyUsage};
use xks_api::metadata::RequestMetadata;
use xks_api::route::{Operation, OperationName};
use zeroize::Zeroizing;

use crate::authenticate::Authenticated;
use crate::authorize::Access;
use crate::error::XksError;
use crate::health::ProxyIdentity;
use crate::key_manager::ExternalKey;
use crate::key_store::ExternalKeyStore;
use crate::metrics::Denied;
use crate::pipeline::RawRequest;
use crate::request_log::Record;

/// The JSON of a successful answer.
pub enum Encoded {
    /// Nothing secret in it.
    Open(Vec<u8>),
    /// Holds a plaintext: wiped on drop.
    Secret(Zeroizing<Vec<u8>>),
}

/// What an operation works with.
pub(crate) struct Context<'a> {
    pub(crate) key_store: &'a ExternalKeyStore,
    pub(crate) identity: &'a ProxyIdentity,
    pub(crate) record: &'a mut Record,
    /// When the request came.
    pub(crate) now: SystemTime,
    /// When the answer must be on its way.
    pub(crate) deadline: Instant,
}

impl Context<'_> {
    /// Lets pass what the key store has the key for, and its policy, if there is one, allows.
    //= xks §Authorization R36, R37
    fn admit(
        &mut self,
        operation: OperationName,
        id: &ExternalKeyId,
        metadata: &RequestMetadata<'_>,
    ) -> Result<(), XksError> {
        self.key_store.require(id)?;
        let Some(policy) = &self.key_store.policy else {
            return Ok(());
        };
        let access = Access {
            uri_path_prefix: self.key_store.prefix.as_str(),
            external_key_id: id.as_str(),
            operation,
            metadata,
            now: self.now,
        };
        policy.decide(&access).map_err(|denial| {
            self.record.denied_by(&denial.by);
            let denied = Denied::new(&access, &denial);
            self.key_store.measures.denied(denied);
            XksError::ACCESS_DENIED.because(denial.why)
        })
    }

    /// As [`admit`](Self::admit), for a request of which no more than its metadata can be read.
    #[cold]
    fn admit_refused(
        &mut self,
        operation: OperationName,
        id: &ExternalKeyId,
        body: &[u8],
    ) -> Result<(), XksError> {
        let request = GetKeyMetadataRequest::parse(body)?;
        self.admit(operation, id, &request.request_metadata)
    }
}

/// Runs the operation that an authentic request asks for.
//= xks §API operations R4
pub(crate) async fn run(
    operation: &Operation,
    request: &Authenticated<RawRequest<'_>>,
    context: Context<'_>,
) -> Result<Encoded, XksError> {
    let body = request.body();
    match operation {
        Operation::GetHealthStatus => health::run(body, context).await,
        Operation::GetKeyMetadata(id) => key_metadata::run(id, body, context).await,
        Operation::Encrypt(id) => encrypt::run(id, body, context).await,
        Operation::Decrypt(id) => decrypt::run(id, body, context).await,
    }
}

/// Logs who sent a request that does not parse, as far as it can be told.
fn record_refused(error: InvalidRequest, body: &[u8], record: &mut Record) -> InvalidRequest {
    if let Ok(request) = GetKeyMetadataRequest::parse(body) {
        record.request_metadata(&request.request_metadata);
    }
    error
}

/// Finds a key for cryptography: it must belong to the key store and be enabled.
async fn usable_key(
    id: &ExternalKeyId,
    key_store: &ExternalKeyStore,
) -> Result<Arc<dyn ExternalKey>, XksError> {
    let key = key_store.key_manager().resolve(id).await?;
    match key.status() {
        KeyStatus::Enabled => Ok(key),
        KeyStatus::Disabled => Err(XksError::new(
            ErrorName::InvalidState,
            "the external key is disabled",
        )),
    }
}

fn require_usage(
    key: &dyn ExternalKey,
    usage: &KeyUsage,
    message: &'static str,
) -> Result<(), XksError> {
    if key.usage().contains(usage) {
        return Ok(());
    }
    Err(XksError::new(ErrorName::InvalidKeyUsage, message))
}
