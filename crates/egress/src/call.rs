//! One attempt as plain data: what to send, and what came of it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;

use crate::error::SendError;
use crate::target::Target;

/// A request with everything that its attempt is bound by. It cannot be printed: its headers hold
/// the endpoint's credentials.
#[derive(Clone)]
pub struct Call {
    /// The method, `POST` for most endpoints.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// Its headers. Host, length and hop-by-hop headers are ours to set; others of these names
    /// are dropped.
    pub headers: HeaderMap,
    /// Its body, sent with `Content-Length`.
    pub body: Bytes,
    /// The time for all of it, from the name's lookup to the answer's last byte.
    pub timeout: Duration,
    /// Bytes kept of the answer's body. A longer one is cut and its connection closed.
    pub response_bytes_max: usize,
}

/// What came of an attempt.
#[derive(Debug)]
pub struct Attempted {
    /// The answer, or why there is none.
    pub result: Result<Answer, SendError>,
    /// Where the time went.
    pub timing: Timing,
    /// Whether a pooled connection carried the request.
    pub reused: bool,
    /// The address that was dialled, once one was connected.
    pub address: Option<SocketAddr>,
}

/// How long each step took. A step that did not happen, or did not end, has no time: on a reused
/// connection there is neither a lookup nor a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Finding the name's addresses.
    pub dns: Option<Duration>,
    /// The TCP handshake, with earlier addresses that did not answer.
    pub tcp: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From handing the request to the connection to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// All of it.
    pub total: Duration,
}

/// An endpoint's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Its headers in order, with bytes that are not UTF-8 replaced.
    pub headers: Vec<(String, String)>,
    /// The body, up to the call's limit.
    pub body: Bytes,
    /// Whether the body was longer than the limit.
    pub body_truncated: bool,
}

// A caller's value for one of these could change where the request ends, and with it what the
// next request on the connection is taken for.
const HOP_BY_HOP: [http::HeaderName; 6] =
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, TE, TRAILER, EXPECT];

impl Call {
    pub(crate) fn into_request(self) -> Request<Full<Bytes>> {
        let mut headers = self.headers;
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
        headers.insert(HOST, self.target.origin.host_header.clone());
        if self.body.is_empty() && bodiless(&self.method) {
            headers.remove(CONTENT_LENGTH);
        } else {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.path;
        *request.headers_mut() = headers;
        request
    }
}

fn bodiless(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD || method == Method::DELETE
}

impl Answer {
    pub(crate) fn new(head: &http::response::Parts, body: Bytes, body_truncated: bool) -> Self {
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect();
        Self {
            status: head.status.as_u16(),
            headers,
            body,
            body_truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: Method, body: &'static str) -> Call {
        Call {
            method,
            target: Target::parse("http://example.com/in").unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            timeout: Duration::from_secs(1),
            response_bytes_max: 10,
        }
    }

    #[test]
    fn o6_host_and_length_are_ours_and_hop_by_hop_headers_are_dropped() {
        let mut call = call(Method::POST, "abc");
        for (name, value) in [
            ("host", "evil.example"),
            ("content-length", "99"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("expect", "100-continue"),
            ("x-github-event", "push"),
        ] {
            call.headers.insert(name, HeaderValue::from_static(value));
        }
        let request = call.into_request();
        let mut headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        headers.sort_unstable();
        assert_eq!(
            headers,
            [
                ("content-length", "3"),
                ("host", "example.com"),
                ("x-github-event", "push")
            ]
        );
    }

    #[test]
    fn o6_an_empty_post_says_its_length_and_a_get_does_not() {
        let empty_post = call(Method::POST, "").into_request();
        assert_eq!(empty_post.headers()[CONTENT_LENGTH], "0");
        let get = call(Method::GET, "").into_request();
        assert!(!get.headers().contains_key(CONTENT_LENGTH));
    }
}
