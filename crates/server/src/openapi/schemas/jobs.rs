//! Replays, and the claims of receivers: what is written and what is answered.

use hooklatch_core::limits::{
    EVENT_TYPE_CHARS_MAX, REASON_CHARS_MAX, REPLAY_IDS_MAX, REPLAY_RATE_MAX,
};
use hooklatch_core::receiving::limits::{
    ATTEMPTS_MAX, LEASE_MAX, METADATA_BYTES_MAX, NAME_BYTES_MAX, RETENTION_MAX, SCOPE_CHARS_MAX,
    STEP_NAME_BYTES_MAX,
};
use serde_json::{Value, json};

use super::{
    Schemas, flag, id, input, maybe, message_statuses, number, object, one_of, record, reference,
    text, time,
};

fn text_of(shortest: usize, longest: usize) -> Value {
    json!({"type": "string", "minLength": shortest, "maxLength": longest})
}

fn reason() -> Value {
    text_of(0, REASON_CHARS_MAX)
}

fn seconds(max: std::time::Duration) -> Value {
    json!({"type": "number", "exclusiveMinimum": 0, "maximum": max.as_secs()})
}

/// `POST /v1/replays` and its like.
pub(super) fn replays() -> Schemas {
    let ids =
        json!({"type": "array", "items": id("msg_"), "minItems": 1, "maxItems": REPLAY_IDS_MAX});
    let rate = json!({"type": "integer", "minimum": 1, "maximum": REPLAY_RATE_MAX});
    let filter = [
        ("ids", ids),
        ("source_id", id("src_")),
        ("connection_id", id("con_")),
        ("endpoint_id", id("ep_")),
        ("key", text()),
        ("status", message_statuses()),
        ("event_type", text_of(1, EVENT_TYPE_CHARS_MAX)),
        ("after", time()),
        ("before", time()),
    ];
    let plan = [
        ("filter", reference("ReplayFilter")),
        ("include_delivered", flag()),
        ("as_new", flag()),
        ("confirm", flag()),
        ("to_endpoint", id("ep_")),
        ("rate_per_second", rate.clone()),
        ("reason", reason()),
    ];
    let bulk = [
        ("filter", reference("ReplayFilter")),
        ("rate_per_second", rate),
        ("reason", reason()),
    ];
    vec![
        ("ReplayFilter", input(&[], &filter)),
        ("ReplayInput", input(&["filter"], &plan)),
        ("BulkInput", input(&["filter"], &bulk)),
        ("Replay", replay()),
    ]
}

fn replay() -> Value {
    let statuses = [
        "planning",
        "ready",
        "running",
        "paused",
        "done",
        "cancelled",
    ];
    record(&[
        ("id", id("rpl_")),
        ("project_id", id("prj_")),
        ("status", one_of(&statuses)),
        ("action", one_of(&["send", "cancel"])),
        ("filter", object()),
        ("include_delivered", flag()),
        ("as_new", flag()),
        ("to_endpoint", maybe(id("ep_"))),
        ("rate_per_second", number()),
        ("counts", object()),
        ("total", number()),
        ("done", number()),
        ("failed", number()),
        ("skipped", number()),
        ("gone", number()),
        ("waiting", number()),
        ("message", text()),
        ("created_at", time()),
        ("started_at", maybe(time())),
        ("ended_at", maybe(time())),
    ])
}

/// `/v1/claims`: what a holder says.
pub(super) fn claims() -> Schemas {
    let token = || json!({"type": "string", "pattern": "^[0-9a-fA-F]{32}$"});
    let result = || ("result", json!({}));
    let bytes = || ("result_base64", text());
    let window = || ("window_seconds", seconds(RETENTION_MAX));
    let error = || ("error", text());
    let metadata = [
        ("provider", text_of(0, METADATA_BYTES_MAX)),
        ("event_type", text_of(0, METADATA_BYTES_MAX)),
        ("received_at", time()),
    ];
    let claim = [
        ("scope", text_of(1, SCOPE_CHARS_MAX)),
        ("key", text_of(1, NAME_BYTES_MAX)),
        (
            "fingerprint",
            json!({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
        ),
        ("lease_seconds", seconds(LEASE_MAX)),
        window(),
        (
            "attempts_max",
            json!({"type": "integer", "minimum": 1, "maximum": ATTEMPTS_MAX}),
        ),
        ("token", token()),
        ("replay", flag()),
        ("metadata", input(&[], &metadata)),
    ];
    let needed = ["scope", "key", "lease_seconds", "window_seconds"];
    let holder = |fields: &[(&str, Value)]| {
        let mut all = vec![("token", token())];
        all.extend_from_slice(fields);
        input(&["token"], &all)
    };
    let wait = json!({"type": "number", "minimum": 0, "maximum": LEASE_MAX.as_secs()});
    let step = [
        ("token", token()),
        ("name", text_of(1, STEP_NAME_BYTES_MAX)),
        result(),
        bytes(),
    ];
    vec![
        ("ReceiverClaimInput", input(&needed, &claim)),
        ("ClaimComplete", holder(&[result(), bytes(), window()])),
        (
            "ClaimRelease",
            holder(&[("retry_after_seconds", wait), error()]),
        ),
        (
            "ClaimRenew",
            holder(&[("lease_seconds", seconds(LEASE_MAX))]),
        ),
        ("ClaimFail", holder(&[error(), window()])),
        ("ClaimStep", input(&["token", "name"], &step)),
        (
            "ClaimAnswer",
            record(&[("outcome", text()), ("id", text())]),
        ),
        ("ReceiverClaim", receiver_claim()),
        (
            "Step",
            record(&[("name", text()), ("generation", number())]),
        ),
    ]
}

fn receiver_claim() -> Value {
    record(&[
        ("id", text()),
        ("scope", text()),
        ("key", text()),
        (
            "state",
            one_of(&["processing", "completed", "released", "dead"]),
        ),
        ("attempts", number()),
        ("generation", number()),
        ("fence", number()),
        ("fingerprint", text()),
        ("error", maybe(text())),
        ("lease_expires_at", maybe(time())),
        ("retry_at", maybe(time())),
        ("expires_at", maybe(time())),
        ("metadata", object()),
    ])
}
