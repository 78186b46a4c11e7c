//! `xks-proxy kms …` where something is wrong: with the proxy, the way to it, the caller, or KMS.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use harness::binaries;
use harness::process::{Process, run};
use serde_json::json;

use crate::clients::{Client, RustSdk};
use crate::kms_commands::{Commands, ENDPOINT, LIMIT, object, signs_with};
use crate::scenario::PACE;
use crate::stage::{Pace, Stage};

#[test]
fn what_fails_is_explained_and_leaves_nothing_behind() {
    let _alone = crate::alone();
    let mut stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let before = commands.credentials();

    let said = commands.fails(&["kms", "link", "--uri-endpoint", "https://nobody.test"]);
    assert!(said.contains("XksProxyUriUnreachableException"), "{said}");
    assert!(said.contains("port 443"), "{said}");
    assert!(said.contains("is revoked again"), "{said}");
    assert_eq!(commands.credentials(), before);
    let said = commands.fails(&["kms", "link"]);
    assert!(said.contains("--uri-endpoint"), "{said}");
    let said = commands.fails(&["kms", "status"]);
    assert!(said.contains("`xks-proxy kms link` creates it"), "{said}");

    let mut nobody = commands.command(&["kms", "status"]);
    nobody
        .env_remove("AWS_ACCESS_KEY_ID")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let (status, _, stderr) = run(&mut nobody, LIMIT);
    assert_eq!(status.code(), Some(1));
    assert!(
        stderr.contains("/nonexistent/.aws/credentials is not there"),
        "{stderr}"
    );
    let mut far = commands.command(&["kms", "status", "--endpoint-url", "http://kms.example"]);
    let (_, _, stderr) = run(&mut far, LIMIT);
    assert!(stderr.contains("plain HTTP to another machine"), "{stderr}");

    // Another store has the name.
    let mut kms = RustSdk::new(stage.endpoint_url());
    let taken = object(json!({
        "CustomKeyStoreName": "tenant-b",
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyUriEndpoint": "https://localhost",
        "XksProxyUriPath": stage.description()["proxy_uri_path"],
        "XksProxyAuthenticationCredential": {
            "AccessKeyId": stage.description()["access_key_id"],
            "RawSecretAccessKey": stage.description()["secret_access_key"],
        },
    }));
    kms.call("CreateCustomKeyStore", &taken).unwrap();
    let said = commands.fails(&[
        "kms",
        "link",
        "--uri-endpoint",
        ENDPOINT,
        "--name",
        "tenant-b",
    ]);
    assert!(said.contains("give another --name"), "{said}");
    assert_eq!(commands.credentials(), before);

    // The proxy is gone when the store is to be connected.
    commands.ok(&["kms", "link", "--uri-endpoint", ENDPOINT, "--no-connect"]);
    let credentials = commands.credentials();
    stage.kill_proxy();
    let commands = Commands::of(&stage);
    let said = commands.fails(&["kms", "connect", "--uri-endpoint", ENDPOINT]);
    assert!(said.contains("XKS_PROXY_NOT_REACHABLE"), "{said}");
    assert!(said.contains("curl https://ENDPOINT/ping"), "{said}");
    let said = commands.fails(&["kms", "rotate-credential", "--uri-endpoint", ENDPOINT]);
    assert!(
        said.contains("no proxy answers at the admin socket"),
        "{said}"
    );
    stage.restart_proxy();
    let commands = Commands::of(&stage);
    // FAILED is left by a disconnect, which connect does.
    commands.ok(&["kms", "connect", "--uri-endpoint", ENDPOINT]);
    assert_eq!(commands.credentials(), credentials);
}

#[test]
fn a_credential_that_the_proxy_lost_is_found_and_replaced() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let commands = Commands::of(&stage);
    let mut kms = RustSdk::new(stage.endpoint_url());
    commands.link();
    commands.ok(&["kms", "disconnect"]);
    let lost = signs_with(&mut kms);
    commands.ok(&["credential", "revoke", &lost]);

    let said = commands.fails(&["kms", "connect"]);
    assert!(said.contains("INVALID_CREDENTIALS"), "{said}");
    assert!(said.contains("xks-proxy kms rotate-credential"), "{said}");
    let said = commands.fails(&["kms", "status"]);
    assert!(
        said.contains(&format!(
            "KMS signs with {lost}, which the proxy does not take"
        )),
        "{said}"
    );
    let said = commands.fails(&["kms", "link", "--uri-endpoint", ENDPOINT]);
    assert!(said.contains("does not know"), "{said}");

    let rotated = commands.json(&["kms", "rotate-credential", "--quiet-for", "1s"]);
    assert_eq!(rotated["old"], *lost);
    assert_eq!(rotated["revoked"], false);
    commands.ok(&["kms", "connect"]);
    assert_eq!(commands.json(&["kms", "status"])["problems"], json!([]));
}

#[test]
fn signatures_hold_before_a_kms_that_verifies_them_and_permissions_are_those_of_the_caller() {
    let _alone = crate::alone();
    let accounts = harness::workspace().join("kms-sim/docs/accounts.example.toml");
    let stage = Stage::start_with(&PACE, &[format!("--accounts={}", accounts.display())]);
    let commands = Commands::of(&stage);
    // From a profile, with another Region than that of the environment.
    let folder = harness::temp_dir();
    let (config, credentials) = (
        folder.path().join("config"),
        folder.path().join("credentials"),
    );
    std::fs::write(&config, "[profile admin]\nregion = eu-west-1\n").unwrap();
    std::fs::write(
        &credentials,
        "[admin]\naws_access_key_id = AKIAADMINEXAMPLE0001\n\
         aws_secret_access_key = adminSecretadminSecretadminSecret+EXAMPLE\n\
         [wrong]\naws_access_key_id = AKIAADMINEXAMPLE0001\naws_secret_access_key = other\n\
         [operator]\naws_access_key_id = AKIAOPERATOREXAMPLE1\n\
         aws_secret_access_key = operatorSecretoperatorSecret+EXAMPLE+1\n\
         [session]\naws_access_key_id = ASIAPAYROLLEXAMPLE01\n\
         aws_secret_access_key = payrollSecretpayrollSecretpayrollSecret+EX\naws_session_token = an-opaque-session-token\n",
    )
    .unwrap();
    let caller = |profile: &str, arguments: &[&str]| {
        let mut command = commands.command(arguments);
        command
            .args(["--profile", profile])
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_SHARED_CREDENTIALS_FILE", &credentials)
            .env_remove("AWS_REGION")
            .env("AWS_DEFAULT_REGION", "eu-west-1");
        let (status, stdout, stderr) = run(&mut command, LIMIT);
        (status.success(), format!("{stdout}{stderr}"))
    };
    let link = ["kms", "link", "--uri-endpoint", ENDPOINT];
    let (done, said) = caller("admin", &link);
    assert!(done && said.contains(" is CONNECTED"), "{said}");
    let (done, said) = caller("admin", &["kms", "create-key", "demo"]);
    assert!(
        done && said.contains("arn:aws:kms:eu-west-1:111122223333:key/"),
        "{said}"
    );

    let (done, said) = caller("wrong", &["kms", "status"]);
    assert!(
        !done && said.contains("InvalidSignatureException"),
        "{said}"
    );
    assert!(said.contains("the secret access key"), "{said}");
    let (done, said) = caller("operator", &["kms", "disconnect"]);
    assert!(done && said.contains(" is DISCONNECTED"), "{said}");
    let (done, said) = caller("operator", &["kms", "connect"]);
    assert!(!done && said.contains("AccessDeniedException"), "{said}");
    assert!(said.contains("its IAM policy"), "{said}");
    // A session's token is sent and signed, or this would be an InvalidSignatureException.
    let (done, said) = caller("session", &["kms", "status"]);
    assert!(!done && said.contains("AccessDeniedException"), "{said}");
    assert!(said.contains("assumed-role/Payroll/worker-1"), "{said}");
}

#[test]
fn kms_is_reached_over_tls_with_the_cas_that_are_named() {
    let _alone = crate::alone();
    let stage = Stage::start(&PACE);
    let address = format!("127.0.0.1:{}", harness::free_port());
    let certificate = |name: &str| harness::certificates::path(name).display().to_string();
    let mut simulator = Process::start(
        Command::new(binaries::kms_sim())
            .args(["serve", "--listen", &address])
            .args(["--tls-cert", &certificate("server-ecdsa.crt.pem")])
            .args(["--tls-key", &certificate("server-ecdsa.test-key.pem")]),
    );
    simulator.wait_until("its port", LIMIT, |_| {
        std::net::TcpStream::connect(&address).ok().map(drop)
    });
    let port = address.rsplit(':').next().unwrap();
    let commands = Commands::of(&stage);
    let ask = |bundle: Option<&str>| {
        let mut command = commands.command(&["kms", "status"]);
        command.env("AWS_ENDPOINT_URL_KMS", format!("https://localhost:{port}"));
        command.envs(bundle.map(|bundle| ("AWS_CA_BUNDLE", bundle)));
        let (_, stdout, stderr) = run(&mut command, LIMIT);
        format!("{stdout}{stderr}")
    };
    let said = ask(Some(&certificate("root-ca.crt.pem")));
    assert!(
        said.contains("no external key store of the account"),
        "{said}"
    );
    let said = ask(Some(&certificate("client-ca.crt.pem")));
    assert!(said.contains("invalid peer certificate"), "{said}");
    assert!(said.contains("AWS_CA_BUNDLE"), "{said}");
    // Through an HTTP proxy, which is asked for the host by its name.
    let proxy = HttpProxy::start();
    let mut command = commands.command(&["kms", "status"]);
    command
        .env("AWS_ENDPOINT_URL_KMS", format!("https://localhost:{port}"))
        .env("AWS_CA_BUNDLE", certificate("root-ca.crt.pem"))
        .env("HTTPS_PROXY", &proxy.url);
    let (_, _, said) = run(&mut command, LIMIT);
    assert!(
        said.contains("no external key store of the account"),
        "{said}"
    );
    assert_eq!(proxy.asked(), format!("CONNECT localhost:{port} HTTP/1.1"));
    let said = ask(Some("/nonexistent"));
    assert!(said.contains("/nonexistent cannot be used"), "{said}");
    assert!(said.contains("AWS_CA_BUNDLE"), "{said}");
}

/// Opens one tunnel.
struct HttpProxy {
    url: String,
    asked: std::thread::JoinHandle<String>,
}

impl HttpProxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let line = String::from_utf8(head).unwrap();
            let line = line.lines().next().unwrap_or_default().to_owned();
            let address = line
                .split(' ')
                .nth(1)
                .unwrap()
                .replace("localhost", "127.0.0.1");
            let mut server = TcpStream::connect(address).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let up = std::thread::spawn(move || {
                // It ends with the command.
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            let _ = std::io::copy(&mut server, &mut client);
            up.join().unwrap();
            line
        });
        Self { url, asked }
    }

    fn asked(self) -> String {
        self.asked.join().unwrap()
    }
}

#[test]
fn a_vpc_endpoint_service_and_every_fault_of_the_way_are_explained() {
    let _alone = crate::alone();
    let control = format!("127.0.0.1:{}", harness::free_port());
    let pace = Pace {
        proxy_timeout: Duration::from_secs(2),
        ..PACE
    };
    let stage = Stage::start_with(&pace, &[format!("--control={control}")]);
    let commands = Commands::of(&stage);
    let ctl = |arguments: &[&str]| {
        let mut ctl = Command::new(binaries::kms_sim());
        ctl.arg("ctl")
            .args(arguments)
            .env("KMS_SIM_CONTROL", format!("http://{control}"));
        let (status, stdout, stderr) = run(&mut ctl, LIMIT);
        assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
    };
    ctl(&[
        "vpc",
        "create",
        "--private-dns-name",
        "xks.test",
        "--service",
        SERVICE,
    ]);
    ctl(&[
        "vpc",
        "set",
        "--service",
        SERVICE,
        "--acceptance-required",
        "true",
    ]);
    let link = |service: &'static str| {
        [
            "kms",
            "link",
            "--uri-endpoint",
            ENDPOINT,
            "--vpc-endpoint-service-name",
            service,
        ]
    };
    let said = commands.fails(&link(
        "com.amazonaws.vpce.us-east-1.vpce-svc-0000000000000000f",
    ));
    assert!(
        said.contains("XksProxyVpcEndpointServiceNotFoundException"),
        "{said}"
    );
    assert!(said.contains("Allow principals"), "{said}");
    let said = commands.fails(&link(SERVICE));
    assert!(
        said.contains("XksProxyVpcEndpointServiceInvalidConfigurationException"),
        "{said}"
    );
    assert!(said.contains("does not ask for acceptance"), "{said}");
    ctl(&[
        "vpc",
        "set",
        "--service",
        SERVICE,
        "--acceptance-required",
        "false",
    ]);
    commands.ok(&link(SERVICE));
    let status = commands.json(&["kms", "status"]);
    assert_eq!(
        status["custom_key_store"]["connectivity"],
        "VPC_ENDPOINT_SERVICE"
    );
    assert_eq!(
        status["custom_key_store"]["vpc_endpoint_service_name"],
        SERVICE
    );

    for (fault, code, check) in [
        (
            &["--tls", "expired"][..],
            "XKS_PROXY_INVALID_TLS_CONFIGURATION",
            "--host NAME",
        ),
        (
            &["--tcp", "refused"],
            "XKS_PROXY_NOT_REACHABLE",
            "security groups",
        ),
        (&["--latency-ms", "4000"], "XKS_PROXY_TIMED_OUT", "35 ms"),
        (
            &["--status", "502", "--body", "<html>"],
            "XKS_PROXY_INVALID_RESPONSE",
            "before it",
        ),
    ] {
        commands.ok(&["kms", "disconnect"]);
        ctl(&[&["link", "set"], fault].concat());
        let said = commands.fails(&["kms", "connect"]);
        assert!(said.contains(code) && said.contains(check), "{said}");
        ctl(&["link", "clear"]);
        commands.ok(&["kms", "connect"]);
    }
}

const SERVICE: &str = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0";
