//! The value of `x-amz-date`: `yyyymmddThhmmssZ`, the only form that a signer sends.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// The time, or `None` unless the text is a UTC date and time of that form.
pub(super) fn parse(text: &[u8]) -> Option<OffsetDateTime> {
    let [
        y1,
        y2,
        y3,
        y4,
        m1,
        m2,
        d1,
        d2,
        b'T',
        h1,
        h2,
        n1,
        n2,
        s1,
        s2,
        b'Z',
    ] = *text
    else {
        return None;
    };
    let year = i32::from(two(y1, y2)?) * 100 + i32::from(two(y3, y4)?);
    let month = Month::try_from(two(m1, m2)?).ok()?;
    let date = Date::from_calendar_date(year, month, two(d1, d2)?).ok()?;
    let time = Time::from_hms(two(h1, h2)?, two(n1, n2)?, two(s1, s2)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    let digit = |b: u8| b.is_ascii_digit().then(|| b - b'0');
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_basic_format_is_read() {
        for (text, expected) in [
            ("20150830T123600Z", datetime!(2015-08-30 12:36:00 UTC)),
            ("20240229T235959Z", datetime!(2024-02-29 23:59:59 UTC)),
            ("99991231T000000Z", datetime!(9999-12-31 00:00:00 UTC)),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn any_other_form_is_refused() {
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T123600Z ",
            " 20150830T123600Z",
            "20150830t123600z",
            "20150830T1236+1Z",
            "20150830T123600+",
            "2015-08-30T12:36:00Z",
            "20150230T123600Z",
            "20230229T000000Z",
            "20151330T123600Z",
            "20150800T123600Z",
            "20150830T243600Z",
            "20150830T126000Z",
            "20150830T235960Z",
            "2015083\u{663}T12360Z",
            "Sun, 30 Aug 2015 12:36:00 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
