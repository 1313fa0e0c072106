//! The part of the contract that people watch the gateway by: figures, and what is new.

use hooklatch_core::ids::{EndpointId, ProjectId, SourceId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{
    Answer, Counts, CountsQuery, Following, News, RolledUp, Seen, Stats, Waiting,
};

use crate::stats::{self, Rolling};
use crate::{SqliteStore, follow};

impl Stats for SqliteStore {
    fn counts(&self, project: ProjectId, query: CountsQuery) -> Answer<'_, Counts> {
        self.read(move |db| stats::counts(db, project, query))
    }

    fn waiting(&self, project: ProjectId, endpoints: Vec<EndpointId>) -> Answer<'_, Vec<Waiting>> {
        self.read(move |db| stats::waiting(db, project, endpoints))
    }

    fn last_arrivals(
        &self,
        project: ProjectId,
        sources: Vec<SourceId>,
    ) -> Answer<'_, Vec<Option<Timestamp>>> {
        self.read(move |db| stats::last_arrivals(db, project, &sources))
    }

    fn roll_up(&self) -> Answer<'_, RolledUp> {
        let now = self.clock.now();
        Box::pin(async move {
            let rolling = self.read(move |db| Rolling::count(db, now)).await?;
            let outcome = rolling.outcome();
            if !rolling.is_empty() {
                self.write(rolling, 0, stats::roll_up).await?;
            }
            Ok(outcome)
        })
    }
}

impl Following for SqliteStore {
    fn present(&self) -> Answer<'_, Seen> {
        self.read(follow::present)
    }

    fn news(&self, project: Option<ProjectId>, since: Seen, limit: usize) -> Answer<'_, News> {
        self.read(move |db| follow::news(db, project, &since, limit))
    }
}
