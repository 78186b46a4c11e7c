//! A simulator with a control API on loopback ports, ended on drop, and calls to both of its APIs.

use std::net::SocketAddr;

use harness::https::{Connection, Response};
use kms_sim::{Config, Listeners, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) struct Simulator {
    pub(crate) api: SocketAddr,
    pub(crate) control: SocketAddr,
    _stop: oneshot::Sender<()>,
    _runtime: Runtime,
}

impl Simulator {
    pub(crate) fn start(config: Config) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let (api, control) = (bind().expect("a free port"), bind().expect("a free port"));
        let address = |listener: &TcpListener| listener.local_addr().expect("bound");
        let (api_address, control_address) = (address(&api), address(&control));
        let (stop, stopped) = oneshot::channel::<()>();
        let listeners = Listeners {
            api,
            control: Some(control),
        };
        runtime.spawn(serve(listeners, config, async { drop(stopped.await) }));
        Self {
            api: api_address,
            control: control_address,
            _stop: stop,
            _runtime: runtime,
        }
    }

    /// The output of a KMS operation, or its exception's name and message.
    pub(crate) fn kms(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.kms_in("us-east-1", operation, input)
    }

    pub(crate) fn kms_in(
        &self,
        region: &str,
        operation: &str,
        input: Value,
    ) -> Result<Value, (String, String)> {
        let body = input.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: kms\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amz-target: TrentService.{operation}\r\ncontent-length: {}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential=AKIDEXAMPLE/20261124/{region}/kms/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature=ab\r\n\r\n{body}",
            body.len()
        );
        let response = exchange(self.api, &request);
        if response.body.is_empty() {
            return Ok(Value::Null);
        }
        let body = response.json();
        match response.status {
            200 => Ok(body),
            _ => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                Err((text("__type"), text("message")))
            }
        }
    }

    /// The output of a KMS operation that must succeed.
    pub(crate) fn ok(&self, operation: &str, input: Value) -> Value {
        self.kms(operation, input)
            .unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// The exception that a KMS operation must give.
    pub(crate) fn exception(&self, operation: &str, input: Value) -> String {
        match self.kms(operation, input) {
            Ok(output) => panic!("{operation} succeeded: {output}"),
            Err((name, _)) => name,
        }
    }

    /// Status and body of a control request.
    pub(crate) fn control(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} /control/v1{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.control,
            body.len()
        );
        let response = exchange(self.control, &request);
        (response.status, response.json())
    }

    /// The answer to a control request that must succeed.
    pub(crate) fn set(&self, method: &str, path: &str, body: Value) -> Value {
        let body = body.to_string();
        let (status, answer) = self.control(method, path, Some(&body));
        assert_eq!(status, 200, "{method} {path} {body}: {answer}");
        answer
    }

    /// The answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.control("GET", path, None);
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    /// The message of a control request that must be refused as invalid input.
    pub(crate) fn refused(&self, method: &str, path: &str, body: Value) -> String {
        let body = body.to_string();
        let (status, answer) = self.control(method, path, Some(&body));
        assert_eq!(status, 400, "{method} {path} {body}: {answer}");
        assert_eq!(answer["Error"], "InvalidInput");
        answer["Message"].as_str().expect("a message").to_owned()
    }

    /// The id of a new AWS_KMS key.
    pub(crate) fn key(&self) -> String {
        let output = self.ok("CreateKey", json!({}));
        output["KeyMetadata"]["KeyId"]
            .as_str()
            .expect("an id")
            .to_owned()
    }
}

/// Sends a request over a connection of its own.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> Response {
    let mut connection = Connection::plain(address).expect("it listens");
    connection.exchange(request.as_bytes()).expect("an answer")
}
