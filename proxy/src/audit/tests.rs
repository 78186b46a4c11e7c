//! A log is written, something is done to its files, and `verify` has to name it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::folder::{HEAD_NAME, file_name, list};
use super::{
    AdminEvent, AuditKey, AuditLog, Finding, Forward, Kind, OpenError, Phase, Report, Settings,
    Sync, WhenFailing, verify,
};

/// A log in a folder of its own.
struct Log {
    temp: TempDir,
    settings: Settings,
}

impl Log {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let settings = Settings {
            folder: temp.path().join("audit"),
            key_file: temp.path().join("audit.key"),
            sync: Sync::Interval(Duration::from_millis(10)),
            when_failing: WhenFailing::Strict,
            rotate_bytes: 1 << 20,
            rotate_after: None,
            keep_files: None,
            forward: Vec::new(),
        };
        Self { temp, settings }
    }

    /// Opens the log, records so many lines, and closes it.
    fn write(&self, lines: usize) {
        let (log, guard) = AuditLog::open(self.settings.clone()).unwrap();
        for number in 0..lines {
            let line = format!("{{\"time\":\"{TIME}\",\"kmsRequestId\":\"r-{number}\"}}\n");
            assert!(log.record_request(&line).is_none());
        }
        drop(guard);
    }

    fn key(&self) -> AuditKey {
        AuditKey::read(&self.settings.key_file).unwrap()
    }

    fn verify(&self) -> Report {
        let folder = &self.settings.folder;
        verify(folder, &[], &[], &self.key(), &mut |_| ()).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = list(&self.settings.folder).unwrap();
        files.into_iter().map(|(path, _)| path).collect()
    }

    /// Changes the lines of the only file.
    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let files = self.files();
        assert_eq!(files.len(), 1);
        change_lines(&files[0], change);
    }
}

fn change_lines(file: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
    change(&mut lines);
    fs::write(file, lines.concat()).unwrap();
}

fn named(findings: &[Finding]) -> Vec<(Kind, Option<u64>, Option<u64>)> {
    let named = findings.iter();
    named.map(|f| (f.kind, f.line, f.sequence)).collect()
}

#[test]
fn a_log_that_was_left_alone_has_no_findings_and_goes_on_after_a_restart() {
    let log = Log::new();
    log.write(5);
    log.write(3);
    let report = log.verify();
    assert_eq!(report.findings, []);
    assert_eq!(report.notes, Vec::<String>::new());
    // Each process says that it opened the log and that it closed it.
    assert_eq!(
        (report.files, report.lines, report.last_sequence),
        (1, 12, 12)
    );
    assert_eq!(report.head.unwrap().sequence, 12);
}

#[test]
fn r39_an_altered_line_is_named_and_no_other() {
    let log = Log::new();
    log.write(8);
    log.change(|lines| lines[3] = lines[3].replace("r-2", "r-7"));
    let report = log.verify();
    assert_eq!(named(&report.findings), [(Kind::Altered, Some(4), Some(4))]);

    let log = Log::new();
    log.write(8);
    log.change(|lines| lines[3] = "nothing of the kind\n".into());
    let report = log.verify();
    assert_eq!(named(&report.findings), [(Kind::Altered, Some(4), Some(4))]);
}

#[test]
fn r39_missing_lines_are_named() {
    let log = Log::new();
    log.write(8);
    log.change(|lines| drop(lines.drain(3..5)));
    let report = log.verify();
    assert_eq!(named(&report.findings), [(Kind::Missing, Some(4), Some(4))]);
    assert!(report.findings[0].text.contains("lines 4 to 5"));

    let log = Log::new();
    log.write(8);
    log.change(|lines| drop(lines.remove(0)));
    let report = log.verify();
    assert_eq!(named(&report.findings), [(Kind::Missing, Some(1), Some(1))]);
}

#[test]
fn r39_reordered_and_repeated_lines_are_named() {
    let log = Log::new();
    log.write(8);
    log.change(|lines| lines.swap(3, 4));
    let report = log.verify();
    assert_eq!(
        named(&report.findings),
        [(Kind::Reordered, Some(5), Some(4))]
    );

    let log = Log::new();
    log.write(8);
    log.change(|lines| lines.insert(6, lines[2].clone()));
    let report = log.verify();
    assert_eq!(
        named(&report.findings),
        [(Kind::Reordered, Some(7), Some(3))]
    );
}

#[test]
fn r39_a_tail_that_was_cut_off_is_missed() {
    for keep in [0, 1, 9] {
        let log = Log::new();
        log.write(8);
        log.change(|lines| lines.truncate(keep));
        let report = log.verify();
        let next = u64::try_from(keep).unwrap() + 1;
        assert_eq!(
            named(&report.findings),
            [(Kind::Truncated, None, Some(next))]
        );
        assert!(report.findings[0].text.contains("to 10"), "{report:?}");
        // The gap stays when the proxy goes on.
        log.write(2);
        let report = log.verify();
        assert!(
            report.findings.iter().any(|f| f.kind == Kind::Missing),
            "{report:?}"
        );
    }
    // Within a line.
    let log = Log::new();
    log.write(8);
    let file = log.files().remove(0);
    let text = fs::read(&file).unwrap();
    fs::write(&file, &text[..text.len() - 20]).unwrap();
    let report = log.verify();
    assert_eq!(named(&report.findings), [(Kind::Truncated, None, Some(10))]);
}

#[test]
fn a_head_that_is_gone_or_was_altered_is_told() {
    let log = Log::new();
    log.write(2);
    let head = log.settings.folder.join(HEAD_NAME);
    let content = fs::read_to_string(&head).unwrap();
    fs::write(&head, content.replace("\"sequence\":", "\"sequence\":1")).unwrap();
    assert_eq!(
        named(&log.verify().findings),
        [(Kind::HeadAltered, None, None)]
    );
    fs::remove_file(&head).unwrap();
    assert_eq!(
        named(&log.verify().findings),
        [(Kind::HeadMissing, None, None)]
    );
}

#[test]
fn files_follow_one_another_and_a_missing_one_is_named() {
    let mut log = Log::new();
    log.settings.rotate_bytes = 1_000;
    for _ in 0..4 {
        log.write(10);
    }
    let files = log.files();
    assert!(files.len() >= 4, "{files:?}");
    let whole = log.verify();
    assert_eq!(whole.findings, []);
    assert_eq!(whole.files, files.len());

    // Under other names, and in any order.
    let mut elsewhere = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let copy = log
            .temp
            .path()
            .join(format!("copy-{}", files.len() - number));
        fs::copy(file, &copy).unwrap();
        elsewhere.push(copy);
    }
    elsewhere.reverse();
    let copies = verify(
        &log.settings.folder,
        &elsewhere,
        &[],
        &log.key(),
        &mut |_| (),
    )
    .unwrap();
    assert_eq!(copies.findings, []);
    assert_eq!(copies.lines, whole.lines);

    let lost = list(&log.settings.folder).unwrap()[1].1;
    fs::remove_file(&files[1]).unwrap();
    let report = log.verify();
    assert_eq!(
        named(&report.findings),
        [(Kind::Missing, Some(1), Some(lost))]
    );
    assert!(
        report.findings[0].text.contains(&file_name(lost)),
        "{report:?}"
    );
    assert_eq!(report.findings[0].file, files[2]);
}

#[test]
fn the_chain_says_which_files_it_gave_up() {
    let mut log = Log::new();
    log.settings.rotate_bytes = 1_000;
    log.settings.keep_files = NonZeroUsize::new(2);
    for _ in 0..6 {
        log.write(10);
    }
    assert_eq!(log.files().len(), 2);
    let report = log.verify();
    assert_eq!(report.findings, []);
    assert_eq!(report.notes.len(), 1, "{report:?}");
    assert!(report.first_sequence > 1);
    // One more than it says.
    fs::remove_file(&log.files()[0]).unwrap();
    let findings = log.verify().findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].kind, Kind::Missing);
}

#[test]
fn a_line_that_a_crash_tore_is_told_of_by_the_next_process() {
    let log = Log::new();
    log.write(3);
    let torn = log.files().remove(0);
    let mut text = fs::read(&torn).unwrap();
    text.extend_from_slice(b"{\"sequence\":6,\"prev");
    fs::write(&torn, &text).unwrap();
    let report = log.verify();
    assert_eq!(
        (report.findings.len(), report.notes.len()),
        (0, 1),
        "{report:?}"
    );
    log.write(1);
    let report = log.verify();
    assert_eq!(
        (report.findings.len(), report.notes.len()),
        (0, 1),
        "{report:?}"
    );
    assert_eq!(report.files, 2);
    // What nobody told of is no crash.
    text.extend_from_slice(b"x");
    fs::write(&torn, &text).unwrap();
    assert_eq!(
        named(&log.verify().findings),
        [(Kind::Altered, Some(6), Some(6))]
    );
}

#[test]
fn an_older_copy_that_went_on_is_another_history() {
    let log = Log::new();
    log.write(2);
    let old: Vec<_> = [log.files().remove(0), log.settings.folder.join(HEAD_NAME)]
        .map(|path| (fs::read(&path).unwrap(), path))
        .into();
    log.write(3);
    let head = log.verify().head.unwrap();
    for (content, path) in old {
        fs::write(path, content).unwrap();
    }
    log.write(5);
    // Within itself it is whole; only a head that was kept elsewhere tells.
    assert_eq!(log.verify().findings, []);
    let kept = [(PathBuf::from("kept"), head)];
    let report = verify(&log.settings.folder, &[], &kept, &log.key(), &mut |_| ()).unwrap();
    assert_eq!(named(&report.findings), [(Kind::Forked, Some(9), Some(9))]);
}

#[test]
fn administrators_are_told_when_their_line_is_on_the_disk() {
    let log = Log::new();
    let (audit, _guard) = AuditLog::open(log.settings.clone()).unwrap();
    let event = AdminEvent {
        details: &[("reason", "so \"it\" says")],
        ..AdminEvent::requested("uid 0", "disable-key", "payroll")
    };
    audit.record_admin(&event).unwrap();
    let text = fs::read_to_string(log.files().remove(0)).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(line["event"], "admin");
    assert_eq!(line["admin"], "uid 0");
    assert_eq!(line["command"], "disable-key");
    assert_eq!(line["of"], "payroll");
    assert_eq!(line["phase"], "requested");
    assert_eq!(line["reason"], "so \"it\" says");
    assert_eq!(event.phase, Phase::Requested);
    assert_eq!(audit.progress().sequence, 2);
    assert_eq!(log.verify().findings, []);
}

#[test]
fn in_a_hand_over_nobody_waits_for_a_receiver_of_copies() {
    let mut log = Log::new();
    // Opening it takes until somebody reads.
    let pipe = log.temp.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    log.settings.forward = vec![Forward::File(pipe.clone()), Forward::File(pipe)];
    let (audit, mut guard) = AuditLog::open(log.settings.clone()).unwrap();
    let event = AdminEvent::requested("uid 0", "show-key", "a");
    audit.record_admin(&event).unwrap();
    guard.hasten();
    let begin = Instant::now();
    drop(guard);
    // Otherwise it takes two seconds for each.
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(log.verify().findings, []);
}

#[test]
fn a_file_that_was_moved_away_is_followed_by_another_one() {
    let log = Log::new();
    let (audit, guard) = AuditLog::open(log.settings.clone()).unwrap();
    let event = AdminEvent::requested("uid 0", "show-key", "a");
    audit.record_admin(&event).unwrap();
    let moved = log.temp.path().join("moved");
    fs::rename(log.files().remove(0), &moved).unwrap();
    audit.record_admin(&event).unwrap();
    assert_eq!(log.files(), Vec::<PathBuf>::new());
    audit.look_for_move();
    audit.record_admin(&event).unwrap();
    drop(guard);
    let mut files = log.files();
    assert_eq!(files.len(), 1);
    files.push(moved);
    let report = verify(&log.settings.folder, &files, &[], &log.key(), &mut |_| ()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.first_sequence, 1);
}

#[test]
fn one_process_writes_at_a_time_and_with_the_same_key() {
    let log = Log::new();
    let opened = AuditLog::open(log.settings.clone()).unwrap();
    let second = AuditLog::open(log.settings.clone());
    assert!(matches!(second, Err(OpenError::Folder { .. })));
    drop(opened);
    fs::remove_file(&log.settings.key_file).unwrap();
    let lost = AuditLog::open(log.settings.clone());
    assert!(matches!(lost, Err(OpenError::KeyLost { .. })));
    AuditKey::create(&log.settings.key_file).unwrap();
    let other = AuditLog::open(log.settings.clone());
    assert!(matches!(other, Err(OpenError::OtherKey { .. })));
}

const TIME: &str = "2026-11-24T07:38:39.000123Z";
