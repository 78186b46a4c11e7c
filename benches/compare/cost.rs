//! What a request costs each server: its user and system time, divided by the requests that it answered. The floor and nginx
//! answer a constant to the same requests.

use std::sync::Arc;

use crate::Run;
use crate::clients::{Client, Protocol, Request, Round, Shape, round};
use crate::decrypt::decrypt_body;
use crate::request::{SIZES, encrypt_body};
use crate::results::Results;
use crate::servers::Server;
use crate::store::Crowd;

const HTTP1: Shape = Shape {
    protocol: Protocol::Http1,
    connections: 16,
    streams: 1,
};

pub(crate) fn encrypt_32(run: &Run, results: &mut Results) {
    let body = encrypt_body(SIZES[0]);
    let [nginx, floor] = against(run, results, "encrypt", &body);
    // The floor server of `performance.md`'s targets does no work either.
    results.at_most(
        "CPU of an Encrypt, of nginx's for a constant",
        nginx,
        1.0,
        "×",
    );
    results.at_most(
        "CPU of an Encrypt, of the floor's for a constant",
        floor,
        1.2,
        "×",
    );
}

pub(crate) fn decrypt_32(run: &Run, results: &mut Results) {
    let encrypt = encrypt_body(SIZES[0]);
    // Any store can make it: the key that opens it is asked for below.
    let [nginx, floor] = against_decrypt(run, results, &encrypt);
    results.at_most(
        "CPU of a Decrypt, of nginx's for a constant",
        nginx,
        1.0,
        "×",
    );
    results.at_most(
        "CPU of a Decrypt, of the floor's for a constant",
        floor,
        1.2,
        "×",
    );
}

pub(crate) fn encrypt_4096(run: &Run, results: &mut Results) {
    against(run, results, "encrypt", &encrypt_body(SIZES[1]));
}

pub(crate) fn h2_16x1(run: &Run, results: &mut Results) {
    http2(run, results, 16, 1);
}

pub(crate) fn h2_4x16(run: &Run, results: &mut Results) {
    http2(run, results, 4, 16);
}

fn http2(run: &Run, results: &mut Results, connections: usize, streams: usize) {
    let proxy = Server::proxy(Crowd::default());
    let shape = Shape {
        protocol: Protocol::Http2,
        connections,
        streams,
    };
    let body = encrypt_body(SIZES[0]);
    let request = |server: &Server| server.request(Protocol::Http2, "encrypt", &body);
    in_turn(run, results, &[&proxy], shape, request);
}

fn against(run: &Run, results: &mut Results, operation: &str, body: &[u8]) -> [f64; 2] {
    let proxy = Server::proxy(Crowd::default());
    let request = |server: &Server| server.request(Protocol::Http1, operation, body);
    with_peers(run, results, &proxy, request)
}

fn against_decrypt(run: &Run, results: &mut Results, encrypt: &[u8]) -> [f64; 2] {
    let proxy = Server::proxy(Crowd::default());
    let to = proxy.destination();
    let config = Arc::new(to.config(Protocol::Http1));
    let sealed = run.executor.block_on(async {
        let mut client = Client::open(&to, &config, Protocol::Http1).await;
        client
            .exchange(proxy.request(Protocol::Http1, "encrypt", encrypt))
            .await
    });
    let body = decrypt_body(encrypt, &sealed);
    let request = |server: &Server| server.request(Protocol::Http1, "decrypt", &body);
    with_peers(run, results, &proxy, request)
}

/// Measures the proxy, nginx and the floor in turn; gives the ratios to nginx and to the floor.
fn with_peers(
    run: &Run,
    results: &mut Results,
    proxy: &Server,
    request: impl Fn(&Server) -> Request,
) -> [f64; 2] {
    let floor = Server::floor();
    let nginx = Server::nginx();
    let mut servers = vec![proxy, &floor];
    servers.extend(&nginx);
    if nginx.is_none() {
        println!("  nginx is not installed (apt-get install nginx-light): not compared");
    }
    let medians = in_turn(run, results, &servers, HTTP1, request);
    let ratio = |at: usize| medians.get(at).map_or(f64::NAN, |peer| medians[0] / peer);
    [ratio(2), ratio(1)]
}

/// Measures servers in turn; gives the medians of their CPU microseconds.
fn in_turn(
    run: &Run,
    results: &mut Results,
    servers: &[&Server],
    shape: Shape,
    request: impl Fn(&Server) -> Request,
) -> Vec<f64> {
    let mut figures = vec![Vec::new(); servers.len()];
    for _ in 0..run.rounds {
        for (server, figures) in servers.iter().zip(&mut figures) {
            let requests = Arc::new([request(server)]);
            let to = server.destination();
            let requests: Arc<[Request]> = requests;
            let round = round(&to, &server.processes, &requests, shape, run.time);
            figures.push(run.executor.block_on(round));
        }
    }
    let rows = servers.iter().zip(figures);
    rows.map(|(server, rounds)| told(results, server.name, &rounds))
        .collect()
}

fn told(results: &mut Results, series: &str, rounds: &[Round]) -> f64 {
    let rates = rounds.iter().map(|round| round.rate).collect();
    results.row(series, "requests", "/s", None, rates);
    let micros = rounds.iter().map(|round| round.micros).collect();
    results.row(series, "CPU per request", "µs", None, micros)
}
