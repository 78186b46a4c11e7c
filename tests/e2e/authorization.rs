//! Secondary authorization, as callers of KMS see it; and `proxy/docs/authorization.md`, run as it is printed.

use std::time::Duration;

use harness::wait_for;
use rustix::process::Signal;
use serde_json::{Map, Value, json};

use crate::clients::{Client, RustSdk};
use crate::kms_commands::{Commands, object};
use crate::page::Page;
use crate::scenario::PACE;
use crate::stage::Stage;

#[test]
fn a_denial_is_an_exception_of_kms_and_a_line_in_the_proxys_log() {
    let _alone = crate::alone();
    let mut stage = Stage::start(&PACE);
    let mut kms = RustSdk::new(stage.endpoint_url());
    let file = stage.proxy_config();
    let without = std::fs::read_to_string(&file).unwrap();
    let store = {
        let commands = Commands::of(&stage);
        let store = commands.link();
        commands.ok(&["kms", "create-key", "demo", "--alias", "payroll"]);
        commands.ok(&["key", "create", "other"]);
        store
    };
    let encrypt = object(json!({"KeyId": "alias/payroll", "Plaintext": "SGVsbG8="}));
    let sealed = kms.call("Encrypt", &encrypt).unwrap()["CiphertextBlob"].clone();
    let decrypt = object(json!({"CiphertextBlob": sealed}));
    kms.call("Decrypt", &decrypt).unwrap();

    let rules = "\n[[key_stores.rules]]\nid = \"write-only\"\neffect = \"allow\"\noperations = [\"Encrypt\"]\n\
                 [[key_stores.rules]]\nid = \"no-data-keys\"\neffect = \"deny\"\nkms_operations = [\"GenerateDataKey*\"]\n";
    std::fs::write(&file, format!("{without}{rules}")).unwrap();
    Commands::of(&stage).ok(&["reload"]);
    kms.call("Encrypt", &encrypt).unwrap();
    let data_key = object(json!({"KeyId": "alias/payroll", "KeySpec": "AES_256"}));
    let create = object(
        json!({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "other"}),
    );
    for (call, input, exception) in [
        ("Decrypt", &decrypt, "KMSInvalidStateException"),
        ("GenerateDataKey", &data_key, "KMSInvalidStateException"),
        ("CreateKey", &create, "CustomKeyStoreInvalidStateException"),
    ] {
        let denied = kms.call(call, input).unwrap_err();
        assert_eq!(
            denied.code.as_deref(),
            Some(exception),
            "{call}: {denied:?}"
        );
        let as_documented = denied.message.contains("denied access to the operation");
        assert!(as_documented || call == "CreateKey", "{denied:?}");
    }
    // The store can still be connected, which takes GetHealthStatus.
    {
        let commands = Commands::of(&stage);
        commands.ok(&["kms", "disconnect"]);
        commands.ok(&["kms", "connect"]);
    }
    kms.call("Encrypt", &encrypt).unwrap();

    // A broken policy changes nothing.
    let broken = format!("{without}\n[key_stores.rego]\nfiles = [\"x.rego\"]\n");
    std::fs::write(&file, broken).unwrap();
    std::fs::write(
        file.with_file_name("x.rego"),
        "package xks\nallow if nonsense(1)\n",
    )
    .unwrap();
    let (status, _, said) = Commands::of(&stage).run(&["reload"]);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("x.rego:2: there is no function nonsense"),
        "{said}"
    );
    stage.proxy_process().signal(Signal::HUP);
    wait_for("word of the refusal", Duration::from_secs(30), || {
        let said = stage.proxy_process().stderr();
        said.contains("everything stays as it was").then_some(())
    });
    kms.call("Decrypt", &decrypt).unwrap_err();

    std::fs::write(&file, &without).unwrap();
    Commands::of(&stage).ok(&["reload"]);
    kms.call("Decrypt", &decrypt).unwrap();

    let process = stage.proxy_process();
    process.terminate();
    process.wait(Duration::from_secs(30));
    let lines = process.stdout();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let denied: Vec<_> = lines
        .iter()
        .filter(|line| line["errorName"] == "AccessDeniedException")
        .map(|line| {
            assert!(
                line["awsPrincipalArn"]
                    .as_str()
                    .unwrap()
                    .starts_with("arn:aws:"),
                "{line}"
            );
            ["kmsOperation", "deniedBy"].map(|name| line[name].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        denied,
        [
            ["Decrypt", "(no rule)"],
            ["GenerateDataKey", "no-data-keys"],
            ["CreateKey", "(no rule)"],
            ["Decrypt", "(no rule)"],
        ]
    );
    assert_eq!(
        kms.call("ListKeys", &Map::new()).unwrap()["Keys"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn the_page_about_authorization_does_as_it_says() {
    let _alone = crate::alone();
    let page = Page::read("proxy/docs/authorization.md");
    let ran = page.run("the_page_about_authorization_does_as_it_says");
    let stdout = &ran.stdout;
    // What the page shows of the commands' output is what they print.
    for shown in page.blocks("text") {
        assert!(stdout.contains(shown), "{shown}\nis not in\n{stdout}");
    }
    assert!(stdout.contains("exit status 1"), "{stdout}");
    let by_day = "ok      batch jobs by day: deny by batch jobs run at night";
    assert!(stdout.contains(by_day), "{stdout}");
    let log = std::fs::read_to_string(ran.folder.path().join("proxy.log")).unwrap();
    assert_eq!(log.matches("reloaded").count(), 2, "{log}");
    // The examples of the input and of a log line are JSON.
    for json in page.blocks("json") {
        serde_json::from_str::<Value>(json).expect(json);
    }
}
