//! The log in memory: what it keeps, and what filters find.

use super::*;
use crate::events::event::Record;

fn home() -> Home {
    Home {
        account: "111122223333".into(),
        region: "us-west-2".into(),
    }
}

const ARN: &str = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn call(log: &EventLog, name: &'static str, error: Option<&str>, request_id: &str) {
    let home = home();
    let mut record = Record::new(name, &home, SystemTime::now());
    record.error_code = error;
    record.request_id = Some(request_id);
    log.record(record.into_event(vec![ARN.into()], Some("cks-1")));
}

fn names(log: &EventLog, filter: &Filter<'_>, limit: usize) -> Vec<String> {
    let selection = log.select(filter, limit);
    let lines = selection.events.iter();
    lines
        .map(|event| {
            let line: serde_json::Value = serde_json::from_str(event.line()).unwrap();
            line["eventName"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn every_filter_finds_its_own_and_no_other() {
    let log = EventLog::default();
    call(&log, "Encrypt", None, "a");
    call(&log, "Decrypt", Some("KMSInvalidStateException"), "b");
    log.key_deleted(
        "arn:aws:kms:us-west-2:111122223333:key/other",
        SystemTime::now(),
    );
    let all = Filter::default();
    assert_eq!(names(&log, &all, 9), ["Encrypt", "Decrypt", "DeleteKey"]);
    assert_eq!(names(&log, &all, 1), ["DeleteKey"], "the latest");
    let key = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let cases = [
        (
            Filter {
                operation: Some("Decrypt"),
                ..all.clone()
            },
            vec!["Decrypt"],
        ),
        (
            Filter {
                operation: Some("decrypt"),
                ..all.clone()
            },
            vec![],
        ),
        (
            Filter {
                error: Some("any"),
                ..all.clone()
            },
            vec!["Decrypt"],
        ),
        (
            Filter {
                error: Some("KMSInvalidStateException"),
                ..all.clone()
            },
            vec!["Decrypt"],
        ),
        (
            Filter {
                error: Some("NotFoundException"),
                ..all.clone()
            },
            vec![],
        ),
        (
            Filter {
                key: Some(key),
                ..all.clone()
            },
            vec!["Encrypt", "Decrypt"],
        ),
        (
            Filter {
                key: Some(ARN),
                ..all.clone()
            },
            vec!["Encrypt", "Decrypt"],
        ),
        (
            Filter {
                key: Some("other"),
                ..all.clone()
            },
            vec!["DeleteKey"],
        ),
        (
            Filter {
                store: Some("cks-1"),
                ..all.clone()
            },
            vec!["Encrypt", "Decrypt"],
        ),
        (
            Filter {
                request_id: Some("a"),
                ..all.clone()
            },
            vec!["Encrypt"],
        ),
        (
            Filter {
                after: 1,
                ..all.clone()
            },
            vec!["Decrypt", "DeleteKey"],
        ),
        (
            Filter {
                after: 3,
                ..all.clone()
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(names(&log, &filter, 9), expected, "{filter:?}");
    }
}

#[test]
fn whoever_continues_misses_nothing() {
    let log = EventLog::default();
    let seen = log.select(&Filter::default(), 10).next;
    assert_eq!(seen, 0);
    for name in ["Encrypt", "Decrypt", "Sign", "Verify", "ReEncrypt"] {
        call(&log, name, None, name);
    }
    let mut after = log.select(&Filter::default(), 1).next;
    assert_eq!(after, 5, "what was left out was left out");
    after = 1;
    let mut found = Vec::new();
    loop {
        let filter = Filter {
            after,
            ..Filter::default()
        };
        let selection = log.select(&filter, 2);
        if selection.events.is_empty() {
            break;
        }
        found.extend(selection.events.iter().map(|event| event.number()));
        after = selection.next;
    }
    assert_eq!(found, [2, 3, 4, 5]);
    log.clear();
    assert!(log.select(&Filter::default(), 9).events.is_empty());
    call(&log, "Encrypt", None, "x");
    let filter = Filter {
        after,
        ..Filter::default()
    };
    assert_eq!(
        names(&log, &filter, 9),
        ["Encrypt"],
        "numbers go on after a reset"
    );
}

#[test]
fn memory_has_an_end_and_the_oldest_go_first() {
    let log = EventLog::default();
    let home = home();
    let message = "x".repeat(1024 * 1024);
    for at in 0..40_u64 {
        let mut record = Record::new("Encrypt", &home, SystemTime::now());
        record.error_message = Some(&message);
        let id = at.to_string();
        record.request_id = Some(&id);
        log.record(record.into_event(Vec::new(), None));
    }
    let kept = log.select(&Filter::default(), MAX_SELECTION);
    let bytes: usize = kept.events.iter().map(|event| event.line().len()).sum();
    assert!(
        bytes <= MAX_BYTES && kept.events.len() >= 14,
        "{bytes} {}",
        kept.events.len()
    );
    assert_eq!(kept.events.last().map(|event| event.number()), Some(40));
}
