//! Bounds on everything that comes from outside or is kept. A value beyond its bound is refused or
//! cut off where it enters, so that no store has to think about it.

use std::time::Duration;

/// Parts of a key.
pub const KEY_PARTS_MAX: usize = 16;
/// Bytes of one part of a key, of a tenant, a source or a consumer.
pub const KEY_PART_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a stored result. What is larger is not kept, and a repeat is told so.
pub const RESULT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an error text; the rest is cut off.
pub const ERROR_BYTES_MAX: usize = 1024;
/// Bytes of a provider's name or an event type; the rest is cut off.
pub const METADATA_BYTES_MAX: usize = 255;
/// Bytes of the name of a step.
pub const STEP_NAME_BYTES_MAX: usize = 128;
/// Steps that the claim API keeps of one generation of an event.
pub const STEPS_MAX: usize = 100;
/// Characters of a scope of the claim API.
pub const SCOPE_CHARS_MAX: usize = 255;
/// Bytes of a key of the claim API.
pub const NAME_BYTES_MAX: usize = 1024;
/// How often an event may be tried at most before it is dead.
pub const ATTEMPTS_MAX: u32 = 1_000_000;
/// How often an event may be tried where nobody says otherwise.
pub const ATTEMPTS_DEFAULT: u32 = 8;
/// The longest lease, and the longest wait after a release.
pub const LEASE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The longest time for which a record is kept.
pub const RETENTION_MAX: Duration = Duration::from_secs(400 * 86_400);

/// The text up to the last character that fits.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// A span in whole milliseconds, at least one unless it is zero, and at most `max`.
pub fn millis(span: Duration, max: Duration) -> u64 {
    let span = span.min(max);
    let rounded_up = span.as_nanos().div_ceil(1_000_000);
    u64::try_from(rounded_up).expect("400 days are far below 2^64 milliseconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("kök", 2), "k");
        assert_eq!(cut("kök", 3), "kö");
        assert_eq!(cut("kök", 9), "kök");
    }

    #[test]
    fn a_span_is_rounded_up_and_bounded() {
        let of = |nanos| millis(Duration::from_nanos(nanos), LEASE_MAX);
        assert_eq!([of(0), of(1), of(1_000_000), of(1_000_001)], [0, 1, 1, 2]);
        assert_eq!(millis(Duration::MAX, LEASE_MAX), 86_400_000);
    }
}
