//! Reads a request: is it from whom it says, and which event is it?

use std::time::SystemTime;

use hooklatch_core::fingerprint::fingerprint;
use hooklatch_core::key::{self, Body, Extracted, PART_TEXT_BYTES_MAX, value_text_at};
use hooklatch_core::time::Timestamp;
use hooklatch_core::verify::{Header, Headers, Refusal, SignedRequest};
use http::HeaderMap;
use http::request::Parts;

use super::Rules;
use super::answer::Keyless;
use crate::claim::Metadata;
use crate::event::Reason;
use crate::key::{Fingerprint, KeyError, Scope, ScopeKey};
use crate::kit::Delivery;

/// What came of reading a request.
pub(super) enum Arrived {
    /// An event, and what to ask the store.
    Keyed(Delivery),
    /// An event that cannot be told apart, and that may run all the same.
    Unprotected,
    /// Not from whom it says.
    Unverified(Refusal),
    /// No key where one is needed.
    NoKey,
    /// A key that is none.
    BadKey(KeyError),
}

struct HeaderLines<'a>(&'a HeaderMap);

impl Headers for HeaderLines<'_> {
    fn header(&self, name: &str) -> Header<'_> {
        let mut lines = self.0.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Header::Absent,
            (Some(line), None) => Header::Once(line.as_bytes()),
            (Some(_), Some(_)) => Header::Repeated,
        }
    }
}

/// The URL as the provider knows it, which some signatures cover: providers call by HTTPS, at the
/// host that they name, whatever stands before this process and ends the TLS.
fn public_url(parts: &Parts) -> String {
    let host = parts.headers.get(http::header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    format!("https://{host}{path}")
}

impl Rules {
    /// Verifies first; nothing is looked for in a request that fails (K7).
    pub(super) fn read(&self, parts: &Parts, bytes: &[u8], now: SystemTime) -> Arrived {
        let headers = HeaderLines(&parts.headers);
        let url = public_url(parts);
        let signed = SignedRequest {
            method: parts.method.as_str(),
            url: &url,
            headers: &headers,
            query: parts.uri.query().unwrap_or_default(),
            body: bytes,
        };
        if let Err(refusal) = self.verifier.verify(&signed, timestamp(now)) {
            return Arrived::Unverified(refusal);
        }
        let lines: Vec<(&str, &[u8])> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let content_type = parts.headers.get(http::header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let request = key::Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &lines,
            content_type,
            body: bytes,
        };
        let body = Body::understand(content_type, bytes);
        let Some(key_parts) = self.key_parts(&request, &body) else {
            return match self.policy.keyless {
                Keyless::Reject => Arrived::NoKey,
                Keyless::Unprotected => Arrived::Unprotected,
                Keyless::Content => self.keyed(&content_parts(bytes), &request, &body, now, parts),
            };
        };
        self.keyed(&key_parts, &request, &body, now, parts)
    }

    /// The key's parts as the provider wrote them; a part that is longer than any id is kept as
    /// the hash of the whole key.
    fn key_parts(&self, request: &key::Request<'_>, body: &Body<'_>) -> Option<Vec<String>> {
        match key::extract(&self.key, &[], request, body, &self.fingerprint_exclude) {
            Extracted::Missing { .. } => None,
            Extracted::Key {
                checksum, parts, ..
            } => {
                let cut = parts
                    .iter()
                    .any(|part| part.text.len() + 4 > PART_TEXT_BYTES_MAX);
                let texts = parts.into_iter().map(|part| part.text);
                Some(if cut {
                    vec!["checksum".to_owned(), checksum.to_string()]
                } else {
                    texts.collect()
                })
            }
        }
    }

    fn keyed(
        &self,
        key_parts: &[String],
        request: &key::Request<'_>,
        body: &Body<'_>,
        now: SystemTime,
        parts: &Parts,
    ) -> Arrived {
        let scope = Scope {
            tenant: &self.tenant,
            source: &self.source,
            consumer: &self.consumer,
        };
        let key_parts: Vec<&str> = key_parts.iter().map(String::as_str).collect();
        let key = match ScopeKey::derive(&scope, &key_parts) {
            Ok(key) => key,
            Err(error) => return Arrived::BadKey(error),
        };
        let event_type = self.event_type.as_ref();
        let event_type = event_type.and_then(|at| value_text_at(at, request, body));
        let event_type = event_type.unwrap_or_default();
        let payload = fingerprint(None, body, request.body, &self.fingerprint_exclude);
        let fingerprint = Fingerprint::from_bytes(*payload.as_bytes());
        let received_at_ms = timestamp(now).as_millis();
        let metadata = Metadata::new(&self.source, &event_type, Some(received_at_ms));
        let mut delivery = Delivery::new(key, fingerprint).with_metadata(metadata);
        delivery.reason = self.reason(&parts.headers);
        Arrived::Keyed(delivery)
    }

    /// Why it comes again, where the sender says so: the gateway in `Hooklatch-Trigger`, a provider
    /// in a header of its own.
    fn reason(&self, headers: &HeaderMap) -> Reason {
        let trigger = headers.get("hooklatch-trigger");
        match trigger.and_then(|value| value.to_str().ok()) {
            Some("retry" | "redrive" | "recovery") => return Reason::ProviderRetry,
            Some("manual") => return Reason::ProviderResend,
            Some("replay") => return Reason::Replay,
            Some(_) | None => {}
        }
        let Some(preset) = self.preset else {
            return Reason::Unknown;
        };
        let has = |names: &[&str]| names.iter().any(|name| headers.contains_key(*name));
        if has(preset.resend_headers) {
            Reason::ProviderResend
        } else if has(preset.retry_headers) {
            Reason::ProviderRetry
        } else {
            Reason::Unknown
        }
    }
}

fn content_parts(bytes: &[u8]) -> [String; 2] {
    ["content".to_owned(), Fingerprint::of(bytes).to_string()]
}

fn timestamp(now: SystemTime) -> Timestamp {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since_epoch.map_or(0, |span| span.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
