//! Decrypt.

use xks_api::error::ErrorName;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{DecryptRequest, DecryptResponse, KeyUsage};
use xks_api::route::OperationName;
use xks_api::sealed::FramedAad;

use super::{Context, Encoded, record_refused, require_usage, usable_key};
use crate::error::XksError;
use crate::metrics::Mark;

pub(super) async fn run(
    id: &ExternalKeyId,
    body: &[u8],
    mut context: Context<'_>,
) -> Result<Encoded, XksError> {
    let parsed = match DecryptRequest::parse(body) {
        Err(e) => Err(record_refused(e, body, context.record)),
        Ok(request) => {
            context.record.request_metadata(&request.metadata);
            Ok(request)
        }
    };
    // Each defect has its turn: malformed, no such key here, not allowed, too long, key not usable, no ciphertext of ours.
    if let Err(e) = &parsed
        && e.name == ErrorName::Validation
    {
        return Err((*e).into());
    }
    match &parsed {
        Ok(request) => context.admit(OperationName::Decrypt, id, &request.metadata)?,
        Err(_) => context.admit_refused(OperationName::Decrypt, id, body)?,
    }
    if let Err(e) = &parsed
        && e.name == ErrorName::UnsupportedOperation
    {
        return Err((*e).into());
    }
    context.record.mark(Mark::KeyManagerAsked);
    let key = usable_key(id, context.key_store).await?;
    require_usage(
        &*key,
        &KeyUsage::Decrypt,
        "the external key does not decrypt",
    )?;
    let request = parsed?;
    //= xks §Decrypt R22: changed metadata is a changed AAD.
    let aad = FramedAad::new(&request.aad, &request.sealed.metadata);
    let plaintext = key.open(&request.sealed, &aad).await?;
    context.record.mark(Mark::KeyManagerAnswered);
    //= xks §Decrypt R23
    if plaintext.expose().len() != request.sealed.ciphertext.len() {
        return Err(XksError::INTERNAL.because("plaintext and ciphertext differ in length"));
    }
    Ok(Encoded::Secret(DecryptResponse { plaintext }.encode()))
}
