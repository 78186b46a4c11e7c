//! Times as people and logs read them: RFC 3339 in UTC.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// `2026-08-30T12:00:00Z`, as CloudTrail has it.
pub(crate) fn seconds(time: SystemTime) -> String {
    format(
        time,
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"),
    )
}

/// `2026-08-30T12:00:00.250Z`
pub(crate) fn milliseconds(time: SystemTime) -> String {
    format(
        time,
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"),
    )
}

fn format(time: SystemTime, description: &[BorrowedFormatItem<'_>]) -> String {
    let time = OffsetDateTime::from(time).format(description);
    time.expect("the clock ends in the year 3000, and the descriptions have what a time has")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_669_249_618_007);
        assert_eq!(seconds(time), "2022-11-24T00:26:58Z");
        assert_eq!(milliseconds(time), "2022-11-24T00:26:58.007Z");
    }
}
