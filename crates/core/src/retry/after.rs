//! Reads a receiver's `Retry-After`: how long it asks us to stay away.

use jiff::fmt::rfc2822::DateTimeParser;

use crate::limits::RETRY_AFTER_SECONDS_MAX;
use crate::time::{Millis, Timestamp};

/// The wait that a `Retry-After` asks for, at most 7 days; `None` if it can not be read.
///
/// It is a number of seconds or a date as HTTP writes it (`Sun, 06 Nov 1994 08:49:37 GMT`). A date
/// that has passed asks for no wait. The two date formats that HTTP calls obsolete are not read:
/// the policy's own delay then stands.
pub fn retry_after(header: &str, now: Timestamp) -> Option<Millis> {
    let text = header.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are still a number, only a very long wait.
        Millis::from_seconds(text.parse().unwrap_or(i64::MAX))
    } else {
        http_date(text)?.since(now)
    };
    Some(wait.min(Millis::from_seconds(RETRY_AFTER_SECONDS_MAX)))
}

fn http_date(text: &str) -> Option<Timestamp> {
    if !text.ends_with(" GMT") {
        return None;
    }
    let time = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        for (header, millis) in [
            ("0", Some(0)),
            ("120", Some(120_000)),
            (" 3 ", Some(3_000)),
            ("604800", Some(604_800_000)),
            ("604801", Some(604_800_000)),
            ("99999999999999999999999", Some(604_800_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30_000)),
            ("Sun, 06 Nov 1994 08:49:06 GMT", Some(0)),
            ("Fri, 06 Nov 2054 08:49:37 GMT", Some(604_800_000)),
            ("Sun, 06 Nov 1994 08:49:37 +0100", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(
                retry_after(header, now).map(Millis::get),
                millis,
                "{header:?}"
            );
        }
    }
}
