//! One message to this machine, as an endpoint would get it (O1, O2, O6).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hooklatch_client::Message;
use hooklatch_core::ids::MessageId;
use hooklatch_core::outgoing::{Outgoing, delivery_headers, webhook_id};
use hooklatch_core::signature::{SigningSecret, sign};
use hooklatch_core::time::Timestamp;
use hooklatch_egress::{Attempted, Call, Sender, Target};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

/// How long an answer may take: a breakpoint in the receiver is not unusual.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes read of an answer, which nobody looks at.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// Where messages go, and what signs them.
pub(super) struct Forwarder {
    pub sender: Sender,
    pub target: Target,
    pub secret: SigningSecret,
}

impl Forwarder {
    /// Sends a message once.
    pub async fn forward(
        &self,
        (id, message): (MessageId, &Message),
        attempt_number: u32,
        now: Timestamp,
    ) -> Attempted {
        let body = body(message);
        let webhook_id = webhook_id(id, None);
        let secrets = std::slice::from_ref(&self.secret);
        let signature = sign(secrets, &webhook_id, now.as_seconds(), &body);
        let forwarded = headers_of(message);
        let content_type = forwarded.iter().find(|(name, _)| name == "content-type");
        let received = message.received_at.as_deref();
        let trigger = if attempt_number == 1 {
            "first"
        } else {
            "retry"
        };
        let headers = delivery_headers(&Outgoing {
            webhook_id: &webhook_id,
            idempotency_key: message.checksum.as_deref(),
            timestamp: now,
            signature: &signature,
            attempt_number,
            trigger,
            original_time: received.and_then(|at| at.parse().ok()).unwrap_or(now),
            replay: None,
            content_type: content_type.map(|(_, value)| value.as_str()),
            forwarded: &forwarded,
            custom: &[],
            trace: None,
        });
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                map.append(name, value);
            }
        }
        self.sender
            .send(Call {
                method: Method::POST,
                target: self.target.clone(),
                headers: map,
                body,
                timeout: TIMEOUT,
                response_bytes_max: RESPONSE_BYTES_MAX,
            })
            .await
    }
}

/// The bytes of the payload as the API shows it.
fn body(message: &Message) -> Bytes {
    let Some(payload) = &message.payload else {
        return Bytes::new();
    };
    let text = payload.get();
    let bytes = match message.payload_encoding.as_deref() {
        Some("text") => serde_json::from_str::<String>(text)
            .map(String::into_bytes)
            .ok(),
        Some("base64") => serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|value| STANDARD.decode(value.get("base64")?.as_str()?).ok()),
        Some(_) | None => None,
    };
    bytes.map_or_else(|| Bytes::copy_from_slice(text.as_bytes()), Bytes::from)
}

fn headers_of(message: &Message) -> Vec<(String, String)> {
    let headers = message.headers.as_object().into_iter().flatten();
    let texts = headers.filter_map(|(name, value)| {
        let value = value.as_str()?.to_owned();
        Some((name.to_ascii_lowercase(), value))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &str, encoding: &str) -> Message {
        let record = format!(
            r#"{{"id": "msg_1", "status": "delivered", "payload": {payload},
                "payload_encoding": "{encoding}", "headers": {{"X-A": "1", "x-b": null}}}}"#
        );
        serde_json::from_str(&record).unwrap()
    }

    #[test]
    fn the_payload_goes_on_byte_for_byte() {
        for (payload, encoding, bytes) in [
            (r#"{"a":  1.0}"#, "json", &br#"{"a":  1.0}"#[..]),
            (r#""a=1&b=\"2\"""#, "text", br#"a=1&b="2""#),
            (r#"{"base64": "/wA="}"#, "base64", &[0xff, 0]),
            (r#""a text""#, "json", br#""a text""#),
        ] {
            assert_eq!(body(&message(payload, encoding)), bytes, "{encoding}");
        }
        assert_eq!(
            headers_of(&message("1", "json")),
            [("x-a".to_owned(), "1".to_owned())]
        );
    }
}
