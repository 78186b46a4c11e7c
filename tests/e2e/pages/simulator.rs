//! Pages of kms-sim that show what it prints: `observation.md`, `accounts.md`, `control.md`, `state.md`. What is shown is among
//! what is printed, but for numbers, times and ids.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::https::Connection;
use harness::process::{Process, run};
use harness::programs::{DevProxy, Simulator};
use harness::{backend, binaries, free_port, temp_dir, workspace};
use serde_json::{Value, json};

use super::inline_code;
use super::shown::{commands, without_numbers, words};
use crate::clients::{Client as _, RustSdk};
use crate::kms_commands::{Commands, object};
use crate::page::{Page, in_a_shell};
use crate::stage::{Pace, REGION, Stage};

#[test]
fn the_page_about_observation_shows_what_is_printed() {
    let _alone = crate::alone();
    let page = Page::read("kms-sim/docs/observation.md");
    let mut share = page.share("the_page_about_observation_shows_what_is_printed");
    listens_as_it_says(share.next());

    let control = format!("127.0.0.1:{}", free_port());
    let stage = Stage::start_with(&PACE, &[format!("--control={control}")]);
    let commands = Commands::of(&stage);
    let store = commands.link();
    commands.ok(&["kms", "create-key", "demo", "--alias", "payroll"]);
    // The caller of the page is Alice.
    let mut alice = RustSdk::of("Alice", stage.endpoint_url());
    let encrypt = object(json!({"KeyId": "alias/payroll", "Plaintext": "SGVsbG8=",
        "EncryptionContext": {"Department": "Engineering"}}));
    let blob = alice.call("Encrypt", &encrypt).expect("a ciphertext")["CiphertextBlob"].clone();
    let decrypt =
        object(json!({"CiphertextBlob": blob, "EncryptionContext": {"Department": "Engineering"}}));
    alice.call("Decrypt", &decrypt).expect("a plaintext");
    let link = |arguments: &str| {
        let arguments = format!("link set {arguments} --operations Decrypt --times 1");
        ctl(&control, &arguments.split(' ').collect::<Vec<_>>());
    };
    link("--status 429 --error-name ThrottlingException");
    alice
        .call("Decrypt", &decrypt)
        .expect_err("the answer of the link");
    link("--latency-ms 4000");
    alice.call("Decrypt", &decrypt).expect("the second attempt");

    for _ in ["metrics", "Prometheus", "requests", "requests in JSON"] {
        shows(share.next(), stage.endpoint_url(), &control);
    }
    alice
        .call(
            "DisconnectCustomKeyStore",
            &object(json!({"CustomKeyStoreId": store})),
        )
        .expect("a disconnect");
    let stores = object(json!({"CustomKeyStoreId": store}));
    harness::wait_for("the disconnect", LIMIT, || {
        let state = &alice.call("DescribeCustomKeyStores", &stores).ok()?["CustomKeyStores"][0]["ConnectionState"];
        (state == "DISCONNECTED").then_some(())
    });
    alice
        .call("Encrypt", &encrypt)
        .expect_err("a store that is disconnected");
    // Looking is a call as well, and so is waiting.
    let shown = share.next().replace("--limit 4", "--limit 40");
    shows(&shown, stage.endpoint_url(), &control);

    // The examples of JSON have the members that there are.
    let [metric, event] = *page.blocks("json") else {
        panic!("two examples");
    };
    let metrics: Value =
        serde_json::from_str(&ctl(&control, &["--json", "metrics"])).expect("JSON");
    has_one_like(metrics["Metrics"].as_array().expect("metrics"), metric);
    let events = ctl(
        &control,
        &["--json", "events", "--error", "KMSInvalidStateException"],
    );
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    has_one_like(&events, event);
}

#[test]
fn the_page_about_accounts_shows_what_is_said() {
    let _alone = crate::alone();
    let page = Page::read("kms-sim/docs/accounts.md");
    let mut share = page.share("the_page_about_accounts_shows_what_is_said");
    let denied = share.next();
    let folder = temp_dir();
    let file = folder.path().join("accounts.toml");
    let [principals] = *page.blocks("toml") else {
        panic!("one file");
    };
    fs::write(&file, principals).expect("a file of ours");
    let simulator = Simulator::start(&[format!("--accounts={}", file.display())]);
    if let Err(reason) = backend::aws_cli() {
        return backend::missing("the AWS CLI", &reason);
    }
    let of_the_page = |name: &str| {
        let (_, value) = principals
            .split_once(&format!("{name} = \""))
            .expect("a field");
        value.split('"').next().expect("its end").to_owned()
    };
    let (command, shown) = commands(denied).remove(0);
    let mut bash = Command::new("bash");
    bash.args(["-c", &command]);
    let (status, stdout, stderr) = run(
        in_a_shell(&mut bash, folder.path())
            .env("AWS_ENDPOINT_URL_KMS", simulator.endpoint_url())
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", of_the_page("access-key-id"))
            .env("AWS_SECRET_ACCESS_KEY", of_the_page("secret-access-key")),
        LIMIT,
    );
    assert!(!status.success(), "{stdout}");
    assert!(words(&stderr).contains(&words(&shown)), "{stderr}");

    // Both mistakes of the example, told at once.
    let wrong = "[[principals]]\naccess-key-id = \"AKIAIOSFODNN7EXAMPLE\"\nprincipal = \"arn:aws:iam::111122223333:user/a\"\n\
                 [[principals]]\naccess-key-id = \"AKIAI44QH8DHBEXAMPLE\"\nsecret-access-key = \"operatorSecret\"\n\
                 principal = \"arn:aws:iam::111122223333:user/b\"\n\
                 policies = ['{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Maybe\", \"Action\": \"*\", \"Resource\": \"*\"}]}']\n";
    fs::write(&file, wrong).expect("a file of ours");
    let mut kms_sim = Command::new(binaries::kms_sim());
    kms_sim
        .args(["serve", "--listen=127.0.0.1:0", "--accounts=accounts.toml"])
        .current_dir(folder.path());
    let (status, stdout, stderr) = run(&mut kms_sim, LIMIT);
    assert!(!status.success(), "{stdout}");
    let [shown] = *page.blocks("text") else {
        panic!("one message");
    };
    for line in shown.lines() {
        let line = line.trim_end_matches('…').trim();
        assert!(stderr.contains(line), "no {line:?} in {stderr}");
    }
}

#[test]
fn the_page_about_the_control_api_does_as_it_says() {
    let _alone = crate::alone();
    let page = Page::read("kms-sim/docs/control.md");
    let mut share = page.share("the_page_about_the_control_api_does_as_it_says");
    listens_as_it_says(share.next());
    let control = format!("127.0.0.1:{}", free_port());
    let simulator = Simulator::start(&[format!("--control={control}")]);
    let mut kms = RustSdk::new(simulator.endpoint_url());
    let made = kms.call("CreateKey", &object(json!({}))).expect("a key");
    let key = object(json!({"KeyId": made["KeyMetadata"]["KeyId"]}));
    let folder = temp_dir();
    let snapshot_and_restore = share.next();
    let (snapshot, restore) = snapshot_and_restore.split_once('\n').expect("two commands");
    let succeed = |command: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", command]);
        let bash = in_a_shell(&mut bash, folder.path())
            .env("KMS_SIM_CONTROL", format!("http://{control}"));
        let (status, stdout, stderr) = run(bash, LIMIT);
        assert!(status.success(), "{stdout}{stderr}");
    };
    succeed(snapshot);
    ctl(&control, &["reset"]);
    kms.call("DescribeKey", &key)
        .expect_err("everything is forgotten");
    succeed(restore);
    kms.call("DescribeKey", &key).expect("it is there again");

    // What the pages say can be asked for answers.
    let mut asked = 0;
    for page in [&page, &Page::read("kms-sim/docs/observation.md")] {
        let resources = inline_code(page).into_iter();
        let resources = resources.filter_map(|code| Some(code.strip_prefix("GET ")?.to_owned()));
        // Neither a name of something that is not there, nor what waits for events.
        for path in resources.filter(|path| !path.contains(['{', '…']) && !path.contains("Wait"))
        {
            let places = ["/control/v1", "/control/v1/cloudhsm", ""];
            let answers = places.map(|place| status_of(&control, &format!("{place}{path}")));
            assert!(answers.contains(&200), "{}: {path}: {answers:?}", page.path);
            asked += 1;
        }
    }
    assert!(asked > 10, "{asked} resources");
}

#[test]
fn the_page_about_state_does_as_it_says() {
    let _alone = crate::alone();
    let page = Page::read("kms-sim/docs/state.md");
    let mut share = page.share("the_page_about_state_does_as_it_says");
    let folder = temp_dir();
    let (mut kms_sim, address) = serve(share.next(), folder.path());
    let mut kms = RustSdk::new(format!("http://{address}"));
    let made = kms.call("CreateKey", &object(json!({}))).expect("a key");
    kms_sim.kill();
    let state = fs::metadata(folder.path().join("kms-sim-data")).expect("the folder that it makes");
    assert_eq!(state.mode() & 0o777, 0o700);
    let (_kms_sim, address) = serve(page.blocks("sh")[0], folder.path());
    let mut kms = RustSdk::new(format!("http://{address}"));
    let key = object(json!({"KeyId": made["KeyMetadata"]["KeyId"]}));
    kms.call("DescribeKey", &key)
        .expect("what was acknowledged survives");

    let data_dir = temp_dir();
    let proxy = DevProxy::start(data_dir.path());
    fs::copy(&proxy.env.ca_file, folder.path().join("ca.pem")).expect("a file");
    fs::copy(
        workspace().join("kms-sim/docs/seed.example.toml"),
        folder.path().join("seed.toml"),
    )
    .expect("a file");
    let seeded = share
        .next()
        .replace("127.0.0.1:8443", &proxy.env.address.to_string());
    let (_kms_sim, address) = serve(&seeded, folder.path());
    let mut kms = RustSdk::new(format!("http://{address}"));
    kms.call("DescribeKey", &object(json!({"KeyId": "alias/app"})))
        .expect("a key of the seed");
}

fn status_of(control: &str, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {control}\r\nconnection: close\r\n\r\n");
    let address = control.parse().expect("an address");
    let mut connection = Connection::plain(address).expect("the control port");
    let answer = connection.exchange(request.as_bytes());
    answer.expect("an answer").status
}

/// A command of a page that starts a simulator with a control API, which tells where both are.
fn listens_as_it_says(command: &str) {
    let command = command.replace("4600", &free_port().to_string());
    let folder = temp_dir();
    let (_kms_sim, address) = serve(&command, folder.path());
    let control = command.trim_end().rsplit(' ').next().expect("an address");
    let stores = ctl(control, &["--json", "stores"]);
    assert!(serde_json::from_str::<Value>(&stores).is_ok(), "{stores}");
    RustSdk::new(format!("http://{address}"))
        .call("ListKeys", &object(json!({})))
        .expect("a list");
}

/// Starts a simulator as the command of a page says, but at a port that is free.
fn serve(command: &str, folder: &Path) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("kms-sim"));
    let mut command = Command::new(binaries::kms_sim());
    command
        .args(words)
        .args(["--listen", &address])
        .current_dir(folder);
    let mut process = Process::start(&mut command);
    process.wait_until("an open port", LIMIT, |_| {
        std::net::TcpStream::connect(&address).ok()
    });
    (process, address)
}

fn ctl(control: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(binaries::kms_sim());
    command
        .args(["ctl", "--control", &format!("http://{control}")])
        .args(arguments);
    let (status, stdout, stderr) = run(&mut command, LIMIT);
    assert!(status.success(), "{arguments:?}: {stdout}{stderr}");
    stdout
}

/// Each command of a block prints the lines that stand under it, numbers aside.
fn shows(block: &str, endpoint_url: String, control: &str) {
    for (command, shown) in commands(block) {
        let folder = temp_dir();
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", &command.replace("127.0.0.1:4600", control)]);
        let bash = in_a_shell(&mut bash, folder.path())
            .env("KMS_SIM_CONTROL", format!("http://{control}"))
            .env("AWS_ENDPOINT_URL_KMS", &endpoint_url);
        let (status, stdout, stderr) = run(bash, LIMIT);
        assert!(status.success(), "{command}: {stdout}{stderr}");
        let printed: Vec<String> = stdout.lines().map(without_numbers).collect();
        for line in shown.lines().filter(|line| *line != "…") {
            assert!(
                printed.contains(&without_numbers(line)),
                "{command} does not print\n{line}\nbut\n{stdout}"
            );
        }
    }
}

/// One of `found` has the members of the example, and no others.
fn has_one_like(found: &[Value], example: &str) {
    let example: Value = serde_json::from_str(example).expect("JSON");
    let shape = shape(&example);
    let shapes: Vec<Value> = found.iter().map(self::shape).collect();
    assert!(
        shapes.contains(&shape),
        "{shape:#}\nis none of\n{shapes:#?}"
    );
}

/// The members of objects, without their values.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(elements) => elements.iter().map(shape).collect(),
        _ => Value::Null,
    }
}

/// A link that is late is later than KMS's patience, and a debug build is not.
const PACE: Pace = Pace {
    transition: Duration::from_millis(50),
    proxy_timeout: Duration::from_secs(3),
};
const LIMIT: Duration = Duration::from_secs(60);
