//! The event log over the control API, `kms-sim ctl events`, and the file of `serve --events`.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::https::{Connection, Response};
use harness::process::Process;
use kms_sim::Config;
use kms_sim::stub_proxy::SECRET_ACCESS_KEY;
use serde_json::{Value, json};

use crate::ctl::ctl;
use crate::simulator::{Simulator, exchange};
use crate::with_proxy::WithProxy;

fn events(simulator: &Simulator, query: &str) -> Vec<Value> {
    let answer = simulator.get(&format!("/events{query}"));
    answer["Events"].as_array().expect("a list").clone()
}

fn last(simulator: &Simulator, operation: &str) -> Value {
    let found = events(simulator, &format!("?Operation={operation}&Limit=1"));
    found
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no event of {operation}"))
}

/// A request with headers of its own choice.
fn call(simulator: &Simulator, operation: &str, input: &Value) -> Response {
    let body = input.to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: kms\r\nuser-agent: Boto3/1.44.3\r\nx-amz-target: TrentService.{operation}\r\n\
         content-length: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential=Alice/20261124/us-east-1/kms/aws4_request, \
         SignedHeaders=host, Signature=ab\r\n\r\n{body}",
        body.len()
    );
    exchange(simulator.api, &request)
}

//= kms guide "Decrypt with a KMS key in an external key store" (CloudTrail)
#[test]
fn a_decrypt_is_recorded_as_cloudtrail_does_and_carries_the_id_that_the_proxy_got() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    let key = simulator.external_key(&store, "one");
    let context = json!({"Department": "Engineering", "Purpose": "Test"});
    let input = json!({"KeyId": key, "Plaintext": "aGVsbG8=", "EncryptionContext": context});
    let blob = simulator.ok("Encrypt", input)["CiphertextBlob"].clone();
    let decrypt = json!({"CiphertextBlob": blob, "EncryptionContext": context});
    let mut error =
        json!({"Reply": {"Status": 400, "ErrorName": "InvalidCiphertextException"}, "Times": 1});
    for (fails, status) in [(false, 200), (true, 400)] {
        if fails {
            simulator.set("PUT", "/link", error.take());
        }
        let response = call(&simulator, "Decrypt", &decrypt);
        assert_eq!(response.status, status);
        let event = last(&simulator, "Decrypt");
        let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{key}");
        let mut expected = json!({
            "eventVersion": "1.08",
            "userIdentity": {
                "type": "IAMUser", "principalId": "Alice", "arn": "arn:aws:iam::123456789012:user/Alice",
                "accountId": "123456789012", "accessKeyId": "Alice", "userName": "Alice",
            },
            "eventTime": event["eventTime"],
            "eventSource": "kms.amazonaws.com",
            "eventName": "Decrypt",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "127.0.0.1",
            "userAgent": "Boto3/1.44.3",
            "requestParameters": {
                "encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": arn, "encryptionContext": context,
            },
            "responseElements": null,
            "additionalEventData": {"customKeyStoreId": store, "xksKeyId": "one"},
            "requestID": response.header("x-amzn-requestid"),
            "eventID": event["eventID"],
            "readOnly": true,
            "resources": [{"accountId": "123456789012", "type": "AWS::KMS::Key", "ARN": arn}],
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": "123456789012",
            "eventCategory": "Management",
        });
        if fails {
            expected["errorCode"] = "KMSInvalidStateException".into();
            expected["errorMessage"] =
                "The external key store proxy rejected the request because the specified \
                ciphertext or encryption context is corrupted, missing, or otherwise invalid."
                    .into();
        }
        assert_eq!(event, expected);
        let seen = simulator.proxy.seen();
        let at_the_proxy = &seen.last().expect("a request").body["requestMetadata"]["kmsRequestId"];
        assert_eq!(*at_the_proxy, event["requestID"]);
        let time = event["eventTime"].as_str().expect("a time");
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    }
}

//= kms guide "CreateCustomKeyStore", "DisconnectCustomKeyStore" (CloudTrail)
#[test]
fn store_operations_name_the_store_and_its_cluster() {
    let simulator = Simulator::start(Config::default());
    let cluster = simulator.set("POST", "/cloudhsm/clusters", json!({"Hsms": 2}));
    let input = json!({
        "CustomKeyStoreName": "ExampleKeyStore", "CloudHsmClusterId": cluster["ClusterId"],
        "TrustAnchorCertificate": cluster["TrustAnchorCertificate"], "KeyStorePassword": cluster["KeyStorePassword"],
    });
    let id = simulator.ok("CreateCustomKeyStore", input)["CustomKeyStoreId"].clone();
    let created = last(&simulator, "CreateCustomKeyStore");
    assert_eq!(
        created["requestParameters"],
        json!({"customKeyStoreName": "ExampleKeyStore", "clusterId": cluster["ClusterId"]})
    );
    assert_eq!(created["responseElements"], json!({"customKeyStoreId": id}));
    assert_eq!(created.get("resources"), None);
    for operation in [
        "ConnectCustomKeyStore",
        "DisconnectCustomKeyStore",
        "DeleteCustomKeyStore",
    ] {
        if operation == "DeleteCustomKeyStore" {
            simulator.wait_for(id.as_str().expect("an id"), "DISCONNECTED");
        }
        simulator.ok(operation, json!({"CustomKeyStoreId": id}));
        let event = last(&simulator, operation);
        assert_eq!(event["requestParameters"], json!({"customKeyStoreId": id}));
        assert_eq!(event["responseElements"], Value::Null);
        let expected =
            json!({"customKeyStoreName": "ExampleKeyStore", "clusterId": cluster["ClusterId"]});
        assert_eq!(event["additionalEventData"], expected, "{operation}");
        assert_eq!(
            (&event["readOnly"], event.get("resources")),
            (&json!(false), None)
        );
    }
}

//= kms guide "CreateKey", "CreateAlias", "ScheduleKeyDeletion", "DeleteKey", "RotateKey" (CloudTrail)
#[test]
fn a_key_is_followed_from_its_creation_to_its_deletion() {
    let simulator = Simulator::start(Config::default());
    let key = simulator.key();
    let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{key}");
    let created = last(&simulator, "CreateKey");
    assert_eq!(
        created["responseElements"]["keyMetadata"]["arn"],
        json!(arn)
    );
    assert_eq!(
        created["responseElements"]["keyMetadata"]["aWSAccountId"],
        "123456789012"
    );
    assert_eq!(created["requestParameters"]["origin"], "AWS_KMS");
    let alias = json!({"AliasName": "alias/my_alias", "TargetKeyId": key});
    simulator.ok("CreateAlias", alias);
    let resources = last(&simulator, "CreateAlias")["resources"].clone();
    assert_eq!(resources[0]["ARN"], json!(arn));
    assert_eq!(
        resources[1]["ARN"],
        "arn:aws:kms:us-east-1:123456789012:alias/my_alias"
    );
    simulator.ok(
        "EnableKeyRotation",
        json!({"KeyId": key, "RotationPeriodInDays": 90}),
    );
    assert_eq!(
        last(&simulator, "EnableKeyRotation")["responseElements"],
        json!({"keyId": arn})
    );
    simulator.ok("RotateKeyOnDemand", json!({"KeyId": key}));
    simulator.set("POST", "/clock/advance", json!({"By": "91d"}));
    simulator.ok(
        "ScheduleKeyDeletion",
        json!({"KeyId": key, "PendingWindowInDays": 7}),
    );
    let scheduled = last(&simulator, "ScheduleKeyDeletion")["responseElements"].clone();
    assert_eq!(
        (&scheduled["keyId"], &scheduled["keyState"]),
        (&json!(arn), &json!("PendingDeletion"))
    );
    simulator.set("POST", "/clock/advance", json!({"By": "8d"}));
    simulator.exception("DescribeKey", json!({"KeyId": key}));
    let by_itself: Vec<_> = events(&simulator, &format!("?Key={key}"))
        .into_iter()
        .filter(|event| event["eventType"] == "AwsServiceEvent")
        .collect();
    let summary: Vec<_> = by_itself
        .iter()
        .map(|event| {
            (
                event["eventName"].clone(),
                event["serviceEventDetails"].clone(),
            )
        })
        .collect();
    let details = |kind: &str| json!({"rotationType": kind, "keyId": key});
    assert_eq!(
        summary,
        [
            (json!("RotateKey"), details("ON_DEMAND")),
            (json!("RotateKey"), details("AUTOMATIC")),
            (json!("DeleteKey"), json!({"keyId": key})),
        ]
    );
    let deleted = &by_itself[2];
    assert_eq!(
        deleted["userIdentity"],
        json!({"accountId": "123456789012", "invokedBy": "AWS Internal"})
    );
    assert_eq!(
        deleted["resources"],
        json!([{"accountId": "123456789012", "type": "AWS::KMS::Key", "ARN": arn}])
    );
    assert_eq!(deleted.get("requestID"), None);
    let unknown = last(&simulator, "DescribeKey");
    assert_eq!(unknown["errorCode"], "NotFoundException");
    assert_eq!(unknown["requestParameters"], json!({"keyId": key}));
}

#[test]
fn a_store_tells_its_way_through_its_states() {
    let simulator = WithProxy::start();
    let store = simulator.connected_store();
    simulator.disconnect(&store);
    simulator.wait_for(&store, "DISCONNECTED");
    simulator.set("PUT", "/link", json!({"Tcp": "refused"}));
    assert_eq!(
        simulator.connection_outcome(&store),
        "XKS_PROXY_NOT_REACHABLE"
    );
    let query = format!("?Operation=ConnectionStateChange&CustomKeyStoreId={store}");
    let states: Vec<_> = events(&simulator, &query)
        .iter()
        .map(|event| {
            assert_eq!(event["eventType"], "KmsSimEvent");
            let details = &event["serviceEventDetails"];
            let text = |name: &str| details[name].as_str().unwrap_or_default().to_owned();
            (text("connectionState"), text("connectionErrorCode"))
        })
        .collect();
    let expected = [
        ("CONNECTING", ""),
        ("CONNECTED", ""),
        ("DISCONNECTING", ""),
        ("DISCONNECTED", ""),
        ("CONNECTING", ""),
        ("FAILED", "XKS_PROXY_NOT_REACHABLE"),
        ("DISCONNECTING", ""),
        ("DISCONNECTED", ""),
    ];
    assert_eq!(
        states,
        expected.map(|(state, code)| (state.to_owned(), code.to_owned()))
    );
}

#[test]
fn no_secret_gets_into_the_log() {
    let simulator = WithProxy::start();
    let cluster = simulator.set("POST", "/cloudhsm/clusters", json!({"Hsms": 2}));
    let store = simulator.connected_store();
    let password = cluster["KeyStorePassword"].as_str().expect("a password");
    let input = json!({
        "CustomKeyStoreName": "hsm", "CloudHsmClusterId": cluster["ClusterId"],
        "TrustAnchorCertificate": cluster["TrustAnchorCertificate"], "KeyStorePassword": password,
    });
    simulator.ok("CreateCustomKeyStore", input);
    let credential =
        json!({"AccessKeyId": "NEWACCESSKEYNEWACCESS", "RawSecretAccessKey": "S".repeat(43)});
    let update = json!({"CustomKeyStoreId": store, "XksProxyAuthenticationCredential": credential});
    simulator.exception("UpdateCustomKeyStore", update);
    let mut secrets = BTreeSet::from([
        SECRET_ACCESS_KEY.to_owned(),
        password.to_owned(),
        "S".repeat(43),
        "NEWACCESSKEYNEWACCESS".to_owned(),
        "c2VjcmV0LXBsYWludGV4dA==".to_owned(),
        "secret-plaintext".to_owned(),
    ]);
    for key in [simulator.key(), simulator.external_key(&store, "one")] {
        let sealed = simulator.ok(
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "c2VjcmV0LXBsYWludGV4dA=="}),
        );
        let data_key = simulator.ok(
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
        );
        simulator.ok(
            "Decrypt",
            json!({"CiphertextBlob": sealed["CiphertextBlob"]}),
        );
        let grant = simulator.ok(
            "CreateGrant",
            json!({"KeyId": key, "GranteePrincipal": "arn:aws:iam::123456789012:role/x", "Operations": ["Decrypt"]}),
        );
        for secret in [
            &sealed["CiphertextBlob"],
            &data_key["Plaintext"],
            &data_key["CiphertextBlob"],
            &grant["GrantToken"],
        ] {
            secrets.insert(secret.as_str().expect("text").to_owned());
        }
        let token = json!({"GrantToken": grant["GrantToken"]});
        simulator.ok("RetireGrant", token);
    }
    let random = simulator.ok("GenerateRandom", json!({"NumberOfBytes": 32}));
    secrets.insert(random["Plaintext"].as_str().expect("text").to_owned());
    let request = format!(
        "GET /control/v1/events.jsonl HTTP/1.1\r\nhost: {}\r\n\r\n",
        simulator.control
    );
    let response = exchange(simulator.control, &request);
    assert_eq!(
        response.header("content-type"),
        Some("application/x-ndjson")
    );
    let text = String::from_utf8(response.body).expect("UTF-8");
    assert!(text.lines().count() > 15);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(event["eventSource"], "kms.amazonaws.com");
        assert!(
            line.starts_with("{\"eventVersion\":"),
            "members are in CloudTrail's order"
        );
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret}");
    }
}

#[test]
fn wrong_queries_are_explained_and_requests_that_are_none_are_no_events() {
    let simulator = Simulator::start(Config::default());
    for (query, expected) in [
        ("?Limit=0", "from 1 to 20000"),
        ("?After=x", "After is 'x'"),
        ("?WaitMs=60001", "from 0 to 60000"),
        ("?Opration=x", "Opration"),
    ] {
        let (status, answer) = simulator.control("GET", &format!("/events{query}"), None);
        assert_eq!(status, 400);
        assert!(
            answer["Message"]
                .as_str()
                .is_some_and(|message| message.contains(expected)),
            "{answer}"
        );
    }
    assert_eq!(simulator.control("POST", "/events", None).0, 405);
    assert_eq!(
        simulator.exception("NoSuchOperation", json!({})),
        "UnknownOperationException"
    );
    assert!(events(&simulator, "").is_empty());
    // What cannot be read is still a call.
    simulator.exception("Encrypt", json!([]));
    let event = last(&simulator, "Encrypt");
    assert_eq!(
        (&event["errorCode"], &event["requestParameters"]),
        (&json!("SerializationException"), &Value::Null)
    );
    simulator.set("POST", "/reset", json!({}));
    assert!(events(&simulator, "").is_empty());
}

#[test]
fn whoever_waits_gets_the_next_event_at_once_and_shutdown_waits_for_nobody() {
    let simulator = Simulator::start(Config::default());
    simulator.key();
    let answer = simulator.get("/events");
    let next = answer["Next"].as_u64().expect("a number");
    let control = simulator.control;
    let waiting = thread::spawn(move || {
        let path = format!("/control/v1/events?After={next}&WaitMs=30000&Operation=ListKeys");
        exchange(
            control,
            &format!("GET {path} HTTP/1.1\r\nhost: {control}\r\n\r\n"),
        )
        .json()
    });
    // What is not wanted ends no waiting.
    simulator.ok("ListAliases", json!({}));
    simulator.ok("ListKeys", json!({}));
    let answer = waiting.join().expect("an answer");
    assert_eq!(answer["Events"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["Events"][0]["eventName"], "ListKeys");
    let start = Instant::now();
    let nothing = simulator.get("/events?After=1000&WaitMs=50");
    assert_eq!(nothing["Events"], json!([]));
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn events_from_a_shell_once_and_as_they_come() {
    let simulator = Simulator::start(Config::default());
    let key = simulator.key();
    simulator.exception("DescribeKey", json!({"KeyId": "alias/none"}));
    let (success, stdout, stderr) = ctl(simulator.control, &["events", "--error", "any"]);
    assert!(success && stdout.lines().count() == 1, "{stdout}{stderr}");
    assert!(
        stdout.contains("DescribeKey") && stdout.contains("NotFoundException: Alias"),
        "{stdout}"
    );
    let (_, stdout, _) = ctl(simulator.control, &["--json", "events", "--key", &key]);
    let event: Value = serde_json::from_str(&stdout).expect("one line of JSON");
    assert_eq!(event["eventName"], "CreateKey");
    let mut follow = Command::new(env!("CARGO_BIN_EXE_kms-sim"))
        .args([
            "ctl",
            &format!("--control=http://{}", simulator.control),
            "events",
            "--follow",
            "--limit",
            "1",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = follow.stdout.take().expect("a pipe");
    let mut read_until = |wanted: &str| {
        let mut text = String::new();
        let mut byte = [0];
        while !(text.contains(wanted) && text.ends_with('\n')) {
            output.read_exact(&mut byte).expect("more output");
            text.push(char::from(byte[0]));
        }
        text
    };
    assert_eq!(
        read_until("DescribeKey").lines().count(),
        1,
        "the one of before"
    );
    simulator.ok("ListKeys", json!({}));
    read_until("ListKeys");
    simulator.ok("ListAliases", json!({}));
    read_until("ListAliases");
    follow.kill().expect("it runs");
    follow.wait().expect("it ran");
}

/// `kms-sim serve --events`, and calls to it until it is told to end; its log.
fn serve_with_events(file: &str, calls: usize) -> String {
    let mut program = Process::start(Command::new(env!("CARGO_BIN_EXE_kms-sim")).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--events",
        file,
    ]));
    let address = program.wait_until("it serves", Duration::from_secs(60), |process| {
        let output = process.stdout();
        let (_, after) = output.split_once("kms-sim listens on http://")?;
        after.split_once(char::is_whitespace)?.0.parse().ok()
    });
    let mut connection = Connection::plain(address).expect("it listens");
    for _ in 0..calls {
        let request = "POST / HTTP/1.1\r\nhost: kms\r\nx-amz-target: TrentService.ListKeys\r\ncontent-length: 2\r\n\
                       authorization: AWS4-HMAC-SHA256 Credential=Alice/20261124/us-east-1/kms/aws4_request, \
                       SignedHeaders=host, Signature=ab\r\n\r\n{}";
        let response = connection.exchange(request.as_bytes()).expect("an answer");
        assert_eq!(response.status, 200);
    }
    program.terminate();
    assert!(program.wait(Duration::from_secs(30)).success());
    program.stderr()
}

#[test]
fn a_file_has_every_event_when_the_program_ends_and_goes_on_with_the_next() {
    let dir = harness::temp_dir();
    let file = dir.path().join("events.jsonl");
    for run in 1..=2 {
        serve_with_events(file.to_str().expect("UTF-8"), 300);
        let text = std::fs::read_to_string(&file).expect("the file");
        let names: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["eventName"].clone())
            .collect();
        assert_eq!(names, vec![json!("ListKeys"); 300 * run]);
    }
}

#[test]
fn a_full_disk_stops_no_request_and_is_told() {
    let log = serve_with_events("/dev/full", 50);
    assert_eq!(log.matches("events cannot be written").count(), 1, "{log}");
}

#[test]
fn a_file_that_cannot_be_opened_ends_the_start_with_a_reason() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kms-sim"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--events",
        "/no/such/folder/x",
    ]);
    let (status, _, stderr) = harness::process::run(&mut command, Duration::from_secs(20));
    assert!(!status.success());
    assert!(
        stderr.contains("--events /no/such/folder/x: No such file"),
        "{stderr}"
    );
}
