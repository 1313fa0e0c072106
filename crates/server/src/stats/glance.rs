//! Figures at a glance, for pages that ask again each second: an answer stands for a moment, for
//! everybody who looks. What took long stands longer, so that however many look, they take at most a
//! tenth of a processor from those who send. Programs that ask the API always get figures of now.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hooklatch_core::ids::{EndpointId, ProjectId, SourceId};
use hooklatch_store::CountsQuery;

use super::ask::{StatsQuery, asked, report};
use super::figures::StatsReport;
use crate::app::App;
use crate::problem::Problem;

/// An answer that took less than this is made anew each time.
const CHEAP: Duration = Duration::from_millis(5);
/// So many times as long as it took an answer stands, but no longer than that.
const STANDS_FACTOR: u32 = 10;
const STANDS_MAX: Duration = Duration::from_secs(2);
/// Answers that are kept.
const KEPT_MAX: usize = 32;

/// Marks a question whose answer may be a moment old.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glance;

/// What was asked.
type Asked = (ProjectId, CountsQuery, Option<SourceId>, Option<EndpointId>);

/// The answers that stand.
#[derive(Debug, Default)]
pub(crate) struct Glances(Mutex<Vec<Standing>>);

#[derive(Debug)]
struct Standing {
    asked: Asked,
    until: Instant,
    report: Arc<StatsReport>,
}

/// The figures of a project, of now or of a moment ago.
pub(super) async fn taken(
    app: &App,
    project: ProjectId,
    query: StatsQuery,
) -> Result<Arc<StatsReport>, Problem> {
    let counts = asked(query, app.store().now())?;
    let asked = (project, counts, query.source_id, query.endpoint_id);
    let began = Instant::now();
    if let Some(report) = app.glances().standing(&asked, began) {
        return Ok(report);
    }
    let report = Arc::new(report(app, project, query).await?);
    let took = began.elapsed();
    if took >= CHEAP {
        let until = Instant::now() + (took * STANDS_FACTOR).min(STANDS_MAX);
        app.glances().keep(asked, Arc::clone(&report), until);
    }
    Ok(report)
}

impl Glances {
    fn standing(&self, asked: &Asked, now: Instant) -> Option<Arc<StatsReport>> {
        let mut all = self.all();
        all.retain(|it| it.until > now);
        let found = all.iter().find(|it| it.asked == *asked)?;
        Some(Arc::clone(&found.report))
    }

    fn keep(&self, asked: Asked, report: Arc<StatsReport>, until: Instant) {
        let mut all = self.all();
        all.retain(|it| it.asked != asked);
        if all.len() < KEPT_MAX {
            all.push(Standing {
                asked,
                until,
                report,
            });
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Standing>> {
        let all = self.0.lock();
        all.expect("nobody panics while holding it")
    }
}
