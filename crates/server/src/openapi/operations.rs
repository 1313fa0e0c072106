//! Every operation of the API.

use super::operations::Body::{Json, Nothing, Optional};
use super::operations::Gives::{Events, Item, List, NoContent, Text};

/// What a call carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// Nothing.
    Nothing,
    /// A document of this schema.
    Json(&'static str),
    /// The same, or nothing.
    Optional(&'static str),
    /// A merge patch of this schema.
    Patch(&'static str),
    /// Anything.
    Anything,
}

/// What a call is answered with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives {
    /// A document of this schema.
    Item(&'static str),
    /// A page of documents of this schema.
    List(&'static str),
    /// Nothing.
    NoContent,
    /// Server-sent events.
    Events,
    /// Plain text or a page.
    Text(&'static str),
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    pub summary: &'static str,
    /// The scope that a key needs; none where no key is needed.
    pub scope: Option<&'static str>,
    /// Names of query parameters, described in one place.
    pub query: &'static [&'static str],
    pub body: Body,
    pub success: &'static [u16],
    pub gives: Gives,
    /// Refusals beyond those that every operation may meet.
    pub refusals: &'static [u16],
}

const READ: Option<&str> = Some("read");
const SEND: Option<&str> = Some("send");
const MANAGE: Option<&str> = Some("manage");
const ADMIN: Option<&str> = Some("admin");

const PAGE: &[&str] = &["limit", "cursor"];

type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static [&'static str],
    Body,
    &'static [u16],
    Gives,
    &'static [u16],
);

const OK: &[u16] = &[200];
const MADE: &[u16] = &[201];
const UPSERTED: &[u16] = &[200, 201];
const GONE: &[u16] = &[204];
const PLANNED: &[u16] = &[200, 201, 202];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Sources
    ("get", "/v1/sources", "List sources", READ, PAGE, Nothing, OK, List("Source"), &[]),
    ("post", "/v1/sources", "Make a source", MANAGE, &[], Json("SourceInput"), MADE, Item("Source"), &[409]),
    ("put", "/v1/sources", "Make a source, or change the one of this name", MANAGE, &["dry_run"], Json("SourceInput"), UPSERTED, Item("Source"), &[409]),
    ("get", "/v1/sources/{id}", "Show a source", READ, &[], Nothing, OK, Item("Source"), &[404]),
    ("patch", "/v1/sources/{id}", "Change a source", MANAGE, &[], Body::Patch("SourceInput"), OK, Item("Source"), &[404, 409]),
    ("delete", "/v1/sources/{id}", "Delete a source and its connections", MANAGE, &[], Nothing, GONE, NoContent, &[404]),
    ("post", "/v1/sources/{id}/pause", "Refuse what arrives with 503 for now", MANAGE, &[], Nothing, OK, Item("Source"), &[404]),
    ("post", "/v1/sources/{id}/resume", "Take what arrives again", MANAGE, &[], Nothing, OK, Item("Source"), &[404]),
    ("post", "/v1/sources/{id}/rotate-token", "Give the source another ingest URL; the one before goes on for a while", MANAGE, &[], Optional("Rotation"), OK, Item("Source"), &[404]),
    ("post", "/v1/sources/{id}/backtest", "Try a key rule on stored requests; nothing is changed", READ, &[], Optional("Anything"), OK, Item("Anything"), &[404, 409, 429]),
    ("get", "/v1/sources/{id}/shadow", "What the key rule in shadow mode has come to since it was set", READ, &[], Nothing, OK, Item("Anything"), &[404]),
    ("get", "/v1/retention", "Show for how long the project keeps what", READ, &[], Nothing, OK, Item("Anything"), &[]),
    ("put", "/v1/retention", "Say for how long the project keeps what", MANAGE, &[], Json("Anything"), OK, Item("Anything"), &[409]),
    // Endpoints
    ("get", "/v1/endpoints", "List endpoints", READ, PAGE, Nothing, OK, List("Endpoint"), &[]),
    ("post", "/v1/endpoints", "Make an endpoint; its secret is shown this once", MANAGE, &[], Json("EndpointInput"), MADE, Item("Endpoint"), &[409]),
    ("put", "/v1/endpoints", "Make an endpoint, or change the one of this name", MANAGE, &["dry_run"], Json("EndpointInput"), UPSERTED, Item("Endpoint"), &[409]),
    ("get", "/v1/endpoints/{id}", "Show an endpoint", READ, &[], Nothing, OK, Item("Endpoint"), &[404]),
    ("patch", "/v1/endpoints/{id}", "Change an endpoint", MANAGE, &[], Body::Patch("EndpointInput"), OK, Item("Endpoint"), &[404, 409]),
    ("delete", "/v1/endpoints/{id}", "Delete an endpoint and its connections", MANAGE, &[], Nothing, GONE, NoContent, &[404]),
    ("post", "/v1/endpoints/{id}/pause", "Attempt no delivery for now", MANAGE, &[], Nothing, OK, Item("Endpoint"), &[404]),
    ("post", "/v1/endpoints/{id}/resume", "Attempt deliveries again", MANAGE, &[], Nothing, OK, Item("Endpoint"), &[404]),
    ("post", "/v1/endpoints/{id}/rotate-secret", "Sign with a new secret as well; it is shown this once", MANAGE, &[], Optional("Anything"), OK, Item("Endpoint"), &[404]),
    // Connections
    ("get", "/v1/connections", "List connections", READ, PAGE, Nothing, OK, List("Connection"), &[]),
    ("post", "/v1/connections", "Make a connection", MANAGE, &[], Json("ConnectionInput"), MADE, Item("Connection"), &[409]),
    ("put", "/v1/connections", "Make a connection, or change the one of this name", MANAGE, &["dry_run"], Json("ConnectionInput"), UPSERTED, Item("Connection"), &[409]),
    ("get", "/v1/connections/{id}", "Show a connection", READ, &[], Nothing, OK, Item("Connection"), &[404]),
    ("patch", "/v1/connections/{id}", "Change a connection", MANAGE, &[], Body::Patch("ConnectionInput"), OK, Item("Connection"), &[404, 409]),
    ("delete", "/v1/connections/{id}", "Delete a connection", MANAGE, &[], Nothing, GONE, NoContent, &[404]),
    ("post", "/v1/connections/{id}/pause", "Let what comes by it wait", MANAGE, &[], Nothing, OK, Item("Connection"), &[404]),
    ("post", "/v1/connections/{id}/resume", "Send what waited, and what comes", MANAGE, &[], Nothing, OK, Item("Connection"), &[404]),
    ("post", "/v1/connections/{id}/backtest", "Try deduplicating rules on stored messages; nothing is changed", READ, &[], Optional("Anything"), OK, Item("Anything"), &[404, 409, 429]),
    ("get", "/v1/connections/{id}/shadow", "What the rules in shadow mode have come to since they were set", READ, &[], Nothing, OK, Item("Anything"), &[404]),
    ("post", "/v1/transforms/test", "Try a script on a sample or on a message", MANAGE, &[], Json("Trial"), OK, Item("Tried"), &[404]),
    // Send
    ("post", "/v1/webhooks/send", "Send an event (S1 to S6)", SEND, &[], Json("Send"), &[200, 202], Item("Message"), &[404, 409]),
    ("post", "/v1/webhooks/send/batch", "Send up to 1,000 events, each for itself (S7)", SEND, &[], Json("SendBatch"), OK, Item("SendBatchAnswer"), &[]),
    // History
    ("get", "/v1/messages", "List messages", READ, &["source_id", "endpoint_id", "tenant", "event_type", "status", "key", "q", "after", "before", "limit", "cursor"], Nothing, OK, List("Message"), &[]),
    ("get", "/v1/messages/{id}", "Show a message", READ, &[], Nothing, OK, Item("Message"), &[404]),
    ("get", "/v1/messages/{id}/requests", "List the request that became it, and what repeated it", READ, PAGE, Nothing, OK, List("Request"), &[404]),
    ("get", "/v1/messages/{id}/deliveries", "List its deliveries", READ, PAGE, Nothing, OK, List("Delivery"), &[404]),
    ("post", "/v1/messages/{id}/retry", "Attempt at once what was not delivered", MANAGE, &[], Optional("Said"), OK, Item("Anything"), &[404, 409, 410]),
    ("get", "/v1/requests", "List requests, refused ones included", READ, &["outcome", "cause", "source_id", "key", "after", "before", "limit", "cursor"], Nothing, OK, List("Request"), &[]),
    ("get", "/v1/requests/{id}", "Show a request with its body", READ, &[], Nothing, OK, Item("Request"), &[404]),
    ("post", "/v1/requests/{id}/release", "Say that it is no duplicate (D4)", MANAGE, &[], Optional("Said"), OK, Item("Request"), &[404, 409, 410]),
    ("post", "/v1/requests/{id}/discard", "Discard a held request", MANAGE, &[], Optional("Said"), OK, Item("Request"), &[404, 409, 410]),
    ("get", "/v1/deliveries/{id}", "Show a delivery", READ, &[], Nothing, OK, Item("Delivery"), &[404]),
    ("get", "/v1/deliveries/{id}/attempts", "List its attempts", READ, PAGE, Nothing, OK, List("Attempt"), &[404]),
    ("post", "/v1/deliveries/{id}/retry", "Attempt it at once", MANAGE, &[], Optional("Said"), OK, Item("Delivery"), &[404, 409, 410]),
    ("post", "/v1/deliveries/{id}/cancel", "Call it off", MANAGE, &[], Optional("Said"), OK, Item("Delivery"), &[404, 409, 410]),
    ("get", "/v1/attempts", "List attempts that have ended", READ, &["trigger", "attempt_outcome", "endpoint_id", "after", "before", "limit", "cursor"], Nothing, OK, List("Attempt"), &[]),
    // The ledger
    ("get", "/v1/keys", "List the claims of a key (L1)", READ, &["key", "limit"], Nothing, OK, List("Claim"), &[]),
    ("delete", "/v1/keys", "Free a key (L1)", MANAGE, &["key", "scope", "reason"], Nothing, OK, Item("Freed"), &[404, 409]),
    ("get", "/v1/keys/{key}", "List the claims of a key (L1)", READ, &["limit"], Nothing, OK, List("Claim"), &[404]),
    ("delete", "/v1/keys/{key}", "Free a key (L1)", MANAGE, &["scope", "reason"], Nothing, OK, Item("Freed"), &[404, 409]),
    // Replays
    ("get", "/v1/replays", "List replays", READ, PAGE, Nothing, OK, List("Replay"), &[]),
    ("post", "/v1/replays", "Plan a replay (P1): what would be sent again", MANAGE, &[], Json("ReplayInput"), PLANNED, Item("Replay"), &[404, 409]),
    ("get", "/v1/replays/{id}", "Show a replay and how far it is", READ, &[], Nothing, OK, Item("Replay"), &[404]),
    ("post", "/v1/replays/{id}/start", "Start what was planned", MANAGE, &[], Optional("Anything"), PLANNED, Item("Replay"), &[404, 409]),
    ("post", "/v1/replays/{id}/pause", "Pause a replay", MANAGE, &[], Optional("Anything"), PLANNED, Item("Replay"), &[404, 409]),
    ("post", "/v1/replays/{id}/resume", "Go on with a replay", MANAGE, &[], Optional("Anything"), PLANNED, Item("Replay"), &[404, 409]),
    ("post", "/v1/replays/{id}/cancel", "Call a replay off", MANAGE, &[], Optional("Anything"), PLANNED, Item("Replay"), &[404, 409]),
    ("post", "/v1/deliveries/retry", "Attempt many deliveries at once, as a job", MANAGE, &[], Json("BulkInput"), PLANNED, Item("Replay"), &[404, 409]),
    ("post", "/v1/deliveries/cancel", "Call many deliveries off", MANAGE, &[], Json("BulkInput"), PLANNED, Item("Replay"), &[404, 409]),
    // Claims of receivers
    ("get", "/v1/claims", "List claims of receivers", READ, &["scope", "key"], Nothing, OK, List("ReceiverClaim"), &[404]),
    ("post", "/v1/claims", "Claim a key before running its effect (L2)", SEND, &[], Json("ReceiverClaimInput"), PLANNED, Item("ClaimAnswer"), &[404, 409]),
    ("get", "/v1/claims/{id}", "Show a claim", READ, &[], Nothing, OK, Item("ReceiverClaim"), &[404]),
    ("post", "/v1/claims/{id}/complete", "Say that the effect has happened", SEND, &[], Json("ClaimComplete"), OK, Item("ClaimAnswer"), &[404, 409, 410]),
    ("post", "/v1/claims/{id}/release", "Give the claim back", SEND, &[], Json("ClaimRelease"), OK, Item("ClaimAnswer"), &[404, 409, 410]),
    ("post", "/v1/claims/{id}/renew", "Hold the claim for longer", SEND, &[], Json("ClaimRenew"), OK, Item("ClaimAnswer"), &[404, 409, 410]),
    ("post", "/v1/claims/{id}/fail", "Say that the effect can never happen", SEND, &[], Json("ClaimFail"), OK, Item("ClaimAnswer"), &[404, 409, 410]),
    ("get", "/v1/claims/{id}/steps", "List the steps that were done", READ, &["name", "generation"], Nothing, OK, List("Step"), &[404]),
    ("post", "/v1/claims/{id}/steps", "Keep the result of a step", SEND, &[], Json("ClaimStep"), PLANNED, Item("ClaimAnswer"), &[404, 409, 410]),
    // Watching
    ("get", "/v1/stats", "Count over time", READ, &["after", "before", "step_seconds", "source_id", "endpoint_id"], Nothing, OK, Item("Stats"), &[]),
    ("get", "/v1/stream", "Watch the live log", READ, &["type", "source_id", "endpoint_id", "log_outcome", "cause", "event_type", "last_event_id"], Nothing, OK, Events, &[]),
    ("get", "/v1/audit", "List who changed what", MANAGE, PAGE, Nothing, OK, List("AuditLine"), &[]),
    // The gateway
    ("get", "/v1/projects", "List projects", ADMIN, PAGE, Nothing, OK, List("Project"), &[]),
    ("post", "/v1/projects", "Make a project; its signing secret is shown this once", ADMIN, &[], Json("ProjectInput"), MADE, Item("Project"), &[409]),
    ("get", "/v1/projects/{id}", "Show a project", ADMIN, &[], Nothing, OK, Item("Project"), &[404]),
    ("post", "/v1/projects/{id}/rotate-secret", "Sign sends to bare URLs with a new secret as well; it is shown this once", MANAGE, &[], Optional("Anything"), OK, Item("Anything"), &[404]),
    ("get", "/v1/api-keys", "List API keys", ADMIN, PAGE, Nothing, OK, List("ApiKey"), &[]),
    ("post", "/v1/api-keys", "Make an API key; it is shown this once", ADMIN, &[], Json("ApiKeyInput"), MADE, Item("ApiKey"), &[409]),
    ("get", "/v1/api-keys/{id}", "Show an API key, without its text", ADMIN, &[], Nothing, OK, Item("ApiKey"), &[404]),
    ("delete", "/v1/api-keys/{id}", "Revoke an API key, on every node within a second", ADMIN, &[], Nothing, GONE, NoContent, &[404, 409]),
    ("get", "/healthz", "Whether the process is up", None, &[], Nothing, OK, Item("Status"), &[]),
    ("get", "/readyz", "Whether it can take a request", None, &[], Nothing, OK, Item("Ready"), &[]),
    ("get", "/metrics", "Figures for Prometheus", None, &[], Nothing, OK, Text("text/plain"), &[]),
    ("get", "/openapi.json", "This document", None, &[], Nothing, OK, Item("Anything"), &[]),
    ("get", "/docs", "This document as a page", None, &[], Nothing, OK, Text("text/html"), &[]),
    ("post", "/ingest/{token}", "Take a provider's webhook; the rest of the path and the query are kept", None, &[], Body::Anything, OK, Item("IngestAnswer"), &[401, 404, 405, 409, 422]),
];

/// Every operation.
pub(super) fn all() -> impl Iterator<Item = Operation> {
    ROWS.iter().map(|row| Operation {
        method: row.0,
        path: row.1,
        summary: row.2,
        scope: row.3,
        query: row.4,
        body: row.5,
        success: row.6,
        gives: row.7,
        refusals: row.8,
    })
}
