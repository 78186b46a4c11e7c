//! Times as people read them; numbers are the page crate's.

use std::time::SystemTime;

use crate::rfc3339;

/// `2026-11-24 10:58:21`
pub(super) fn date_and_time(time: SystemTime) -> String {
    rfc3339::seconds(time).replace('T', " ").replace('Z', "")
}

/// `10:58:21.621`
pub(super) fn time_of_day(time: SystemTime) -> String {
    let written = rfc3339::milliseconds(time);
    let time = written.split_once('T').map_or("", |(_, time)| time);
    time.trim_end_matches('Z').to_owned()
}
