//! The audit log: its secret, its folder, the room there, and whether it is as it was left.

use std::io;
use std::path::Path;

use super::{Finding, Severity};
use crate::audit::{AuditKey, Settings, Sync, WhenFailing, inspect};

pub(super) fn check(settings: &Settings) -> Finding {
    let (severity, text) = match trial(settings) {
        Ok(text) => (Severity::Good, text),
        Err((severity, text)) => (severity, text),
    };
    Finding::new(severity, "audit log", text)
}

fn trial(settings: &Settings) -> Result<String, (Severity, String)> {
    let (folder, key_file) = (settings.folder.display(), settings.key_file.display());
    let failure = |text| (Severity::Failure, text);
    let begun = match settings.folder.try_exists() {
        Ok(begun) => begun,
        Err(error) => return Err(failure(format!("{folder}: {error}"))),
    };
    let key = match AuditKey::read(&settings.key_file) {
        Ok(key) => Some(key),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !begun => None,
        Err(error) => return Err(failure(format!("key_file {key_file}: {error}"))),
    };
    let parent = settings.folder.parent().unwrap_or_else(|| Path::new("/"));
    let place = if begun { &settings.folder } else { parent };
    let room = rustix::fs::statvfs(place);
    let room = room.map_err(|error| failure(format!("{}: {error}", place.display())))?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if let Some(key) = key.filter(|_| begun) {
        let remarks = inspect(&settings.folder, &key);
        let remarks = remarks.map_err(|error| failure(format!("{folder}: {error}")))?;
        if !remarks.is_empty() {
            let words: Vec<_> = remarks.iter().map(|remark| remark.word()).collect();
            let text = format!(
                "{folder} is not as a proxy left it ({}): `xks-proxy audit verify` tells more",
                words.join(", ")
            );
            return Err((Severity::Warning, text));
        }
    }
    if free < 2 * settings.rotate_bytes {
        let text = format!(
            "{} MiB are free for {folder}, less than two files of rotate_bytes take",
            free >> 20
        );
        return Err((Severity::Warning, text));
    }
    let on_disk = match settings.sync {
        Sync::Always => "before a request is answered".to_owned(),
        Sync::Interval(interval) => format!("after {interval:?} at the latest"),
        Sync::Rotation => "when a file ends".to_owned(),
    };
    let failing = match settings.when_failing {
        WhenFailing::Strict => "refused",
        WhenFailing::Lenient => "served all the same",
    };
    Ok(format!(
        "lines go to {folder} and are on the disk {on_disk}; while they cannot be written, requests are {failing}"
    ))
}
