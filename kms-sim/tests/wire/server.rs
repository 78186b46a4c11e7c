//! A simulator inside the test, and requests of one's own to it.

use std::net::SocketAddr;
use std::time::Duration;

use harness::https::{Connection, Response};
use kms_sim::{Config, Listeners, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// One on a loopback port, ended on drop.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Where its control API listens.
    pub(crate) control: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn start(config: Config) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let (api, control) = (bind().expect("a free port"), bind().expect("a free port"));
        let address = |listener: &TcpListener| listener.local_addr().expect("bound");
        let (api_address, control_address) = (address(&api), address(&control));
        let listeners = Listeners {
            api,
            control: Some(control),
        };
        let (stop, stopped) = oneshot::channel();
        Self {
            address: api_address,
            control: control_address,
            stop: Some(stop),
            ended: runtime.spawn(serve(listeners, config, async { drop(stopped.await) })),
            runtime,
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::plain(self.address).expect("it listens")
    }

    /// Whether the server ends within ten seconds of being told to.
    pub(crate) fn stop(mut self) -> bool {
        drop(self.stop.take());
        let ended = async { tokio::time::timeout(Duration::from_secs(10), &mut self.ended).await };
        matches!(self.runtime.block_on(ended), Ok(Ok(Ok(()))))
    }
}

/// A signature as far as it is read.
pub(crate) const SIGNED: &str = "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-west-1/kms/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=ab\r\n";

/// `POST /` with these headers.
pub(crate) fn post(connection: &mut Connection, headers: &str, body: &str) -> Response {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: kms\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\
         {headers}\r\n{body}",
        body.len()
    );
    connection.exchange(request.as_bytes()).expect("an answer")
}

/// A call of an operation.
pub(crate) fn call(connection: &mut Connection, operation: &str, body: &str) -> Response {
    let headers = format!("x-amz-target: TrentService.{operation}\r\n{SIGNED}");
    post(connection, &headers, body)
}
