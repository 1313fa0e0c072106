//! A plan as a caller writes it, and what it comes to.

use std::collections::BTreeSet;

use hooklatch_core::config::Origin;
use hooklatch_core::ids::{ConnectionId, EndpointId, MessageId, ProjectId, SourceId};
use hooklatch_core::limits::{
    EVENT_TYPE_CHARS_MAX, REPLAY_IDS_MAX, REPLAY_RATE_DEFAULT, REPLAY_RATE_MAX,
};
use hooklatch_core::replay::{Action, Filter, Plan, StatusWanted};
use hooklatch_core::time::Timestamp;
use serde::Deserialize;

use crate::app::App;
use crate::audit::check_reason;
use crate::caller::Caller;
use crate::directory::Snapshot;
use crate::history::messages_under;
use crate::problem::{FieldProblem, Problem};

/// A plan as `POST /v1/replays` takes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PlanInput {
    filter: Option<FilterInput>,
    include_delivered: bool,
    as_new: bool,
    confirm: bool,
    to_endpoint: Option<EndpointId>,
    rate_per_second: Option<u32>,
    reason: Option<String>,
}

/// What `POST /v1/deliveries/retry` and `/cancel` take.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BulkInput {
    filter: Option<FilterInput>,
    rate_per_second: Option<u32>,
    reason: Option<String>,
}

/// Which deliveries. Without any field: all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilterInput {
    ids: Option<Vec<MessageId>>,
    source_id: Option<SourceId>,
    connection_id: Option<ConnectionId>,
    endpoint_id: Option<EndpointId>,
    key: Option<String>,
    status: Option<StatusWanted>,
    event_type: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

/// What a caller wants, checked.
pub(super) struct Wanted {
    pub plan: Plan,
    pub among: Option<Vec<MessageId>>,
    pub reason: Option<String>,
    pub start: bool,
}

impl PlanInput {
    pub(super) async fn wanted(self, app: &App, caller: &Caller) -> Result<Wanted, Problem> {
        let confirmed = self.confirm;
        let wanted = self.checked(Action::Send)?;
        let snapshot = app.directory().snapshot();
        check_confirmed(&wanted.plan, confirmed, &snapshot, caller.project)?;
        wanted.narrowed(app, caller).await
    }

    fn checked(self, action: Action) -> Result<Wanted, Problem> {
        let mut errors = Vec::new();
        let filter = match self.filter {
            Some(filter) => filter.checked(&mut errors),
            None => {
                refuse(&mut errors, "/filter", "is missing; {} means everything");
                Filter::default()
            }
        };
        let rate = self.rate_per_second.unwrap_or(REPLAY_RATE_DEFAULT);
        if !(1..=REPLAY_RATE_MAX).contains(&rate) {
            let detail = format!("should be from 1 to {REPLAY_RATE_MAX}");
            refuse(&mut errors, "/rate_per_second", detail);
        }
        if let Err(detail) = check_reason(self.reason.as_deref()) {
            refuse(&mut errors, "/reason", detail);
        }
        if !errors.is_empty() {
            return Err(Problem::fields(errors));
        }
        let plan = Plan {
            action,
            filter,
            include_delivered: self.include_delivered,
            as_new: self.as_new,
            to_endpoint: self.to_endpoint,
            rate_per_second: rate,
        };
        Ok(Wanted {
            plan: plan.canonical(),
            among: None,
            reason: self.reason,
            start: false,
        })
    }
}

impl BulkInput {
    pub(super) async fn wanted(
        self,
        app: &App,
        caller: &Caller,
        action: Action,
    ) -> Result<Wanted, Problem> {
        let input = PlanInput {
            filter: self.filter,
            rate_per_second: self.rate_per_second,
            reason: self.reason,
            ..PlanInput::default()
        };
        let wanted = Wanted {
            start: true,
            ..input.checked(action)?
        };
        wanted.narrowed(app, caller).await
    }
}

impl FilterInput {
    fn checked(self, errors: &mut Vec<FieldProblem>) -> Filter {
        let named = self.ids.as_ref().map_or(1, Vec::len);
        if !(1..=REPLAY_IDS_MAX).contains(&named) {
            let detail = format!(
                "should name from 1 to {REPLAY_IDS_MAX} messages; for more, filter by time"
            );
            refuse(errors, "/filter/ids", detail);
        }
        if let (Some(after), Some(before)) = (self.after, self.before)
            && after >= before
        {
            refuse(errors, "/filter/before", "should be later than after");
        }
        let long = |text: &String| text.chars().count() > EVENT_TYPE_CHARS_MAX;
        if self.event_type.as_ref().is_some_and(long) {
            let detail = format!("should have at most {EVENT_TYPE_CHARS_MAX} characters");
            refuse(errors, "/filter/event_type", detail);
        }
        Filter {
            ids: self.ids,
            source_id: self.source_id,
            connection_id: self.connection_id,
            endpoint_id: self.endpoint_id,
            key: self.key,
            status: self.status,
            event_type: self.event_type,
            after: self.after,
            before: self.before,
        }
    }
}

fn refuse(errors: &mut Vec<FieldProblem>, pointer: &str, detail: impl Into<String>) {
    errors.push(FieldProblem {
        pointer: pointer.to_owned(),
        detail: detail.into(),
    });
}

impl Wanted {
    /// Looks up which messages a key means, as of now.
    async fn narrowed(self, app: &App, caller: &Caller) -> Result<Self, Problem> {
        let filter = &self.plan.filter;
        let mut among = filter.ids.clone();
        if let Some(key) = &filter.key {
            let under: BTreeSet<MessageId> = messages_under(app, caller.project, key)
                .await?
                .into_iter()
                .collect();
            let both = |ids: Vec<MessageId>| ids.into_iter().filter(|id| under.contains(id));
            among = Some(match among {
                Some(ids) => both(ids).collect(),
                None => under.iter().copied().take(REPLAY_IDS_MAX).collect(),
            });
        }
        Ok(Self { among, ..self })
    }
}

/// What a person must have said explicitly: that events shall happen anew (P2), and that they leave
/// their environment (P3).
fn check_confirmed(
    plan: &Plan,
    confirmed: bool,
    snapshot: &Snapshot,
    project: ProjectId,
) -> Result<(), Problem> {
    if plan.as_new && !confirmed {
        return Err(Problem::field(
            "/confirm",
            "should be true: as_new gives every event a new id and key, so that receivers act on \
             it again",
        ));
    }
    let Some(to) = plan.to_endpoint else {
        return Ok(());
    };
    let Some(target) = snapshot.endpoint(project, to) else {
        let detail = "is no endpoint of this project; give the id of one that exists";
        return Err(Problem::field("/to_endpoint", detail));
    };
    let target = target.endpoint();
    let mut from = origins(plan, snapshot, project).into_iter();
    let crossed = from.find(|environment| *environment != target.environment);
    match crossed {
        Some(environment) if !confirmed => {
            let name = |it: &Option<String>| it.clone().unwrap_or_else(|| "none".to_owned());
            let detail = format!(
                "should be true: the plan leads from the environment \"{}\" to \"{}\"",
                name(&environment),
                name(&target.environment)
            );
            Err(Problem::field("/confirm", detail))
        }
        Some(_) | None => Ok(()),
    }
}

/// The environments of the endpoints to which the deliveries of a plan may have gone.
fn origins(plan: &Plan, snapshot: &Snapshot, project: ProjectId) -> BTreeSet<Option<String>> {
    let filter = &plan.filter;
    let of_source = filter.source_id.map(|source| {
        let connections = snapshot.connections(project);
        let own = connections.filter(move |it| it.from == Origin::Source(source));
        own.map(|it| it.endpoint).collect::<BTreeSet<_>>()
    });
    let of_connection = filter
        .connection_id
        .and_then(|id| snapshot.connection(project, id))
        .map(|it| it.endpoint);
    let may_be = |id: EndpointId| {
        filter.endpoint_id.is_none_or(|only| only == id)
            && of_connection.is_none_or(|only| only == id)
            && of_source.as_ref().is_none_or(|some| some.contains(&id))
    };
    snapshot
        .endpoints(project)
        .map(|ready| ready.endpoint())
        .filter(|endpoint| Some(endpoint.id) != plan.to_endpoint && may_be(endpoint.id))
        .map(|endpoint| endpoint.environment.clone())
        .collect()
}
