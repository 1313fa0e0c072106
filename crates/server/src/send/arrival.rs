//! From a caller's input to the arrival that it asks for.

use bytes::Bytes;
use hooklatch_core::address::check_url;
use hooklatch_core::admission::Arrival;
use hooklatch_core::arrive::{Call, outbound};
use hooklatch_core::claim::SendTarget;
use hooklatch_core::delivery::Lane;
use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::ids::EndpointId;
use hooklatch_core::limits::FAN_OUT_MAX;
use hooklatch_core::outgoing::dropped_reserved;
use hooklatch_core::routing::Audience;
use hooklatch_core::seal::NONCE_BYTES;
use hooklatch_core::secret::Secret;

use super::input::{SendInput, TargetInput};
use crate::app::App;
use crate::caller::Caller;
use crate::directory::{Snapshot, fill};
use crate::problem::{Kind, Problem};

/// What a checked input asks for.
pub(super) async fn arrival(
    app: &App,
    caller: &Caller,
    input: SendInput,
    trace: Vec<(String, String)>,
) -> Result<Arrival, Problem> {
    let snapshot = app.directory().snapshot();
    let resolved = resolve(app, &snapshot, caller, &input)?;
    let gone = resolved.gone;
    let call = call(app, &snapshot, caller, input, resolved)?;
    let arrival = outbound(Call { trace, ..call });
    // A repetition of what was once accepted is answered like any other (S2), whatever has become
    // of its endpoint since.
    if gone && !is_repetition(app, &arrival).await? {
        return Err(Problem::new(
            Kind::NotFound,
            "the endpoint was deleted; nothing was created. Send to another one",
        ));
    }
    Ok(arrival)
}

async fn is_repetition(app: &App, arrival: &Arrival) -> Result<bool, Problem> {
    let checksums: Vec<_> = arrival.keys.iter().map(|key| key.checksum).collect();
    if checksums.is_empty() {
        return Ok(false);
    }
    let claims = app.store().claims(arrival.project_id, checksums, None, 1);
    Ok(!claims.await?.is_empty())
}

fn call(
    app: &App,
    snapshot: &Snapshot,
    caller: &Caller,
    input: SendInput,
    resolved: Resolved,
) -> Result<Call, Problem> {
    let Resolved {
        target,
        destinations,
        ..
    } = resolved;
    if destinations.len() > FAN_OUT_MAX {
        let detail = format!("leads to more than {FAN_OUT_MAX} endpoints; send to tenants");
        return Err(Problem::field("/broadcast", detail));
    }
    let dropped = dropped_reserved(&input.headers);
    let warning = |name: String| format!("the header {name} is reserved and will not be sent");
    Ok(Call {
        project_id: caller.project,
        received_at: app.store().now(),
        target,
        key: input.key,
        event_type: input.event_type,
        payload: Bytes::from(input.payload),
        extra_headers: input.headers,
        trace: Vec::new(),
        warnings: dropped.into_iter().map(warning).collect(),
        delay: input.delay,
        payload_kept: input.payload_kept,
        on_failed_original: input.on_failed_original,
        sealed_secret: input.secret.map(|secret| sealed(app, caller, &secret)),
        rulebooks: snapshot.rulebooks(&destinations),
        ordered: snapshot.ordered(&destinations),
        destinations,
        disabled: snapshot.disabled(caller.project),
    })
}

fn sealed(app: &App, caller: &Caller, secret: &Secret) -> String {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce);
    let owner = caller.project.to_string();
    app.directory()
        .sealing_key()
        .seal(&owner, secret.expose().as_bytes(), nonce)
}

/// For whom a message is, and where that leads now (S6).
struct Resolved {
    target: SendTarget,
    destinations: Vec<Destination>,
    /// The endpoint was deleted: only a repetition can still be answered.
    gone: bool,
}

impl Resolved {
    fn new(target: SendTarget, destinations: Vec<Destination>) -> Self {
        Self {
            target,
            destinations,
            gone: false,
        }
    }
}

fn resolve(
    app: &App,
    snapshot: &Snapshot,
    caller: &Caller,
    input: &SendInput,
) -> Result<Resolved, Problem> {
    let routed = |audience: Audience<'_>| {
        snapshot.send_destinations(caller.project, audience, input.event_type.as_deref())
    };
    Ok(match &input.target {
        TargetInput::Endpoint(text) => {
            let known = text.parse::<EndpointId>().ok();
            let known = known.filter(|id| snapshot.knew_endpoint(caller.project, *id));
            let id = known.ok_or_else(|| Problem::not_found("endpoint", text))?;
            Resolved {
                target: SendTarget::Endpoint(id),
                destinations: routed(Audience::Endpoint(id)),
                gone: snapshot.endpoint(caller.project, id).is_none(),
            }
        }
        TargetInput::Url(text) => {
            let url = check_url(text, app.directory().reach());
            let url = url.map_err(|refusal| Problem::field("/url", refusal.to_string()))?;
            let lane = Lane::of_host(url.host_str().unwrap_or_default());
            Resolved::new(SendTarget::Url(url.into()), vec![direct(lane)])
        }
        TargetInput::Tenant(tenant) => {
            let destinations = routed(Audience::Tenant(tenant));
            Resolved::new(SendTarget::Tenant(tenant.clone()), destinations)
        }
        TargetInput::Broadcast => Resolved::new(SendTarget::Broadcast, routed(Audience::Broadcast)),
    })
}

fn direct(lane: Lane) -> Destination {
    Destination {
        endpoint_id: None,
        connection_id: None,
        lane,
        suffix_webhook_id: false,
        order_key: None,
    }
}
