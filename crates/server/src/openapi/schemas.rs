//! The schemas of the document. Records may have more fields than are named here: they are added,
//! never renamed. Names of outcomes, causes and the like come from our own enums.

mod inputs;
mod jobs;

use hooklatch_core::cause::Cause;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::{DeliveryStatus, Trigger};
use hooklatch_core::message::RequestOutcome;
use hooklatch_store::record::Code;
use serde_json::{Map, Value, json};

use crate::stream::EventKind;

/// The names of every value of one of our enums, whose codes count from 0.
fn names<T: Code>(name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    let values = (0..64).map_while(|code| T::of_code(code).ok());
    values.map(name).collect()
}

fn one_of(names: &[&str]) -> Value {
    json!({"type": "string", "enum": names})
}

pub(super) fn request_outcomes() -> Value {
    one_of(&names(RequestOutcome::as_str))
}

pub(super) fn attempt_outcomes() -> Value {
    one_of(&names(AttemptOutcome::as_str))
}

pub(super) fn log_outcomes() -> Value {
    one_of(&crate::stream::OUTCOMES)
}

pub(super) fn causes() -> Value {
    one_of(&Cause::ALL.map(Cause::as_str))
}

pub(super) fn triggers() -> Value {
    one_of(&names(Trigger::as_str))
}

pub(super) fn message_statuses() -> Value {
    let mut all = names(DeliveryStatus::as_str);
    all.extend(["no_route", "filtered"]);
    one_of(&all)
}

pub(super) fn event_kinds() -> Value {
    one_of(&EventKind::ALL.map(EventKind::as_str))
}

pub(super) fn steps() -> Value {
    json!({"type": "integer", "enum": crate::stats::STEPS})
}

/// The same, or null. What may be anything, or is named elsewhere, stays as it is.
fn maybe(mut schema: Value) -> Value {
    if !schema["type"].is_string() {
        return schema;
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.push(Value::Null);
    }
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    schema
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn number() -> Value {
    json!({"type": "integer"})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn object() -> Value {
    json!({"type": "object"})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn id(prefix: &str) -> Value {
    json!({"type": "string", "pattern": format!("^{prefix}[0-9a-z]{{13}}$")})
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// A record: these fields are always there.
fn record(fields: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// What a client writes: no other fields, and only these required. Null says the same as leaving
/// the field out.
fn input(required: &[&str], fields: &[(&str, Value)]) -> Value {
    let mut all = Vec::with_capacity(fields.len());
    for (name, schema) in fields {
        let needed = required.contains(name);
        let schema = schema.clone();
        all.push((*name, if needed { schema } else { maybe(schema) }));
    }
    let mut schema = record(&all);
    schema["required"] = json!(required);
    schema["additionalProperties"] = json!(false);
    schema
}

/// A page of records.
pub(super) fn list_of(schema: &str) -> Value {
    record(&[
        ("data", json!({"type": "array", "items": reference(schema)})),
        ("next_cursor", maybe(text())),
    ])
}

/// Every schema.
pub(super) fn all() -> Value {
    let parts = [
        shared(),
        configuration(),
        inputs::resources(),
        inputs::calls(),
        history(),
        jobs::replays(),
        jobs::claims(),
        watching(),
    ];
    let all: Map<String, Value> = parts
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    Value::Object(all)
}

type Schemas = Vec<(&'static str, Value)>;

fn shared() -> Schemas {
    let problem = record(&[
        ("type", text()),
        ("title", text()),
        ("status", number()),
        ("detail", text()),
        ("request_id", text()),
    ]);
    let errors = record(&[("pointer", text()), ("detail", text())]);
    let mut with_errors = problem;
    with_errors["properties"]["errors"] = json!({"type": "array", "items": errors});
    vec![
        ("Problem", with_errors),
        ("Anything", object()),
        ("Status", record(&[("status", text())])),
        (
            "Ready",
            record(&[
                ("status", text()),
                ("store", one_of(&["memory", "file", "database"])),
            ]),
        ),
        ("Freed", record(&[("freed", number())])),
        ("IngestAnswer", object()),
        ("Tried", record(&[("request", object())])),
        (
            "SendBatchAnswer",
            record(&[("data", json!({"type": "array", "items": object()}))]),
        ),
    ]
}

fn configuration() -> Schemas {
    let source = record(&[
        ("id", id("src_")),
        ("project_id", id("prj_")),
        ("name", text()),
        ("ingest_url", json!({"type": "string", "format": "uri"})),
        ("warnings", texts()),
        ("methods", texts()),
        ("max_body_bytes", number()),
        ("paused", flag()),
        ("created_at", time()),
        ("updated_at", time()),
    ]);
    let endpoint = record(&[
        ("id", id("ep_")),
        ("project_id", id("prj_")),
        ("name", text()),
        ("url", text()),
        ("event_types", texts()),
        ("headers", object()),
        ("timeout_seconds", number()),
        ("paused", flag()),
        ("warnings", texts()),
        ("created_at", time()),
        ("updated_at", time()),
    ]);
    let connection = record(&[
        ("id", id("con_")),
        ("project_id", id("prj_")),
        ("name", text()),
        ("endpoint_id", id("ep_")),
    ]);
    let project = record(&[("id", id("prj_")), ("name", text()), ("created_at", time())]);
    let key = record(&[
        ("id", id("key_")),
        ("project_id", id("prj_")),
        ("name", text()),
        ("scopes", scopes()),
        ("admin", flag()),
        ("created_at", time()),
        ("last_used_at", maybe(time())),
    ]);
    vec![
        ("Source", source),
        ("Endpoint", endpoint),
        ("Connection", connection),
        ("Project", project),
        ("ApiKey", key),
    ]
}

fn scopes() -> Value {
    json!({"type": "array", "items": {"type": "string", "enum": ["read", "send", "manage"]}})
}

fn history() -> Schemas {
    let message = record(&[
        ("id", id("msg_")),
        ("project_id", id("prj_")),
        ("source_id", maybe(text())),
        ("event_type", maybe(text())),
        ("idempotency_key", maybe(text())),
        ("outcome", text()),
        ("status", message_statuses()),
        ("duplicates", number()),
        ("received_at", time()),
        ("deliveries", json!({"type": "array", "items": object()})),
    ]);
    let request = record(&[
        ("id", id("req_")),
        ("direction", one_of(&["inbound", "outbound"])),
        ("source_id", maybe(text())),
        ("outcome", request_outcomes()),
        ("duplicate", flag()),
        ("cause", maybe(causes())),
        ("evidence", maybe(text())),
        ("message_id", maybe(text())),
        ("received_at", time()),
        ("response_status", number()),
    ]);
    let delivery = record(&[
        ("id", id("dlv_")),
        ("message_id", id("msg_")),
        ("endpoint_id", maybe(text())),
        ("status", one_of(&names(DeliveryStatus::as_str))),
        ("attempts", number()),
        ("next_attempt_at", maybe(time())),
    ]);
    let attempt = record(&[
        ("id", id("att_")),
        ("delivery_id", id("dlv_")),
        ("message_id", id("msg_")),
        ("endpoint_id", maybe(text())),
        ("number", number()),
        ("trigger", triggers()),
        ("outcome", attempt_outcomes()),
        ("status_code", maybe(number())),
        ("started_at", time()),
    ]);
    let claim = record(&[
        ("scope", text()),
        ("key", text()),
        ("checksum", text()),
        ("message_id", id("msg_")),
        ("first_seen_at", time()),
        ("expires_at", maybe(time())),
        ("duplicates", number()),
    ]);
    vec![
        ("Message", message),
        ("Request", request),
        ("Delivery", delivery),
        ("Attempt", attempt),
        ("Claim", claim),
    ]
}

fn watching() -> Schemas {
    let counts = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let rate = json!({"type": "number"});
    let requests = record(&[
        ("total", number()),
        ("per_second", rate.clone()),
        ("by_outcome", counts.clone()),
        ("by_cause", counts.clone()),
        ("unkeyed", number()),
        ("coverage", maybe(rate.clone())),
    ]);
    let attempts = record(&[
        ("total", number()),
        ("per_second", rate.clone()),
        ("by_outcome", counts.clone()),
        ("by_trigger", counts),
        ("average_ms", maybe(rate.clone())),
    ]);
    let waiting = record(&[
        ("deliveries", number()),
        ("at_least", flag()),
        ("oldest_at", maybe(time())),
        ("oldest_seconds", maybe(rate)),
    ]);
    let stats = record(&[
        ("after", time()),
        ("before", time()),
        ("step_seconds", number()),
        ("requests", requests),
        ("attempts", attempts),
        ("waiting", waiting),
        ("series", json!({"type": "array", "items": object()})),
        ("sources", json!({"type": "array", "items": object()})),
        ("endpoints", json!({"type": "array", "items": object()})),
    ]);
    let line = record(&[
        ("id", id("aud_")),
        ("at", time()),
        ("actor", maybe(id("key_"))),
        ("action", text()),
        ("subject", text()),
        ("reason", maybe(text())),
        ("before", maybe(object())),
        ("after", maybe(object())),
    ]);
    vec![("Stats", stats), ("AuditLine", line)]
}
