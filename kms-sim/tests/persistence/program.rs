//! `kms-sim serve` as a process, and calls to it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::https::{Connection, Response};
use harness::process::Process;
use serde_json::Value;

pub(crate) struct Program {
    pub(crate) process: Process,
    pub(crate) api: SocketAddr,
    pub(crate) control: SocketAddr,
}

impl Program {
    /// Starts it on free ports, and waits until it serves.
    pub(crate) fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::start_by(&mut command(data_dir, arguments))
    }

    /// The same where no file grows beyond that many KiB, which is to a program as a full disk.
    pub(crate) fn start_on_a_small_disk(data_dir: &Path, kib: u32) -> Self {
        let program = command(data_dir, &[]);
        let mut shell = Command::new("sh");
        // Blocks of 512 bytes. Ignored, the signal becomes an error of the write.
        let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
        shell.arg("-c").arg(limit).arg(program.get_program());
        Self::start_by(shell.args(program.get_args()))
    }

    fn start_by(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let (api, control) = process.wait_until("it serves", Duration::from_secs(60), |process| {
            let output = process.stdout();
            let address = |before: &str| {
                let (_, after) = output.split_once(before)?;
                let (address, _) = after.split_once(char::is_whitespace)?;
                address.parse().ok()
            };
            Some((
                address("kms-sim listens on http://")?,
                address("control API listens on http://")?,
            ))
        });
        Self {
            process,
            api,
            control,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client(Connection::plain(self.api).expect("it listens"))
    }

    /// The answer of the control API.
    pub(crate) fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let request = format!(
            "{method} /control/v1{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.control,
            body.len()
        );
        let mut connection = Connection::plain(self.control).expect("it listens");
        let response = connection.exchange(request.as_bytes()).expect("an answer");
        assert_eq!(response.status, 200, "{path}: {}", response.json());
        response.json()
    }
}

pub(crate) fn command(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kms-sim"));
    command
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .args(["--transition-ms=0", "--log=warn", "--data-dir"])
        .arg(data_dir)
        .args(arguments);
    command
}

/// One connection to the KMS API.
pub(crate) struct Client(Connection);

impl Client {
    /// The output, or the exception's name; an error if the server has died.
    pub(crate) fn call(
        &mut self,
        operation: &str,
        input: &Value,
    ) -> io::Result<Result<Value, String>> {
        let body = input.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: kms\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amz-target: TrentService.{operation}\r\ncontent-length: {}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential=AKIDEXAMPLE/20261124/us-east-1/kms/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature=ab\r\n\r\n{body}",
            body.len()
        );
        let response: Response = self.0.exchange(request.as_bytes())?;
        Ok(match (response.status, response.body.is_empty()) {
            (200, true) => Ok(Value::Null),
            (200, false) => Ok(response.json()),
            _ => Err(response.json()["__type"]
                .as_str()
                .unwrap_or_default()
                .to_owned()),
        })
    }

    /// The output of an operation that must succeed, on a server that lives.
    pub(crate) fn ok(&mut self, operation: &str, input: &Value) -> Value {
        self.call(operation, input)
            .expect("the server lives")
            .unwrap_or_else(|name| panic!("{operation} {input}: {name}"))
    }
}
