//! The rows of what has happened: messages, requests, deliveries, attempts, keys, and who changed
//! what.

use hooklatch_core::cause::Cause;

use super::table::FlagKind::{Of, OneOf, Text, Time};
use super::table::Way::{Delete, Get, Post};
use super::table::{Column, Flag, Ids, Resource, flag, verb};

#[rustfmt::skip]
const BETWEEN: &[Flag] = &[
    flag("after", "TIME", "after", Time, "Only from this time on: RFC 3339, or how long ago (90s, 30m, 2h, 3d)"),
    flag("before", "TIME", "before", Time, "Only before this time"),
];

#[rustfmt::skip]
const SAID: &[Flag] = &[
    flag("reason", "TEXT", "reason", Text, "Why; it is noted in the audit log"),
];

#[rustfmt::skip]
const DELIVERY_STATUSES: &[&str] = &[
    "pending", "delivering", "delivered", "failed", "held", "cancelled", "no_route", "filtered",
];

#[rustfmt::skip]
const TRIGGERS: &[&str] = &[
    "first", "retry", "manual", "replay", "redrive", "recovery", "failover",
];

const CAUSES: &[&str] = &causes();

const fn causes() -> [&'static str; Cause::ALL.len()] {
    let mut names = [""; Cause::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Cause::ALL[at].as_str();
        at += 1;
    }
    names
}

#[rustfmt::skip]
const OF_MESSAGES: &[Flag] = &[
    flag("source", "NAME", "source_id", Of("sources"), "Only through this source (its name or id)"),
    flag("endpoint", "NAME", "endpoint_id", Of("endpoints"), "Only to this endpoint (its name or id)"),
    flag("tenant", "TENANT", "tenant", Text, "Only of this customer"),
    flag("event-type", "TYPE", "event_type", Text, "Only of this type"),
    flag("status", "STATUS", "status", OneOf(DELIVERY_STATUSES), "Only with this status"),
    flag("key", "KEY", "key", Text, "Only under this key"),
    flag("q", "TEXT", "q", Text, "Only whose payload has this text"),
];

#[rustfmt::skip]
const MESSAGE_COLUMNS: &[Column] = &[
    ("id", "id"), ("received", "received_at"), ("event type", "event_type"), ("key", "idempotency_key"),
    ("status", "status"), ("duplicates", "duplicates"), ("deliveries", "deliveries"), ("source", "source_id"),
];

#[rustfmt::skip]
const REQUEST_COLUMNS: &[Column] = &[
    ("id", "id"), ("received", "received_at"), ("outcome", "outcome"), ("cause", "cause"), ("effect", "effect"),
    ("key", "key"), ("message", "message_id"), ("reason", "reason"), ("status", "response_status"),
];

#[rustfmt::skip]
const DELIVERY_COLUMNS: &[Column] = &[
    ("id", "id"), ("endpoint", "endpoint_id"), ("status", "status"), ("attempts", "attempts"),
    ("next attempt", "next_attempt_at"), ("reason", "reason"),
];

#[rustfmt::skip]
const ATTEMPT_COLUMNS: &[Column] = &[
    ("id", "id"), ("started", "started_at"), ("endpoint", "endpoint_id"), ("number", "number"), ("trigger", "trigger"),
    ("outcome", "outcome"), ("status", "status_code"), ("ms", "duration_ms"), ("error", "error"),
];

#[rustfmt::skip]
const CLAIM_COLUMNS: &[Column] = &[
    ("scope", "scope"), ("key", "key"), ("message", "message_id"), ("first seen", "first_seen_at"),
    ("expires", "expires_at"), ("duplicates", "duplicates"),
];

/// What was accepted.
#[rustfmt::skip]
pub(super) const MESSAGES: Resource = Resource {
    name: "messages",
    one: "message",
    about: "Show messages, with their duplicates and deliveries, and send them again",
    ids: Ids::Only,
    verbs: &[
        verb("list", "List messages, the newest first", "list --source stripe --status failed --after 2h", Get, "/v1/messages", &[OF_MESSAGES, BETWEEN]).lists(MESSAGE_COLUMNS),
        verb("get", "Show a message", "get msg_06f1x2m9k3a7c", Get, "/v1/messages/{id}", &[]),
        verb("requests", "List the request that became it, and what repeated it", "requests msg_06f1x2m9k3a7c", Get, "/v1/messages/{id}/requests", &[]).lists(REQUEST_COLUMNS),
        verb("deliveries", "List its deliveries", "deliveries msg_06f1x2m9k3a7c", Get, "/v1/messages/{id}/deliveries", &[]).lists(DELIVERY_COLUMNS),
        verb("retry", "Attempt at once what was not delivered", "retry msg_06f1x2m9k3a7c --reason 'fixed the parser'", Post, "/v1/messages/{id}/retry", &[SAID]),
    ],
};

#[rustfmt::skip]
const OF_REQUESTS: &[Flag] = &[
    flag("outcome", "OUTCOME", "outcome", OneOf(&["accepted", "duplicate", "conflict", "rejected"]), "Only with this outcome"),
    flag("cause", "CAUSE", "cause", OneOf(CAUSES), "Only repetitions that came for this cause"),
    flag("source", "NAME", "source_id", Of("sources"), "Only through this source (its name or id)"),
    flag("key", "KEY", "key", Text, "Only under this key"),
];

/// What arrived.
#[rustfmt::skip]
pub(super) const REQUESTS: Resource = Resource {
    name: "requests",
    one: "request",
    about: "Show what arrived, duplicates and refusals included, and decide on what is held",
    ids: Ids::Only,
    verbs: &[
        verb("list", "List requests, the newest first", "list --outcome duplicate --cause provider_retry", Get, "/v1/requests", &[OF_REQUESTS, BETWEEN]).lists(REQUEST_COLUMNS),
        verb("get", "Show a request with its body", "get req_06f1x2m9k3a7c", Get, "/v1/requests/{id}", &[]),
        verb("release", "Say that it is no duplicate: it becomes a message of its own", "release req_06f1x2m9k3a7c", Post, "/v1/requests/{id}/release", &[SAID]),
        verb("discard", "Discard a held request", "discard req_06f1x2m9k3a7c --reason 'a test'", Post, "/v1/requests/{id}/discard", &[SAID]),
    ],
};

/// What goes to endpoints.
#[rustfmt::skip]
pub(super) const DELIVERIES: Resource = Resource {
    name: "deliveries",
    one: "delivery",
    about: "Show deliveries, send them again, and call them off",
    ids: Ids::Only,
    verbs: &[
        verb("list", "List the deliveries of a message", "list msg_06f1x2m9k3a7c", Get, "/v1/messages/{id}/deliveries", &[]).lists(DELIVERY_COLUMNS),
        verb("get", "Show a delivery", "get dlv_06f1x2m9k3a7c", Get, "/v1/deliveries/{id}", &[]),
        verb("attempts", "List its attempts", "attempts dlv_06f1x2m9k3a7c", Get, "/v1/deliveries/{id}/attempts", &[]).lists(ATTEMPT_COLUMNS),
        verb("retry", "Attempt it at once", "retry dlv_06f1x2m9k3a7c", Post, "/v1/deliveries/{id}/retry", &[SAID]),
        verb("cancel", "Call it off", "cancel dlv_06f1x2m9k3a7c --reason 'the customer left'", Post, "/v1/deliveries/{id}/cancel", &[SAID]),
    ],
};

#[rustfmt::skip]
const OF_ATTEMPTS: &[Flag] = &[
    flag("trigger", "TRIGGER", "trigger", OneOf(TRIGGERS), "Only made for this"),
    flag("outcome", "OUTCOME", "outcome", OneOf(&["delivered", "failed", "uncertain", "rejected"]), "Only with this outcome"),
    flag("endpoint", "NAME", "endpoint_id", Of("endpoints"), "Only at this endpoint (its name or id)"),
];

/// What was sent.
#[rustfmt::skip]
pub(super) const ATTEMPTS: Resource = Resource {
    name: "attempts",
    one: "attempt",
    about: "Show attempts that have ended",
    ids: Ids::Only,
    verbs: &[
        verb("list", "List attempts, the newest first", "list --endpoint shop --outcome failed --after 1d", Get, "/v1/attempts", &[OF_ATTEMPTS, BETWEEN]).lists(ATTEMPT_COLUMNS),
    ],
};

#[rustfmt::skip]
const OF_KEYS: &[Flag] = &[
    flag("scope", "SCOPE", "scope", Text, "Only in this scope, for example source:src_06f1x2m9k3a7c"),
    flag("reason", "TEXT", "reason", Text, "Why; it is noted in the audit log"),
];

/// The ledger.
#[rustfmt::skip]
pub(super) const KEYS: Resource = Resource {
    name: "keys",
    one: "key",
    about: "Look keys up in the ledger, and free them",
    ids: Ids::Keys,
    verbs: &[
        verb("get", "List the claims of a key: under which scopes it is known, and of which message", "get evt_1042", Get, "/v1/keys?key={id}", &[]).lists(CLAIM_COLUMNS),
        verb("delete", "Free a key: its next arrival is new", "delete evt_1042 --yes --reason 'sent by mistake'", Delete, "/v1/keys?key={id}", &[OF_KEYS]),
    ],
};

/// Who changed what.
#[rustfmt::skip]
pub(super) const AUDIT: Resource = Resource {
    name: "audit",
    one: "line",
    about: "Show who changed what",
    ids: Ids::Only,
    verbs: &[
        verb("list", "List changes, the newest first", "list --limit 20", Get, "/v1/audit", &[]).lists(&[
            ("at", "at"), ("actor", "actor"), ("action", "action"), ("subject", "subject"), ("reason", "reason"),
        ]),
    ],
};
