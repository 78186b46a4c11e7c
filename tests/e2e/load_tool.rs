//! `xks-load` as a user runs it: against the proxy, against kms-sim, and against servers that do not do well.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use harness::byte_counter::ByteCounter;
use harness::https::Connection;
use harness::process::run;
use harness::programs::{DevProxy, Simulator};
use harness::signer::{SignedRequest, Signer};
use harness::{temp_dir, wait_for};
use serde_json::Value;

#[test]
fn every_operation_of_a_proxy_is_loaded_and_counted() {
    let _alone = crate::alone();
    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    let page = data_dir.path().join("load.html");
    let mix = "--mix=encrypt=2,decrypt,get-key-metadata,health";
    let sizes = "--plaintext-bytes=1,4096";
    let html = format!("--html={}", page.display());
    for rest in [
        &["--presigned"][..],
        &["--http=2", "--streams=3"],
        &["--new-connection-every=3"],
        &["--rate=100"],
    ] {
        let mut arguments = vec![mix, sizes, &html, "--slo=errors=0", "--timeout=10s"];
        arguments.extend(rest);
        let loaded = Loaded::run(&proxy, proxy.env.address, &arguments);
        assert_eq!(loaded.status, 0, "{rest:?}: {}", loaded.stderr);
        let report = loaded.report();
        let answered = report["answered"].as_u64().unwrap();
        assert!(answered > 10, "{rest:?}: {report}");
        let by_operation = report["latency_by_operation"].as_array().unwrap();
        let counts = by_operation
            .iter()
            .map(|entry| entry[1]["count"].as_u64().unwrap());
        assert_eq!(
            (by_operation.len(), counts.sum::<u64>()),
            (4, answered),
            "{rest:?}"
        );
        if rest == ["--rate=100"] {
            // Every request of the schedule, none twice.
            assert_eq!(answered, 100);
        }
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<svg").count(), 3);
    for elsewhere in ["src=", "href=", "url(", "@import"] {
        assert!(
            !page.contains(elsewhere),
            "the page loads something: {elsewhere}"
        );
    }
    assert!(!page.contains(&proxy.env.signer.secret_access_key));
}

/// A client that waits for each answer before it thinks of the next request sees a stall once for each connection; one
/// that keeps its schedule sees it in every request that was due meanwhile.
#[test]
fn a_server_that_stalls_is_charged_for_all_that_was_due() {
    let _alone = crate::alone();
    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    let relay = ByteCounter::start(proxy.env.address);
    let (proxy, address) = (&proxy, relay.address());
    let loaded = std::thread::scope(|scope| {
        let arguments = [
            "--rate=200",
            "--duration=3s",
            "--timeout=20s",
            "--connections=4",
        ];
        let tool = scope.spawn(move || Loaded::run(proxy, address, &arguments));
        wait_until_loaded(&relay);
        relay.stall();
        std::thread::sleep(Duration::from_millis(900));
        relay.resume();
        tool.join().unwrap()
    });
    assert_eq!(loaded.status, 0, "{}", loaded.stderr);
    let report = loaded.report();
    assert_eq!(
        (report["answered"].as_u64(), report["errors"].as_u64()),
        (Some(600), Some(0))
    );
    // 180 of the 600 were due while nothing went through, 4 of them on a connection.
    let p90 = report["latency"]["p90"].as_f64().unwrap();
    assert!(p90 > 200_000.0, "p90 is {p90} µs: {report}");
}

#[test]
fn errors_are_told_by_their_kind_and_fail_the_objective() {
    let _alone = crate::alone();
    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    let mut relay = ByteCounter::start(proxy.env.address);
    let (proxy, address) = (&proxy, relay.address());
    let loaded = std::thread::scope(|scope| {
        let arguments = ["--slo=errors=0", "--duration=2s", "--timeout=5s"];
        let tool = scope.spawn(move || Loaded::run(proxy, address, &arguments));
        wait_until_loaded(&relay);
        relay.refuse();
        relay.cut();
        tool.join().unwrap()
    });
    assert_eq!(loaded.status, 1, "{}", loaded.stderr);
    assert!(
        loaded.stderr.contains("errors=0 was missed"),
        "{}",
        loaded.stderr
    );
    let kinds = loaded.report()["errors_by_kind"].to_string();
    assert!(kinds.contains("no TCP connection"), "{kinds}");

    // What can never work is said at once, with the server's own word for it.
    let unknown = Loaded::run(proxy, proxy.env.address, &["--key-id=no-such-key"]);
    assert_eq!(unknown.status, 2);
    assert!(
        unknown.stderr.contains("404 KeyNotFoundException"),
        "{}",
        unknown.stderr
    );
    let nobody = Loaded::run(
        proxy,
        proxy.env.address,
        &["--access-key-id=AKIANOBODYNOBODYNOBO"],
    );
    assert_eq!(nobody.status, 2);
    assert!(
        nobody.stderr.contains("401 AuthenticationFailedException"),
        "{}",
        nobody.stderr
    );
}

#[test]
fn a_kms_api_is_loaded_too() {
    let _alone = crate::alone();
    let simulator = Simulator::start::<&str>(&[]);
    let mut create_key = SignedRequest::unsigned("POST", "localhost", "/", "{}");
    create_key.set("x-amz-target", "TrentService.CreateKey");
    Signer {
        service: "kms".into(),
        ..Signer::new("test", "test")
    }
    .sign(&mut create_key, SystemTime::now());
    let mut connection = Connection::plain(simulator.address).unwrap();
    let created = connection.exchange(&create_key.http1()).unwrap();
    let key_id = created.json()["KeyMetadata"]["KeyId"]
        .as_str()
        .unwrap()
        .to_owned();
    let endpoint = format!("--endpoint=http://{}", simulator.address);
    let mut tool = tool();
    tool.args([
        &endpoint,
        "--kms",
        "--key-id",
        &key_id,
        "--mix=encrypt,decrypt,generate-data-key,describe-key",
    ]);
    let loaded = Loaded::of(tool.args(["--slo=errors=0", "--timeout=10s", "--duration=1s"]));
    assert_eq!(loaded.status, 0, "{}", loaded.stderr);
    assert_eq!(
        loaded.report()["latency_by_operation"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

/// How a run of the tool ended.
struct Loaded {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Loaded {
    fn run(proxy: &DevProxy, address: SocketAddr, arguments: &[&str]) -> Self {
        let env = &proxy.env;
        let mut tool = tool();
        tool.arg(format!("--endpoint={}", env.endpoint))
            .arg(format!("--connect={address}"));
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--key-id"))
        {
            tool.arg(format!("--key-id={}", env.key_id));
        }
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--access-key-id"))
        {
            tool.arg(format!("--access-key-id={}", env.signer.access_key_id));
        }
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--duration"))
        {
            tool.arg("--duration=1s");
        }
        tool.arg(format!("--uri-path={}", env.uri_path))
            .arg("--trust-ca")
            .arg(&env.ca_file);
        tool.env("XKS_SECRET_ACCESS_KEY", &env.signer.secret_access_key);
        Self::of(tool.args(arguments))
    }

    fn of(tool: &mut Command) -> Self {
        let (status, stdout, stderr) = run(tool, Duration::from_secs(60));
        Self {
            status: status.code().unwrap_or(-1),
            stdout,
            stderr,
        }
    }

    fn report(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// Until the measured time has begun: at 200 requests of 900 bytes a second, or more, half a second later.
fn wait_until_loaded(relay: &ByteCounter) {
    wait_for("a load", Duration::from_secs(30), || {
        (relay.counts().to_target > 100_000).then_some(())
    });
}

fn tool() -> Command {
    let mut tool = Command::new(Path::new(env!("CARGO_BIN_EXE_xks-load")));
    tool.args(["--json", "--warm-up=200ms"]);
    tool
}
