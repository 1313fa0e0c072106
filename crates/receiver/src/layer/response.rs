//! The answer of a handler, as it is kept for repeats. Version 1 is JSON:
//!
//! ```text
//! {"v":1,"status":200,"headers":[["content-type","text/plain"]],"body":"<base64>"}
//! {"v":1,"status":200,"headers":[],"body_sha256":"<hex>"}      a body that is too large to keep
//! ```
//!
//! Headers are kept by a list of names: never cookies, credentials, or what belongs to one
//! connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::key::Fingerprint;
use crate::limits::RESULT_BYTES_MAX;

/// The headers of an answer that are kept.
pub const HEADERS_KEPT: [&str; 6] = [
    "content-type",
    "content-language",
    "content-disposition",
    "etag",
    "last-modified",
    "location",
];

/// Bytes of a body that are kept: base64 and the rest have to fit in a result.
pub const BODY_BYTES_MAX: usize = 40 * 1024;

const VERSION: u8 = 1;

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status.
    pub status: u16,
    /// The headers that are kept.
    pub headers: HeaderMap,
    /// The body; none if it was too large.
    pub body: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    status: u16,
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_sha256: Option<String>,
}

/// The bytes to keep of an answer.
pub fn encode(status: u16, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let kept = |name: &&HeaderName| HEADERS_KEPT.contains(&name.as_str());
    let names = headers.keys().filter(kept);
    let value = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::to_owned);
    let headers = names.filter_map(|name| Some((name.as_str().to_owned(), value(name)?)));
    let mut wire = Wire {
        v: VERSION,
        status,
        headers: headers.collect(),
        body: Some(STANDARD.encode(body)),
        body_sha256: None,
    };
    let mut bytes = to_json(&wire);
    if body.len() > BODY_BYTES_MAX || bytes.len() > RESULT_BYTES_MAX {
        wire.body_sha256 = Some(Fingerprint::of(body).to_string());
        wire.body = None;
        wire.headers.retain(|(_, value)| value.len() <= 1024);
        bytes = to_json(&wire);
    }
    bytes
}

fn to_json(wire: &Wire) -> Vec<u8> {
    serde_json::to_vec(wire).expect("texts and numbers have a JSON form")
}

/// An answer from its bytes; none if they are not one, as where another kit has kept a result of
/// its own.
pub fn decode(bytes: &[u8]) -> Option<StoredResponse> {
    let wire: Wire = serde_json::from_slice(bytes).ok()?;
    if wire.v != VERSION || !(100..=999).contains(&wire.status) {
        return None;
    }
    let line = |(name, value): (String, String)| {
        let name = HeaderName::try_from(name).ok()?;
        let listed = HEADERS_KEPT.contains(&name.as_str());
        let value = HeaderValue::try_from(value).ok()?;
        listed.then_some((name, value))
    };
    let body = match wire.body {
        Some(text) => Some(STANDARD.decode(text).ok()?),
        None => None,
    };
    Some(StoredResponse {
        status: wire.status,
        headers: wire.headers.into_iter().filter_map(line).collect(),
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> HeaderMap {
        let lines = [
            ("content-type", "text/plain"),
            ("set-cookie", "session=1"),
            ("authorization", "Bearer x"),
            ("connection", "close"),
        ];
        let line = |(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        lines.map(line).into_iter().collect()
    }

    #[test]
    fn v5_an_answer_comes_back_without_what_is_secret() {
        let stored = decode(&encode(201, &headers(), b"made")).unwrap();
        assert_eq!((stored.status, stored.body), (201, Some(b"made".to_vec())));
        assert_eq!(stored.headers.len(), 1);
        assert_eq!(stored.headers["content-type"], "text/plain");
    }

    #[test]
    fn v5_a_large_body_leaves_its_hash() {
        let bytes = encode(200, &headers(), &vec![7; BODY_BYTES_MAX + 1]);
        assert!(bytes.len() <= RESULT_BYTES_MAX);
        assert_eq!(decode(&bytes).unwrap().body, None);
        let fits = encode(200, &headers(), &vec![7; BODY_BYTES_MAX]);
        assert_eq!(decode(&fits).unwrap().body.unwrap().len(), BODY_BYTES_MAX);
        assert!(fits.len() <= RESULT_BYTES_MAX);
    }

    #[test]
    fn what_is_no_answer_is_not_guessed() {
        for bytes in [
            &b""[..],
            b"thanks",
            b"{}",
            br#"{"v":2,"status":200,"headers":[]}"#,
        ] {
            assert_eq!(decode(bytes), None);
        }
    }
}
