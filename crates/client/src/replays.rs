//! Replays. Every call may be repeated: the same plan twice is one job, and what is asked twice is
//! done once.

use bytes::Bytes;

use crate::call::Repeat;
use crate::client::to_json;
use crate::resources::{Query, of};
use crate::wire::{Page, PageRequest, Replay, ReplayPlan};
use crate::{Client, Error};

impl Client {
    /// Makes a plan; where the same one is under way already, answers with that.
    pub async fn create_replay(&self, plan: &ReplayPlan) -> Result<Replay, Error> {
        let body = to_json(plan)?;
        let answer = self.post("/v1/replays".to_owned(), body, Repeat::Safe);
        answer.await?.json()
    }

    /// One replay.
    pub async fn replay(&self, id: &str) -> Result<Replay, Error> {
        self.get(of("/v1/replays", id)).await
    }

    /// Replays, newest first.
    pub async fn replays(&self, page: &PageRequest) -> Result<Page<Replay>, Error> {
        self.get(Query::of(page).path("/v1/replays")).await
    }

    /// Sends what the plan has found.
    pub async fn start_replay(&self, id: &str) -> Result<Replay, Error> {
        self.command_replay(id, "start").await
    }

    /// Hands nothing more over, for now.
    pub async fn pause_replay(&self, id: &str) -> Result<Replay, Error> {
        self.command_replay(id, "pause").await
    }

    /// Goes on.
    pub async fn resume_replay(&self, id: &str) -> Result<Replay, Error> {
        self.command_replay(id, "resume").await
    }

    /// Hands nothing more over, for ever.
    pub async fn cancel_replay(&self, id: &str) -> Result<Replay, Error> {
        self.command_replay(id, "cancel").await
    }

    async fn command_replay(&self, id: &str, command: &str) -> Result<Replay, Error> {
        let path = format!("{}/{command}", of("/v1/replays", id));
        let answer = self.post(path, Bytes::new(), Repeat::Safe).await?;
        answer.json()
    }
}
