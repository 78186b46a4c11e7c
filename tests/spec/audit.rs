//! The audit log: what is in it, and that nothing of it changes unnoticed.

use std::fs;
use std::path::{Path, PathBuf};

use harness::temp_dir;
use serde_json::Value;
use xks_proxy::audit::{AuditKey, Finding, Kind, Settings, Sync, WhenFailing, verify};

use crate::key_manager::Fault;
use crate::operations::ENCRYPT_EXAMPLE;
use crate::proxy::{Proxy, Setup};

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.join("audit"),
        key_file: folder.join("audit.key"),
        sync: Sync::Always,
        when_failing: WhenFailing::Strict,
        rotate_bytes: 1 << 20,
        rotate_after: None,
        keep_files: None,
        forward: Vec::new(),
    }
}

fn start(settings: &Settings) -> Proxy {
    Proxy::start_with(Setup {
        audit: Some(settings.clone()),
        ..Setup::default()
    })
}

/// The only file of the log.
fn file(settings: &Settings) -> PathBuf {
    let mut files = fs::read_dir(&settings.folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .expect("a file")
}

fn lines(settings: &Settings) -> Vec<Value> {
    let text = fs::read_to_string(file(settings)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn findings(settings: &Settings) -> Vec<Finding> {
    let key = AuditKey::read(&settings.key_file).unwrap();
    verify(&settings.folder, &[], &[], &key, &mut |_| ())
        .unwrap()
        .findings
}

#[test]
fn r38_r39_a_request_is_in_the_audit_log_before_it_is_answered_and_no_plaintext_is() {
    let folder = temp_dir();
    let settings = settings(folder.path());
    let proxy = start(&settings);
    assert_eq!(
        proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status,
        200
    );
    let last = lines(&settings).pop().unwrap();
    for (name, expected) in [
        ("kmsRequestId", "4112f4d6-db54-4af4-ae30-c55a22a8dfae"),
        ("awsPrincipalArn", "arn:aws:iam::123456789012:user/Alice"),
        ("operation", "Encrypt"),
        ("externalKeyId", "demo"),
        ("outcome", "ok"),
    ] {
        assert_eq!(last[name], expected, "{name}");
    }
    proxy.key_manager.set(Fault::Fails);
    assert_eq!(
        proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE).status,
        500
    );
    let text = format!("{:?}", lines(&settings));
    assert!(text.contains("CKR_DEVICE_ERROR"), "{text}");
    for hidden in ["SGVsbG8gV29ybGQh", "Hello World", "cHJvamVjdD1ua"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    let in_request_log = proxy.end_and_read_log();
    let in_audit_log = lines(&settings);
    // Between the lines that say that the log was opened and closed.
    assert_eq!(in_audit_log.len(), in_request_log.len() + 2);
    assert_eq!(findings(&settings), []);
}

#[test]
fn r39_whatever_is_done_to_the_log_is_found_and_named() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change, Kind, u64); 4] = [
        (
            "another principal",
            |lines| lines[2] = lines[2].replace("user/Alice", "user/Mallory"),
            Kind::Altered,
            3,
        ),
        (
            "a line is gone",
            |lines| drop(lines.remove(2)),
            Kind::Missing,
            3,
        ),
        (
            "two lines change places",
            |lines| lines.swap(2, 3),
            Kind::Reordered,
            3,
        ),
        (
            "the end is gone",
            |lines| lines.truncate(2),
            Kind::Truncated,
            3,
        ),
    ];
    for (what, change, kind, sequence) in changes {
        let folder = temp_dir();
        let settings = settings(folder.path());
        let proxy = start(&settings);
        for _ in 0..4 {
            proxy.post("/keys/demo/encrypt", ENCRYPT_EXAMPLE);
        }
        proxy.end_and_read_log();
        assert_eq!(findings(&settings), [], "{what}");
        let path = file(&settings);
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
        change(&mut lines);
        fs::write(&path, lines.concat()).unwrap();
        let findings = findings(&settings);
        let [finding] = &findings[..] else {
            panic!("{what}: {findings:?}")
        };
        assert_eq!(
            (finding.kind, finding.sequence),
            (kind, Some(sequence)),
            "{what}"
        );
        assert_eq!(finding.file, path, "{what}");
    }
}
