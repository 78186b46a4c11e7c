//! Requests of the past and of the future, and dates that are none.
//!
//! The edges keep a minute away from the five that the specification names, so that clocks may differ a little.

use time::Duration;

use super::super::case::Check::{Refused, Served, Story};
use super::super::case::{
    AUTHENTICATION as NOT_AUTHENTIC, Case, Finding, Outcome, Refusal, Sending, must, should,
};
use super::super::kit::{Kit, now};
use super::{CANONICAL_REQUEST, MATCH};

/// A date that is none may be called invalid, too.
const NO_DATE: &[Refusal] = &[
    Refusal::Named(xks_api::error::ErrorName::AuthenticationFailed),
    Refusal::Named(xks_api::error::ErrorName::Validation),
];
const FORM: &str =
    "X-Amz-Date has the form YYYYMMDDTHHMMSSZ; a signature over another one is refused";
const RECENT: &str = "a request that is not recent is refused, so that none can be replayed";

pub(super) const CASES: &[Case] = &[
    should(
        "date-four-minutes-ago",
        MATCH,
        "up to five minutes of difference between the clocks are tolerated",
        Served(|kit| signed_at(kit, -Duration::minutes(4))),
    ),
    should(
        "date-in-four-minutes",
        MATCH,
        "up to five minutes of difference between the clocks are tolerated, in the other direction, too",
        Served(|kit| signed_at(kit, Duration::minutes(4))),
    ),
    should(
        "date-six-minutes-ago",
        MATCH,
        "a request that is more than five minutes old is refused",
        Refused(|kit| signed_at(kit, -Duration::minutes(6)), NOT_AUTHENTIC),
    ),
    should(
        "date-in-six-minutes",
        MATCH,
        "a request from more than five minutes ahead is refused",
        Refused(|kit| signed_at(kit, Duration::minutes(6)), NOT_AUTHENTIC),
    ),
    must(
        "date-an-hour-ago",
        MATCH,
        RECENT,
        Refused(|kit| signed_at(kit, -Duration::HOUR), NOT_AUTHENTIC),
    ),
    must(
        "date-in-an-hour",
        MATCH,
        RECENT,
        Refused(|kit| signed_at(kit, Duration::HOUR), NOT_AUTHENTIC),
    ),
    must(
        "date-exactly-a-day-ago",
        MATCH,
        "a request of the same time of another day is not recent",
        Refused(|kit| signed_at(kit, -Duration::DAY), NOT_AUTHENTIC),
    ),
    must(
        "date-exactly-a-day-ahead",
        MATCH,
        "a request of the same time of another day is not recent",
        Refused(|kit| signed_at(kit, Duration::DAY), NOT_AUTHENTIC),
    ),
    must(
        "date-ten-years-ago",
        MATCH,
        RECENT,
        Refused(|kit| signed_at(kit, -Duration::days(3653)), NOT_AUTHENTIC),
    ),
    must(
        "date-of-1970",
        MATCH,
        RECENT,
        Refused(
            |kit| Ok(kit.encrypt().at(time::OffsetDateTime::UNIX_EPOCH).sign()),
            NOT_AUTHENTIC,
        ),
    ),
    must(
        "date-missing",
        CANONICAL_REQUEST,
        "a request without X-Amz-Date is refused",
        Refused(
            |kit| Ok(kit.encrypt().sign().without("x-amz-date")),
            NO_DATE,
        ),
    ),
    should(
        "date-header-in-place-of-amz-date",
        CANONICAL_REQUEST,
        "the time comes in X-Amz-Date, and the header Date does not stand in for it",
        Refused(
            |kit| {
                Ok(kit
                    .encrypt()
                    .with(|draft| {
                        for (name, _) in &mut draft.headers {
                            if name == "X-Amz-Date" {
                                *name = "Date".to_owned();
                            }
                        }
                        draft.signature.signed_headers = vec!["date".into(), "host".into()];
                    })
                    .sign())
            },
            NO_DATE,
        ),
    ),
    must(
        "date-empty",
        CANONICAL_REQUEST,
        FORM,
        Refused(|kit| Ok(kit.encrypt().dated("").sign()), NO_DATE),
    ),
    must(
        "date-without-z",
        CANONICAL_REQUEST,
        FORM,
        Refused(
            |kit| dated(kit, |date| date.trim_end_matches('Z').to_owned()),
            NO_DATE,
        ),
    ),
    must(
        "date-with-an-offset",
        CANONICAL_REQUEST,
        FORM,
        Refused(|kit| dated(kit, |date| date.replace('Z', "+0000")), NO_DATE),
    ),
    must(
        "date-with-dashes-and-colons",
        CANONICAL_REQUEST,
        FORM,
        Refused(
            |kit| {
                dated(kit, |date| {
                    let part = |from: usize, to: usize| date.get(from..to).unwrap_or_default();
                    format!(
                        "{}-{}-{}T{}:{}:{}Z",
                        part(0, 4),
                        part(4, 6),
                        part(6, 8),
                        part(9, 11),
                        part(11, 13),
                        part(13, 15)
                    )
                })
            },
            NO_DATE,
        ),
    ),
    must(
        "date-in-seconds-since-1970",
        CANONICAL_REQUEST,
        FORM,
        Refused(
            |kit| dated(kit, |_| now().unix_timestamp().to_string()),
            NO_DATE,
        ),
    ),
    must(
        "date-with-fractions",
        CANONICAL_REQUEST,
        FORM,
        Refused(|kit| dated(kit, |date| date.replace('Z', ".000Z")), NO_DATE),
    ),
    must(
        "date-with-more-after-it",
        CANONICAL_REQUEST,
        FORM,
        Refused(|kit| dated(kit, |date| format!("{date}Z")), NO_DATE),
    ),
    must(
        "date-of-month-thirteen",
        CANONICAL_REQUEST,
        "a date that the calendar does not have is refused",
        Refused(|kit| dated(kit, |_| "20261301T000000Z".to_owned()), NO_DATE),
    ),
    must(
        "date-of-letters",
        CANONICAL_REQUEST,
        "a date that holds letters for digits is refused",
        Refused(|kit| dated(kit, |_| "2026O101TOOOOOOZ".to_owned()), NO_DATE),
    ),
    should(
        "clock-of-the-proxy",
        MATCH,
        "the proxy's clock, as far as its answers tell it in Date, is within a minute of this machine's",
        Story(clock),
    ),
];

fn signed_at(kit: &Kit<'_>, difference: Duration) -> Sending {
    Ok(kit.encrypt().at(now() + difference).sign())
}

fn dated(kit: &Kit<'_>, change: impl FnOnce(&str) -> String) -> Sending {
    let draft = kit.encrypt();
    let date = change(&draft.signature.date);
    Ok(draft.dated(&date).sign())
}

fn clock(kit: &Kit<'_>) -> Outcome {
    let answer = kit.send(&kit.health().sign())?;
    let Some(date) = answer.header("date") else {
        return Err(Finding::Skipped(
            "the proxy's answers have no Date, which they need not".to_owned(),
        ));
    };
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let theirs = time::PrimitiveDateTime::parse(date, format)
        .map_err(|_| Finding::failed(format!("the Date of the answer is none of HTTP: {date}")))?;
    let difference = (theirs.assume_utc() - now()).abs();
    match difference < Duration::MINUTE {
        true => Ok(()),
        false => Err(Finding::failed(format!(
            "the proxy's clock differs from this machine's by {} s",
            difference.whole_seconds()
        ))),
    }
}
