//! Operation → action: parses and validates the input, runs the action, encodes the output.
//!
//! An action is `async fn(&Simulator, &Caller, I: Input) -> Result<O: Serialize, KmsError>`; operations without an
//! output shape return `()`, those with an empty one [`EmptyOutput`].

use serde::Serialize;
use zeroize::Zeroizing;

use crate::actions::custom_key_store;
use crate::api::{KmsError, parse};
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// The body of a successful answer; wiped on drop, for it may hold a plaintext.
pub(crate) type Body = Zeroizing<Vec<u8>>;

/// An output shape without members, sent as `{}`.
#[derive(Debug, Serialize)]
pub(crate) struct EmptyOutput {}

/// Runs one operation.
///
/// ```text
/// ConnectCustomKeyStore => json(&custom_key_store::connect(simulator, caller, parse(body)?).await?),
/// EnableKey => { key::enable(simulator, caller, parse(body)?).await?; Ok(Body::default()) }
/// ```
pub(crate) async fn dispatch(
    simulator: &Simulator,
    caller: &Caller,
    operation: Operation,
    body: &[u8],
) -> Result<Body, KmsError> {
    match operation {
        Operation::CreateCustomKeyStore => {
            json(&custom_key_store::create(simulator, caller, parse(body)?).await?)
        }
        Operation::DescribeCustomKeyStores => {
            json(&custom_key_store::describe(simulator, caller, parse(body)?).await?)
        }
        Operation::UpdateCustomKeyStore => {
            json(&custom_key_store::update(simulator, caller, parse(body)?).await?)
        }
        Operation::ConnectCustomKeyStore => {
            json(&custom_key_store::connect(simulator, caller, parse(body)?).await?)
        }
        Operation::DisconnectCustomKeyStore => {
            json(&custom_key_store::disconnect(simulator, caller, parse(body)?).await?)
        }
        Operation::DeleteCustomKeyStore => {
            json(&custom_key_store::delete(simulator, caller, parse(body)?).await?)
        }
        _ => Err(not_built(operation)),
    }
}

/// Encodes an output; the buffer is large enough that no copy of a plaintext stays behind in a smaller one.
fn json(output: &impl Serialize) -> Result<Body, KmsError> {
    let mut body = Zeroizing::new(Vec::with_capacity(LARGEST_SECRET_OUTPUT));
    serde_json::to_writer(&mut *body, output)
        .map_err(|_| KmsError::new("KMSInternalException", "The answer could not be encoded."))?;
    Ok(body)
}

/// KMS has the operation, this simulator does not.
fn not_built(operation: Operation) -> KmsError {
    KmsError::unsupported(format!(
        "kms-sim does not support {} yet.",
        operation.name()
    ))
}

/// A plaintext of 4,096 bytes and a CiphertextBlob of 6,144 in base64, an ARN of 2,048, and names.
const LARGEST_SECRET_OUTPUT: usize = 17 * 1024;
