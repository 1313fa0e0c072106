//! What is asked for, and how the answer is put together.

use std::collections::{BTreeMap, BTreeSet};

use hooklatch_core::ids::{EndpointId, ProjectId, SourceId};
use hooklatch_core::time::{Millis, Timestamp};
use hooklatch_store::stats::WAITING_COUNTED_MAX;
use hooklatch_store::{ArrivalCount, AttemptCount, Counts, CountsQuery, TimeRange, Waiting};

use super::figures::{
    AttemptFigures, EndpointFigures, RequestFigures, SourceFigures, StatsReport, StepFigures,
    WaitingFigures, rounded,
};
use crate::app::App;
use crate::directory::Snapshot;
use crate::history::Parameters;
use crate::problem::Problem;

/// The most steps of one answer.
pub const STEPS_MAX: i64 = 1_500;
/// Steps of an answer for which no step was named, at most.
const STEPS_DEFAULT: i64 = 300;
/// What a step may span, in seconds.
pub(crate) const STEPS: [i64; 9] = [60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400];
/// Seconds that are counted where nobody says otherwise.
const SPAN_DEFAULT: Millis = Millis::from_seconds(86_400);

/// Which figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatsQuery {
    /// The time; the last 24 hours if left out. Widened to whole steps.
    pub time: TimeRange,
    /// What a step spans, in seconds; else as fine as a chart can show.
    pub step_seconds: Option<i64>,
    /// Requests through this source only.
    pub source_id: Option<SourceId>,
    /// Attempts at this endpoint only, and what waits for it.
    pub endpoint_id: Option<EndpointId>,
}

/// Reads it from the parameters of a query.
pub(super) fn read(parameters: &mut Parameters) -> StatsQuery {
    StatsQuery {
        time: parameters.time_range(),
        step_seconds: parameters.read("step_seconds", |text| {
            let known = text.parse().ok().filter(|step| STEPS.contains(step));
            known.ok_or_else(|| format!("should be one of {}", names()))
        }),
        source_id: parameters.parsed("source_id"),
        endpoint_id: parameters.parsed("endpoint_id"),
    }
}

fn names() -> String {
    STEPS.map(|step| step.to_string()).join(", ")
}

/// The figures of a project.
///
/// # Errors
/// Where the time is empty or has more than [`STEPS_MAX`] steps, or the store does not answer.
pub async fn report(
    app: &App,
    project: ProjectId,
    query: StatsQuery,
) -> Result<StatsReport, Problem> {
    let store = app.store();
    let now = store.now();
    let asked = asked(query, now)?;
    let counts = narrowed(store.counts(project, asked).await?, query);
    let snapshot = app.directory().snapshot();
    let endpoints = endpoints(&snapshot, project, query);
    let waiting = store.waiting(project, endpoints).await?;
    let sources = sources(&snapshot, project, query);
    let last = store.last_arrivals(project, sources.clone()).await?;
    let last: BTreeMap<SourceId, Option<Timestamp>> = sources.into_iter().zip(last).collect();
    let seconds = seconds(now.min(asked.to), asked.from);
    let names = Names {
        snapshot: &snapshot,
        project,
    };
    Ok(StatsReport {
        after: asked.from,
        before: asked.to,
        step_seconds: asked.step.get() / 1_000,
        requests: RequestFigures::of(counts.arrivals.iter(), seconds),
        attempts: AttemptFigures::of(counts.attempts.iter(), seconds),
        waiting: together(&waiting, now),
        series: series(&counts, asked, now),
        sources: by_source(&counts, &last, &names, (seconds, now)),
        endpoints: by_endpoint(&counts, &waiting, &names, (seconds, now)),
    })
}

/// Whole steps around the time that was asked for.
pub(super) fn asked(query: StatsQuery, now: Timestamp) -> Result<CountsQuery, Problem> {
    let to = query.time.before.unwrap_or(now + Millis::new(1));
    let from = query.time.after.unwrap_or(to - SPAN_DEFAULT);
    if from >= to || from.as_millis() < 0 || to == Timestamp::NEVER {
        return Err(Problem::field("/after", "should lie before \"before\""));
    }
    let span = to.since(from).get();
    let step = match query.step_seconds {
        Some(step) => step * 1_000,
        None => step_for(span)?,
    };
    let begin = from.as_millis() - from.as_millis().rem_euclid(step);
    let steps = (to.as_millis() - begin + step - 1) / step;
    if steps > STEPS_MAX {
        return Err(too_many());
    }
    Ok(CountsQuery {
        from: Timestamp::from_millis(begin),
        to: Timestamp::from_millis(begin + steps * step),
        step: Millis::new(step),
    })
}

fn step_for(span: i64) -> Result<i64, Problem> {
    let fits = |most: i64| STEPS.into_iter().find(|step| span / (step * 1_000) <= most);
    let step = fits(STEPS_DEFAULT).or_else(|| fits(STEPS_MAX - 1));
    step.map(|step| step * 1_000).ok_or_else(too_many)
}

fn too_many() -> Problem {
    let detail = format!("one answer has at most {STEPS_MAX} steps; ask for less time");
    Problem::field("/step_seconds", detail)
}

fn narrowed(mut counts: Counts, query: StatsQuery) -> Counts {
    if let Some(source) = query.source_id {
        counts.arrivals.retain(|it| it.source_id == Some(source));
    }
    if let Some(endpoint) = query.endpoint_id {
        counts
            .attempts
            .retain(|it| it.endpoint_id == Some(endpoint));
    }
    counts
}

fn endpoints(snapshot: &Snapshot, project: ProjectId, query: StatsQuery) -> Vec<EndpointId> {
    let all = snapshot.endpoints(project).map(|ready| ready.endpoint().id);
    all.filter(|id| query.endpoint_id.is_none_or(|asked| asked == *id))
        .collect()
}

fn sources(snapshot: &Snapshot, project: ProjectId, query: StatsQuery) -> Vec<SourceId> {
    let all = snapshot.sources(project).map(|ready| ready.source.id);
    all.filter(|id| query.source_id.is_none_or(|asked| asked == *id))
        .collect()
}

fn seconds(until: Timestamp, since: Timestamp) -> f64 {
    until.since(since).get() as f64 / 1_000.0
}

/// Every step, also where nothing happened.
fn series(counts: &Counts, asked: CountsQuery, now: Timestamp) -> Vec<StepFigures> {
    let mut steps: BTreeMap<Timestamp, (Vec<ArrivalCount>, Vec<AttemptCount>)> = BTreeMap::new();
    let mut at = asked.from;
    while at < asked.to {
        steps.insert(at, Default::default());
        at = at + asked.step;
    }
    for one in &counts.arrivals {
        steps.entry(one.at).or_default().0.push(*one);
    }
    for one in &counts.attempts {
        steps.entry(one.at).or_default().1.push(*one);
    }
    let figures = steps.into_iter().map(|(at, (arrivals, attempts))| {
        let seconds = seconds(now.min(at + asked.step), at);
        StepFigures {
            at,
            requests: RequestFigures::of(arrivals.iter(), seconds),
            attempts: AttemptFigures::of(attempts.iter(), seconds),
        }
    });
    figures.collect()
}

/// Where names come from.
struct Names<'a> {
    snapshot: &'a Snapshot,
    project: ProjectId,
}

impl Names<'_> {
    fn source(&self, id: SourceId) -> Option<String> {
        let ready = self.snapshot.source(self.project, id)?;
        Some(ready.source.name.clone())
    }

    fn endpoint(&self, id: EndpointId) -> Option<String> {
        let ready = self.snapshot.endpoint(self.project, id)?;
        Some(ready.endpoint().name.clone())
    }
}

fn by_source(
    counts: &Counts,
    last: &BTreeMap<SourceId, Option<Timestamp>>,
    names: &Names<'_>,
    (seconds, now): (f64, Timestamp),
) -> Vec<SourceFigures> {
    let counted = counts.arrivals.iter().map(|it| it.source_id);
    let all: BTreeSet<Option<SourceId>> = counted.chain(last.keys().map(|id| Some(*id))).collect();
    let figures = all.into_iter().map(|source_id| {
        let own = counts
            .arrivals
            .iter()
            .filter(|it| it.source_id == source_id);
        let last_arrival_at = source_id.and_then(|id| last.get(&id).copied().flatten());
        SourceFigures {
            source_id,
            name: source_id.and_then(|id| names.source(id)),
            requests: RequestFigures::of(own, seconds),
            last_arrival_at,
            silent_seconds: last_arrival_at.map(|at| rounded(self::seconds(now, at))),
        }
    });
    figures.collect()
}

fn by_endpoint(
    counts: &Counts,
    waiting: &[Waiting],
    names: &Names<'_>,
    (seconds, now): (f64, Timestamp),
) -> Vec<EndpointFigures> {
    let counted = counts.attempts.iter().map(|it| it.endpoint_id);
    let waits = |id| waiting.iter().find(|one| Some(one.endpoint_id) == id);
    let all: BTreeSet<Option<EndpointId>> = counted
        .chain(waiting.iter().map(|one| Some(one.endpoint_id)))
        .collect();
    let figures = all.into_iter().map(|endpoint_id| {
        let own = counts
            .attempts
            .iter()
            .filter(|it| it.endpoint_id == endpoint_id);
        EndpointFigures {
            endpoint_id,
            name: endpoint_id.and_then(|id| names.endpoint(id)),
            attempts: AttemptFigures::of(own, seconds),
            waiting: waits(endpoint_id).map(|one| together(std::slice::from_ref(one), now)),
        }
    });
    figures.collect()
}

fn together(waiting: &[Waiting], now: Timestamp) -> WaitingFigures {
    let oldest_at = waiting.iter().filter_map(|one| one.oldest).min();
    WaitingFigures {
        deliveries: waiting.iter().map(|one| one.count).sum(),
        at_least: waiting.iter().any(|one| one.count >= WAITING_COUNTED_MAX),
        oldest_at,
        oldest_seconds: oldest_at.map(|at| rounded(seconds(now, at))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(after: &str, before: &str, step_seconds: Option<i64>) -> Result<CountsQuery, Problem> {
        let time = TimeRange {
            after: after.parse().ok(),
            before: before.parse().ok(),
        };
        let query = StatsQuery {
            time,
            step_seconds,
            ..StatsQuery::default()
        };
        asked(query, Timestamp::from_millis(1_700_000_000_000))
    }

    #[test]
    fn a_time_is_widened_to_whole_steps() {
        let found = ask("2026-01-31T12:07:31Z", "2026-01-31T13:00:01Z", Some(900)).unwrap();
        assert_eq!(found.from.to_string(), "2026-01-31T12:00:00.000Z");
        assert_eq!(found.to.to_string(), "2026-01-31T13:15:00.000Z");
    }

    #[test]
    fn a_step_is_chosen_that_a_chart_can_show() {
        let step = |after, before| ask(after, before, None).unwrap().step.get() / 1_000;
        assert_eq!(step("2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"), 60);
        assert_eq!(step("2026-01-30T12:00:00Z", "2026-01-31T12:00:00Z"), 300);
        assert_eq!(step("2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z"), 10_800);
        assert_eq!(step("2024-01-01T00:00:00Z", "2026-01-31T00:00:00Z"), 86_400);
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let cases = [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z", None),
            ("1970-01-01T00:00:00Z", "2026-01-31T12:00:00Z", None),
            ("2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z", Some(60)),
        ];
        for (after, before, step) in cases {
            let problem = ask(after, before, step).unwrap_err();
            assert_eq!(problem.status(), 422, "{after} {before}");
        }
    }
}
