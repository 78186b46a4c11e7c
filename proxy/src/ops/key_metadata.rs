//! GetKeyMetadata.

use xks_api::ids::ExternalKeyId;
use xks_api::message::{GetKeyMetadataRequest, GetKeyMetadataResponse, KeySpec};
use xks_api::route::OperationName;

use super::{Context, Encoded};
use crate::error::XksError;
use crate::metrics::Mark;

//= xks §GetKeyMetadata R13: a disabled key is told of, not refused.
pub(super) async fn run(
    id: &ExternalKeyId,
    body: &[u8],
    mut context: Context<'_>,
) -> Result<Encoded, XksError> {
    let request = GetKeyMetadataRequest::parse(body)?;
    context.record.request_metadata(&request.request_metadata);
    context.admit(OperationName::GetKeyMetadata, id, &request.request_metadata)?;
    context.record.mark(Mark::KeyManagerAsked);
    let key = context.key_store.key_manager().resolve(id).await?;
    context.record.mark(Mark::KeyManagerAnswered);
    let response = GetKeyMetadataResponse {
        key_spec: KeySpec::Aes256,
        key_usage: key.usage().iter().take(MAX_USAGES).cloned().collect(),
        key_status: key.status(),
    };
    Ok(Encoded::Open(response.encode()))
}

const MAX_USAGES: usize = 10;
