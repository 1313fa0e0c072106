//! The request of one attempt: its headers, its signature, its address (O1, O2, O6).

use std::borrow::Cow;

use hooklatch_core::delivery::Delivery;
use hooklatch_core::limits::RESPONSE_BYTES_KEPT;
use hooklatch_core::message::{Direction, Envelope, Message, Parcel};
use hooklatch_core::outgoing::{self, Header, Outgoing};
use hooklatch_core::secret::Secret;
use hooklatch_core::signature;
use hooklatch_core::time::Timestamp;
use hooklatch_core::trace::TraceHeaders;
use hooklatch_egress::{Call, Target};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::destination::{Destination, Wire};
use crate::record;

/// What is sent, and how it is recorded.
pub(crate) struct Prepared {
    pub call: Call,
    pub recorded: Vec<(String, String)>,
}

/// The request that delivers `parcel`, or why there can be none.
pub(crate) fn prepare(
    destination: &Destination,
    delivery: &Delivery,
    parcel: &Parcel,
    authorization: Option<&Secret>,
    trace: Option<&TraceHeaders>,
    now: Timestamp,
) -> Result<Prepared, String> {
    let wire = destination.wire(now)?;
    if wire.secrets.is_empty() {
        return Err("there is no secret to sign with".to_owned());
    }
    let message = &parcel.message;
    let connection = delivery
        .connection_id
        .filter(|_| delivery.suffix_webhook_id);
    let webhook_id = outgoing::webhook_id(message.sent_as(), connection);
    let signature = signature::sign(&wire.secrets, &webhook_id, now.as_seconds(), &parcel.body);
    let key = idempotency_key(message);
    let replay = delivery.replay_id.map(|id| id.to_string());
    let custom = custom_headers(wire.headers, &message.extra_headers);
    let custom = authorized(custom, authorization);
    let original = Original::of(message.direction, &parcel.envelope);
    let headers = outgoing::delivery_headers(&Outgoing {
        webhook_id: &webhook_id,
        idempotency_key: key.as_deref(),
        timestamp: now,
        signature: &signature,
        attempt_number: delivery.attempts,
        trigger: delivery.trigger.as_str(),
        original_time: message.received_at,
        replay: replay.as_deref(),
        content_type: original.content_type,
        forwarded: original.headers,
        custom: &custom,
        trace,
    });
    Ok(Prepared {
        recorded: record::sent_headers(&headers),
        call: Call {
            method: wire.method.clone(),
            target: target(&wire, original.forwardable)?,
            headers: header_map(&headers),
            body: parcel.body.clone(),
            timeout: destination.timeout(),
            response_bytes_max: RESPONSE_BYTES_KEPT,
        },
    })
}

/// What goes on of the request that a message came with.
struct Original<'a> {
    content_type: Option<&'a str>,
    headers: &'a [(String, String)],
    forwardable: Option<&'a Envelope>,
}

impl<'a> Original<'a> {
    fn of(direction: Direction, envelope: &'a Envelope) -> Self {
        match direction {
            Direction::Inbound => Self {
                content_type: envelope.header("content-type"),
                headers: &envelope.headers,
                forwardable: Some(envelope),
            },
            // The call of the send API was meant for us: its headers, its path, and its body,
            // of which the payload is a part.
            Direction::Outbound => Self {
                content_type: Some("application/json"),
                headers: &[],
                forwardable: None,
            },
        }
    }
}

/// The key that receivers see (O1): the checksum of an inbound key, the caller's own of a send, and
/// a derived one where a correct receiver would otherwise take the message for its original (D4).
fn idempotency_key(message: &Message) -> Option<Cow<'_, str>> {
    let key = message.key.as_ref()?;
    let seen: Cow<'_, str> = match message.direction {
        Direction::Inbound => Cow::Owned(key.checksum.to_string()),
        Direction::Outbound => Cow::Borrowed(&key.text),
    };
    if message.origin.derives_key() {
        Some(Cow::Owned(outgoing::derived_key(&seen, message.sent_as())))
    } else {
        Some(seen)
    }
}

/// The endpoint's headers and the message's, which win where both have a name: they say more.
fn custom_headers<'a>(
    of_endpoint: &'a [(String, String)],
    of_message: &'a [(String, String)],
) -> Cow<'a, [(String, String)]> {
    if of_message.is_empty() {
        return Cow::Borrowed(of_endpoint);
    }
    let replaced = |name: &str| {
        let mut names = of_message.iter();
        names.any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    let kept = of_endpoint.iter().filter(|(name, _)| !replaced(name));
    kept.chain(of_message).cloned().collect()
}

/// With what lets us in, over whatever else has its name.
fn authorized<'a>(
    custom: Cow<'a, [(String, String)]>,
    authorization: Option<&Secret>,
) -> Cow<'a, [(String, String)]> {
    let Some(value) = authorization else {
        return custom;
    };
    let mut custom = custom.into_owned();
    custom.retain(|(name, _)| !name.eq_ignore_ascii_case(AUTHORIZATION.as_str()));
    custom.push((AUTHORIZATION.to_string(), value.expose().to_owned()));
    Cow::Owned(custom)
}

fn header_map(headers: &[Header<'_>]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        // Names and values came over HTTP, or were checked when they were saved. One that still is
        // not fit for the wire is worth less than the delivery.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            map.append(name, value);
        }
    }
    map
}

fn target(wire: &Wire<'_>, original: Option<&Envelope>) -> Result<Target, String> {
    let original = original.filter(|envelope| {
        wire.forward_path && !(envelope.path.is_empty() && envelope.query.is_none())
    });
    let Some(original) = original else {
        return Ok(wire.target.clone());
    };
    wire.target
        .with_path_and_query(&path_and_query(wire.url, original))
        .map_err(|error| format!("the original's path cannot be appended: {error}"))
}

/// The endpoint's path with the rest of the original's, and both queries.
fn path_and_query(url: &Url, original: &Envelope) -> String {
    let mut joined = url.path().to_owned();
    if !original.path.is_empty() {
        joined.truncate(joined.trim_end_matches('/').len());
        joined.push_str(&below(&original.path));
    }
    let mut mark = '?';
    for query in [url.query(), original.query.as_deref()]
        .into_iter()
        .flatten()
    {
        joined.push(mark);
        joined.push_str(query);
        mark = '&';
    }
    joined
}

/// The path without a way up: whoever knows an ingest URL must not reach what lies beside the
/// endpoint's path.
fn below(path: &str) -> Cow<'_, str> {
    let lower_case = path.to_ascii_lowercase();
    if !lower_case.contains("/.") && !lower_case.contains("/%2e") && !lower_case.contains('\\') {
        return Cow::Borrowed(path);
    }
    let mut resolved = Url::parse("http://any.invalid/").expect("the text is a URL");
    resolved.set_path(path);
    Cow::Owned(resolved.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(path: &str, query: Option<&str>) -> Envelope {
        Envelope {
            path: path.to_owned(),
            query: query.map(str::to_owned),
            ..Envelope::default()
        }
    }

    #[test]
    fn o6_the_rest_of_the_path_and_the_query_follow() {
        for (url, path, query, joined) in [
            ("http://a.test/in", "/x/y", None, "/in/x/y"),
            ("http://a.test/in/", "/x", Some("q=1"), "/in/x?q=1"),
            ("http://a.test", "/x", None, "/x"),
            ("http://a.test/in?k=v", "", Some("q=1"), "/in?k=v&q=1"),
            ("http://a.test/in?k=v", "/", None, "/in/?k=v"),
            ("http://a.test/in", "", Some(""), "/in?"),
        ] {
            let url = url.parse().unwrap();
            assert_eq!(path_and_query(&url, &envelope(path, query)), joined);
        }
    }

    #[test]
    fn o6_a_forwarded_path_does_not_leave_the_endpoints() {
        let url = "http://a.test/in".parse().unwrap();
        for (path, joined) in [
            ("/../admin", "/in/admin"),
            ("/x/../../../admin", "/in/admin"),
            ("/%2e%2E/admin", "/in/admin"),
            ("/.%2e/admin", "/in/admin"),
            ("/..\\admin", "/in/admin"),
            ("/x/..", "/in/"),
            ("/.hidden", "/in/.hidden"),
            ("/a..b", "/in/a..b"),
        ] {
            let found = path_and_query(&url, &envelope(path, None));
            assert_eq!(found, joined, "{path}");
        }
    }

    #[test]
    fn a_messages_own_header_wins_over_the_endpoints() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let of_endpoint = [pair("X-Env", "endpoint"), pair("X-Team", "red")];
        let of_message = [pair("x-env", "message")];
        assert_eq!(
            *custom_headers(&of_endpoint, &of_message),
            [pair("X-Team", "red"), pair("x-env", "message")]
        );
        assert_eq!(*custom_headers(&of_endpoint, &[]), of_endpoint);
    }
}
