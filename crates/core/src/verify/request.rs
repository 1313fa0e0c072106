//! What a verifier looks at: the request as it came, before anybody has read the body.

use super::Refusal;

/// A request as it came: raw bytes, nothing decoded.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The URL as the sender knows it, with scheme, host and query: some signatures cover it.
    pub url: &'a str,
    /// The request's header lines.
    pub headers: &'a dyn Headers,
    /// The query of the URL, without its `?`.
    pub query: &'a str,
    /// The body, byte by byte as it was sent.
    pub body: &'a [u8],
}

/// What a request has under one header name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// No line has that name.
    Absent,
    /// Exactly one line has.
    Once(&'a [u8]),
    /// Several lines have, and which of them counts is not for a verifier to guess.
    Repeated,
}

/// Header lines that can be looked up by name.
pub trait Headers {
    /// The header with this name, which is given in lower case.
    fn header(&self, name: &str) -> Header<'_>;
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn header(&self, name: &str) -> Header<'_> {
        find(self, name)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for &[(N, V)] {
    fn header(&self, name: &str) -> Header<'_> {
        find(self, name)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const LINES: usize> Headers for [(N, V); LINES] {
    fn header(&self, name: &str) -> Header<'_> {
        find(self, name)
    }
}

fn find<'a, N: AsRef<str>, V: AsRef<[u8]>>(lines: &'a [(N, V)], name: &str) -> Header<'a> {
    let mut found = Header::Absent;
    for (line_name, value) in lines {
        if !line_name.as_ref().eq_ignore_ascii_case(name) {
            continue;
        }
        if found != Header::Absent {
            return Header::Repeated;
        }
        found = Header::Once(value.as_ref());
    }
    found
}

impl<'a> SignedRequest<'a> {
    /// The text of a header that must be there once.
    pub(super) fn text(&self, name: &str, expected: &'static str) -> Result<&'a str, Refusal> {
        match self.headers.header(name) {
            Header::Absent => Err(Refusal::MissingHeader {
                name: name.to_owned(),
            }),
            Header::Repeated => Err(Refusal::Repeated {
                name: name.to_owned(),
            }),
            Header::Once(value) => match std::str::from_utf8(value) {
                Ok(text) => Ok(text.trim_matches([' ', '\t'])),
                Err(_) => Err(malformed(name, expected)),
            },
        }
    }
}

pub(super) fn malformed(name: &str, expected: &'static str) -> Refusal {
    Refusal::Malformed {
        name: name.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_have_no_case() {
        let headers = vec![("X-Hub-Signature-256", "a"), ("Host", "b")];
        assert_eq!(headers.header("x-hub-signature-256"), Header::Once(b"a"));
        assert_eq!(headers.header("x-hub-signature"), Header::Absent);
    }

    #[test]
    fn a_header_that_comes_twice_is_no_value() {
        let headers = [("x-a", "1"), ("X-A", "1")];
        assert_eq!(headers.header("x-a"), Header::Repeated);
    }
}
