//! TLS through rustls: every way the specification allows, HTTP/1.1 and HTTP/2, with a signed Encrypt each; and every
//! client certificate that must not pass, with the alert that says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use harness::certificates::path;
use harness::h2::H2Connection;
use harness::https::{Connection, Response};
use harness::tls::TlsClient;
use rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, SupportedCipherSuite, SupportedProtocolVersion,
    version,
};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use xks_proxy::tls::ClientAuthentication;

use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{HOST, Proxy, Setup, read_certificates, signed};

/// Certificate of the server, version, suite: all that can be agreed on.
pub const WAYS: [(&str, &SupportedProtocolVersion, SupportedCipherSuite); 6] = [
    ("server-ecdsa", &version::TLS13, TLS13_AES_256_GCM_SHA384),
    (
        "server-ecdsa",
        &version::TLS13,
        TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "server-ecdsa",
        &version::TLS12,
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    ("server-rsa", &version::TLS13, TLS13_AES_256_GCM_SHA384),
    (
        "server-rsa",
        &version::TLS13,
        TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "server-rsa",
        &version::TLS12,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
];

/// Each certificate that must not pass, with what the server says of it.
pub const REFUSED: [(&str, AlertDescription); 6] = [
    ("client-foreign", AlertDescription::UnknownCA),
    ("client-wrong-cn", AlertDescription::AccessDenied),
    ("client-two-cns", AlertDescription::AccessDenied),
    ("client-expired", AlertDescription::CertificateExpired),
    ("client-not-yet-valid", AlertDescription::CertificateExpired),
    ("client-revoked", AlertDescription::CertificateRevoked),
];

/// A proxy that asks for client certificates, and knows who is revoked.
pub fn with_client_certificates() -> Setup {
    Setup {
        client: Some(ClientAuthentication {
            roots: read_certificates("client-ca.crt.pem"),
            crls: crls(),
            subject_common_names: vec!["cks.kms.us-east-1.amazonaws.com".into()],
        }),
        ..Setup::default()
    }
}

/// The same before anyone was revoked.
pub fn with_nobody_revoked() -> Setup {
    let mut setup = with_client_certificates();
    if let Some(client) = &mut setup.client {
        client.crls.clear();
    }
    setup
}

/// Revokes `client-revoked`.
pub fn revoke(setup: &mut Setup) {
    setup.client.as_mut().expect("client certificates").crls = crls();
}

fn crls() -> Vec<CertificateRevocationListDer<'static>> {
    CertificateRevocationListDer::pem_file_iter(path("client-ca.crl.pem"))
        .expect("a PEM file")
        .collect::<Result<_, _>>()
        .expect("CRLs")
}

fn client(name: &str) -> TlsClient {
    Proxy::tls().identity(
        &path(&format!("{name}.crt.pem")),
        &path(&format!("{name}.test-key.pem")),
    )
}

#[test]
fn r02_r03_every_version_suite_and_http_version_serves_a_signed_encrypt() {
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    for (certificate, version, suite) in WAYS {
        let proxy = Proxy::start_with(Setup {
            certificate,
            ..Setup::default()
        });
        let tls = Proxy::tls().versions(&[version]).suites(&[suite]);
        let way = format!("{certificate} {suite:?}");

        let config = tls.clone().alpn(&["http/1.1"]).config();
        let mut connection = Connection::tls(proxy.address, HOST, config).expect(&way);
        assert_eq!(
            connection.exchange(&request.http1()).unwrap().status,
            200,
            "{way}"
        );
        let session = connection.session().unwrap();
        assert_eq!(session.protocol_version(), Some(version.version), "{way}");
        assert_eq!(session.negotiated_cipher_suite(), Some(suite), "{way}");
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]), "{way}");
        let shown = session
            .peer_certificates()
            .unwrap()
            .first()
            .unwrap()
            .clone();
        let expected = read_certificates(&format!("{certificate}.crt.pem")).remove(0);
        assert_eq!(shown, expected, "{way}");

        // The suite is the only one offered, and `open` makes sure of HTTP/2.
        let config = tls.alpn(&["h2"]).config();
        let mut connection = H2Connection::open(proxy.address, HOST, config);
        for _ in 0..2 {
            let response = connection.exchange(request.http2()).unwrap();
            assert_eq!(response.status, 200, "{way}");
        }
    }
}

#[test]
fn r03_each_suite_of_the_specification_and_no_other() {
    let allowed = [
        "TLS13_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    ];
    let all = rustls::crypto::ring::default_provider().cipher_suites;
    for certificate in ["server-ecdsa", "server-rsa"] {
        let proxy = Proxy::start_with(Setup {
            certificate,
            ..Setup::default()
        });
        let mut served = Vec::new();
        for suite in &all {
            let config = Proxy::tls().suites(&[*suite]).config();
            if let Ok(mut connection) = Connection::tls(proxy.address, HOST, config) {
                assert_eq!(ping(&mut connection).unwrap().status, 200);
                let negotiated = connection.session().unwrap().negotiated_cipher_suite();
                served.push(name(&negotiated.unwrap()));
            }
        }
        served.sort_unstable();
        let key = if certificate == "server-rsa" {
            "ECDSA"
        } else {
            "RSA"
        };
        let expected: Vec<_> = allowed
            .iter()
            .filter(|n| !n.contains(&format!("_{key}_")))
            .collect();
        assert_eq!(served.iter().collect::<Vec<_>>(), expected, "{certificate}");
    }
}

fn name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite())
}

#[test]
fn r02_the_http_version_is_what_alpn_says() {
    let proxy = Proxy::start();
    let negotiated = |protocols: &[&str]| {
        let config = Proxy::tls().alpn(protocols).config();
        let connection = Connection::tls(proxy.address, HOST, config)?;
        let protocol = connection.session().and_then(|s| s.alpn_protocol());
        io::Result::Ok(protocol.map(|p| String::from_utf8_lossy(p).into_owned()))
    };
    for (offered, expected) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["h2"], Some("h2")),
        // Without ALPN, HTTP/1.1 is spoken.
        (&[], None),
    ] {
        let agreed = negotiated(offered).unwrap();
        assert_eq!(agreed.as_deref(), expected, "{offered:?}");
    }
    let error = negotiated(&["http/1.0", "spdy/3"]).unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::NoApplicationProtocol));
}

#[test]
fn r33_the_right_client_certificate_passes_every_way() {
    let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    for (certificate, version, suite) in WAYS {
        let proxy = Proxy::start_with(Setup {
            certificate,
            ..with_client_certificates()
        });
        let tls = client("client").versions(&[version]).suites(&[suite]);
        let mut connection = Connection::tls(proxy.address, HOST, tls.config()).unwrap();
        assert_eq!(connection.exchange(&request.http1()).unwrap().status, 200);
        let mut connection = H2Connection::open(proxy.address, HOST, tls.alpn(&["h2"]).config());
        let response = connection.exchange(request.http2()).unwrap();
        assert_eq!(response.status, 200, "{certificate} {suite:?}");
    }
}

#[test]
fn r34_every_wrong_client_certificate_ends_the_handshake_with_its_alert() {
    let proxy = Proxy::start_with(with_client_certificates());
    for version in [&version::TLS12, &version::TLS13] {
        for protocol in ["h2", "http/1.1"] {
            let refused = |tls: TlsClient| {
                let config = tls.versions(&[version]).alpn(&[protocol]).config();
                refusal(&proxy, config)
            };
            for (name, expected) in REFUSED {
                let way = format!("{name} {:?} {protocol}", version.version);
                assert_eq!(refused(client(name)), Some(expected), "{way}");
            }
            let none = refused(Proxy::tls());
            assert_eq!(
                none,
                Some(AlertDescription::CertificateRequired),
                "{protocol}"
            );
        }
    }
    // Load balancers have no such certificate: they ask the plain listener.
    let mut plain = Connection::plain(proxy.health_address).unwrap();
    assert_eq!(ping(&mut plain).unwrap().status, 200);
    assert_eq!(proxy.end_and_read_log(), Vec::<serde_json::Value>::new());
}

#[test]
fn r34_a_client_that_is_revoked_later_loses_its_connection_and_its_session() {
    for version in [&version::TLS12, &version::TLS13] {
        let mut proxy = Proxy::start_with(with_nobody_revoked());
        // A configuration keeps its sessions: one client each.
        let [right, revoked] =
            ["client", "client-revoked"].map(|name| client(name).versions(&[version]).config());
        let kind = |proxy: &Proxy, config: &Arc<ClientConfig>| {
            let mut connection = Connection::tls(proxy.address, HOST, Arc::clone(config)).unwrap();
            // The tickets of TLS 1.3 come with the answer.
            let request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
            assert_eq!(connection.exchange(&request.http1()).unwrap().status, 200);
            connection.session().unwrap().handshake_kind()
        };
        for config in [&right, &revoked] {
            assert_eq!(kind(&proxy, config), Some(HandshakeKind::Full));
            assert_eq!(kind(&proxy, config), Some(HandshakeKind::Resumed));
        }
        let mut open = Connection::tls(proxy.address, HOST, Arc::clone(&revoked)).unwrap();
        assert_eq!(ping(&mut open).unwrap().status, 200);
        proxy.change(revoke);
        assert!(open.is_closed_within(Duration::from_secs(10)));
        for _ in 0..3 {
            let refused = refusal(&proxy, Arc::clone(&revoked));
            assert_eq!(refused, Some(AlertDescription::CertificateRevoked));
        }
        // Who is still welcome has to show the certificate again, once.
        assert_eq!(kind(&proxy, &right), Some(HandshakeKind::Full));
        assert_eq!(kind(&proxy, &right), Some(HandshakeKind::Resumed));
    }
}

/// The alert that a connection ends with, or `None` if the server keeps it open for HTTP.
///
/// In TLS 1.3 a client has finished its part when the server looks at the certificate: the alert comes at the first
/// read.
fn refusal(proxy: &Proxy, config: Arc<ClientConfig>) -> Option<AlertDescription> {
    let h2 = config.alpn_protocols.iter().any(|p| p == b"h2");
    let attempt = Connection::tls(proxy.address, HOST, config).and_then(|mut connection| {
        if h2 {
            // The preface and empty SETTINGS; the server's own SETTINGS would be the answer.
            connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
            return connection.receive().map(drop);
        }
        ping(&mut connection).map(drop)
    });
    match attempt {
        Ok(()) => None,
        Err(error) => Some(alert(&error).unwrap_or_else(|| panic!("no alert: {error}"))),
    }
}

fn ping(connection: &mut Connection) -> io::Result<Response> {
    connection.exchange(format!("GET /ping HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes())
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
