//! The rows of what is configured: sources, endpoints, connections, projects and API keys.

use super::table::FlagKind::{Number, Of, OneOf, SecretFile, Switch, Text, Texts};
use super::table::Way::{Change, Delete, Get, Make, Post, Upsert};
use super::table::{Column, Flag, Ids, Resource, flag, verb};

#[rustfmt::skip]
const SOURCE: &[Flag] = &[
    flag("name", "NAME", "name", Text, "Its name, unique in the project"),
    flag("provider", "PROVIDER", "provider", Text, "The provider whose preset gives what is left out, for example stripe"),
    flag("secret-file", "FILE", "verifier.secret", SecretFile, "A file that holds what requests are verified with (- for standard input)"),
    flag("key", "LOCATION", "key.locations", Texts, "Where the key is, for example body:$.id or header:x-id; can be given several times"),
    flag("window-seconds", "SECONDS", "window_seconds", Number, "For how long a key is protected"),
    flag("event-type", "LOCATION", "event_type", Text, "Where the event's type is, for example body:$.type"),
    flag("on-conflict", "WHAT", "on_conflict", Text, "What happens to another payload under a known key"),
    flag("max-body-bytes", "BYTES", "max_body_bytes", Number, "The largest body that is taken"),
];

#[rustfmt::skip]
const SOURCE_COLUMNS: &[Column] = &[
    ("id", "id"), ("name", "name"), ("provider", "provider"), ("key", "key.locations"),
    ("window s", "window_seconds"), ("paused", "paused"), ("warnings", "warnings"),
];

/// Where providers' webhooks arrive.
#[rustfmt::skip]
pub(super) const SOURCES: Resource = Resource {
    name: "sources",
    one: "source",
    about: "Show and change sources: where providers' webhooks arrive",
    ids: Ids::OrNames("src_"),
    verbs: &[
        verb("list", "List sources", "list", Get, "/v1/sources", &[]).lists(SOURCE_COLUMNS),
        verb("get", "Show a source, with its ingest URL", "get stripe", Get, "/v1/sources/{id}", &[]),
        verb("create", "Make a source", "create --name stripe --provider stripe --secret-file stripe.secret", Make, "/v1/sources", &[SOURCE]),
        verb("upsert", "Make a source, or change the one of this name", "upsert --file stripe.toml", Upsert, "/v1/sources", &[SOURCE]),
        verb("update", "Change what is said of a source, and nothing else", "update stripe --window-seconds 604800", Change, "/v1/sources/{id}", &[SOURCE]),
        verb("delete", "Delete a source and its connections", "delete stripe --yes", Delete, "/v1/sources/{id}", &[]),
        verb("pause", "Refuse what arrives with 503 for now", "pause stripe", Post, "/v1/sources/{id}/pause", &[]),
        verb("resume", "Take what arrives again", "resume stripe", Post, "/v1/sources/{id}/resume", &[]),
        verb("rotate-token", "Give it another ingest URL; the one before goes on for a while", "rotate-token stripe --overlap-seconds 3600", Post, "/v1/sources/{id}/rotate-token", &[OVERLAP]),
    ],
};

#[rustfmt::skip]
const OVERLAP: &[Flag] = &[
    flag("overlap-seconds", "SECONDS", "overlap_seconds", Number, "For how long the one before goes on; 0 ends it at once [default: a day]"),
];

#[rustfmt::skip]
const OWN_SECRET: &[Flag] = &[
    flag("secret-file", "FILE", "secret", SecretFile, "A file that holds a signing secret of your own (- for standard input) [default: one is made]"),
];

#[rustfmt::skip]
const ENDPOINT: &[Flag] = &[
    flag("name", "NAME", "name", Text, "Its name, unique in the project"),
    flag("url", "URL", "url", Text, "Where requests go"),
    flag("tenant", "TENANT", "tenant", Text, "The customer that owns it"),
    flag("event-type", "PATTERN", "event_types", Texts, "Which events it wants, for example order.*; can be given several times"),
    flag("timeout-seconds", "SECONDS", "timeout_seconds", Number, "How long an attempt may take"),
    flag("per-second", "N", "rate_limit.per_second", Number, "At most so many attempts a second"),
    flag("concurrency", "N", "rate_limit.concurrency", Number, "At most so many attempts at a time"),
    flag("on-uncertain", "WHAT", "on_uncertain", OneOf(&["retry", "hold"]), "What happens when it is not known whether an attempt arrived"),
    flag("environment", "NAME", "environment", Text, "What it is part of, for example production"),
    flag("ordered-by", "LOCATION", "ordered_by", Text, "Where a request says which others it is delivered in order with"),
];

#[rustfmt::skip]
const ENDPOINT_COLUMNS: &[Column] = &[
    ("id", "id"), ("name", "name"), ("url", "url"), ("tenant", "tenant"), ("circuit", "circuit.state"),
    ("paused", "paused"), ("disabled", "disabled.reason"), ("warnings", "warnings"),
];

/// Where messages are delivered.
#[rustfmt::skip]
pub(super) const ENDPOINTS: Resource = Resource {
    name: "endpoints",
    one: "endpoint",
    about: "Show and change endpoints: where messages are delivered",
    ids: Ids::OrNames("ep_"),
    verbs: &[
        verb("list", "List endpoints, and how they fare", "list", Get, "/v1/endpoints", &[]).lists(ENDPOINT_COLUMNS),
        verb("get", "Show an endpoint, and how it fares", "get shop", Get, "/v1/endpoints/{id}", &[]),
        verb("create", "Make an endpoint; its secret is shown this once", "create --name shop --url https://shop.example.com/hooks", Make, "/v1/endpoints", &[ENDPOINT, OWN_SECRET]).shows_once("secret"),
        verb("upsert", "Make an endpoint, or change the one of this name", "upsert --file shop.json", Upsert, "/v1/endpoints", &[ENDPOINT, OWN_SECRET]).shows_once("secret"),
        verb("update", "Change what is said of an endpoint, and nothing else", "update shop --timeout-seconds 20", Change, "/v1/endpoints/{id}", &[ENDPOINT]).shows_once("secret"),
        verb("delete", "Delete an endpoint and its connections", "delete shop --yes", Delete, "/v1/endpoints/{id}", &[]),
        verb("pause", "Attempt no delivery for now", "pause shop", Post, "/v1/endpoints/{id}/pause", &[]),
        verb("resume", "Attempt deliveries again", "resume shop", Post, "/v1/endpoints/{id}/resume", &[]),
        verb("rotate-secret", "Sign with a new secret as well; it is shown this once", "rotate-secret shop --overlap-seconds 86400", Post, "/v1/endpoints/{id}/rotate-secret", &[OVERLAP, OWN_SECRET]).shows_once("secret"),
    ],
};

#[rustfmt::skip]
const CONNECTION: &[Flag] = &[
    flag("name", "NAME", "name", Text, "Its name, unique in the project"),
    flag("source", "NAME", "source_id", Of("sources"), "The source whose messages it takes (its name or id)"),
    flag("event-type", "PATTERN", "event_types", Texts, "Or which events of the send API; can be given several times"),
    flag("endpoint", "NAME", "endpoint_id", Of("endpoints"), "The endpoint that it leads to (its name or id)"),
];

#[rustfmt::skip]
const CONNECTION_COLUMNS: &[Column] = &[
    ("id", "id"), ("name", "name"), ("source", "source_id"), ("event types", "event_types"),
    ("endpoint", "endpoint_id"), ("rules", "rules"), ("paused", "paused"),
];

/// What leads from one to the other.
#[rustfmt::skip]
pub(super) const CONNECTIONS: Resource = Resource {
    name: "connections",
    one: "connection",
    about: "Show and change connections: what leads from a source to an endpoint",
    ids: Ids::OrNames("con_"),
    verbs: &[
        verb("list", "List connections", "list", Get, "/v1/connections", &[]).lists(CONNECTION_COLUMNS),
        verb("get", "Show a connection with its rules", "get stripe-to-shop", Get, "/v1/connections/{id}", &[]),
        verb("create", "Make a connection", "create --name stripe-to-shop --source stripe --endpoint shop", Make, "/v1/connections", &[CONNECTION]),
        verb("upsert", "Make a connection, or change the one of this name", "upsert --file stripe-to-shop.toml", Upsert, "/v1/connections", &[CONNECTION]),
        verb("update", "Change what is said of a connection, and nothing else", "update stripe-to-shop --file rules.json", Change, "/v1/connections/{id}", &[CONNECTION]),
        verb("delete", "Delete a connection", "delete stripe-to-shop --yes", Delete, "/v1/connections/{id}", &[]),
        verb("pause", "Let what comes by it wait", "pause stripe-to-shop", Post, "/v1/connections/{id}/pause", &[]),
        verb("resume", "Send what waited, and what comes", "resume stripe-to-shop", Post, "/v1/connections/{id}/resume", &[]),
    ],
};

#[rustfmt::skip]
const PROJECT: &[Flag] = &[
    flag("name", "NAME", "name", Text, "Its name, unique in the gateway"),
];

/// What keys open.
#[rustfmt::skip]
pub(super) const PROJECTS: Resource = Resource {
    name: "projects",
    one: "project",
    about: "Show and make projects (needs an admin key)",
    ids: Ids::OrNames("prj_"),
    verbs: &[
        verb("list", "List projects", "list", Get, "/v1/projects", &[]).lists(&[("id", "id"), ("name", "name"), ("made", "created_at")]),
        verb("get", "Show a project", "get default", Get, "/v1/projects/{id}", &[]),
        verb("create", "Make a project; its signing secret is shown this once", "create --name shop", Make, "/v1/projects", &[PROJECT]).shows_once("signing_secret"),
        verb("rotate-secret", "Sign sends to bare URLs with a new secret as well; it is shown this once", "rotate-secret default", Post, "/v1/projects/{id}/rotate-secret", &[OVERLAP, OWN_SECRET]).shows_once("signing_secret"),
    ],
};

#[rustfmt::skip]
const API_KEY: &[Flag] = &[
    flag("name", "NAME", "name", Text, "What it is for"),
    flag("scope", "SCOPE", "scopes", Texts, "What it may do: read, send or manage; can be given several times"),
    flag("project", "NAME", "project_id", Of("projects"), "The project that it opens (its name or id) [default: that of your own key]"),
    flag("admin", "", "admin", Switch, "It also opens the projects and API keys of the whole gateway"),
];

#[rustfmt::skip]
const API_KEY_COLUMNS: &[Column] = &[
    ("id", "id"), ("name", "name"), ("project", "project_id"), ("scopes", "scopes"), ("admin", "admin"),
    ("made", "created_at"), ("last used", "last_used_at"),
];

/// What opens projects.
#[rustfmt::skip]
pub(super) const API_KEYS: Resource = Resource {
    name: "api-keys",
    one: "API key",
    about: "Show, make and revoke API keys (needs an admin key)",
    ids: Ids::OrNames("key_"),
    verbs: &[
        verb("list", "List API keys, without their texts", "list", Get, "/v1/api-keys", &[]).lists(API_KEY_COLUMNS),
        verb("get", "Show an API key, without its text", "get ci", Get, "/v1/api-keys/{id}", &[]),
        verb("create", "Make an API key; it is shown this once", "create --name ci --scope read --scope send", Make, "/v1/api-keys", &[API_KEY]).shows_once("key"),
        verb("delete", "Revoke an API key, on every node within a second", "delete ci --yes", Delete, "/v1/api-keys/{id}", &[]),
    ],
};
