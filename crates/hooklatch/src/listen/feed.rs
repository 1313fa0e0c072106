//! What is new at a source, each message once and in order.
//!
//! Numbers are given out in the order of arrival, but on many nodes a message may become visible a
//! moment after one with a larger number. So each look goes back a little before the last one, and
//! what was seen there is known by its id. Nothing is lost by an outage, and nothing comes twice.

use std::collections::BTreeSet;

use hooklatch_client::{Client, Error, Message, MessageFilter, PageRequest};
use hooklatch_core::ids::MessageId;
use hooklatch_core::time::Millis;

/// How far a look goes back: longer than any node takes to commit.
const BACK: Millis = Millis::from_seconds(6);
/// Messages of one page.
const PAGE: u32 = 100;

/// Where a listener stands.
pub(super) struct Feed {
    source: String,
    /// Everything up to here was there before.
    begin: MessageId,
    last: MessageId,
    seen: BTreeSet<MessageId>,
}

impl Feed {
    /// Begins after `after`, or after the newest message that is there.
    pub async fn begin(
        client: &Client,
        source: String,
        after: Option<MessageId>,
    ) -> Result<Self, Error> {
        let begin = match after {
            Some(after) => after,
            None => newest(client, &source).await?,
        };
        Ok(Self {
            source,
            begin,
            last: begin,
            seen: BTreeSet::new(),
        })
    }

    /// The last message that was taken.
    pub const fn last(&self) -> MessageId {
        self.last
    }

    /// What is new, the oldest first. It counts as seen once [`Feed::taken`] is told.
    pub async fn look(&self, client: &Client) -> Result<Vec<(MessageId, Message)>, Error> {
        let filter = MessageFilter {
            source_id: Some(self.source.clone()),
            after: Some((self.last.minted_at() - BACK).to_string()),
            ..MessageFilter::default()
        };
        let mut cursor = None;
        let mut new = Vec::new();
        loop {
            let limit = Some(PAGE);
            let wanted = PageRequest { limit, cursor };
            let page = client.messages(&filter, &wanted).await?;
            for message in page.data {
                if let Ok(id) = message.id.parse::<MessageId>()
                    && id > self.begin
                    && !self.seen.contains(&id)
                {
                    new.push((id, message));
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        new.sort_by_key(|(id, _)| *id);
        Ok(new)
    }

    /// Notes that a message was taken.
    pub fn taken(&mut self, id: MessageId) {
        self.seen.insert(id);
        self.last = self.last.max(id);
        let horizon = self.last.minted_at() - BACK - BACK;
        while let Some(oldest) = self.seen.first().copied()
            && oldest.minted_at() < horizon
        {
            self.seen.remove(&oldest);
        }
    }
}

async fn newest(client: &Client, source: &str) -> Result<MessageId, Error> {
    let filter = MessageFilter {
        source_id: Some(source.to_owned()),
        ..MessageFilter::default()
    };
    let page = PageRequest {
        limit: Some(1),
        cursor: None,
    };
    let page = client.messages(&filter, &page).await?;
    let newest = page
        .data
        .first()
        .and_then(|message| message.id.parse().ok());
    Ok(newest.unwrap_or(MessageId::from_number(0)))
}
