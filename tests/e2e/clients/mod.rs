//! AWS clients that nobody changed, behind one door: an operation with its input as JSON goes in, its answer comes
//! out, or the exception by the name of the type that the client gives it.

mod aws_cli;
mod driver;
mod rust_sdk;

use serde_json::{Map, Value};

pub(crate) use aws_cli::AwsCli;
pub(crate) use driver::Driver;
pub(crate) use rust_sdk::RustSdk;

/// Makes calls to KMS. Blobs are base64 on both sides.
pub(crate) trait Client {
    /// One call.
    fn call(&mut self, operation: &str, input: &Map<String, Value>) -> Result<Value, Exception>;

    /// All pages of a list, joined, read with the client's own paginator.
    fn pages(
        &mut self,
        operation: &str,
        input: &Map<String, Value>,
        size: u16,
    ) -> Result<Value, Exception>;
}

/// What a client reports instead of an answer.
#[derive(Debug)]
pub(crate) struct Exception {
    /// The exception's name in KMS's model, if the client has a type for it.
    pub(crate) name: Option<String>,
    /// What the answer calls it, if there was one.
    pub(crate) code: Option<String>,
    /// The HTTP status, of clients that tell.
    pub(crate) status: Option<u16>,
    /// What the answer says.
    pub(crate) message: String,
}
