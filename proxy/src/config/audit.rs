//! The table `[audit]`.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::document::{duration, integer, text};
use super::read::{Fields, Reader, count, word};
use crate::audit::{Forward, Settings, Sync, WhenFailing};

impl Reader<'_> {
    /// `None` also if something is wrong with it, which is a problem then.
    pub(super) fn audit(&self, root: &Fields<'_, '_>) -> Option<Settings> {
        let fields = root.section("audit");
        if !root.has("audit") {
            return None;
        }
        let folder = fields.required("folder", text, "the name of a folder");
        let expected = "the name of a file, made if it is missing, best on another file system than the folder";
        let key_file = fields.required("key_file", text, expected);
        let times = Duration::from_millis(10)..=Duration::from_secs(60);
        let interval = fields
            .optional(
                "sync_interval",
                duration(times),
                "a time from \"10ms\" to \"60s\"",
            )
            .unwrap_or(DEFAULT_SYNC_INTERVAL);
        let policies = [
            ("always", Sync::Always),
            ("interval", Sync::Interval(interval)),
            ("rotation", Sync::Rotation),
        ];
        let expected = "\"always\", \"interval\" or \"rotation\"";
        let sync = fields.optional("sync", word(&policies), expected);
        let answers = [
            ("strict", WhenFailing::Strict),
            ("lenient", WhenFailing::Lenient),
        ];
        let expected =
            "\"strict\", to refuse requests that cannot be recorded, or \"lenient\", to serve them";
        let when_failing = fields.optional("when_failing", word(&answers), expected);
        let expected = "a number of bytes from 65536 to 1099511627776";
        let sizes = 64 << 10..=1 << 40;
        let rotate_bytes = fields.optional("rotate_bytes", integer(sizes), expected);
        let ages = Duration::ZERO..=Duration::from_secs(366 * 24 * 3_600);
        let expected = "a time from \"1s\" to \"8784h\", or \"0s\" for never";
        let rotate_after = fields
            .optional("rotate_after", duration(ages), expected)
            .unwrap_or(DEFAULT_ROTATE_AFTER);
        let keep_files = count(&fields, "keep_files", 0..=1_000_000);
        let expected = "\"stdout\", \"file:/PATH\", \"syslog+unix:/PATH\", \"syslog+udp://ADDRESS:PORT\", \
                        \"syslog+tcp://ADDRESS:PORT\" or \"journald\"";
        let forward = fields.list("forward", Forward::parse, expected);
        fields.refuse_others();
        Some(Settings {
            folder: self.folder.join(folder?),
            key_file: self.folder.join(key_file?),
            sync: sync.unwrap_or(Sync::Interval(interval)),
            when_failing: when_failing.unwrap_or(WhenFailing::Strict),
            rotate_bytes: rotate_bytes.unwrap_or(DEFAULT_ROTATE_BYTES),
            rotate_after: (!rotate_after.is_zero()).then_some(rotate_after),
            keep_files: keep_files.and_then(NonZeroUsize::new),
            forward: forward.unwrap_or_default(),
        })
    }
}

const DEFAULT_SYNC_INTERVAL: Duration = Duration::from_secs(1);
const DEFAULT_ROTATE_BYTES: u64 = 256 << 20;
const DEFAULT_ROTATE_AFTER: Duration = Duration::from_secs(24 * 3_600);
