//! What the gateway itself says about the story, by its API.

use std::collections::BTreeMap;
use std::time::Duration;

use hooklatch_client::{
    AttemptFilter, Cause, Client, Error, MessageFilter, Outcome, Page, PageRequest, RequestFilter,
    RequestRecord, Trigger,
};
use indicatif::ProgressBar;

/// The most that a page holds.
const PAGE: u32 = 250;
/// How often the gateway is asked whether everything has ended.
const POLL: Duration = Duration::from_millis(200);

/// The gateway's sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests that it logged.
    pub arrivals: u64,
    /// Of these, those that became messages.
    pub accepted: u64,
    /// Those that it recognised as repetitions, by why they came.
    pub duplicates: BTreeMap<Cause, u64>,
    /// Those that contradicted an earlier one.
    pub conflicts: u64,
    /// Those that it refused.
    pub rejected: u64,
    /// Attempts that it made, by why.
    pub attempts: BTreeMap<Trigger, u64>,
}

impl Counts {
    fn add_request(&mut self, request: &RequestRecord) {
        self.arrivals += 1;
        match request.outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Duplicate => {
                let cause = request.cause.unwrap_or(Cause::Unknown);
                *self.duplicates.entry(cause).or_default() += 1;
            }
            Outcome::Conflict => self.conflicts += 1,
            Outcome::Rejected | Outcome::Other => self.rejected += 1,
        }
    }
}

/// Waits until no delivery is under way.
pub(crate) async fn wait_until_ended(client: &Client, bar: &ProgressBar) -> Result<(), Error> {
    loop {
        let (mut ended, mut moving) = (0_u64, 0_u64);
        let mut pages = PageRequest::first();
        loop {
            let page = client.messages(&MessageFilter::default(), &pages).await?;
            for message in &page.data {
                if message.status.is_moving() {
                    moving += 1;
                } else {
                    ended += 1;
                }
            }
            if !pages.turn(&page) {
                break;
            }
        }
        bar.set_length(ended + moving);
        bar.set_position(ended);
        if moving == 0 {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Everything that the gateway logged.
pub(crate) async fn count(client: &Client) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    let mut pages = PageRequest::first();
    loop {
        let page = client.requests(&RequestFilter::default(), &pages).await?;
        for request in &page.data {
            counts.add_request(request);
        }
        if !pages.turn(&page) {
            break;
        }
    }
    let mut pages = PageRequest::first();
    loop {
        let page = client.attempts(&AttemptFilter::default(), &pages).await?;
        for attempt in &page.data {
            *counts.attempts.entry(attempt.trigger).or_default() += 1;
        }
        if !pages.turn(&page) {
            return Ok(counts);
        }
    }
}

/// Going through a list page by page.
trait Pages {
    fn first() -> Self;
    /// Goes on to the page after this one, if there is one.
    fn turn<T>(&mut self, page: &Page<T>) -> bool;
}

impl Pages for PageRequest {
    fn first() -> Self {
        Self {
            limit: Some(PAGE),
            cursor: None,
        }
    }

    fn turn<T>(&mut self, page: &Page<T>) -> bool {
        self.cursor.clone_from(&page.next_cursor);
        self.cursor.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_became_of_them() {
        let records = [
            serde_json::json!({"id": "req_1", "outcome": "accepted"}),
            serde_json::json!({"id": "req_2", "outcome": "duplicate", "cause": "concurrent"}),
            serde_json::json!({"id": "req_3", "outcome": "duplicate", "cause": "concurrent"}),
            serde_json::json!({"id": "req_4", "outcome": "conflict", "cause": "producer_retry"}),
            serde_json::json!({"id": "req_5", "outcome": "rejected"}),
        ];
        let mut counts = Counts::default();
        for record in records {
            counts.add_request(&serde_json::from_value(record).unwrap());
        }
        let expected = Counts {
            arrivals: 5,
            accepted: 1,
            duplicates: BTreeMap::from([(Cause::Concurrent, 2)]),
            conflicts: 1,
            rejected: 1,
            attempts: BTreeMap::new(),
        };
        assert_eq!(counts, expected);
    }
}
