//! Puts the document together.

use hooklatch_core::limits::{PAGE_DEFAULT, PAGE_MAX};
use serde_json::{Map, Value, json};

use super::operations::{self, Body, Gives, Operation};
use super::{examples, schemas};

/// The document of the gateway that is reached under `base_url`.
pub fn document(base_url: &str) -> Value {
    let mut paths = Map::new();
    for operation in operations::all() {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(parameters_of_path(operation.path)));
        path[operation.method] = described(&operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hooklatch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A webhook gateway that makes one business event have its effect \
                once. Fields are added, never renamed. Every answer has X-Request-Id.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {"key": {
                "type": "http", "scheme": "bearer",
                "description": "An API key of the project: hl_…",
            }},
            "responses": {"Problem": {
                "description": "What was wrong, what to do, and whether repeating is safe.",
                "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
                "content": {"application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                }},
            }},
        },
    })
}

fn parameters_of_path(path: &str) -> Map<String, Value> {
    let mut item = Map::new();
    let names: Vec<&str> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .collect();
    if !names.is_empty() {
        let parameter = |name: &&str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        item.insert(
            "parameters".to_owned(),
            names.iter().map(parameter).collect(),
        );
    }
    item
}

fn described(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "tags": [tag(operation.path)],
        "responses": responses(operation),
    });
    if let Some(scope) = operation.scope {
        let needs = match scope {
            "admin" => "Needs an admin key.".to_owned(),
            scope => format!("Needs a key with the scope `{scope}`."),
        };
        described["description"] = needs.into();
    } else {
        described["security"] = json!([]);
    }
    if !operation.query.is_empty() {
        described["parameters"] = operation.query.iter().map(|name| parameter(name)).collect();
    }
    if let Some(body) = body(operation) {
        described["requestBody"] = body;
    }
    described
}

fn operation_id(operation: &Operation) -> String {
    let words = operation.path.trim_start_matches("/v1");
    let words = words.replace(['/', '-', '.'], "_").replace(['{', '}'], "");
    format!("{}{words}", operation.method)
}

fn tag(path: &str) -> &str {
    let mut parts = path.trim_start_matches("/v1").split('/').skip(1);
    match (path.starts_with("/v1"), parts.next()) {
        (true, Some(part)) => part,
        (false, Some("ingest")) => "ingest",
        (true | false, _) => "gateway",
    }
}

fn body(operation: &Operation) -> Option<Value> {
    let of = |schema: &str, kind: &str, required: bool| {
        let mut media = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
        if let Some(example) = examples::of(schema) {
            media["example"] = example;
        }
        json!({"required": required, "content": {kind: media}})
    };
    match operation.body {
        Body::Nothing => None,
        Body::Json(schema) => Some(of(schema, "application/json", true)),
        Body::Optional(schema) => Some(of(schema, "application/json", false)),
        Body::Patch(schema) => Some(json!({
            "required": true,
            "content": {"application/merge-patch+json": {"schema": {"type": "object"}}},
            "description": format!(
                "JSON Merge Patch (RFC 7396) over what GET shows; its fields are those of {schema}."
            ),
        })),
        Body::Anything => Some(json!({
            "content": {"*/*": {"schema": {}}},
            "description": "Whatever the provider sends.",
        })),
    }
}

/// What any operation may meet.
const ALWAYS: [u16; 3] = [431, 500, 503];
/// What any operation with a key may meet.
const WITH_KEY: [u16; 5] = [400, 401, 403, 422, 429];
/// What any operation with a body may meet.
const WITH_BODY: [u16; 5] = [400, 408, 413, 422, 429];

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for status in operation.success {
        responses.insert(status.to_string(), success(operation.gives));
    }
    let mut refusals: Vec<u16> = operation.refusals.to_vec();
    refusals.extend(ALWAYS);
    if operation.scope.is_some() {
        refusals.extend(WITH_KEY);
    }
    if !matches!(operation.body, Body::Nothing) {
        refusals.extend(WITH_BODY);
    }
    refusals.sort_unstable();
    refusals.dedup();
    for status in refusals {
        let problem = json!({"$ref": "#/components/responses/Problem"});
        responses.insert(status.to_string(), problem);
    }
    Value::Object(responses)
}

fn success(gives: Gives) -> Value {
    let (description, kind, schema) = match gives {
        Gives::NoContent => return json!({"description": "Done."}),
        Gives::Events => (
            "Events `request`, `attempt`, `delivery` and `missed`, each a JSON record.",
            "text/event-stream",
            json!({"type": "string"}),
        ),
        Gives::Text(kind) => ("The text.", kind, json!({"type": "string"})),
        Gives::Item(schema) => (
            "The record.",
            "application/json",
            json!({"$ref": format!("#/components/schemas/{schema}")}),
        ),
        Gives::List(schema) => (
            "A page, the newest first. It may be short, even empty, and have a next one.",
            "application/json",
            schemas::list_of(schema),
        ),
    };
    let mut media = json!({"schema": schema});
    if let Gives::Item(schema) = gives
        && let Some(example) = examples::of(schema)
    {
        media["example"] = example;
    }
    json!({
        "description": description,
        "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
        "content": {kind: media},
    })
}

/// A query parameter. Two lists have an `outcome` of their own kind; here they have names of their
/// own as well.
fn parameter(name: &str) -> Value {
    let (named, schema, description) = match name {
        "limit" => (
            "limit",
            json!({"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT}),
            "Items of one page.",
        ),
        "cursor" => ("cursor", text(), "The next_cursor of the page before."),
        "after" => ("after", time(), "Not before this time."),
        "before" => ("before", time(), "Before this time."),
        "outcome" => ("outcome", schemas::request_outcomes(), "What became of it."),
        "attempt_outcome" => ("outcome", schemas::attempt_outcomes(), "How it ended."),
        "log_outcome" => ("outcome", schemas::log_outcomes(), "Requests or attempts."),
        "cause" => ("cause", schemas::causes(), "Why it came again."),
        "trigger" => ("trigger", schemas::triggers(), "What it was made for."),
        "status" => ("status", schemas::message_statuses(), "Its status."),
        "type" => ("type", schemas::event_kinds(), "Only these events."),
        "step_seconds" => ("step_seconds", schemas::steps(), "What one step spans."),
        "q" => (
            "q",
            json!({"type": "string", "minLength": 1, "maxLength": 200}),
            "A text in the payload. A page looks through a bounded number of messages.",
        ),
        "dry_run" => (
            "dry_run",
            json!({"type": "boolean", "default": false}),
            "Only say what it would lead to; nothing is changed.",
        ),
        "generation" => (
            "generation",
            json!({"type": "integer", "minimum": 1, "maximum": u32::MAX, "default": 1}),
            "Which run of the claim: a replay begins another.",
        ),
        "key" => (
            "key",
            text(),
            "A key: its raw value, a part of it, or its checksum.",
        ),
        other => (other, text(), ""),
    };
    let mut parameter = json!({"name": named, "in": "query", "schema": schema});
    if !description.is_empty() {
        parameter["description"] = description.into();
    }
    parameter
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}
