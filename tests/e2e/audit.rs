//! The audit log of a real proxy: what a `kill -9` leaves of it, and what becomes of requests while its disk is full.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::small_disk::SmallDisk;
use harness::{backend, temp_dir, wait_for};
use serde_json::Value;
use tempfile::TempDir;

use crate::two_stores::{Proxy, Tried, initialize};

/// A proxy whose audit log is in `folder`.
fn start(folder: &Path, settings: &str) -> Proxy {
    // A disk that others use, too, may take its time.
    let audit = format!(
        "key_manager_timeout = \"10s\"\n[audit]\nfolder = {folder:?}\nkey_file = \"audit.key\"\n{settings}"
    );
    let tried = Tried {
        table: "type = \"embedded\"\ndata_dir = \"tried\"",
        key: "payments",
        limits: &audit,
        environment: &[],
    };
    Proxy::start(&tried, |folder| initialize(folder, &[]))
}

/// Every line of the log, in order.
fn lines(folder: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jsonl")
    });
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        // A line that was being written has no end.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        lines.extend(
            whole
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()),
        );
    }
    lines
}

fn verifies(proxy: &Proxy) -> Value {
    let (verified, told) = proxy.command(&["audit", "verify", "--json"]);
    assert!(verified, "{told}");
    let end = told.rfind('}').expect("a report");
    serde_json::from_str(&told[..=end]).expect("a report")
}

#[test]
fn whatever_was_answered_before_a_kill_is_in_the_log_and_the_chain_goes_on() {
    let _alone = crate::alone();
    let place = temp_dir();
    let folder = place.path().join("audit");
    let mut proxy = start(&folder, "sync = \"always\"\n");
    let mut answered = Vec::new();
    for round in 0..KILLS {
        let ended = AtomicBool::new(false);
        let acknowledged: Vec<String> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| {
                    let (store, ended) = (&proxy.tried, &ended);
                    scope.spawn(move || {
                        let mut acknowledged = Vec::new();
                        for number in 0.. {
                            let id = format!("kill-{round}-{caller}-{number}");
                            match store.try_encrypt(&id) {
                                Some(200) => acknowledged.push(id),
                                Some(status) => panic!("{id}: {status}"),
                                None => break,
                            }
                            if ended.load(Ordering::Relaxed) {
                                break;
                            }
                        }
                        acknowledged
                    })
                })
                .collect();
            // Another moment of the writing each time.
            std::thread::sleep(Duration::from_millis(300 + 37 * round));
            proxy.process.kill();
            ended.store(true, Ordering::Relaxed);
            callers
                .into_iter()
                .flat_map(|caller| caller.join().unwrap())
                .collect()
        });
        assert!(
            !acknowledged.is_empty(),
            "nothing was answered in round {round}"
        );
        answered.extend(acknowledged);
        proxy.start_again();
    }
    let report = verifies(&proxy);
    let lines = lines(&folder);
    let recorded: std::collections::HashSet<_> = lines
        .iter()
        .filter_map(|line| line["kmsRequestId"].as_str())
        .collect();
    for id in &answered {
        assert!(
            recorded.contains(id.as_str()),
            "{id} was answered and is not in the log"
        );
    }
    let opened = lines
        .iter()
        .filter(|line| line["event"] == "opened" || line["event"] == "file-began");
    assert!(opened.count() > usize::try_from(KILLS).unwrap());
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    proxy.has_not_panicked();
}

/// A disk of 4 MiB, and the folder for a log on it.
struct Small {
    disk: SmallDisk,
    folder: PathBuf,
    _place: TempDir,
}

fn small_disk() -> Option<Small> {
    let place = temp_dir();
    match SmallDisk::mount(place.path(), 4, None) {
        Ok(disk) => Some(Small {
            folder: place.path().join("audit"),
            disk,
            _place: place,
        }),
        Err(reason) => {
            backend::missing("an audit log on a small disk", &reason);
            None
        }
    }
}

#[test]
fn a_strict_log_on_a_full_disk_refuses_requests_and_tells_how_many() {
    let Some(small) = small_disk() else {
        return;
    };
    let _alone = crate::alone();
    let mut proxy = start(&small.folder, "sync_interval = \"50ms\"\n");
    assert_eq!(proxy.tried.encrypt().status, 200);
    assert_eq!(ping(&proxy), 200);

    small.disk.fill();
    wait_for("a refusal", LIMIT, || {
        proxy
            .tried
            .encrypt()
            .is(500, "InternalException")
            .then_some(())
    });
    // Of both key stores, and of health: there is nothing that this proxy may do.
    assert!(proxy.embedded.encrypt().is(500, "InternalException"));
    assert_eq!(ping(&proxy), 503);
    let (changed, told) = proxy.command(&["key", "create", "more", "--key-manager", "tried"]);
    assert!(!changed && told.contains("audit log"), "{told}");
    assert!(
        proxy
            .process
            .outputs()
            .contains("requests are refused until it can")
    );

    small.disk.free();
    wait_for("service", LIMIT, || {
        (proxy.tried.encrypt().status == 200).then_some(())
    });
    assert_eq!(ping(&proxy), 200);
    let (changed, told) = proxy.command(&["key", "create", "afterwards", "--key-manager", "tried"]);
    assert!(changed, "{told}");
    verifies(&proxy);
    let gaps: Vec<_> = lines(&small.folder)
        .into_iter()
        .filter(|line| line["event"] == "gap")
        .collect();
    let refused: u64 = gaps
        .iter()
        .map(|gap| gap["refused"].as_u64().unwrap())
        .sum();
    assert!(refused >= 2, "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap["dropped"] == 0), "{gaps:?}");
    let (_, keys) = proxy.command(&["key", "list", "--json", "--key-manager", "tried"]);
    assert!(
        !keys.contains("\"more\"") && keys.contains("\"afterwards\""),
        "{keys}"
    );
    proxy.has_not_panicked();
}

#[test]
fn a_lenient_log_on_a_full_disk_keeps_lines_for_later_and_serves() {
    let Some(small) = small_disk() else {
        return;
    };
    let _alone = crate::alone();
    let settings = "sync_interval = \"50ms\"\nwhen_failing = \"lenient\"\n";
    let mut proxy = start(&small.folder, settings);
    assert_eq!(proxy.tried.encrypt().status, 200);

    small.disk.fill();
    let mut ids = Vec::new();
    wait_for("the failure in the log", LIMIT, || {
        let id = format!("full-{}", ids.len());
        assert_eq!(proxy.tried.try_encrypt(&id), Some(200));
        ids.push(id);
        let told = proxy.process.outputs();
        told.contains("requests are served all the same")
            .then_some(())
    });
    assert_eq!(ping(&proxy), 200);
    for _ in 0..20 {
        let id = format!("full-{}", ids.len());
        assert_eq!(proxy.tried.try_encrypt(&id), Some(200));
        ids.push(id);
    }

    small.disk.free();
    wait_for("the end of the failure in the log", LIMIT, || {
        let told = proxy.process.outputs();
        told.contains("the audit log is written again")
            .then_some(())
    });
    verifies(&proxy);
    let lines = lines(&small.folder);
    for id in &ids {
        assert!(
            lines.iter().any(|line| line["kmsRequestId"] == **id),
            "{id} is lost"
        );
    }
    assert!(lines.iter().any(|line| line["event"] == "gap"));
    proxy.has_not_panicked();
}

fn ping(proxy: &Proxy) -> u16 {
    let mut connection = proxy.env.connect();
    let request = b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.exchange(request).expect("an answer").status
}

const KILLS: u64 = 5;
const CALLERS: usize = 4;
const LIMIT: Duration = Duration::from_secs(30);
