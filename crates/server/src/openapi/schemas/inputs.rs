//! What clients write.

use serde_json::{Value, json};

use super::{Schemas, flag, id, input, object, reference, scopes, text, texts};

fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 128})
}

fn list() -> Value {
    json!({"type": "array"})
}

/// One of whose fields only some are named here; what is unknown is refused all the same.
fn open(required: &[&str], fields: &[(&str, Value)]) -> Value {
    let mut schema = input(required, fields);
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("additionalProperties");
    }
    schema
}

/// Sources, endpoints and the rest.
pub(super) fn resources() -> Schemas {
    let source = [
        ("name", name()),
        ("provider", text()),
        ("verifier", object()),
        ("key", object()),
        ("window_seconds", json!({})),
    ];
    let endpoint = [("name", name()), ("url", text()), ("event_types", texts())];
    let connection = [
        ("name", name()),
        ("source_id", text()),
        ("event_types", texts()),
        ("endpoint_id", text()),
        ("rules", list()),
    ];
    let key = [
        ("name", name()),
        ("project_id", id("prj_")),
        ("scopes", scopes()),
        ("admin", flag()),
    ];
    let project = [("name", name())];
    vec![
        ("SourceInput", open(&["name"], &source)),
        ("EndpointInput", open(&["name", "url"], &endpoint)),
        (
            "ConnectionInput",
            open(&["name", "endpoint_id"], &connection),
        ),
        ("ProjectInput", input(&["name"], &project)),
        ("ApiKeyInput", input(&["name", "scopes"], &key)),
    ]
}

/// What single calls carry.
pub(super) fn calls() -> Schemas {
    let overlap = json!({"type": "integer", "minimum": 0, "maximum": 2_592_000});
    let trial = [
        ("script", text()),
        ("request", object()),
        ("message_id", text()),
    ];
    let send = [
        ("endpoint_id", text()),
        ("url", text()),
        ("tenant", text()),
        ("broadcast", flag()),
        ("event_type", text()),
        ("payload", json!({})),
        ("idempotency_key", text()),
    ];
    let items = json!({"type": "array", "maxItems": 1000, "items": reference("Send")});
    vec![
        ("Said", input(&[], &[("reason", text())])),
        ("Rotation", input(&[], &[("overlap_seconds", overlap)])),
        ("Trial", input(&["script"], &trial)),
        ("Send", open(&["payload"], &send)),
        ("SendBatch", input(&["items"], &[("items", items)])),
    ]
}
