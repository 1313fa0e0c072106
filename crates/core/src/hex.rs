//! Lower-case hexadecimal: several hundred digits are written for each event, so none by itself.

use std::fmt;

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Bytes that are written together.
const PART: usize = 32;

/// Writes bytes as digits.
pub(crate) fn write(to: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.chunks(PART).try_for_each(|part| {
        let mut digits = [0; 2 * PART];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(part) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        let digits = std::str::from_utf8(&digits[..2 * part.len()]);
        to.write_str(digits.expect("digits are ASCII"))
    })
}

/// Bytes as digits.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    write(&mut text, bytes).expect("a string takes everything");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_two_digits_each_however_many_there_are() {
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[0x00, 0x9f, 0xff]), "009fff");
        let many: Vec<u8> = (0..100).collect();
        let expected: String = many.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text(&many), expected);
    }
}
