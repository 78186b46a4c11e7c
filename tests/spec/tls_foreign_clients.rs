//! TLS and requests of clients that share no code with the proxy: `openssl s_client` and `curl --aws-sigv4`.
//!
//! What they report of the connection is compared with what they were told to offer; what OpenSSL refuses by itself
//! proves nothing, so a refusal counts only with the alert that the server sent.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::certificates::path;
use harness::process::run_with_input;
use harness::{backend, temp_dir};
use rustls::SupportedProtocolVersion;
use serde_json::{Value, json};

use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{HOST, ID, PREFIX, Proxy, SECRET, Setup, signed};
use crate::tls_matrix::{REFUSED, WAYS, revoke, with_client_certificates, with_nobody_revoked};

/// What a suite of [`WAYS`] is called by OpenSSL.
fn openssl_name(suite: rustls::SupportedCipherSuite) -> &'static str {
    use rustls::CipherSuite as Suite;
    match suite.suite() {
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        other => panic!("{other:?} is no suite of the specification"),
    }
}

fn is_13(version: &SupportedProtocolVersion) -> bool {
    version.version == rustls::ProtocolVersion::TLSv1_3
}

/// What `openssl s_client` did.
struct Session {
    status: ExitStatus,
    /// Standard output and standard error.
    said: String,
}

impl Session {
    fn said(&self, text: &str) -> bool {
        self.said.contains(text)
    }

    #[track_caller]
    fn says(&self, text: &str) {
        assert!(
            self.said(text),
            "no {text:?} ({}) in:\n{}",
            self.status,
            self.said
        );
    }
}

fn have_openssl() -> bool {
    match Command::new("openssl").arg("version").output() {
        Ok(output) if output.status.success() => true,
        other => {
            backend::missing("openssl s_client", &format!("`openssl version`: {other:?}"));
            false
        }
    }
}

/// Connects with `arguments`, sends a signed Encrypt and reads to the end.
fn s_client(proxy: &Proxy, arguments: &[&str]) -> Session {
    let mut request = signed("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
    request.set("connection", "close");
    let (status, stdout, stderr) = run_with_input(
        Command::new("openssl")
            .args([
                "s_client",
                "-ign_eof",
                "-servername",
                HOST,
                "-verify_hostname",
                HOST,
            ])
            .args([
                "-verify_return_error",
                "-connect",
                &proxy.address.to_string(),
                "-CAfile",
            ])
            .arg(path("root-ca.crt.pem"))
            .args(arguments),
        &request.http1(),
        LIMIT,
    );
    Session {
        status,
        said: stdout + &stderr,
    }
}

/// `-cert` and `-key`.
fn identity(name: &str) -> [String; 4] {
    let file = |suffix| path(&format!("{name}{suffix}")).display().to_string();
    [
        "-cert".into(),
        file(".crt.pem"),
        "-key".into(),
        file(".test-key.pem"),
    ]
}

#[test]
fn r03_openssl_agrees_on_each_suite() {
    if !have_openssl() {
        return;
    }
    for (certificate, version, suite) in WAYS {
        let proxy = Proxy::start_with(Setup {
            certificate,
            ..Setup::default()
        });
        let suite = openssl_name(suite);
        let (version, ciphers, name) = if is_13(version) {
            ("-tls1_3", "-ciphersuites", "TLSv1.3")
        } else {
            ("-tls1_2", "-cipher", "TLSv1.2")
        };
        let session = s_client(&proxy, &[version, ciphers, suite, "-alpn", "http/1.1"]);
        session.says(&format!("New, {name}, Cipher is {suite}"));
        session.says("ALPN protocol: http/1.1");
        session.says("Verify return code: 0 (ok)");
        session.says("HTTP/1.1 200 OK");
        let session = s_client(&proxy, &[version, ciphers, suite, "-alpn", "h2"]);
        session.says("ALPN protocol: h2");
    }
}

/// Refused by the server's alert, not by OpenSSL's own settings.
#[test]
fn r03_openssl_is_refused_with_anything_else() {
    if !have_openssl() {
        return;
    }
    let lax = "ALL:@SECLEVEL=0";
    for certificate in ["server-ecdsa", "server-rsa"] {
        let proxy = Proxy::start_with(Setup {
            certificate,
            ..Setup::default()
        });
        for version in ["-tls1_1", "-tls1"] {
            let session = s_client(&proxy, &[version, "-cipher", lax]);
            // rustls misses signature algorithms, which TLS 1.1 does not send, before it looks at the version.
            let refused = ["alert protocol version", "alert handshake failure"];
            assert!(
                refused.iter().any(|alert| session.said(alert)),
                "{}",
                session.said
            );
            assert!(!session.status.success());
        }
        for suite in [
            "ECDHE-ECDSA-AES256-SHA384",
            "ECDHE-RSA-AES256-SHA384",
            "ECDHE-ECDSA-AES128-SHA",
            "ECDHE-RSA-AES128-SHA",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-CHACHA20-POLY1305",
            "DHE-RSA-AES256-GCM-SHA384",
            "AES256-GCM-SHA384",
            "AES128-SHA",
        ] {
            let cipher = format!("{suite}:@SECLEVEL=0");
            let session = s_client(&proxy, &["-tls1_2", "-cipher", &cipher]);
            assert!(
                session.said("alert handshake failure"),
                "{suite}:\n{}",
                session.said
            );
            assert!(!session.status.success());
        }
        let only = ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"];
        s_client(&proxy, &only).says("alert handshake failure");
        // The specification has a suite for each kind of certificate, and the server one certificate.
        let other = if certificate == "server-rsa" {
            "ECDSA"
        } else {
            "RSA"
        };
        let cipher = format!("ECDHE-{other}-AES256-GCM-SHA384");
        s_client(&proxy, &["-tls1_2", "-cipher", &cipher]).says("alert handshake failure");
    }
}

#[test]
fn r33_r34_openssl_with_each_client_certificate() {
    if !have_openssl() {
        return;
    }
    let proxy = Proxy::start_with(with_client_certificates());
    for version in ["-tls1_2", "-tls1_3"] {
        let with = |name: Option<&str>| {
            let identity = name.map(identity).into_iter().flatten().collect::<Vec<_>>();
            let mut arguments = vec![version];
            arguments.extend(identity.iter().map(String::as_str));
            s_client(&proxy, &arguments)
        };
        with(Some("client")).says("HTTP/1.1 200 OK");
        for (name, alert) in REFUSED {
            let session = with(Some(name));
            let number = format!("SSL alert number {}", u8::from(alert));
            assert!(session.said(&number), "{version} {name}:\n{}", session.said);
            assert!(
                !session.said("HTTP/1.1"),
                "{version} {name}:\n{}",
                session.said
            );
        }
        let session = with(None);
        session.says("SSL alert number 116"); // certificate_required
        assert!(!session.said("HTTP/1.1"));
    }
}

#[test]
fn r34_a_session_of_openssl_ends_with_the_revocation() {
    if !have_openssl() {
        return;
    }
    let folder = temp_dir();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut proxy = Proxy::start_with(with_nobody_revoked());
        let identity = identity("client-revoked");
        let file = folder.path().join(version).display().to_string();
        let session = |proxy: &Proxy, use_it: &str| {
            let mut arguments = vec![version, use_it, &file];
            arguments.extend(identity.iter().map(String::as_str));
            s_client(proxy, &arguments)
        };
        let first = session(&proxy, "-sess_out");
        first.says("HTTP/1.1 200 OK");
        first.says("New, TLSv1");
        assert!(Path::new(&file).is_file(), "no session:\n{}", first.said);
        let again = session(&proxy, "-sess_in");
        again.says("Reused, TLSv1");
        again.says("HTTP/1.1 200 OK");
        proxy.change(revoke);
        let refused = session(&proxy, "-sess_in");
        refused.says("SSL alert number 44"); // certificate_revoked
        assert!(!refused.said("HTTP/1.1"), "{}", refused.said);
    }
}

fn have_curl() -> bool {
    let version = match Command::new("curl").arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => error.to_string(),
    };
    let number = |part: Option<&str>| part.and_then(|p| p.parse::<u32>().ok()).unwrap_or(0);
    let mut parts = version.split([' ', '.']).skip(1);
    let release = (number(parts.next()), number(parts.next()));
    let http2 = version.split_whitespace().any(|word| word == "HTTP2");
    // The TLS libraries name suites each in their own way.
    if release >= (7, 75) && http2 && version.contains("OpenSSL") {
        return true;
    }
    let needed = "need curl 7.75 or later over OpenSSL with HTTP/2";
    backend::missing("curl --aws-sigv4", &format!("{needed}, found {version:?}"));
    false
}

/// Signs and posts `body`; the answer, the status and the HTTP version.
fn curl(
    proxy: &Proxy,
    operation: &str,
    body: &Value,
    arguments: &[&str],
) -> Result<Answer, String> {
    let url = format!(
        "https://{HOST}:{}{PREFIX}/kms/xks/v1/{operation}",
        proxy.address.port()
    );
    let (status, stdout, stderr) = run_with_input(
        Command::new("curl")
            // No file of the user's changes anything.
            .args(["--disable", "--silent", "--show-error", "--noproxy", "*"])
            .args([
                "--resolve",
                &format!("{HOST}:{}:127.0.0.1", proxy.address.port()),
            ])
            .args(["--aws-sigv4", "aws:amz:us-east-1:kms-xks-proxy"])
            .args(["--user", &format!("{ID}:{SECRET}")])
            .args(["--header", "content-type: application/json", "--data", "@-"])
            .args(["--write-out", "\n%{http_code} %{http_version}", "--cacert"])
            .arg(path("root-ca.crt.pem"))
            .args(arguments)
            .arg(&url),
        body.to_string().as_bytes(),
        LIMIT,
    );
    if !status.success() {
        return Err(stderr);
    }
    let (body, written) = stdout.rsplit_once('\n').expect("what was to be written");
    let (status, http) = written.split_once(' ').expect("two values");
    Ok(Answer {
        body: serde_json::from_str(body).unwrap_or(Value::Null),
        status: status.parse().expect("a status"),
        http: http.to_owned(),
    })
}

struct Answer {
    body: Value,
    status: u16,
    http: String,
}

#[test]
fn r01_r32_curl_encrypts_and_decrypts_every_way() {
    if !have_curl() {
        return;
    }
    let plaintext = STANDARD.encode(b"Hello World!");
    for (certificate, version, suite) in WAYS {
        let proxy = Proxy::start_with(Setup {
            certificate,
            ..Setup::default()
        });
        let suite = openssl_name(suite);
        let tls = if is_13(version) {
            ["--tlsv1.3", "--tls-max", "1.3", "--tls13-ciphers", suite]
        } else {
            ["--tlsv1.2", "--tls-max", "1.2", "--ciphers", suite]
        };
        for (option, http) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let call = |operation: &str, body: &Value| {
                let answer = curl(&proxy, operation, body, &[&tls[..], &[option]].concat());
                let answer = answer.unwrap_or_else(|e| panic!("{certificate} {suite}: {e}"));
                let seen = (answer.status, &*answer.http);
                assert_eq!(seen, (200, http), "{certificate} {suite}: {}", answer.body);
                answer.body
            };
            let mut request: Value = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
            let sealed = call("keys/demo/encrypt", &request);
            let request = request.as_object_mut().unwrap();
            for name in ["plaintext", "ciphertextDataIntegrityValueAlgorithm"] {
                request.remove(name);
            }
            for name in [
                "ciphertext",
                "ciphertextMetadata",
                "initializationVector",
                "authenticationTag",
            ] {
                request.insert(name.into(), sealed[name].clone());
            }
            let opened = call("keys/demo/decrypt", &json!(request));
            assert_eq!(opened["plaintext"], plaintext);
        }
    }
}

#[test]
fn r32_curl_with_another_secret_is_not_authentic() {
    if !have_curl() {
        return;
    }
    let proxy = Proxy::start();
    let body = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    for option in ["--http1.1", "--http2"] {
        let user = format!("{ID}:{}", SECRET.replace('S', "T"));
        let answer = curl(
            &proxy,
            "keys/demo/encrypt",
            &body,
            &[option, "--user", &user],
        )
        .unwrap();
        assert_eq!(answer.status, 401);
        assert_eq!(answer.body["errorName"], "AuthenticationFailedException");
    }
}

#[test]
fn r33_r34_curl_with_each_client_certificate() {
    if !have_curl() {
        return;
    }
    let proxy = Proxy::start_with(with_client_certificates());
    let body = serde_json::from_str(ENCRYPT_EXAMPLE).unwrap();
    for version in ["1.2", "1.3"] {
        for http in ["--http1.1", "--http2"] {
            let with = |name: Option<&str>| {
                let identity = name.map(|name| {
                    let [_, certificate, _, key] = identity(name);
                    ["--cert".to_owned(), certificate, "--key".into(), key]
                });
                let mut arguments = vec!["--tls-max", version, http];
                arguments.extend(identity.iter().flatten().map(String::as_str));
                curl(&proxy, "keys/demo/encrypt", &body, &arguments)
            };
            assert_eq!(with(Some("client")).unwrap().status, 200);
            let refused = REFUSED.iter().map(|(name, _)| Some(*name)).chain([None]);
            for name in refused {
                // curl words some alerts in its own way: what the server sent, `openssl s_client` shows.
                if let Ok(answer) = with(name) {
                    panic!("{name:?} {version} {http}: {}", answer.status);
                }
            }
        }
    }
    // The right one of each pair alone: two versions, two versions of HTTP.
    assert_eq!(proxy.end_and_read_log().len(), 4);
}

/// The clients are quick; the machine may not be.
const LIMIT: Duration = Duration::from_secs(60);
