//! Messages, and the ones that shall be sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::wire_enum;
use crate::Error;

/// Where a message shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To one endpoint, by its id.
    Endpoint(String),
    /// To a URL that is no endpoint.
    Url(String),
    /// To every endpoint of a customer.
    Tenant(String),
    /// To every endpoint.
    Broadcast,
}

/// A message that shall be sent.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Where it goes.
    pub target: Target,
    /// What it says; the receiver gets these bytes.
    pub payload: Box<RawValue>,
    /// Its type.
    pub event_type: Option<String>,
    /// What makes two calls the same. Where none is given, the client makes one.
    pub idempotency_key: Option<String>,
    /// Headers that each delivery carries.
    pub headers: BTreeMap<String, String>,
    /// How long it waits before it is delivered.
    pub delay_seconds: Option<u64>,
    /// What signs it, for [`Target::Url`]; the project's secret where none is given.
    pub secret: Option<String>,
}

impl NewMessage {
    /// A message of anything that can be written as JSON.
    pub fn new(target: Target, payload: &impl Serialize) -> Result<Self, Error> {
        let payload = serde_json::value::to_raw_value(payload).map_err(Error::Payload)?;
        Ok(Self::raw(target, payload))
    }

    /// A message of JSON as it is written.
    pub fn raw(target: Target, payload: Box<RawValue>) -> Self {
        Self {
            target,
            payload,
            event_type: None,
            idempotency_key: None,
            headers: BTreeMap::new(),
            delay_seconds: None,
            secret: None,
        }
    }

    /// With this type.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// With this key.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// As it goes over the wire, under a key that the caller has made sure of.
    pub(crate) fn with_key<'a>(&'a self, key: &'a str) -> NewMessageBody<'a> {
        let mut body = NewMessageBody {
            endpoint_id: None,
            url: None,
            tenant: None,
            broadcast: None,
            event_type: self.event_type.as_deref(),
            payload: &self.payload,
            idempotency_key: key,
            headers: &self.headers,
            delay_seconds: self.delay_seconds,
            secret: self.secret.as_deref(),
        };
        match &self.target {
            Target::Endpoint(id) => body.endpoint_id = Some(id),
            Target::Url(url) => body.url = Some(url),
            Target::Tenant(tenant) => body.tenant = Some(tenant),
            Target::Broadcast => body.broadcast = Some(true),
        }
        body
    }
}

#[derive(Serialize)]
pub(crate) struct NewMessageBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    payload: &'a RawValue,
    idempotency_key: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

wire_enum! {
    /// How a message stands: the first of these that any of its deliveries has.
    MessageStatus {
        /// A delivery has ended without success.
        Failed = "failed",
        /// A delivery waits for a person.
        Held = "held",
        /// A delivery is being attempted.
        Delivering = "delivering",
        /// A delivery waits for its time.
        Pending = "pending",
        /// A person called a delivery off.
        Cancelled = "cancelled",
        /// Every delivery succeeded.
        Delivered = "delivered",
        /// No connection and no endpoint matched.
        NoRoute = "no_route",
        /// Every connection's rules dropped it.
        Filtered = "filtered",
    }
}

impl MessageStatus {
    /// Whether something is still under way without a person's help.
    pub const fn is_moving(self) -> bool {
        match self {
            Self::Delivering | Self::Pending => true,
            Self::Failed
            | Self::Held
            | Self::Cancelled
            | Self::Delivered
            | Self::NoRoute
            | Self::Filtered
            | Self::Other => false,
        }
    }
}

/// One business event.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Message {
    /// Its id, and its `webhook-id`.
    pub id: String,
    /// How it stands.
    pub status: MessageStatus,
    /// The source it came through; none for the send API.
    #[serde(default)]
    pub source_id: Option<String>,
    /// Its type.
    #[serde(default)]
    pub event_type: Option<String>,
    /// Its key, as the provider or the caller wrote it.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// Its key as the ledger has it.
    #[serde(default)]
    pub checksum: Option<String>,
    /// What its payload looks like.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// How many requests repeated it.
    #[serde(default)]
    pub duplicates: u64,
    /// What it says.
    #[serde(default)]
    pub payload: Option<Box<RawValue>>,
    /// How the payload is shown: `json`, `text` or `base64`; none where a list leaves it out.
    #[serde(default)]
    pub payload_encoding: Option<String>,
    /// The headers of its request.
    #[serde(default)]
    pub headers: Value,
    /// When it arrived, as RFC 3339.
    #[serde(default)]
    pub received_at: Option<String>,
    /// Its deliveries.
    #[serde(default)]
    pub deliveries: Vec<MessageDelivery>,
    /// What its connections did with it.
    #[serde(default)]
    pub routing: Vec<MessageRouting>,
    /// What the server would have people know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What one connection did with a message.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct MessageRouting {
    /// The connection.
    pub connection_id: String,
    /// `routed`, `filtered` or `deduplicated`.
    pub outcome: String,
    /// The position of the rule that decided, from 0.
    #[serde(default)]
    pub rule: Option<u16>,
    /// Why.
    #[serde(default)]
    pub detail: Option<String>,
    /// The message that had the key before.
    #[serde(default)]
    pub original_message_id: Option<String>,
    /// What its rules in shadow mode would have dropped.
    #[serde(default)]
    pub shadows: Vec<WouldDrop>,
}

/// A rule in shadow mode that would have dropped a message.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct WouldDrop {
    /// The position of the rule, from 0.
    pub rule: u16,
    /// Why.
    pub detail: String,
    /// The message that had the key before.
    pub original_message_id: String,
    /// Whether that one has another payload.
    pub payload_differs: bool,
}

/// A delivery as its message lists it.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct MessageDelivery {
    /// Its id.
    pub id: String,
    /// Where it goes; none where the message names a URL.
    #[serde(default)]
    pub endpoint_id: Option<String>,
    /// How it stands.
    pub status: super::DeliveryStatus,
    /// Attempts so far.
    #[serde(default)]
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_its_own_field() {
        let targets = [
            (Target::Endpoint("ep_1".into()), r#""endpoint_id":"ep_1""#),
            (Target::Url("http://x".into()), r#""url":"http://x""#),
            (Target::Tenant("acme".into()), r#""tenant":"acme""#),
            (Target::Broadcast, r#""broadcast":true"#),
        ];
        for (target, field) in targets {
            let message = NewMessage::new(target, &1).unwrap();
            let text = serde_json::to_string(&message.with_key("k")).unwrap();
            assert_eq!(
                text,
                format!(r#"{{{field},"payload":1,"idempotency_key":"k"}}"#)
            );
        }
    }

    #[test]
    fn the_payload_keeps_the_callers_bytes() {
        let written = r#"{"b": 9007199254740993, "a":1.0}"#;
        let payload = RawValue::from_string(written.into()).unwrap();
        let message = NewMessage::raw(Target::Broadcast, payload);
        let text = serde_json::to_string(&message.with_key("k")).unwrap();
        assert!(text.contains(written), "{text}");
    }
}
