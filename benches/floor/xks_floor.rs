//! The least that a server of hyper and rustls can do: reads a request, answers a constant. No deadlines, limits, log or
//! error mapping; what `xks-proxy` costs beyond it is its work. For `benches/compare`.
//!
//! `xks-floor IP:PORT CERTIFICATE-FILE KEY-FILE`

#[path = "../fixture/constant.rs"]
mod constant;

use std::convert::Infallible;
use std::env::args;
use std::sync::Arc;

use constant::ANSWER;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn main() {
    let [_, address, certificate, key] = &args().collect::<Vec<_>>()[..] else {
        panic!("usage: xks-floor IP:PORT CERTIFICATE-FILE KEY-FILE");
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .expect("a certificate file")
        .collect();
    let key = PrivateKeyDer::from_pem_file(key).expect("a key file");
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(chain.expect("certificates"), key)
            .expect("an identity");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(address.as_str())
            .await
            .expect("a free address");
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                continue;
            };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                drop(socket.set_nodelay(true));
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                // A client that goes is no matter.
                drop(
                    http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer))
                        .await,
                );
            });
        }
    });
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    drop(request.into_body().collect().await);
    Ok(Response::new(Full::from(ANSWER)))
}
