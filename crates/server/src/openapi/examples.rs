//! Examples of what is sent and answered. The reader's own URL stands in the document's `servers`.

use serde_json::{Value, json};

/// An example of a schema, where there is one.
pub(super) fn of(schema: &str) -> Option<Value> {
    Some(match schema {
        "SourceInput" => json!({"name": "shop", "provider": "stripe",
            "verifier": {"secret": "whsec_…"}}),
        "EndpointInput" => json!({"name": "worker", "url": "https://worker.example.com/hooks",
            "event_types": ["order.*"]}),
        "ConnectionInput" => json!({"name": "shop to worker",
            "source_id": "src_1v3hzm1qg0000", "endpoint_id": "ep_1v3hzm1qg0001"}),
        "ProjectInput" => json!({"name": "staging"}),
        "ApiKeyInput" => json!({"name": "deploy", "scopes": ["read", "manage"]}),
        "Rotation" => json!({"overlap_seconds": 86_400}),
        "Trial" => json!({"script": "function transform(request) { return request }",
            "request": {"headers": {}, "query": {}, "path": "", "body": {"id": 1}}}),
        "Send" => json!({"endpoint_id": "ep_1v3hzm1qg0001", "event_type": "order.paid",
            "payload": {"order": 4711}, "idempotency_key": "order-4711-paid"}),
        "SendBatch" => json!({"items": [{"tenant": "acme", "payload": {"order": 4711},
            "idempotency_key": "order-4711-paid"}]}),
        "ReplayInput" => json!({"filter": {"status": "failed", "after": "2026-11-22T08:00:00Z"},
            "rate_per_second": 50, "reason": "the worker was down"}),
        "BulkInput" => json!({"filter": {"status": "failed"}, "reason": "the worker was down"}),
        "ReceiverClaimInput" => json!({"scope": "stripe/billing", "key": "evt_1042",
            "lease_seconds": 60, "window_seconds": 2_592_000}),
        "ClaimComplete" => json!({"token": "0123456789abcdef0123456789abcdef",
            "result": {"invoice": 4711}}),
        "Freed" => json!({"freed": 1}),
        "Status" => json!({"status": "ok"}),
        "Ready" => json!({"status": "ready", "store": "file"}),
        _ => return None,
    })
}
