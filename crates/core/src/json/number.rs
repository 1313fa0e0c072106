//! Numbers by their decimal text. Nothing passes through a float, and no exponent is expanded, so
//! that neither `9007199254740993` nor `1e999999999` can do harm.

use std::borrow::Cow;
use std::fmt::Write;

use crate::limits::NUMBER_DIGITS_MAX;

/// Digits of an exponent that is still understood: the sum of such an exponent and a number of
/// digits within the limits cannot overflow.
const EXPONENT_DIGITS_MAX: usize = 18;

/// The one spelling of a JSON number: the digits without leading or trailing zeros, and `e` with
/// the power of ten that they are multiplied by, unless it is 0. `100`, `1e2` and `100.0` are
/// `1e2`; `1.50` is `15e-1`; `-0` is `0`.
///
/// `None` where there is no canonical form: more than
/// [`NUMBER_DIGITS_MAX`](crate::limits::NUMBER_DIGITS_MAX) digits are written before the exponent,
/// or the exponent itself has more than 18. The argument must be a number of RFC 8259.
pub fn canonical_number(text: &str) -> Option<Cow<'_, str>> {
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    if is_plain_integer(magnitude) {
        return Some(Cow::Borrowed(text));
    }
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() > NUMBER_DIGITS_MAX {
        return None;
    }
    // RFC 8259 lets zeros lead only where the whole part is 0.
    let (whole, fraction_digits) = match whole {
        "0" => ("", fraction.trim_start_matches('0')),
        _ => (whole, fraction),
    };
    let mut spelled = String::with_capacity(text.len() + EXPONENT_DIGITS_MAX);
    spelled.push_str(whole);
    spelled.push_str(fraction_digits);
    let with_tail = spelled.len();
    spelled.truncate(spelled.trim_end_matches('0').len());
    if spelled.is_empty() {
        return Some(Cow::Borrowed("0"));
    }
    let tail = with_tail - spelled.len();
    let power = small_exponent(exponent)? + tail as i64 - fraction.len() as i64;
    if power != 0 {
        write!(spelled, "e{power}").expect("a String takes every text");
    }
    if text.starts_with('-') {
        spelled.insert(0, '-');
    }
    Some(Cow::Owned(spelled))
}

/// By far the most common case: digits that are canonical as they stand.
fn is_plain_integer(magnitude: &str) -> bool {
    magnitude.len() <= NUMBER_DIGITS_MAX
        && !magnitude.ends_with('0')
        && magnitude.bytes().all(|byte| byte.is_ascii_digit())
}

fn small_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    if digits.len() > EXPONENT_DIGITS_MAX {
        return None;
    }
    let size: i64 = digits.parse().ok()?;
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k9_a_number_has_one_spelling() {
        let cases = [
            (
                "1",
                &[
                    "1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "100e-002", "1.000",
                ][..],
            ),
            (
                "0",
                &[
                    "0",
                    "-0",
                    "0.0",
                    "-0.00",
                    "0e5",
                    "0e99999999999999999999999",
                ],
            ),
            ("1e2", &["100", "1e2", "100.0", "1E+2", "0.0001e6"]),
            ("-15e-1", &["-1.5", "-1.50", "-15e-1", "-0.15e1"]),
            ("5e-324", &["5e-324", "0.5e-323"]),
            ("1e999999999999", &["1e999999999999", "10e999999999998"]),
            ("-1e-999999999999999999", &["-1e-999999999999999999"]),
        ];
        for (canonical, spellings) in cases {
            for spelling in spellings {
                assert_eq!(
                    canonical_number(spelling).as_deref(),
                    Some(canonical),
                    "{spelling}"
                );
            }
        }
    }

    #[test]
    fn k9_no_number_passes_through_a_float() {
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("0.1", "0.1000000000000000055511151231257827"),
            ("1e400", "1e401"),
            ("18446744073709551616", "18446744073709551617"),
        ] {
            assert_ne!(canonical_number(one), canonical_number(other));
        }
    }

    #[test]
    fn k9_a_number_of_over_1000_digits_has_no_canonical_form() {
        assert!(canonical_number(&"7".repeat(1_000)).is_some());
        assert!(canonical_number(&format!("-{}", "7".repeat(1_000))).is_some());
        assert_eq!(canonical_number(&"7".repeat(1_001)), None);
        assert_eq!(canonical_number(&format!("1.{}", "0".repeat(1_000))), None);
        assert_eq!(canonical_number("1e9999999999999999999"), None);
    }
}
