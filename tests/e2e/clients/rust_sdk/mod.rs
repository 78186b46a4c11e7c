//! aws-sdk-kms: compiled against KMS's model, so each operation has its own builder, answer and enum of exceptions.

mod cryptography;
mod exception;
mod input;
mod keys;
mod output;
mod pages;
mod permissions;
mod stores;

use aws_sdk_kms::Client as Kms;
use aws_sdk_kms::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::{Client, Exception};
use crate::stage::REGION;
use exception::exception;
use input::Input;

/// The SDK with a runtime of its own.
pub(crate) struct RustSdk {
    kms: Kms,
    runtime: Runtime,
}

impl RustSdk {
    pub(crate) fn new(endpoint_url: String) -> Self {
        Self::of("test", endpoint_url)
    }

    /// With this access key id, which names the caller.
    pub(crate) fn of(access_key_id: &str, endpoint_url: String) -> Self {
        Self {
            kms: kms(access_key_id, endpoint_url),
            runtime: Runtime::new().expect("a runtime"),
        }
    }
}

/// A client that asks nothing of its environment and tries nothing twice.
fn kms(access_key_id: &str, endpoint_url: String) -> Kms {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint_url)
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(
            access_key_id,
            "test",
            None,
            None,
            "this test",
        ))
        .retry_config(aws_sdk_kms::config::retry::RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Kms::from_conf(config)
}

impl Client for RustSdk {
    fn call(&mut self, operation: &str, input: &Map<String, Value>) -> Result<Value, Exception> {
        let input = || Input::new(operation, input);
        self.runtime.block_on(async {
            let kms = &self.kms;
            if let Some(outcome) = stores::call(kms, operation, input()).await {
                return outcome;
            }
            if let Some(outcome) = keys::call(kms, operation, input()).await {
                return outcome;
            }
            if let Some(outcome) = permissions::call(kms, operation, input()).await {
                return outcome;
            }
            if let Some(outcome) = cryptography::call(kms, operation, input()).await {
                return outcome;
            }
            panic!("the scenario calls {operation}: write its builder in clients/rust_sdk")
        })
    }

    fn pages(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        size: u16,
    ) -> Result<Value, Exception> {
        let pages = pages::pages(&self.kms, operation, Input::new(operation, input), size);
        self.runtime.block_on(pages)
    }
}

/// One call: members of the JSON into the operation's builder, its answer into JSON.
///
/// `call!(kms, input, operation [setter: kind "Member", …], |answer| json)`, where a kind is a method of [`Input`].
macro_rules! call {
    ($kms:ident, $input:ident, $operation:ident [$($set:ident: $kind:ident $member:literal),* $(,)?], $show:expr) => {{
        let call = $kms.$operation()$(.$set($input.$kind($member)))*;
        $input.all_taken();
        $crate::clients::rust_sdk::outcome(call.send().await, $show)
    }};
}
use call;

/// The answer as JSON, or the exception by the variant that it has in the SDK's enum.
fn outcome<O, E>(
    result: Result<O, SdkError<E>>,
    show: impl FnOnce(O) -> Value,
) -> Result<Value, Exception>
where
    E: ProvideErrorMetadata,
    aws_sdk_kms::Error: From<SdkError<E>>,
{
    result.map(show).map_err(exception)
}
