//! What goes out with an attempt: its ids and its headers (O1, O2, O6).
//!
//! A receiver can only be idempotent if every try of a delivery carries the same names for the
//! same event. So those names are ours alone: neither the original request nor an endpoint's
//! custom headers can overwrite them. Everything else of the original goes along, because a
//! consumer that expects GitHub's `X-GitHub-Event` should not notice that we stand between.

mod key;
mod names;
mod receipt;
mod secrecy;

use std::borrow::Cow;

pub use key::{KeyRefusal, check_key, derived_key, parse_idempotency_key};
pub use names::{dropped_reserved, forwardable, reserved, reserved_for_custom};
pub use receipt::Receipt;
pub use secrecy::may_be_secret;

use crate::ids::{ConnectionId, MessageId};
use crate::time::Timestamp;
use crate::trace::{TRACEPARENT, TRACESTATE, TraceHeaders};

/// What we call ourselves where the original request names no other user agent.
pub const USER_AGENT: &str = concat!("hooklatch/", env!("CARGO_PKG_VERSION"));

/// A header of an attempt: its name in lower case, and its value's bytes.
pub type Header<'a> = (Cow<'a, str>, Cow<'a, [u8]>);

/// Everything that the headers of one attempt depend on.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The same for every attempt of a delivery: see [`webhook_id`].
    pub webhook_id: &'a str,
    /// The checksum, the caller's key, or a derived one; absent for a message without a key.
    pub idempotency_key: Option<&'a str>,
    /// When this attempt starts; the signature covers its whole seconds.
    pub timestamp: Timestamp,
    /// The value of `webhook-signature`.
    pub signature: &'a str,
    /// Counted from 1.
    pub attempt_number: u32,
    /// Why this attempt is made: `first`, `retry`, `manual`, `replay`, `redrive`, `recovery`.
    pub trigger: &'a str,
    /// When the message's request arrived.
    pub original_time: Timestamp,
    /// The replay that this attempt belongs to.
    pub replay: Option<&'a str>,
    /// The original's content type.
    pub content_type: Option<&'a str>,
    /// The original request's headers, all of them: what may not go on is left out here.
    pub forwarded: &'a [(String, String)],
    /// The endpoint's own headers; they win over forwarded ones of the same name.
    pub custom: &'a [(String, String)],
    /// What is said of the trace in place of what the original said; without it the original's
    /// headers go on as they are.
    pub trace: Option<&'a TraceHeaders>,
}

/// The headers of an attempt, names in lower case, in a fixed order: content type, O1, O2, user
/// agent, the original's in their order, the endpoint's own in theirs.
///
/// `content-length` and `host` are not among them; they follow from the body and the address.
pub fn delivery_headers<'a>(input: &Outgoing<'a>) -> Vec<Header<'a>> {
    let mut headers = Vec::with_capacity(10 + input.forwarded.len() + input.custom.len());
    let custom: Vec<Header<'a>> = custom_headers(input.custom);
    let is_custom = |name: &str| custom.iter().any(|(custom, _)| custom == name);

    if let Some(content_type) = input.content_type.filter(|_| !is_custom("content-type")) {
        headers.push(text("content-type", content_type));
    }
    push_identity(input, &mut headers);
    let forwarded = forwarded_headers(input.forwarded);
    let names_agent = forwarded.iter().any(|(name, _)| name == "user-agent");
    if !names_agent && !is_custom("user-agent") {
        headers.push(text("user-agent", USER_AGENT));
    }
    let replaced = |name: &str| input.trace.is_some() && is_of_trace(name);
    headers.extend(
        forwarded
            .into_iter()
            .filter(|(name, _)| !is_custom(name) && !replaced(name)),
    );
    // A trace that somebody names by hand is theirs to name: one state belongs to one parent.
    if !custom.iter().any(|(name, _)| is_of_trace(name)) {
        push_trace(input.trace, &mut headers);
    }
    headers.extend(custom);
    headers
}

/// The id that the receiver sees. Where one message reaches one endpoint by several connections,
/// the connection's id is appended, so that a receiver takes none for a copy of another (O1).
///
/// The parts are joined by a hyphen: a full stop would make the signed text
/// `id.timestamp.body` ambiguous.
pub fn webhook_id(message: MessageId, connection: Option<ConnectionId>) -> String {
    match connection {
        Some(connection) => format!("{message}-{connection}"),
        None => message.to_string(),
    }
}

fn push_identity<'a>(input: &Outgoing<'a>, headers: &mut Vec<Header<'a>>) {
    headers.push(text("webhook-id", input.webhook_id));
    headers.push(owned(
        "webhook-timestamp",
        input.timestamp.as_seconds().to_string(),
    ));
    headers.push(text("webhook-signature", input.signature));
    if let Some(key) = input.idempotency_key {
        headers.push(text("idempotency-key", key));
    }
    headers.push(owned("hooklatch-attempt", input.attempt_number.to_string()));
    headers.push(text("hooklatch-trigger", input.trigger));
    headers.push(owned(
        "hooklatch-original-time",
        input.original_time.to_string(),
    ));
    if let Some(replay) = input.replay {
        headers.push(text("hooklatch-replay", replay));
    }
}

fn push_trace<'a>(trace: Option<&'a TraceHeaders>, headers: &mut Vec<Header<'a>>) {
    let Some(trace) = trace else {
        return;
    };
    headers.push(text(TRACEPARENT, &trace.traceparent));
    if let Some(state) = &trace.tracestate {
        headers.push(text(TRACESTATE, state));
    }
}

fn is_of_trace(name: &str) -> bool {
    name == TRACEPARENT || name == TRACESTATE
}

fn custom_headers(custom: &[(String, String)]) -> Vec<Header<'_>> {
    let allowed = custom
        .iter()
        .map(|(name, value)| (lower_case(name), value.as_bytes().into()));
    allowed
        .filter(|(name, _)| !reserved_for_custom(name))
        .collect()
}

fn forwarded_headers(original: &[(String, String)]) -> Vec<Header<'_>> {
    let listed = names::listed_in_connection(original);
    let named = original
        .iter()
        .map(|(name, value)| (lower_case(name), value.as_bytes().into()));
    let mut headers: Vec<Header<'_>> = named.collect();
    headers.retain(|(name, _)| {
        // The content type has its own place, and its own field: a split element is always JSON.
        name != "content-type" && forwardable(name) && !listed.iter().any(|listed| listed == name)
    });
    headers
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn text<'a>(name: &'static str, value: &'a str) -> Header<'a> {
    (Cow::Borrowed(name), Cow::Borrowed(value.as_bytes()))
}

fn owned<'a>(name: &'static str, value: String) -> Header<'a> {
    (Cow::Borrowed(name), Cow::Owned(value.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt<'a>(
        forwarded: &'a [(String, String)],
        custom: &'a [(String, String)],
    ) -> Outgoing<'a> {
        Outgoing {
            webhook_id: "msg_1",
            idempotency_key: Some("order-7"),
            timestamp: Timestamp::from_millis(1_700_000_000_999),
            signature: "v1,c2ln",
            attempt_number: 2,
            trigger: "retry",
            original_time: Timestamp::from_millis(1_699_999_999_123),
            replay: None,
            content_type: Some("application/json"),
            forwarded,
            custom,
            trace: None,
        }
    }

    fn lines(headers: &[Header<'_>]) -> Vec<String> {
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect()
    }

    fn original(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn own(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn o1_o2_o6_the_headers_of_an_attempt_in_their_order() {
        let forwarded = original(&[
            ("Host", "in.example"),
            ("Content-Type", "text/plain"),
            ("Content-Length", "17"),
            ("X-GitHub-Event", "push"),
            ("User-Agent", "GitHub-Hookshot/1"),
            ("webhook-id", "theirs"),
            ("x-multi", "a"),
            ("x-multi", "b"),
        ]);
        let custom = own(&[("X-Team", "red"), ("Webhook-Id", "mine")]);
        assert_eq!(
            lines(&delivery_headers(&attempt(&forwarded, &custom))),
            [
                "content-type: application/json",
                "webhook-id: msg_1",
                "webhook-timestamp: 1700000000",
                "webhook-signature: v1,c2ln",
                "idempotency-key: order-7",
                "hooklatch-attempt: 2",
                "hooklatch-trigger: retry",
                "hooklatch-original-time: 2023-11-14T22:13:19.123Z",
                "x-github-event: push",
                "user-agent: GitHub-Hookshot/1",
                "x-multi: a",
                "x-multi: b",
                "x-team: red",
            ]
        );
    }

    #[test]
    fn o2_a_replay_is_named_and_a_keyless_message_has_no_key() {
        let bare = Outgoing {
            replay: Some("rpl_1"),
            idempotency_key: None,
            content_type: None,
            ..attempt(&[], &[])
        };
        assert_eq!(
            lines(&delivery_headers(&bare)),
            [
                "webhook-id: msg_1".to_owned(),
                "webhook-timestamp: 1700000000".to_owned(),
                "webhook-signature: v1,c2ln".to_owned(),
                "hooklatch-attempt: 2".to_owned(),
                "hooklatch-trigger: retry".to_owned(),
                "hooklatch-original-time: 2023-11-14T22:13:19.123Z".to_owned(),
                "hooklatch-replay: rpl_1".to_owned(),
                format!("user-agent: {USER_AGENT}"),
            ]
        );
    }

    #[test]
    fn o6_credentials_hop_by_hop_and_our_own_names_are_not_forwarded() {
        let forwarded = original(&[
            ("authorization", "Bearer in"),
            ("cookie", "a=b"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("idempotency-key", "theirs"),
            ("hooklatch-anything", "theirs"),
            ("webhook-signature", "v1,theirs"),
            ("x-kept", "yes"),
        ]);
        let out = lines(&delivery_headers(&attempt(&forwarded, &[])));
        assert_eq!(out.last().map(String::as_str), Some("x-kept: yes"));
        assert_eq!(out.len(), 10, "{out:?}");
    }

    #[test]
    fn a_custom_header_wins_over_the_original_and_may_carry_credentials() {
        let forwarded = original(&[("x-env", "theirs"), ("user-agent", "theirs")]);
        let custom = own(&[
            ("X-Env", "ours"),
            ("User-Agent", "ours"),
            ("Authorization", "Bearer out"),
            ("Content-Type", "application/cloudevents+json"),
        ]);
        let out = lines(&delivery_headers(&attempt(&forwarded, &custom)));
        for once in [
            "x-env: ours",
            "user-agent: ours",
            "authorization: Bearer out",
            "content-type: application/cloudevents+json",
        ] {
            let name = once.split(':').next().unwrap();
            let same: Vec<_> = out.iter().filter(|line| line.starts_with(name)).collect();
            assert_eq!(same, [once]);
        }
    }

    #[test]
    fn bytes_beyond_ascii_are_forwarded_unchanged() {
        let forwarded = original(&[("x-name", "Zo\u{eb}")]);
        let input = attempt(&forwarded, &[]);
        let out = delivery_headers(&input);
        assert_eq!(
            out.last().map(|(_, value)| value.as_ref()),
            Some("Zo\u{eb}".as_bytes())
        );
    }

    #[test]
    fn what_an_attempt_says_of_its_trace_replaces_what_came_and_yields_to_custom_headers() {
        let came = original(&[
            ("traceparent", "theirs"),
            ("tracestate", "t=1"),
            ("hooklatch-trace", "kept"),
        ]);
        let trace = TraceHeaders {
            traceparent: "ours".to_owned(),
            tracestate: None,
        };
        let said = |trace: Option<&TraceHeaders>, custom: &[(String, String)]| {
            let input = Outgoing {
                trace,
                ..attempt(&came, custom)
            };
            let all = lines(&delivery_headers(&input));
            let of_trace = all.into_iter().filter(|line| line.contains("trace"));
            of_trace.collect::<Vec<_>>()
        };
        let (none, by_hand) = (own(&[]), own(&[("Traceparent", "by hand")]));
        let as_it_came = ["traceparent: theirs", "tracestate: t=1"];
        assert_eq!(said(None, &none), as_it_came);
        assert_eq!(said(Some(&trace), &none), ["traceparent: ours"]);
        assert_eq!(said(Some(&trace), &by_hand), ["traceparent: by hand"]);
    }

    #[test]
    fn o1_several_connections_to_one_endpoint_have_ids_of_their_own() {
        let message = MessageId::from_number(7);
        let connections = [1, 2].map(ConnectionId::from_number);
        let ids = connections.map(|connection| webhook_id(message, Some(connection)));
        assert_eq!(webhook_id(message, None), message.to_string());
        assert_ne!(ids[0], ids[1]);
        assert!(
            ids.iter()
                .all(|id| id.starts_with(&message.to_string()) && !id.contains('.'))
        );
    }
}
