//! The four operations: from a parsed request to an encoded response. They know no HTTP.

mod decrypt;
mod encrypt;
mod health;
mod key_metadata;

use std::sync::Arc;

use tokio::time::Instant;
use xks_api::error::ErrorName;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{GetKeyMetadataRequest, InvalidRequest, KeyStatus, KeyUsage};
use xks_api::route::Operation;
use zeroize::Zeroizing;

use crate::authenticate::Authenticated;
use crate::error::XksError;
use crate::health::ProxyIdentity;
use crate::key_manager::ExternalKey;
use crate::key_store::ExternalKeyStore;
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
    /// When the answer must be on its way.
    pub(crate) deadline: Instant,
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
