//! The folder itself: one owner, whole or refused, unchanged by what is refused.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::json;

use crate::program::{Program, command};

/// What becomes of a simulator that must not start.
fn refused(data: &Path) -> (ExitStatus, String) {
    let (status, stdout, stderr) =
        harness::process::run(&mut command(data, &[]), Duration::from_secs(60));
    assert!(!status.success(), "it served:\n{stdout}");
    assert!(!stdout.contains("listens"), "{stdout}");
    (status, stderr)
}

#[test]
fn a_second_process_is_refused_and_a_later_one_goes_on() {
    let folder = harness::temp_dir();
    let data = folder.path().join("a/data");
    let mut first = Program::start(&data, &[]);
    let key = first.client().ok("CreateKey", &json!({}))["KeyMetadata"]["KeyId"].clone();
    let (_, stderr) = refused(&data);
    assert!(stderr.contains("in use by another process"), "{stderr}");
    assert!(stderr.contains("--data-dir"), "{stderr}");
    for (path, mode) in [(data.clone(), 0o700), (data.join("state.redb"), 0o600)] {
        let found = std::fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
    first.process.terminate();
    assert!(first.process.wait(Duration::from_secs(20)).success());
    let second = Program::start(&data, &[]);
    second.client().ok("DescribeKey", &json!({"KeyId": key}));
}

#[test]
fn what_was_acknowledged_before_the_disk_was_full_is_there_when_it_has_room_again() {
    let folder = harness::temp_dir();
    let data = folder.path().join("data");
    let mut program = Program::start_on_a_small_disk(&data, 4 << 10);
    let mut client = program.client();
    let input = json!({"Description": "x".repeat(8_000)});
    let mut keys = Vec::new();
    let refusal = loop {
        match client.call("CreateKey", &input) {
            Ok(Ok(created)) => keys.push(created["KeyMetadata"]["KeyId"].clone()),
            refused => break refused,
        }
        assert!(keys.len() < 2_000, "the disk is never full");
    };
    // It says so, and ends rather than going on with what it cannot keep.
    assert!(
        matches!(&refusal, Ok(Err(name)) if name == "KMSInternalException"),
        "{refusal:?}"
    );
    assert!(!program.process.wait(Duration::from_secs(20)).success());
    let outputs = program.process.outputs();
    assert!(outputs.contains("cannot be saved in"), "{outputs}");

    let again = Program::start(&data, &[]);
    let mut client = again.client();
    for key in &keys {
        client.ok("DescribeKey", &json!({"KeyId": key}));
    }
}

#[test]
fn a_damaged_file_is_refused_wherever_the_damage_is() {
    let folder = harness::temp_dir();
    let data = folder.path().join("data");
    let mut program = Program::start(&data, &[]);
    let mut client = program.client();
    for number in 0..40 {
        let input = json!({"Description": format!("{number} {}", "x".repeat(3_000))});
        client.ok("CreateKey", &input);
    }
    drop(client);
    program.process.terminate();
    assert!(program.process.wait(Duration::from_secs(20)).success());

    let file = data.join("state.redb");
    let sound = std::fs::read(&file).unwrap();
    // The text of a description that is in use lies in a record.
    let text = b"39 xxxxxxxx";
    let record = sound.windows(text.len()).position(|found| found == text);
    let record = record.expect("the last record is there") + text.len();
    let cut = |len: usize| sound.get(..len).expect("shorter than the whole").to_vec();
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        *bytes.get_mut(at).expect("within the file") ^= 1;
        bytes
    };
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("another file", b"no database".repeat(1_000)),
        ("half of it", cut(sound.len() / 2)),
        ("its first page", cut(4_096)),
        ("a flipped bit in a record", flipped(record)),
        ("a flipped bit in the magic number", flipped(3)),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        let (_, stderr) = refused(&data);
        assert!(stderr.contains("is damaged"), "{what}: {stderr}");
        assert!(
            stderr.contains("state.redb") && stderr.contains("copy"),
            "{what}: {stderr}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{what}: unchanged");
    }
    std::fs::write(&file, &sound).unwrap();
    let program = Program::start(&data, &[]);
    let keys = program.client().ok("ListKeys", &json!({}));
    assert_eq!(keys["Keys"].as_array().unwrap().len(), 40);
}

#[test]
fn a_reset_and_a_restored_snapshot_are_there_after_a_restart() {
    let folder = harness::temp_dir();
    let data = folder.path().join("data");
    let count = |program: &Program| {
        let keys = program.client().ok("ListKeys", &json!({}));
        keys["Keys"].as_array().unwrap().len()
    };
    let mut program = Program::start(&data, &[]);
    program.client().ok("CreateKey", &json!({}));
    program.control("POST", "/clock/advance", r#"{"By": "400d"}"#);
    let snapshot = program.control("GET", "/snapshot", "");
    program.client().ok("CreateKey", &json!({}));
    program.control("POST", "/reset", "");
    program.process.kill();

    let mut program = Program::start(&data, &[]);
    assert_eq!(count(&program), 0);
    let now = |program: &Program| program.control("GET", "/clock", "")["Now"].to_string();
    let reset = now(&program);
    program.control("POST", "/restore", &snapshot.to_string());
    program.process.kill();

    let program = Program::start(&data, &[]);
    assert_eq!(count(&program), 1);
    assert!(now(&program) > reset, "the clock is 400 days ahead again");
}
