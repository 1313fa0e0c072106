//! The part of the contract that people watch the gateway by: figures, and what is new.

use hooklatch_core::ids::{EndpointId, ProjectId, SourceId};
use hooklatch_core::time::Timestamp;
use hooklatch_store::{
    Answer, Counts, CountsQuery, Following, News, RolledUp, Seen, Stats, Waiting,
};

use crate::store::PostgresStore;
use crate::{follow, stats};

impl Stats for PostgresStore {
    fn counts(&self, project: ProjectId, query: CountsQuery) -> Answer<'_, Counts> {
        self.read(move |db| Box::pin(stats::counts(db, project, query)))
    }

    fn waiting(&self, project: ProjectId, endpoints: Vec<EndpointId>) -> Answer<'_, Vec<Waiting>> {
        self.read(move |db| Box::pin(stats::waiting(db, project, endpoints)))
    }

    fn last_arrivals(
        &self,
        project: ProjectId,
        sources: Vec<SourceId>,
    ) -> Answer<'_, Vec<Option<Timestamp>>> {
        self.read(move |db| {
            Box::pin(async move { stats::last_arrivals(db, project, &sources).await })
        })
    }

    fn roll_up(&self) -> Answer<'_, RolledUp> {
        let (pool, now) = (self.pool.clone(), self.memory.clock.now());
        self.run(async move {
            let mut client = pool.get().await?;
            stats::roll_up(&mut client, now).await
        })
    }
}

impl Following for PostgresStore {
    fn present(&self) -> Answer<'_, Seen> {
        self.read(|db| Box::pin(follow::present(db)))
    }

    fn news(&self, project: Option<ProjectId>, since: Seen, limit: usize) -> Answer<'_, News> {
        self.read(move |db| Box::pin(async move { follow::news(db, project, &since, limit).await }))
    }
}
