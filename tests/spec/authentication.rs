//! SigV4, credentials, Regions and the clock.

use std::time::{Duration, SystemTime};

use harness::h2::H2Connection;
use harness::https::Response;
use harness::signer::{SignedRequest, Signer};
use xks_api::sigv4::Regions;

use crate::operations::{ENCRYPT_EXAMPLE, refused};
use crate::proxy::{HOST, ID, PREFIX, Proxy, SECRET, Setup, signed};

fn good() -> SignedRequest {
    signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE)
}

/// Asserts that nothing in the answer tells why.
#[track_caller]
fn unauthentic(response: &Response) {
    refused(response, 401, "AuthenticationFailedException");
    let expected = r#"{"errorName":"AuthenticationFailedException","errorMessage":"the request is not signed as it must be"}"#;
    assert_eq!(response.body, expected.as_bytes());
    let mut names: Vec<_> = response.headers.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "date"]);
}

#[test]
fn r32_every_operation_is_authenticated_before_it_is_looked_at() {
    let proxy = Proxy::start();
    for path in [
        "/health",
        "/keys/demo/metadata",
        "/keys/demo/encrypt",
        "/keys/nothing/decrypt",
    ] {
        for body in [ENCRYPT_EXAMPLE, "{", ""] {
            let path = format!("{PREFIX}/kms/xks/v1{path}");
            let request = SignedRequest::unsigned("POST", HOST, &path, body);
            unauthentic(&proxy.exchange(&request));
        }
    }
    assert_eq!(proxy.key_manager.take_calls(), []);
}

#[test]
fn r44_every_signed_part_counts() {
    let proxy = Proxy::start();
    assert_eq!(proxy.exchange(&good()).status, 200);
    let broken = |change: &dyn Fn(&mut SignedRequest)| {
        let mut request = good();
        change(&mut request);
        unauthentic(&proxy.exchange(&request));
    };
    broken(&|r| r.body[20] ^= 1);
    broken(&|r| r.path = format!("{PREFIX}/kms/xks/v1/keys/demo/decrypt"));
    broken(&|r| r.set("host", "xks.test"));
    broken(&|r| r.set("x-amz-date", "20200101T000000Z"));
    broken(&|r| r.remove("x-amz-date"));
    broken(&|r| r.remove("authorization"));
    broken(&|r| r.path.push('?'));
    broken(&|r| r.path.push_str("?a=b"));
    let authorization = |change: &dyn Fn(String) -> String| {
        broken(&|r| {
            let value = change(r.header("authorization").unwrap().to_owned());
            r.set("authorization", value);
        });
    };
    authorization(&|a| a.replace("us-east-1", "us-east-2"));
    authorization(&|a| a.replace("kms-xks-proxy", "kms"));
    authorization(&|a| a.replace("aws4_request", "aws4"));
    authorization(&|a| a.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"));
    authorization(&|a| a.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=host"));
    authorization(&|a| a.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date"));
    authorization(&|a| a.replace(ID, "ZZZZZZZZZZZZZZZZZZZZ"));
    authorization(&|a| a.to_uppercase());
    authorization(&|a| a[..a.len() - 1].to_owned());
    authorization(&|_| String::new());
    broken(&|r| {
        let value = r.header("authorization").unwrap().to_owned();
        r.headers.push(("authorization".into(), value));
    });
    broken(&|r| {
        let value = r.header("x-amz-date").unwrap().to_owned();
        r.headers.push(("x-amz-date".into(), value));
    });
}

#[test]
fn r44_a_claimed_payload_hash_is_not_believed() {
    let proxy = Proxy::start();
    let mut request = SignedRequest::unsigned(
        "POST",
        HOST,
        &format!("{PREFIX}/kms/xks/v1/keys/demo/encrypt"),
        ENCRYPT_EXAMPLE,
    );
    let hash = ring::digest::digest(&ring::digest::SHA256, ENCRYPT_EXAMPLE.as_bytes());
    let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    request.set("x-amz-content-sha256", hash);
    Signer::new(ID, SECRET).sign(&mut request, SystemTime::now());
    assert_eq!(proxy.exchange(&request).status, 200);
    request.body[20] ^= 1;
    unauthentic(&proxy.exchange(&request));
    // Whatever an unsigned header claims, the body is what counts.
    let mut request = good();
    request.set("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert_eq!(proxy.exchange(&request).status, 200);
    request.body[20] ^= 1;
    unauthentic(&proxy.exchange(&request));
}

#[test]
fn r44_authority_stands_for_host_in_http_2() {
    let proxy = Proxy::start();
    let config = Proxy::tls().alpn(&["h2"]).config();
    let mut connection = H2Connection::open(proxy.address, HOST, config);
    assert_eq!(connection.exchange(good().http2()).unwrap().status, 200);
    let mut request = good();
    request.set("host", "xks.test");
    unauthentic(&connection.exchange(request.http2()).unwrap());
}

#[test]
fn r43_more_than_five_minutes_of_clock_difference_fail() {
    let proxy = Proxy::start();
    let at = |time: SystemTime| {
        let mut request = good();
        Signer::new(ID, SECRET).sign(&mut request, time);
        proxy.exchange(&request)
    };
    let now = SystemTime::now();
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert_eq!(at(now - minutes(4)).status, 200);
    assert_eq!(at(now + minutes(4)).status, 200);
    unauthentic(&at(now - minutes(6)));
    unauthentic(&at(now + minutes(6)));
    unauthentic(&at(now - minutes(24 * 60)));
}

#[test]
fn r35_credentials_change_under_an_open_connection() {
    let mut proxy = Proxy::start();
    let second = (
        "BCDEFGHIJKLMNOPQRSTU",
        "Second+Tests/Only=Second+Tests/Only=Second+Tests/Only=",
    );
    let path = format!("{PREFIX}/kms/xks/v1/keys/demo/encrypt");
    let mut connection = proxy.connect();
    let mut status = |(id, secret): (&str, &str)| {
        let request = Signer::new(id, secret).post(HOST, &path, ENCRYPT_EXAMPLE);
        connection.exchange(&request.http1()).unwrap().status
    };
    assert_eq!((status((ID, SECRET)), status(second)), (200, 401));
    proxy.change(|setup| setup.key_stores[0].credentials.push(second));
    assert_eq!((status((ID, SECRET)), status(second)), (200, 200));
    proxy.change(|setup| {
        setup.key_stores[0].credentials.remove(0);
    });
    assert_eq!((status((ID, SECRET)), status(second)), (401, 200));
    // An id names one secret.
    assert_eq!(status((second.0, SECRET)), 401);
}

#[test]
fn r42_the_region_is_free_unless_regions_are_named() {
    let mut proxy = Proxy::start();
    let path = format!("{PREFIX}/kms/xks/v1/keys/demo/encrypt");
    let in_region = |proxy: &Proxy, region: &str| {
        let mut signer = Signer::new(ID, SECRET);
        signer.region = region.into();
        proxy.exchange(&signer.post(HOST, &path, ENCRYPT_EXAMPLE))
    };
    assert_eq!(in_region(&proxy, "eu-west-1").status, 200);
    assert_eq!(in_region(&proxy, "us-east-1").status, 200);
    proxy.change(|setup: &mut Setup| {
        setup.key_stores[0].regions = Regions::Only(vec!["us-east-1".try_into().unwrap()]);
    });
    assert_eq!(in_region(&proxy, "us-east-1").status, 200);
    unauthentic(&in_region(&proxy, "eu-west-1"));
}
