//! Doors for fuzzing: an operation without its socket, and a ciphertext. They are no part of the API, and change at any time.
//!
//! libFuzzer and property tests need thousands of inputs a second and the same answer to the same input. So each input meets
//! the same state, the clock stands still, and no link leads to a proxy. What must hold for every input is asserted here, so
//! that a fuzzer, a property test and a corpus all look for the same.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use crate::ciphertext_blob::CiphertextBlob;
use crate::config::Config;
use crate::credentials;
use crate::dispatch::dispatch;
use crate::fault::{ConnectFault, LinkFault, Scope, TcpFault};
use crate::http::operation_named;
use crate::operation::Operation;
use crate::seed::Seed;
use crate::simulator::Simulator;
use crate::state_image::{Restored, StateImage};

/// A simulator that is in the same state before every input.
pub struct Door {
    runtime: Runtime,
    simulator: Simulator,
    state: String,
}

/// How an input ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// With an answer.
    Answer(Vec<u8>),
    /// With that exception.
    Exception(&'static str),
}

impl Default for Door {
    fn default() -> Self {
        Self::new()
    }
}

impl Door {
    /// # Panics
    /// The state that inputs meet cannot be made.
    #[expect(clippy::expect_used, reason = "nothing here comes from an input")]
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config = Config {
            transition: Duration::ZERO,
            proxy_timeout: Duration::from_millis(20),
            ..Config::default()
        };
        let simulator = Simulator::new(Arc::new(config)).expect("sound defaults");
        simulator.clock().freeze();
        let seed = Seed::read(STATE, "us-east-1").expect("a sound seed");
        let state = runtime.block_on(async {
            simulator.restore(seed).await;
            simulator.clock().freeze();
            serde_json::to_string(&simulator.image()).expect("an image")
        });
        Self {
            runtime,
            simulator,
            state,
        }
    }

    /// A request: what `X-Amz-Target` says, a line break, the body.
    pub fn request(&self, input: &[u8]) -> Option<Ended> {
        let end = input.iter().position(|byte| *byte == b'\n')?;
        let (target, body) = input.split_at_checked(end)?;
        let target = std::str::from_utf8(target).ok()?;
        Some(self.call(target, body.get(1..)?))
    }

    /// A call of the operation that `target` names.
    ///
    /// # Panics
    /// An internal error, or an exception although something has changed.
    #[expect(clippy::expect_used, reason = "the state was read before")]
    pub fn call(&self, target: &str, body: &[u8]) -> Ended {
        let operation = match operation_named(target) {
            Ok(operation) => operation,
            Err(error) => return Ended::Exception(error.name()),
        };
        self.runtime.block_on(async {
            let image: StateImage = serde_json::from_str(&self.state).expect("an image");
            let restored = image.into_records().and_then(Restored::read);
            self.simulator.restore(restored.expect("a state")).await;
            let no_link = LinkFault {
                connect: Some(ConnectFault::Tcp(TcpFault::NoAddress)),
                ..LinkFault::default()
            };
            self.simulator.connector().faults().set(Scope::All, no_link);
            let config = self.simulator.config();
            let caller =
                credentials::unverified(Some(AUTHORIZATION), config, REQUEST_ID.to_owned());
            let caller = caller.expect("a caller");
            let body = Arc::new(Zeroizing::new(body.to_vec()));
            match dispatch(&self.simulator, &caller, operation, &body).await {
                Ok(answer) => Ended::Answer(answer.to_vec()),
                Err(error) => {
                    let name = error.name();
                    assert_ne!(name, "KMSInternalException", "{error:?}");
                    if !changes_although_it_fails(operation) {
                        let after = serde_json::to_string(&self.simulator.image());
                        let after = after.expect("an image");
                        assert_eq!(after, self.state, "{name} has changed something");
                    }
                    Ended::Exception(name)
                }
            }
        })
    }

    /// A CiphertextBlob, read, and given to Decrypt.
    ///
    /// # Panics
    /// A ciphertext that nobody made is decrypted.
    pub fn ciphertext(&self, blob: &[u8]) -> Ended {
        let parsed = CiphertextBlob::parse(blob).is_some();
        let text = STANDARD.encode(blob);
        let body = format!("{{\"CiphertextBlob\":\"{text}\"}}");
        let ended = self.call("TrentService.Decrypt", body.as_bytes());
        if let Ended::Answer(_) = ended {
            assert!(parsed && text == GENUINE, "forged: {text}");
        }
        ended
    }
}

/// An attempt to connect has a result, which is no exception of the call.
const fn changes_although_it_fails(operation: Operation) -> bool {
    matches!(operation, Operation::ConnectCustomKeyStore)
}

const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=Alice/20261124/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=ab";
const REQUEST_ID: &str = "5112f4d6-db54-4af4-ae30-c55a22a8dfae";

/// The state that every input meets.
const STATE: &str = r#"
[[custom-key-stores]]
id = "cks-0123456789abcdef0"
name = "external"
uri-endpoint = "https://xks.test"
uri-path = "/example/kms/xks/v1"
access-key-id = "EXAMPLEEXAMPLE234567"
secret-access-key = "exampleSecretexampleSecretexampleSecret+/=="

[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890ab"
material = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
aliases = ["alias/app"]
tags = { Team = "tests" }
rotation-period-days = 365

[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890ac"
pending-deletion-days = 7

[[keys]]
id = "1234abcd-12ab-34cd-56ef-1234567890ad"
custom-key-store = "cks-0123456789abcdef0"
xks-key-id = "demo"
"#;

/// What Encrypt made of "hello" with the first key.
const GENUINE: &str = "S01TQgEBTOeKXr1m+TF9Vjuxu+DHi8KVEIohaE2ydwEk5e23UhQAS2Fybjphd3M6a21zOnVzLWVhc3QtMToxMjM0NTY3ODkwMTI6a2V5LzEyMzRhYmNkLTEyYWItMzRjZC01NmVmLTEyMzQ1Njc4OTBhYkK/CaNyt2j7xyD8QLca54vnrlkkYAVUYyl0PLJxEjP1bt0io6cKLgHCGpRGLzv3kd8=";

#[cfg(test)]
mod tests;
