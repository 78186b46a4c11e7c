//! Operation → action: parses and validates the input, runs the action, encodes the output.
//!
//! An action is `async fn(&Simulator, &Caller, I: Input) -> Result<O: Serialize, KmsError>`; operations without an
//! output shape return `()`, those with an empty one [`EmptyOutput`].

use std::sync::Arc;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::access::authorize_account;
use crate::actions::{
    agreement, alias, create_key, crypto, custom_key_store, data_key, data_key_pair, encapsulation,
    grant, import_key, key, last_usage, mac, multi_region, policy, public_key, random, rotation,
    sign, tag,
};
use crate::api::{self, Input, KmsError};
use crate::caller::RequestBody;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// The body of a successful answer; wiped on drop, for it may hold a plaintext.
pub(crate) type Body = Zeroizing<Vec<u8>>;

/// An output shape without members, sent as `{}`.
#[derive(Debug, Serialize)]
pub(crate) struct EmptyOutput {}

/// Runs one operation.
pub(crate) async fn dispatch(
    sim: &Simulator,
    caller: &Caller,
    operation: Operation,
    body: &RequestBody,
) -> Result<Body, KmsError> {
    use Operation as Op;
    caller.brings(Arc::clone(body));
    let body = &Unread {
        caller,
        operation,
        body,
    };
    match operation {
        // Keys
        Op::CreateKey => json(&create_key::create(sim, caller, parse(body)?).await?),
        Op::DescribeKey => json(&key::describe(sim, caller, parse(body)?).await?),
        Op::ListKeys => json(&key::list(sim, caller, parse(body)?).await?),
        Op::EnableKey => none(key::enable(sim, caller, parse(body)?).await?),
        Op::DisableKey => none(key::disable(sim, caller, parse(body)?).await?),
        Op::ScheduleKeyDeletion => json(&key::schedule_deletion(sim, caller, parse(body)?).await?),
        Op::CancelKeyDeletion => json(&key::cancel_deletion(sim, caller, parse(body)?).await?),
        Op::UpdateKeyDescription => none(key::update_description(sim, caller, parse(body)?).await?),
        Op::GetKeyLastUsage => json(&last_usage::get(sim, caller, parse(body)?).await?),
        // Aliases, tags, policies
        Op::CreateAlias => none(alias::create(sim, caller, parse(body)?).await?),
        Op::UpdateAlias => none(alias::update(sim, caller, parse(body)?).await?),
        Op::DeleteAlias => none(alias::delete(sim, caller, parse(body)?).await?),
        Op::ListAliases => json(&alias::list(sim, caller, parse(body)?).await?),
        Op::TagResource => none(tag::tag(sim, caller, parse(body)?).await?),
        Op::UntagResource => none(tag::untag(sim, caller, parse(body)?).await?),
        Op::ListResourceTags => json(&tag::list(sim, caller, parse(body)?).await?),
        Op::GetKeyPolicy => json(&policy::get(sim, caller, parse(body)?).await?),
        Op::PutKeyPolicy => none(policy::put(sim, caller, parse(body)?).await?),
        Op::ListKeyPolicies => json(&policy::list(sim, caller, parse(body)?).await?),
        // Rotation
        Op::EnableKeyRotation => none(rotation::enable(sim, caller, parse(body)?).await?),
        Op::DisableKeyRotation => none(rotation::disable(sim, caller, parse(body)?).await?),
        Op::GetKeyRotationStatus => json(&rotation::status(sim, caller, parse(body)?).await?),
        Op::RotateKeyOnDemand => json(&rotation::on_demand(sim, caller, parse(body)?).await?),
        Op::ListKeyRotations => json(&rotation::list(sim, caller, parse(body)?).await?),
        // Cryptography
        Op::Encrypt => json(&crypto::encrypt(sim, caller, parse(body)?).await?),
        Op::Decrypt => json(&crypto::decrypt(sim, caller, parse(body)?).await?),
        Op::ReEncrypt => json(&crypto::re_encrypt(sim, caller, parse(body)?).await?),
        Op::GenerateDataKey => json(&data_key::with_plaintext(sim, caller, parse(body)?).await?),
        Op::GenerateDataKeyWithoutPlaintext => {
            json(&data_key::without_plaintext(sim, caller, parse(body)?).await?)
        }
        Op::GenerateDataKeyPair => {
            json(&data_key_pair::with_plaintext(sim, caller, parse(body)?).await?)
        }
        Op::GenerateDataKeyPairWithoutPlaintext => {
            json(&data_key_pair::without_plaintext(sim, caller, parse(body)?).await?)
        }
        Op::GetPublicKey => json(&public_key::get(sim, caller, parse(body)?).await?),
        Op::Sign => json(&sign::sign(sim, caller, parse(body)?).await?),
        Op::Verify => json(&sign::verify(sim, caller, parse(body)?).await?),
        Op::GenerateMac => json(&mac::generate(sim, caller, parse(body)?).await?),
        Op::VerifyMac => json(&mac::verify(sim, caller, parse(body)?).await?),
        Op::DeriveSharedSecret => json(&agreement::derive(sim, caller, parse(body)?).await?),
        Op::Encapsulate => json(&encapsulation::encapsulate(sim, caller, parse(body)?).await?),
        Op::Decapsulate => json(&encapsulation::decapsulate(sim, caller, parse(body)?).await?),
        Op::GenerateRandom => json(&random::generate(sim, caller, parse(body)?).await?),
        // Custom key stores
        Op::CreateCustomKeyStore => {
            json(&custom_key_store::create(sim, caller, parse(body)?).await?)
        }
        Op::DescribeCustomKeyStores => {
            json(&custom_key_store::describe(sim, caller, parse(body)?).await?)
        }
        Op::UpdateCustomKeyStore => {
            json(&custom_key_store::update(sim, caller, parse(body)?).await?)
        }
        Op::ConnectCustomKeyStore => {
            json(&custom_key_store::connect(sim, caller, parse(body)?).await?)
        }
        Op::DisconnectCustomKeyStore => {
            json(&custom_key_store::disconnect(sim, caller, parse(body)?).await?)
        }
        Op::DeleteCustomKeyStore => {
            json(&custom_key_store::delete(sim, caller, parse(body)?).await?)
        }
        // Grants
        Op::CreateGrant => json(&grant::create(sim, caller, parse(body)?).await?),
        Op::ListGrants => json(&grant::list(sim, caller, parse(body)?).await?),
        Op::ListRetirableGrants => json(&grant::list_retirable(sim, caller, parse(body)?).await?),
        Op::RetireGrant => none(grant::retire(sim, caller, parse(body)?).await?),
        Op::RevokeGrant => none(grant::revoke(sim, caller, parse(body)?).await?),
        // Imported key material, multi-Region keys
        Op::GetParametersForImport => {
            json(&import_key::parameters(sim, caller, parse(body)?).await?)
        }
        Op::ImportKeyMaterial => json(&import_key::import(sim, caller, parse(body)?).await?),
        Op::DeleteImportedKeyMaterial => {
            json(&import_key::delete(sim, caller, parse(body)?).await?)
        }
        Op::ReplicateKey => json(&multi_region::replicate(sim, caller, parse(body)?).await?),
        Op::UpdatePrimaryRegion => {
            none(multi_region::update_primary(sim, caller, parse(body)?).await?)
        }
    }
}

/// A request before it is read.
struct Unread<'r> {
    caller: &'r Caller,
    operation: Operation,
    body: &'r [u8],
}

/// Reads the input of an operation, and asks whether the caller may have it, if that is not to be asked of a key.
fn parse<I: Input>(request: &Unread<'_>) -> Result<I, KmsError> {
    let input = api::parse(request.body)?;
    authorize_account(request.caller, request.operation)?;
    Ok(input)
}

/// Encodes an output; the buffer is large enough that no copy of a plaintext stays behind in a smaller one.
fn json(output: &impl Serialize) -> Result<Body, KmsError> {
    let mut body = Zeroizing::new(Vec::with_capacity(LARGEST_SECRET_OUTPUT));
    serde_json::to_writer(&mut *body, output)
        .map_err(|_| KmsError::new("KMSInternalException", "The answer could not be encoded."))?;
    Ok(body)
}

/// Operations without an output shape answer with an empty body.
fn none((): ()) -> Result<Body, KmsError> {
    Ok(Body::default())
}

/// A plaintext of 4,096 bytes in base64, an ARN, and names.
const LARGEST_SECRET_OUTPUT: usize = 8 * 1024;
