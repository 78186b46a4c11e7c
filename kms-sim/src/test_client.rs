//! Calls operations without sockets, for unit tests.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::config::Config;
use crate::dispatch::dispatch;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};

/// One caller of a simulator of its own.
pub(crate) struct TestClient {
    pub(crate) simulator: Simulator,
    pub(crate) caller: Caller,
    clock: Clock,
    runtime: tokio::runtime::Runtime,
}

impl TestClient {
    pub(crate) fn new() -> Self {
        let config = Config::default();
        let clock = config.clock.clone();
        Self {
            simulator: Simulator::new(Arc::new(config)).unwrap(),
            caller: Self::caller("111122223333", "us-east-1"),
            clock,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        }
    }

    pub(crate) fn caller(account: &str, region: &str) -> Caller {
        Caller::new(
            account.to_owned(),
            region.to_owned(),
            format!("arn:aws:iam::{account}:user/Alice"),
            "5112f4d6-db54-4af4-ae30-c55a22a8dfae".to_owned(),
        )
    }

    /// The output (`null` for none), or the exception's name and message.
    pub(crate) fn call(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.call_as(&self.caller, operation, input)
    }

    pub(crate) fn call_as(
        &self,
        caller: &Caller,
        operation: &str,
        input: Value,
    ) -> Result<Value, (String, String)> {
        let operation = Operation::from_name(operation).unwrap();
        let body = serde_json::to_vec(&input).unwrap();
        let outcome = dispatch(&self.simulator, caller, operation, &body);
        match self.runtime.block_on(outcome) {
            Ok(body) if body.is_empty() => Ok(Value::Null),
            Ok(body) => Ok(serde_json::from_slice(&body).unwrap()),
            Err(error) => Err((
                error.name().to_owned(),
                error.message().unwrap_or_default().to_owned(),
            )),
        }
    }

    /// The output of an operation that must succeed.
    pub(crate) fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// The name of the exception that an operation must give.
    pub(crate) fn error(&self, operation: &str, input: Value) -> String {
        match self.call(operation, input) {
            Ok(output) => panic!("{operation} succeeded: {output}"),
            Err((name, _)) => name,
        }
    }

    /// Creates an AWS_KMS key and returns its id.
    pub(crate) fn key(&self) -> String {
        let output = self.ok("CreateKey", serde_json::json!({}));
        output["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn now(&self) -> std::time::SystemTime {
        self.clock.now()
    }

    pub(crate) fn advance_days(&self, days: u32) {
        self.clock.advance(Duration::from_hours(24) * days);
    }
}
