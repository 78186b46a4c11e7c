//! Encrypt.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xks_api::error::ErrorName;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{CdivAlgorithm, EncryptRequest, EncryptResponse, KeyUsage};
use xks_api::route::OperationName;
use xks_api::sealed::{FramedAad, Sealed, cdiv};

use super::{Context, Encoded, record_refused, require_usage, usable_key};
use crate::error::XksError;
use crate::key_manager::{ExternalKey, KeyManagerError};
use crate::metrics::Mark;

pub(super) async fn run(
    id: &ExternalKeyId,
    body: &[u8],
    mut context: Context<'_>,
) -> Result<Encoded, XksError> {
    let parsed = match EncryptRequest::parse(body) {
        Err(e) => match record_refused(e, body, context.record) {
            // What is well-formed but too long is told only of keys that are there.
            e if e.name == ErrorName::UnsupportedOperation => Err(e),
            e => return Err(e.into()),
        },
        Ok(request) => {
            context.record.request_metadata(&request.metadata);
            Ok(request)
        }
    };
    match &parsed {
        Ok(request) => context.admit(OperationName::Encrypt, id, &request.metadata)?,
        Err(_) => context.admit_refused(OperationName::Encrypt, id, body)?,
    }
    let request = parsed?;
    context.record.mark(Mark::KeyManagerAsked);
    let key = usable_key(id, context.key_store).await?;
    require_usage(
        &*key,
        &KeyUsage::Encrypt,
        "the external key does not encrypt",
    )?;
    if request.cdiv.is_some() {
        // What cannot be verified is not answered.
        require_usage(
            &*key,
            &KeyUsage::Decrypt,
            "an integrity value takes a key that decrypts, too",
        )?;
    }
    let response = seal(&key, &request).await?;
    context.record.mark(Mark::KeyManagerAnswered);
    Ok(Encoded::Open(response.encode()))
}

async fn seal(
    key: &Arc<dyn ExternalKey>,
    request: &EncryptRequest<'_>,
) -> Result<EncryptResponse, XksError> {
    //= xks §Encrypt R19, R20: the metadata, whose first byte names the format, is part of the AAD.
    let metadata = key.metadata()?;
    let aad = FramedAad::new(&request.aad, &metadata);
    //= xks §Appendix C R21: encrypt, compute the value, decrypt and compare, answer, in this order.
    let (sealed, verified) = match (request.cdiv, key.at_once()) {
        (None, _) => (key.seal(&request.plaintext, metadata, &aad).await?, None),
        (Some(CdivAlgorithm::Sha256), None) => {
            let sealed = key.seal(&request.plaintext, metadata, &aad).await?;
            let value = cdiv(&request.aad, &sealed);
            let opened = key.open(&sealed, &aad).await.map_err(not_verified)?;
            (sealed, Some((value, opened)))
        }
        (Some(CdivAlgorithm::Sha256), Some(key)) => {
            let value = Arc::new(Mutex::new(None));
            let look = {
                let (value, aad) = (Arc::clone(&value), request.aad.clone());
                move |sealed: &Sealed| *lock(&value) = Some(cdiv(&aad, sealed))
            };
            let done = key.seal_and_open(&request.plaintext, metadata, &aad, Box::new(look));
            let (sealed, opened) = done.await.map_err(|e| match e {
                e @ KeyManagerError::InvalidCiphertext => not_verified(e),
                e => e.into(),
            })?;
            let value = lock(&value).take().ok_or_else(|| {
                XksError::INTERNAL.because("the key manager did not show what it encrypted")
            })?;
            (sealed, Some((value, opened)))
        }
    };
    //= xks §Encrypt R18
    if sealed.ciphertext.len() != request.plaintext.expose().len() {
        return Err(XksError::INTERNAL.because("ciphertext and plaintext differ in length"));
    }
    let value = match verified {
        None => None,
        Some((_, opened)) if opened != request.plaintext => {
            return Err(
                XksError::INTERNAL.because("the verifying decryption gave another plaintext")
            );
        }
        Some((value, _)) => Some(value),
    };
    Ok(EncryptResponse {
        sealed,
        cdiv: value,
    })
}

fn not_verified(error: KeyManagerError) -> XksError {
    XksError::INTERNAL.because(format!("the verifying decryption failed: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
