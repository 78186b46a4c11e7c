//! The cases of HTTP/2, against the stub behind a server of HTTP/2, sound and broken.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming as Body;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::case::Finding;
use super::*;
use crate::stub_proxy::{Call, Incoming, Reply};

type Answers = fn(&Call<'_>) -> Option<Reply>;

/// What HTTP/2 is good for.
fn outcomes(answers: Answers) -> Vec<(&'static str, Result<(), Finding>)> {
    let stub = Arc::new(stub());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(serve(Arc::clone(&stub), listener, answers));
    let results = outcomes_at(&stub, address);
    runtime.shutdown_background();
    results
}

/// HTTP/1.1 goes to the stub itself.
fn outcomes_at(stub: &StubProxy, address: SocketAddr) -> Vec<(&'static str, Result<(), Finding>)> {
    let first = target(stub);
    let second = Target {
        addresses: vec![address],
        ..target(stub)
    };
    let tls = Offer::of_kms(&first).config(&first).unwrap();
    let sealed = Kit::new(&first, Arc::clone(&tls)).sealed().unwrap();
    let http2 = cases().filter(|case| case.name.starts_with("http2-"));
    http2
        .map(|case| {
            let kit = Kit::new(&second, Arc::clone(&tls)).knowing(sealed.clone());
            (case.name, kit.run(case).0)
        })
        .collect()
}

async fn serve(stub: Arc<StubProxy>, listener: TcpListener, answers: Answers) {
    let mut config = (*stub.server_config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((socket, _)) = listener.accept().await {
        let (stub, acceptor) = (Arc::clone(&stub), acceptor.clone());
        tokio::spawn(async move {
            let stream = acceptor.accept(socket).await.ok()?;
            let service = service_fn(move |request| answer(Arc::clone(&stub), request, answers));
            let server = http2::Builder::new(TokioExecutor::new());
            server
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok()
        });
    }
}

async fn answer(
    stub: Arc<StubProxy>,
    request: http::Request<Body>,
    answers: Answers,
) -> Result<http::Response<Full<Bytes>>, http::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec());
    let mut headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let authority = head.uri.authority().unwrap().to_string();
    headers.push(("host".to_owned(), authority));
    let incoming = Incoming {
        method: head.method.to_string(),
        target: head.uri.path().to_owned(),
        names: headers.iter().map(|(name, _)| name.clone()).collect(),
        headers,
        body: body.unwrap_or_default(),
    };
    let reply = stub.answer(&incoming, answers).unwrap();
    let mut response = http::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(reply.body)))
}

#[test]
fn a_sound_proxy_passes_over_http2() {
    for (name, outcome) in outcomes(|call| Some(call.sound())) {
        assert_eq!(outcome, Ok(()), "{name}");
    }
}

#[test]
fn a_proxy_that_asks_nobody_over_http2_is_found() {
    let found = [
        "http2-signed-with-another-secret",
        "http2-body-changed-after-signing",
    ];
    for (name, outcome) in outcomes(|call| Some(call.trusting())) {
        assert_eq!(outcome.is_err(), found.contains(&name), "{name}");
    }
}

#[test]
fn a_proxy_that_serves_nobody_over_http2_is_found() {
    let found = [
        "http2-operations",
        "http2-decrypts-what-http1-encrypted",
        "http2-largest-request",
    ];
    let down = |_: &Call<'_>| Some(Reply::json(500, "{}"));
    for (name, outcome) in outcomes(down) {
        let failed = matches!(outcome, Err(Finding::Failed(_)));
        assert!(failed || !found.contains(&name), "{name}: {outcome:?}");
    }
}
