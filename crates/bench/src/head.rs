//! As much of HTTP/1.1 as a load generator and a sink need: where a head ends, its first line, and
//! a field of it. Everything else is left unread, because the cores are shared with what is measured.

use crate::Failure;

/// The head of a request or of an answer.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    lines: &'a [u8],
    /// Its length, with the empty line that ends it.
    pub bytes: usize,
}

impl<'a> Head<'a> {
    /// The head that these bytes begin with, once it has come whole.
    pub(crate) fn find(received: &'a [u8]) -> Option<Self> {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
        Some(Self {
            lines: &received[..end],
            bytes: end + 4,
        })
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> Result<u16, Failure> {
        self.lines
            .get(b"HTTP/1.1 ".len()..b"HTTP/1.1 200".len())
            .and_then(number)
            .and_then(|status| u16::try_from(status).ok())
            .ok_or_else(|| "an answer without a status".into())
    }

    /// How many bytes follow the head. Chunks are not understood: none of the servers sends them.
    pub(crate) fn content_length(&self) -> Result<usize, Failure> {
        self.field("content-length")
            .and_then(number)
            .ok_or_else(|| "a head without a content-length".into())
    }

    /// The value of a field, the first if there are several.
    pub(crate) fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.lines
            .split(|byte| *byte == b'\n')
            .skip(1)
            .find_map(|line| {
                let (of_line, value) = line.split_at_checked(name.len())?;
                let value = value.strip_prefix(b":")?;
                of_line
                    .eq_ignore_ascii_case(name.as_bytes())
                    .then(|| value.trim_ascii())
            })
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nidempotent-replayed:true\r\n\r\n{}";

    #[test]
    fn a_head_is_found_only_when_it_is_whole() {
        let head = Head::find(ANSWER).unwrap();
        assert_eq!(head.bytes, ANSWER.len() - 2);
        assert_eq!(head.status().unwrap(), 200);
        assert_eq!(head.content_length().unwrap(), 2);
        for shorter in 0..head.bytes {
            assert!(Head::find(&ANSWER[..shorter]).is_none());
        }
    }

    #[test]
    fn a_field_is_found_in_any_case_and_without_white_space() {
        let head = Head::find(ANSWER).unwrap();
        assert_eq!(head.field("Idempotent-Replayed"), Some(&b"true"[..]));
        assert_eq!(head.field("idempotent"), None);
        assert_eq!(head.field("http/1.1 200 ok"), None);
    }

    #[test]
    fn an_answer_that_does_not_say_its_length_is_refused() {
        let head = Head::find(b"HTTP/1.1 204 No Content\r\ncontent-length: many\r\n\r\n").unwrap();
        assert!(head.content_length().is_err());
        assert!(Head::find(b"nonsense\r\n\r\n").unwrap().status().is_err());
    }
}
