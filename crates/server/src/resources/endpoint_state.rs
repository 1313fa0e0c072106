//! How endpoints fare at this moment, beside how they are set.

use hooklatch_core::config::Endpoint;
use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::control::{LaneControl, LaneHealth, Phase, WhileOpen};
use hooklatch_core::ids::{EndpointId, ProjectId};
use hooklatch_core::time::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::directory::Snapshot;

/// Adds to shown endpoints how they fare. Settings are shown though the store may not answer; then
/// this is not.
pub(super) async fn add_state(
    app: &App,
    snapshot: &Snapshot,
    project: ProjectId,
    shown: &mut [Value],
) {
    let endpoints: Vec<Option<&Endpoint>> = shown
        .iter()
        .map(|value| {
            let id: EndpointId = value["id"].as_str()?.parse().ok()?;
            Some(snapshot.endpoint(project, id)?.endpoint())
        })
        .collect();
    let lanes = endpoints.iter().flatten();
    let lanes: Vec<Lane> = lanes.map(|it| Lane::of_endpoint(it.id)).collect();
    let now = app.store().now();
    match app.store().health(lanes).await {
        Ok(known) => {
            let mut known = known.iter();
            for (endpoint, value) in endpoints.iter().zip(shown) {
                if let (Some(endpoint), Some(health)) =
                    (endpoint, endpoint.and_then(|_| known.next()))
                {
                    add(endpoint, health, now, value);
                }
            }
        }
        Err(error) => tracing::debug!(%error, "how endpoints fare is not shown"),
    }
}

fn add(endpoint: &Endpoint, health: &LaneHealth, now: Timestamp, shown: &mut Value) {
    shown["circuit"] = circuit(endpoint, health, now);
    let failing_since = health.failing_since(endpoint.control.resumed_at);
    let patience = endpoint.patience().filter(|_| endpoint.disabled.is_none());
    let disabled_at = failing_since
        .zip(patience)
        .map(|(since, patience)| since + patience.disable_after);
    shown["health"] = json!({
        "failing_since": failing_since,
        "succeeded_at": health.succeeded_at,
        "disabled_at": disabled_at,
    });
    if let (Some(since), Some(patience), Some(disabled_at)) = (failing_since, patience, disabled_at)
        && now.since(since) >= patience.warn_after()
        && let Some(warnings) = shown["warnings"].as_array_mut()
    {
        warnings.push(json!(format!(
            "no attempt has succeeded since {since}; the endpoint is disabled at {disabled_at} if \
             none does before"
        )));
    }
}

fn circuit(endpoint: &Endpoint, health: &LaneHealth, now: Timestamp) -> Value {
    let Some(breaker) = endpoint.control.circuit_breaker.rule() else {
        return Value::Null;
    };
    let control = LaneControl {
        breaker: Some(breaker),
        resumed_at: endpoint.control.resumed_at,
        while_open: WhileOpen::Wait,
        rate: None,
    };
    let phase = control.phase(health, now);
    let next_probe_at = match phase {
        Phase::Open { until } => Some(until),
        Phase::HalfOpen => Some(now),
        Phase::Closed => None,
    };
    // One that a person has closed has been closed since then.
    let since = match phase {
        Phase::Closed if health.is_open() => endpoint.control.resumed_at,
        Phase::Closed | Phase::Open { .. } | Phase::HalfOpen => health.circuit.since(),
    };
    json!({"state": phase.as_str(), "since": since, "next_probe_at": next_probe_at})
}
