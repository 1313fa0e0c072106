//! Times as people write them on a command line: RFC 3339, or how long ago.

use hooklatch_core::time::{Millis, Timestamp};

use crate::failure::Failure;

/// A time as it is written, or how long before `now` it was.
pub(crate) fn time(text: &str, now: Timestamp) -> Result<String, Failure> {
    if text.parse::<Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let usage = || {
        Failure::Usage(format!(
            "\"{text}\" is no time: write 2026-11-21T08:00:00Z, or how long ago: 90s, 30m, 2h, 3d"
        ))
    };
    let (number, unit) = text
        .char_indices()
        .last()
        .map(|(end, unit)| (&text[..end], unit))
        .ok_or_else(usage)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(usage()),
    };
    let number: u32 = number.parse().map_err(|_| usage())?;
    let ago = Millis::from_seconds(i64::from(number) * seconds);
    Ok((now - ago).to_string())
}

/// A span of time in two words at most, for people.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_or_says_how_long_ago() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let read = |text| time(text, now).ok();
        let ago = read("2h").unwrap();
        assert_eq!(ago.parse::<Timestamp>(), "2026-11-22T10:00:00Z".parse());
        let written = "2026-11-21T08:00:00Z";
        assert_eq!(read(written).as_deref(), Some(written));
        for wrong in ["", "h", "yesterday", "-2h", "2 h", "2w", "é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_span_is_told_in_the_unit_that_suits_it() {
        let told = [0, 119, 120, 7_199, 7_200, 172_800].map(span);
        assert_eq!(told, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
    }
}
